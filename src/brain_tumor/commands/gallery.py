"""A self-contained page of what an audit found: pairs of each kind, the largest groups, and unusual images."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from brain_tumor.audit.inspection import ReadFile
from brain_tumor.core.errors import UserError
from brain_tumor.imaging.decode import UnreadableImageError, decode_gray
from brain_tumor.plotting.link_examples import choose_link_examples

TEMPLATES = ("brain_tumor.commands", "brain_tumor.reporting")  # packages
IMAGE_SIDE = 160  # pixels of the longer side of an image on the page, at most
JPEG_QUALITY = 80
MAX_PAIRS = 8  # of each kind
MAX_STRIPS, MAX_STRIP_IMAGES = 8, 10  # sets of images in a section, and images of each
COUNTS = {
    "images": "images",
    "unique_images": "different images",
    "groups": "groups of related images",
    "largest_group": "images in the largest group",
    "label_conflicts": "images under several labels",
    "groups_of_several_classes": "groups with several labels",
    "unreadable": "unreadable files",
    "blank": "blank images",
    "quality_warnings": "images that do not look like a slice of a head",
    "published_test": "test images",
    "leaked_duplicates": "test images with a duplicate in training",
    "leaked_group": "test images with a related image in training",
}
SECTION_TEXTS = {
    "duplicate with another label": "One of the labels is wrong, unless two sources name a class differently.",
    "weakest accepted duplicates": "If these are different images, so may be others that the audit calls duplicates.",
    "weakest accepted adjacent slices": "Pairs like these join groups.",
    "strongest rejected pairs": "If these show one slice or neighboring ones, the audit has missed them.",
}


@dataclass(frozen=True)
class View:
    """An image on the page: its path, facts about it, and a small JPEG image as base64, '' if it is unreadable."""

    path: str
    label: str
    split: str
    data: str
    conflict: bool
    note: str = ""


@dataclass(frozen=True)
class Pair:
    """Two linked images, and the evidence, '' if they are equal."""

    first: View
    second: View
    caption: str


@dataclass(frozen=True)
class Strip:
    """Some images of a set, and what they have in common."""

    caption: str
    views: Sequence[View]


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    text: str = ""
    pairs: Sequence[Pair] = field(default_factory=tuple)
    strips: Sequence[Strip] = field(default_factory=tuple)


def write_gallery(
    path: Path,
    table: pd.DataFrame,
    links: pd.DataFrame,
    counts: Mapping[str, Any],
    read_file: ReadFile,
    title: str,
    found: str,
) -> None:
    """Write the page.

    Args:
        path: HTML file.
        table, links: see `audit.audit_images`.
        counts: see `summary.summarize_audit`.
        read_file: returns the bytes of an image by its path in the table.
        title: names of the sources.
        found: see `findings.describe_findings`.
    """
    page = _Page(table, links, read_file)
    folders = [str(files(package).joinpath("templates")) for package in TEMPLATES]
    environment = Environment(
        loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    content = environment.get_template("gallery.html").render(
        title=title, found=found, counts=list_counts(counts), sections=page.sections()
    )
    path.write_text(content, encoding="utf-8", newline="\n")


def list_counts(counts: Mapping[str, Any]) -> dict[str, str]:
    """Return the counts of an audit that are not 0, as text by what is counted."""
    return {name: f"{counts[key]:,}" for key, name in COUNTS.items() if counts.get(key)}


class _Page:
    """The parts of the page; each image is read once."""

    def __init__(self, table: pd.DataFrame, links: pd.DataFrame, read_file: ReadFile) -> None:
        self._table, self._links = table.set_index("path", drop=False), links
        self._read = cache(lambda path: _shrink(read_file, path))

    def sections(self) -> list[Section]:
        """Return all parts that have images."""
        sections = []
        for examples in choose_link_examples(self._table.reset_index(drop=True), self._links, MAX_PAIRS):
            title = examples[0].caption.partition(", ")[0]
            pairs = [
                Pair(self._view(one.first), self._view(one.second), one.caption.partition(", ")[2]) for one in examples
            ]
            sections.append(Section(title, SECTION_TEXTS.get(title, ""), pairs))
        usable = self._table[self._table["problem"] == ""]
        sections.append(self._list_sets(usable, "duplicate_id", "largest sets of duplicates"))
        sections.append(self._list_sets(usable, "group", "largest groups of related images"))
        unusual = self._table[self._table["quality_warning"] != ""]
        strips = [
            Strip(f"{len(rows)} × {warning}", [self._view(path) for path in rows["path"].head(MAX_STRIP_IMAGES)])
            for warning, rows in unusual.groupby("quality_warning")
        ]
        sections.append(Section("images that do not look like a slice of a head", strips=strips))
        return [section for section in sections if section.pairs or section.strips]

    def _list_sets(self, table: pd.DataFrame, key: str, title: str) -> Section:
        sizes = table[key].value_counts()
        largest = sizes[sizes > 1].sort_index().sort_values(ascending=False, kind="stable").head(MAX_STRIPS)
        strips = []
        for name, size in largest.items():
            rows = table[table[key] == name].sort_values("sha256")
            numbers = rows["label"].value_counts()
            labels = ", ".join(f"{count} × {label or 'no label'}" for label, count in numbers.items())
            more = f"; the first {MAX_STRIP_IMAGES} of them" if size > MAX_STRIP_IMAGES else ""
            views = [self._view(path, str(rows.at[path, "kind"])) for path in rows["path"].head(MAX_STRIP_IMAGES)]
            strips.append(Strip(f"{name}: {size} images ({labels}){more}", views))
        return Section(title, strips=strips)

    def _view(self, path: str, note: str = "") -> View:
        label, split, conflict = (self._table.at[path, column] for column in ("label", "split", "conflict"))
        return View(path, str(label), str(split), self._read(path), bool(conflict), note)


def _shrink(read_file: ReadFile, path: str) -> str:
    """Return a small JPEG image as base64, '' if the file cannot be read."""
    try:
        image = Image.fromarray(decode_gray(read_file(path)))
    except (UserError, UnreadableImageError):
        return ""
    image.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()
