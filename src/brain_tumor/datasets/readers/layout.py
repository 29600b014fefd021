"""Reading images whose folders tell what they are."""

import difflib
import re
from collections.abc import Collection, Iterator
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.archive_limits import describe_inner_archives
from brain_tumor.datasets.readers.contrasts import ImageReader, find_patients, pair_masks, parse_names
from brain_tumor.datasets.readers.files import Files, normalize_name
from brain_tumor.datasets.readers.via_annotations import ViaAnnotations
from brain_tumor.datasets.skipped import SkippedFiles, readable_path
from brain_tumor.parallel import progress

PLACEHOLDERS = ("{split}", "{label}", "{patient}", "{file}")
TOKEN = re.compile(r"(\*\*/|\*|\{[^{}]*\})")
MAX_PATH_LENGTH = 1024  # characters
MAX_NAMED = 10  # folders that a message names


class Layout(Block):
    """Paths of the images, and the meaning of the folder names in them.

    Names are compared without blanks around them, and with composed letters (Unicode NFC).

    Attributes:
        path: pattern of the paths, such as `{split}/{label}/{file}`. It has `{label}` and `{file}` once and, at most
            once, `{split}` and `{patient}`. `*` is any name of a folder or a part of a name, `**/` any number of
            folders, also none. Files that do not match it are left out.
        labels: maps the folder names at `{label}` to labels; other folders are left out. Each must have an image.
        splits: maps the folder names at `{split}` to published splits, train or test; other folders are left out. Each
            must have an image. Empty if `path` has no `{split}`.
        annotations: path of an annotation file of the VGG Image Annotator (JSON), '' for none. Its shapes become masks
            and boxes of the images whose file names it contains.
    """

    path: str
    labels: dict[str, Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    splits: dict[str, Literal["train", "test"]] = Field(default_factory=dict)
    annotations: str = ""

    @model_validator(mode="after")
    def _validate_placeholders(self) -> "Layout":
        tokens = TOKEN.findall(self.path)
        if unknown := sorted({token for token in tokens if token[0] == "{"} - {*PLACEHOLDERS}):
            raise ValueError(f"`path` has {unknown[0]}, which is none of {', '.join(PLACEHOLDERS)}")
        counts = [tokens.count(name) for name in PLACEHOLDERS]
        if counts[1] != 1 or counts[3] != 1 or counts[0] > 1 or counts[2] > 1:
            raise ValueError("`path` must contain {label} and {file} once, and {split} and {patient} at most once")
        parts = self.path.split("/")
        if parts[-1] == "**" or any("**" in part and part != "**" for part in parts):
            raise ValueError("in `path`, ** must be the whole name of a folder, as in **/{label}/{file}")
        for block, keys in (("labels", self.labels), ("splits", self.splits)):
            if len({*map(normalize_name, keys)}) < len(keys):
                raise ValueError(f"two keys of `{block}` differ only in blanks around them or in Unicode's form")
        if ("{split}" in self.path) != bool(self.splits):
            raise ValueError("`splits` must be set if and only if `path` contains {split}")
        return self

    def pattern(self, any_name: bool = False) -> re.Pattern[str]:
        """Return the path as a regular expression for normalized names, with a group for each placeholder.

        Args:
            any_name: any name may stand for `{label}` and `{split}`, not only those in `labels` and `splits`.
        """
        expressions = {
            "**/": "(?:[^/]+/)*",
            "*": "[^/]*",
            "{label}": f"(?P<label>{'[^/]+?' if any_name else _any_of(self.labels)})",
            "{split}": f"(?P<split>{'[^/]+?' if any_name else _any_of(self.splits)})",
            "{patient}": "(?P<patient>[^/]+?)",
            "{file}": "(?P<file>[^/]+)",
        }
        return re.compile(
            "".join(expressions.get(part, re.escape(part)) for part in TOKEN.split(normalize_name(self.path)))
        )


class Match(NamedTuple):
    """A file that matches a layout: its name, and the parts of its path, normalized; '' for what the layout lacks."""

    name: str
    label: str
    split: str = ""
    patient: str = ""


def read_by_layout(files: Files, layout: Layout, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the images that match a layout, in sorted order.

    Volumes that are contrasts of one head belong to one patient, and files that are named as masks become masks, see
    `brain_tumor.datasets.readers.contrasts`.

    Args:
        files: the archive or folder.
        layout: which paths are images.
        skipped: every file that is not yielded as an image is added to it.

    Raises:
        UserError: no file matches, a key of `labels` or `splits` has no image, or the annotation file is missing. A
            file that the caller has added to `skipped`, after it was yielded, is not an image.
    """
    if not layout.annotations:
        yield from _matching_images(files, layout, skipped)
        return
    names = {normalize_name(name): name for name in files.names()}
    annotations = names.get(normalize_name(layout.annotations))
    if annotations is None:
        raise UserError(f"{files.path} does not contain {layout.annotations}, which `annotations` names")
    shapes = ViaAnnotations(files.read(annotations), f"{files.path}: {annotations}")
    yield from shapes.add_to(_matching_images(files, layout, skipped, annotations))


def _matching_images(files: Files, layout: Layout, skipped: SkippedFiles, annotations: str = "") -> Iterator[RawImage]:
    names = [name for name in files.names() if name != annotations]
    matches = _match(names, layout)
    _require_all_keys(files, names, layout, matches)
    reader = ImageReader(files)
    _skip_others(files, layout, skipped, matches, reader)
    if annotations:
        skipped.add(annotations, "the annotation file")
    parsed = parse_names([match.name for match in matches])
    masks, patients = pair_masks(parsed), find_patients(parsed)
    for name, reason in masks.reasons.items():
        skipped.add(name, reason)
    matches = [match for match in matches if match.name not in masks.reasons]
    for match in progress(matches, f"reading {files.path.name}", len(matches), "file"):
        content, reason = reader.read(match.name)
        if reason:
            skipped.add(match.name, reason)
            continue
        mask = None
        if mask_name := masks.by_image.get(match.name):
            mask, reason = reader.read(mask_name)
            if reason:
                skipped.add(mask_name, f"a mask that is not an image: {reason}")
                mask = None
        yield RawImage(
            match.name,
            content,
            _translate(layout.labels, match.label),
            _translate(layout.splits, match.split),
            match.patient or patients[match.name],
            mask=mask,
        )
    _require_images(files, layout, matches, skipped)


def _require_images(files: Files, layout: Layout, matches: Collection[Match], skipped: SkippedFiles) -> None:
    """Raise a UserError unless each key of `labels` and `splits` has a file that was not skipped."""
    reasons = {match: skipped.reason(match.name) for match in matches}
    for block, key in _keys(layout):
        name = normalize_name(key)
        own = {match: why for match, why in reasons.items() if name == (match.label, match.split)[block == "splits"]}
        if all(own.values()):
            examples = [f"{readable_path(match.name)}: {reason}" for match, reason in own.items()]
            raise UserError(
                f"{files.path}: no file of {key!r}, which `layout.{block}` names, is an image "
                f"({examples[0] if examples else 'all are masks'})"
            )


def _match(names: Collection[str], layout: Layout, any_name: bool = False) -> list[Match]:
    """Return the files that match the layout, in the order given."""
    pattern = layout.pattern(any_name)
    found = ((name, pattern.fullmatch(normalize_name(name))) for name in names if len(name) <= MAX_PATH_LENGTH)
    parts = ((name, match.groupdict()) for name, match in found if match)
    return [Match(name, group["label"], group.get("split") or "", group.get("patient") or "") for name, group in parts]


def _require_all_keys(files: Files, names: list[str], layout: Layout, matches: list[Match]) -> None:
    """Raise a UserError unless each key of `labels` and `splits` matches a file."""
    similar = _match(names, layout, any_name=True)
    if not matches and not similar:
        examples = ", ".join(map(readable_path, names[:3])) if names else "no files"
        deeper = layout.model_copy(update={"path": f"**/{layout.path}"})
        count = len(_match(names, deeper)) if not layout.path.startswith("**/") else 0
        advice = f"; with `path: {deeper.path!r}`, {count} would match" if count else ""
        hints = f"{describe_inner_archives(names, files.path)} {files.hint}".strip()
        raise UserError(
            f"{files.path} has no file that matches {layout.path} (it has {examples}, …){advice}. {hints}".rstrip()
        )
    matched = {("labels", match.label) for match in matches} | {("splits", match.split) for match in matches}
    for block, key in _keys(layout):
        if (block, normalize_name(key)) in matched:
            continue
        there = sorted({match.label if block == "labels" else match.split for match in similar})
        lower = {name.lower(): name for name in there}
        nearest = difflib.get_close_matches(key.lower(), lower, n=1)
        listed = ", ".join(readable_path(name) for name in there[:MAX_NAMED]) + (
            ", …" if len(there) > MAX_NAMED else ""
        )
        unread = files.left_out()
        unreadable = [
            match for match in _match(list(unread), layout) if normalize_name(key) in (match.label, match.split)
        ]
        message = (
            f"{files.path}: no file matches {key!r}, which `layout.{block}` names (names there: {listed or 'none'})"
        )
        message += f". Did you mean {lower[nearest[0]]!r}?" if nearest else "."
        message += f" {unreadable[0].name} is {unread[unreadable[0].name]}." if unreadable else ""
        message += f" {describe_inner_archives(names, files.path)}".rstrip()
        raise UserError(f"{message} {files.hint}".rstrip())


def _skip_others(
    files: Files, layout: Layout, skipped: SkippedFiles, matches: list[Match], reader: ImageReader
) -> None:
    """Add to `skipped` every file that does not match the layout, with the reason."""
    names = files.names()
    similar = {match.name: match for match in _match(names, layout, any_name=True)}
    labels, splits = {normalize_name(key) for key in layout.labels}, {normalize_name(key) for key in layout.splits}
    for name, reason in files.left_out().items():
        skipped.add(name, reason)
    for name in sorted(set(names) - {match.name for match in matches}):
        match = similar.get(name)
        if match and match.label not in labels:
            reason = f"{readable_path(match.label)!r} is not in `layout.labels`"
        elif match and splits and match.split not in splits:
            reason = f"{readable_path(match.split)!r} is not in `layout.splits`"
        else:
            reason = f"the path does not match {layout.path}"
        skipped.add(name, reader.describe_header(name) or reason)


def _keys(layout: Layout) -> list[tuple[str, str]]:
    """Return the keys of `labels` and `splits`, each with the name of its block."""
    return [("labels", key) for key in layout.labels] + [("splits", key) for key in layout.splits]


def _translate(names: dict[str, str] | dict[str, Literal["train", "test"]], key: str) -> str:
    return next((value for name, value in names.items() if normalize_name(name) == key), "")


def _any_of(names: Collection[str]) -> str:
    """Return an expression for one of the names; a longer one is preferred to its own beginning."""
    return "|".join(re.escape(name) for name in sorted(map(normalize_name, names), key=len, reverse=True))
