"""Jun Cheng's brain tumor set on figshare: T1-weighted slices with contrast agent as MATLAB files, with masks."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, BaseModel, Field, ValidationError, field_validator

from brain_tumor.archive import RawImage
from brain_tumor.encoding import encode, encode_mask
from brain_tumor.errors import UserError
from brain_tumor.fetching import Expected, RefusedError, download, get_json, service
from brain_tumor.on_disk import find_on_disk
from brain_tumor.parallel import progress
from brain_tumor.params import Block
from brain_tumor.regions import bounds
from brain_tumor.sources.figshare.slices import AGAIN, Member, open_archives, read_folds

log = logging.getLogger(__name__)

SERVICE = "https://api.figshare.com"
REFUSALS = {401: "it asks for a login", 403: "it denies access", 404: "it has no such version, or no such file"}
BY_HAND = """\
Or download {files} in a browser
from https://doi.org/10.6084/m9.figshare.{article} (version {version}), put what you get into a folder under the same
names, and name that folder in the environment, as in DATA_ARCHIVES=/folder/of/archives dvc repro"""


class Source(Block):
    """The article, its version, and the files to read of it: zip archives of slices, and one .mat of their folds.

    The 16 bits of an image become 8 along a straight line: 0 (or the least value, if that is negative) turns
    into 0, and the `window_percentile`-th percentile of all its pixels (linearly interpolated between ranks)
    into 255; what lies beyond is clipped, and the rest rounded to the nearest whole number, halves to even.
    """

    kind: Literal["figshare"]
    article: int = Field(ge=1)
    version: int = Field(ge=1)
    files: tuple[str, ...]
    window_percentile: float = Field(default=99.8, gt=0, le=100)

    @field_validator("files")
    @classmethod
    def _are_archives_and_folds(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(files)) < len(files) or any(PurePosixPath(name).name != name or "\\" in name for name in files):
            raise ValueError("`files` must be names without folders, each once")
        if sorted({*(Path(name).suffix for name in files)}) != [".mat", ".zip"] or len(_folds_of(files)) != 1:
            raise ValueError("`files` must be .zip archives and one .mat, as in [1-766.zip, cvind.mat]")
        return files


def images(source: Source, scratch: Path) -> Iterator[RawImage]:
    """Yield the slices by ascending number, each with its label, patient, fold, mask and box.

    Files are taken from the folders of DATA_ARCHIVES, and those not there from figshare (or the service that
    FIGSHARE_API_URL names); downloads are kept in `scratch` for the next try. One image is in memory at a time.

    Raises:
        UserError: a file that cannot be had, or does not hold what it should.
    """
    paths = _located(source, scratch / f"figshare-{source.article}-v{source.version}")
    (cvind,) = _folds_of(source.files)
    folds = read_folds(paths[cvind])
    with ExitStack() as stack:
        members = open_archives([path for name, path in paths.items() if name != cvind], stack)
        if sorted(members) != list(range(1, len(folds) + 1)):
            raise UserError(
                f"{paths[cvind]} has folds for {len(folds)} slices, so that the archives must hold 1.mat to "
                f"{len(folds)}.mat; they hold {len(members)} files, {min(members, default=0)}.mat to "
                f"{max(members, default=0)}.mat. Check `files` in params.yaml, or {AGAIN}"
            )
        for number in progress(range(1, len(folds) + 1), "reading slices", len(folds)):
            yield _image(members[number], number, folds[number - 1], source.window_percentile)


def to_gray(image: NDArray[Any], percentile: float) -> NDArray[np.uint8]:
    """Bring whole numbers of any range to 0 to 255, by the rule that `Source` states."""
    low, high = min(0, int(image.min())), float(np.percentile(image, percentile))
    if high <= low:  # hardly a pixel differs from the lowest value
        return np.zeros(image.shape, np.uint8)
    share: NDArray[np.float64] = np.clip((image.astype(np.float64) - low) / (high - low), 0, 1)
    return np.rint(share * 255).astype(np.uint8)


def _image(member: Member, number: int, fold: int, percentile: float) -> RawImage:
    image, mask, label, patient = member.read()
    box = bounds(mask)
    return RawImage(
        path=f"{label}/{number:04d}.png",
        content=encode(to_gray(image, percentile)),
        label=label,
        patient=patient,
        mask=encode_mask(mask) if box else None,
        fold=str(fold),
        box=box,
    )


def _folds_of(files: Sequence[str]) -> list[str]:
    return [name for name in files if name.endswith(".mat")]


def _located(source: Source, folder: Path) -> dict[str, Path]:
    """Return the path of each of the source's files, downloaded to `folder` unless found on disk."""
    found = {name: path for name in source.files if (path := find_on_disk(name)) is not None}
    missing = [name for name in source.files if name not in found]
    for path in found.values():
        log.info("reading %s, found through DATA_ARCHIVES", path)
    if not missing:
        log.info("all files of %s are on disk: figshare is not asked", _title(source))
        return found
    advice = BY_HAND.format(files=", ".join(missing), article=source.article, version=source.version)
    try:
        fetched = _fetch(source, missing, folder)
    except RefusedError as refusal:
        reason = REFUSALS.get(refusal.status, "it gives no reason")
        raise UserError(f"{_title(source)}: the service {refusal} ({reason}).\n{advice}") from None
    except UserError as error:
        raise UserError(f"{error}.\n{advice}") from None
    return {name: found.get(name) or fetched[name] for name in source.files}


class _Listed(BaseModel):
    """What figshare says of a file, as far as it matters here."""

    id: int
    size: int
    md5: str = Field(validation_alias=AliasChoices("computed_md5", "supplied_md5"), pattern="^[0-9a-f]{32}$")
    download_url: str


def _fetch(source: Source, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Download the files called `names`; raises RefusedError, or a UserError without advice."""
    log.info("downloading %s: %s", _title(source), ", ".join(names))
    address = f"{_service()}/v2/articles/{source.article}/versions/{source.version}"
    article = get_json(address, {"Accept": "application/json"}, _title(source))
    try:
        entries = {str(entry["name"]): entry for entry in article["files"]}
        if unknown := [name for name in names if name not in entries]:
            has = ", ".join(sorted(entries))
            raise UserError(f"{_title(source)} has no file {unknown[0]} (it has {has}): check `files` in params.yaml")
        listed = {name: _Listed.model_validate(entries[name]) for name in names}
    except (KeyError, TypeError, ValidationError):
        raise UserError(f"{_title(source)}: the service sent no list of files with sizes and MD5 sums") from None
    return {name: _download(listed[name], folder / name) for name in names}


def _download(listed: _Listed, target: Path) -> Path:
    """Download by the interface itself: the address in the list is at times closed to all but browsers."""
    expected = Expected(listed.size, listed.md5)
    try:
        return download(f"{_service()}/v2/file/download/{listed.id}", target, expected, target.name)
    except RefusedError:
        return download(listed.download_url, target, expected, target.name)


def _service() -> str:
    return service("FIGSHARE_API_URL", SERVICE)


def _title(source: Source) -> str:
    return f"figshare article {source.article}, version {source.version}"
