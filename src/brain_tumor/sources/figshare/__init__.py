"""Jun Cheng's brain tumor data set on figshare: contrast-enhanced T1-weighted slices with masks, as MATLAB files."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, BaseModel, Field, ValidationError, field_validator

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.core.types import Floats, Gray
from brain_tumor.datasets.http import ExpectedFile, HttpStatusError, download, get_json, service_url
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.boxes import bounding_box, format_boxes
from brain_tumor.imaging.encode import encode_image, encode_mask
from brain_tumor.local_files import find_local_file
from brain_tumor.parallel import progress
from brain_tumor.sources.figshare.slices import REDOWNLOAD_HINT, Member, open_archives, read_folds

log = logging.getLogger(__name__)

SERVICE_URL = "https://api.figshare.com"
STATUS_REASONS = {401: "login required", 403: "access denied", 404: "no such version, or no such file"}
MANUAL_DOWNLOAD = """\
Or download {files} in a browser
from https://doi.org/10.6084/m9.figshare.{article} (version {version}), save the files under the same names in a
folder, and name that folder in the environment, as in DATA_ARCHIVES=/folder/of/archives dvc repro"""


class Source(Block):
    """`datasets.<name>.source` for a data set on figshare.

    Attributes:
        article: number of the article.
        version: version of the article.
        files: names of the files to read: zip archives of slices, and one .mat file with their folds.
        window_percentile: percentile of an image's pixels that becomes 255. The scale is linear and starts at 0 or at
            the image's minimum, if that is negative.
    """

    kind: Literal["figshare"]
    article: int = Field(ge=1)
    version: int = Field(ge=1)
    files: tuple[str, ...]
    window_percentile: float = Field(default=99.8, gt=0, le=100)

    @field_validator("files")
    @classmethod
    def _require_archives_and_folds(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(files)) < len(files) or any(PurePosixPath(name).name != name or "\\" in name for name in files):
            raise ValueError("`files` must be names without folders, each once")
        if sorted({*(Path(name).suffix for name in files)}) != [".mat", ".zip"] or len(_select_mat(files)) != 1:
            raise ValueError("`files` must be .zip archives and one .mat, as in [1-766.zip, cvind.mat]")
        return files


def images(source: Source, scratch: Path, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the slices by ascending number, each with its label, patient, fold, mask and box.

    Files are read from the folders of DATA_ARCHIVES; missing ones are downloaded from figshare (or from the URL in the
    environment variable FIGSHARE_API_URL) and kept in `scratch` for the next run.
    Only one image is in memory at a time. Members of the archives that are no slices are added to `skipped`.

    Raises:
        UserError: a file that cannot be downloaded, or that does not have the expected content.
    """
    paths = _locate_files(source, scratch / f"figshare-{source.article}-v{source.version}")
    (cvind,) = _select_mat(source.files)
    folds = read_folds(paths[cvind])
    with ExitStack() as stack:
        members = open_archives([path for name, path in paths.items() if name != cvind], stack, skipped)
        if sorted(members) != list(range(1, len(folds) + 1)):
            raise UserError(
                f"{paths[cvind]} has folds for {len(folds)} slices, so the archives must contain 1.mat to "
                f"{len(folds)}.mat; they contain {len(members)} files, {min(members, default=0)}.mat to "
                f"{max(members, default=0)}.mat. Check `files` in params.yaml, or {REDOWNLOAD_HINT}"
            )
        for number in progress(range(1, len(folds) + 1), "reading slices", len(folds)):
            yield _read_image(members[number], number, folds[number - 1], source.window_percentile)


def scale_to_gray(image: NDArray[Any], percentile: float) -> Gray:
    """Scale an image (H, W) of integers of any range to 0 to 255.

    The scale is linear: 0, or the minimum if that is negative, becomes 0, and the percentile of all pixels (with linear
    interpolation) becomes 255. Values outside are clipped; results are rounded to the nearest integer, halves to even.
    """
    low, high = min(0, int(image.min())), float(np.percentile(image, percentile))
    if high <= low:  # almost all pixels have the lowest value
        return np.zeros(image.shape, np.uint8)
    levels: Floats = np.clip((image.astype(np.float64) - low) / (high - low), 0, 1)
    return np.rint(levels * 255).astype(np.uint8)


def _read_image(member: Member, number: int, fold: int, percentile: float) -> RawImage:
    image, mask, label, patient = member.read()
    box = bounding_box(mask)
    return RawImage(
        path=f"{label}/{number:04d}.png",
        content=encode_image(scale_to_gray(image, percentile)),
        label=label,
        patient=patient,
        mask=encode_mask(mask) if box else None,
        fold=str(fold),
        box=format_boxes([box] if box else []),
    )


def _select_mat(files: Sequence[str]) -> list[str]:
    return [name for name in files if name.endswith(".mat")]


def _locate_files(source: Source, folder: Path) -> dict[str, Path]:
    """Return the path of each of the source's files; those not in DATA_ARCHIVES are downloaded to `folder`."""
    local = {name: path for name in source.files if (path := find_local_file(name)) is not None}
    missing = [name for name in source.files if name not in local]
    for path in local.values():
        log.info("reading %s from DATA_ARCHIVES", path)
    if not missing:
        log.info("all files of %s are in DATA_ARCHIVES; no request to figshare", _format_title(source))
        return local
    advice = MANUAL_DOWNLOAD.format(files=", ".join(missing), article=source.article, version=source.version)
    try:
        downloaded = _download_files(source, missing, folder)
    except HttpStatusError as error:
        reason = STATUS_REASONS.get(error.status, "unknown reason")
        raise UserError(f"{_format_title(source)}: the service {error} ({reason}).\n{advice}") from None
    except UserError as error:
        raise UserError(f"{error}.\n{advice}") from None
    return {name: local.get(name) or downloaded[name] for name in source.files}


class _FileInfo(BaseModel):
    """The fields of figshare's description of a file that are used here."""

    id: int
    size: int
    md5: str = Field(validation_alias=AliasChoices("computed_md5", "supplied_md5"), pattern="^[0-9a-f]{32}$")
    download_url: str


def _download_files(source: Source, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Download files of the article; raises an HttpStatusError, or a UserError without advice."""
    title = _format_title(source)
    log.info("downloading %s: %s", title, ", ".join(names))
    url = f"{_figshare_url()}/v2/articles/{source.article}/versions/{source.version}"
    article = get_json(url, {"Accept": "application/json"}, title)
    try:
        entries = {str(entry["name"]): entry for entry in article["files"]}
        if unknown := [name for name in names if name not in entries]:
            existing = ", ".join(sorted(entries))
            raise UserError(f"{title} has no file {unknown[0]} (it has {existing}): check `files` in params.yaml")
        infos = {name: _FileInfo.model_validate(entries[name]) for name in names}
    except (KeyError, TypeError, ValidationError):
        raise UserError(f"{title}: the service sent no list of files with sizes and MD5 sums") from None
    return {name: _download_file(infos[name], folder / name) for name in names}


def _download_file(info: _FileInfo, target: Path) -> Path:
    """Download a file through the API; the URL in the list, which sometimes serves browsers only, is the fallback."""
    expected = ExpectedFile(info.size, info.md5)
    try:
        return download(f"{_figshare_url()}/v2/file/download/{info.id}", target, expected, target.name)
    except HttpStatusError:
        return download(info.download_url, target, expected, target.name)


def _figshare_url() -> str:
    return service_url("FIGSHARE_API_URL", SERVICE_URL)


def _format_title(source: Source) -> str:
    return f"figshare article {source.article}, version {source.version}"
