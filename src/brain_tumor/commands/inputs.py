"""The images that a command is given: folders, archives and tables, read as one collection."""

import argparse
import logging
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.csv_table import TableRules, read_by_table
from brain_tumor.datasets.readers.files import Files
from brain_tumor.datasets.readers.folder import FolderFiles
from brain_tumor.datasets.readers.folder_index import find_images, index_images, index_raw_images
from brain_tumor.datasets.readers.folder_labels import SPLITS, infer_labels, match_labels
from brain_tumor.datasets.readers.indexed_images import IndexedImages
from brain_tumor.datasets.readers.open_archive import Advice, open_archive
from brain_tumor.datasets.readers.volumes import OnlyPatient, Volumes
from brain_tumor.datasets.skipped import SkippedFiles, readable_path
from brain_tumor.imaging.volumes import AXES

log = logging.getLogger(__name__)
TABLE_SUFFIX = ".csv"
OTHER_TABLES = (".tsv", ".xls", ".xlsx", ".ods")
SPLIT_CELLS = {spell(name): side for name, side in SPLITS.items() for spell in (str, str.title, str.upper)}
TABLE_RULES = TableRules(("path",), {"": "", **SPLIT_CELLS})
ADVICE = Advice("name the folder", "unpack it, and name the folder", "name the folder that contains it")
WHOLE_NUMBER = re.compile(r"^(\d+)\.0$")  # as pandas writes the numbers of a column that has empty cells
# Path of an image that was made of a file: the file's, the number of a frame, slice or page, and an ending.
CONVERTED = re.compile(r"(.*?)(\.(?:[a-z]+-)?\d+)?\.png(?: \(converted\))*")
MAX_LABELS = 20  # that the log names
MIN_IMAGES_OF_ONE_PATIENT = 3  # from which it is noticed that there is no other patient
LAYOUT_HELP = """
pattern of the paths, if the folders are understood wrongly: {label} and {file} and, if there are such folders, {split}
and {patient}; * is any folder, **/ any number of folders, as in '**/{split}/{label}/{file}'
"""
SOURCE_HELP = """
A source is a folder, a zip or tar archive, or a CSV table with the column path (relative to the table) and, as far as
known, label, split, patient and fold.

Images are recognized by their content. Frames of DICOM files, slices of volumes and pages of other files are images of
their own. All other files are listed with the reason.

The first folder of a path is the label, except train, training, val, valid, validation, test and testing, which name
the split: <class>/... or train/<class>/... Folders around all classes are passed over. The log names the labels.
"""


class ReadOptions(NamedTuple):
    """How sources are read.

    Attributes:
        volumes: which slices of volumes become images.
        layout: pattern of the paths in folders and archives, see `match_labels`; None to infer labels and splits.
        patient_from_header: whether DICOM files of one patient belong together.
        use_cache: whether the audit of an earlier run is used, and this one kept.
    """

    volumes: Volumes = Volumes()
    layout: str | None = None
    patient_from_header: bool = True
    use_cache: bool = True


class SourceImages:
    """The images of several sources by their paths in the joint index; it can be sent to another process."""

    def __init__(self, images: Mapping[str, IndexedImages], has_prefixes: bool) -> None:
        self._images, self._has_prefixes = dict(images), has_prefixes

    def read(self, path: str) -> bytes:
        """Return the bytes of an image; raises a UserError on failure."""
        if not self._has_prefixes:
            (images,) = self._images.values()
            return images.read(path)
        source, _, rest = path.partition("/")
        return self._images[source].read(rest)


@dataclass(frozen=True)
class Inputs:
    """The images of one or several sources.

    Attributes:
        index: as a raw archive has one, sorted by path. With several sources each path begins with the name of its
            source, and so does each patient where the sources are different data sets. The column `dataset` has that
            name.
        images: reads an image by its path in the index.
        skipped: the files of all sources that are no images.
        sources: the sources by name.
        files: by path in the index, the file of each image that is the only one of its file: `x.dcm` of `x.dcm.png`.
    """

    index: pd.DataFrame
    images: SourceImages
    skipped: SkippedFiles
    sources: dict[str, Path]
    files: dict[str, str]


def add_read_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `parse_read_options` to a command."""
    parser.add_argument("--plane", choices=AXES, default="axial", help="of the slices of volumes (default: axial)")
    parser.add_argument("--slices", type=int, default=5, help="number of slices per volume (default: %(default)s)")
    parser.add_argument("--layout", help=LAYOUT_HELP)
    parser.add_argument(
        "--no-header-patients", action="store_true", help="do not group DICOM files by the patient in their headers"
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="audit all images again, and do not keep the result for later runs"
    )


def parse_read_options(args: argparse.Namespace, parser: argparse.ArgumentParser) -> ReadOptions:
    """Return the options of a command line; invalid ones end the process with the usage."""
    if args.slices < 1:
        parser.error("--slices must be 1 or more")
    volumes = Volumes(plane=args.plane, count=args.slices)
    return ReadOptions(volumes, args.layout, not args.no_header_patients, not args.no_cache)


@contextmanager
def open_inputs(paths: Sequence[Path], options: ReadOptions, shared_patients: bool = False) -> Iterator[Inputs]:
    """Read and index the images of folders, archives and tables.

    Converted images and those of archives are in a temporary folder, which is deleted at the end.

    Args:
        paths: the sources.
        options: how they are read.
        shared_patients: whether patients of the same name in two sources are the same person, as in two parts of one
            data set.

    Raises:
        UserError: a source that does not exist, cannot be read or has no images.
    """
    sources, skipped = _name_sources(paths), SkippedFiles()
    has_prefixes = len(sources) > 1
    with tempfile.TemporaryDirectory() as scratch:
        indexes, images = [], {}
        only_images: dict[str, str] = {}
        for name, path in sources.items():
            others, folder = SkippedFiles(), Path(scratch) / name
            folder.mkdir()
            index, images[name], own_files = _read_source(path, name, folder, options, others)
            others.log_summary(name)
            if index.empty:
                raise UserError(f"no image in {path}, which has {describe_skipped(others)}")
            log_labels(name, index)
            index["patient"] = index["patient"].str.replace(WHOLE_NUMBER, r"\1", regex=True)
            prefix = f"{name}/" if has_prefixes else ""
            skipped.update(others, prefix)
            index["path"] = prefix + index["path"]
            only_images |= {prefix + image: prefix + file for image, file in own_files.items()}
            if prefix and not shared_patients:
                index["patient"] = index["patient"].where(index["patient"] == "", prefix + index["patient"])
            indexes.append(index.assign(dataset=name))
        joint = pd.concat(indexes, ignore_index=True).fillna("").sort_values("path", ignore_index=True)
        yield Inputs(joint, SourceImages(images, has_prefixes), skipped, sources, only_images)


def _name_sources(paths: Sequence[Path]) -> dict[str, Path]:
    """Name each source after its file or folder; equal names get a number, and names are without blanks."""
    sources: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} does not exist")
        if any(path.samefile(other) for other in sources.values()):
            raise UserError(f"{path} is named twice")
        for one, other in [(path, each) for each in sources.values()] + [(each, path) for each in sources.values()]:
            if one.is_dir() and other.is_dir() and one.resolve().is_relative_to(other.resolve()):
                raise UserError(f"{one} is inside {other}: its images would be read twice, as copies of themselves")
        base = readable_path("_".join(path.resolve().name.split())) or "root"
        names = (f"{base}-{number}" if number > 1 else base for number in count(1))
        sources[next(name for name in names if name not in sources)] = path
    return sources


def _read_source(
    path: Path, name: str, scratch: Path, options: ReadOptions, skipped: SkippedFiles
) -> tuple[pd.DataFrame, IndexedImages, dict[str, str]]:
    """Index one source; what must be stored goes to `scratch`. The last result: see `find_only_images`."""
    images: IndexedImages
    only: list[OnlyPatient] = []
    settings = (options.volumes, skipped, options.patient_from_header, only.append)
    if is_table(path):
        folder, images = FolderFiles(path.parent, leave_out_folders=True), IndexedImages(path.parent, scratch)
        raw = read_by_table(folder, path.name, skipped, TABLE_RULES)
        names: Collection[str] = set(folder.names())
        index = index_raw_images(raw, names, images, *settings)
    else:
        if path.suffix.lower() in OTHER_TABLES and path.is_file():
            raise UserError(f"{path} is not a CSV table: save it as CSV, under a name that ends with {TABLE_SUFFIX}")
        with ExitStack() as stack:
            files: Files
            if path.is_dir():
                files, images = FolderFiles(path, leave_out_folders=True), IndexedImages(path, scratch)
            else:
                files, images = stack.push(open_archive(path, scratch, ADVICE)), IndexedImages(None, scratch)
            names = find_images(files, skipped)
            labels = infer_labels(names) if options.layout is None else match_labels(names, options.layout, skipped)
            index = index_images(files, labels, images, *settings)
    for found in only:
        warn_of_one_patient(name, found)
    return index, images, find_only_images(index["path"], names)


def find_only_images(paths: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Return the file of each image that is the only one of its file.

    Args:
        paths: of the images in an index: those of files, or of frames, slices and pages that were made of files.
        names: of the files.
    """
    files, found = {readable_path(name): name for name in names}, {}
    for path in paths:
        match = CONVERTED.fullmatch(path)
        candidates = (path, *((match[1] + (match[2] or ""), match[1]) if match else ()))
        found[path] = next((files[name] for name in candidates if name in files), "")
    counts = Counter(found.values())
    return {path: name for path, name in found.items() if name and counts[name] == 1}


def name_files(table: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    """Return a table with the paths of files in place of those of images, where a file has one image."""
    return table.assign(path=[readable_path(inputs.files.get(path, path)) for path in table["path"]])


def is_table(path: Path) -> bool:
    """Return whether a source is a table of images."""
    return path.suffix.lower() == TABLE_SUFFIX and path.is_file()


def describe_skipped(skipped: SkippedFiles) -> str:
    """Return the number of files that were left out by reason."""
    return ", ".join(f"{len(paths)} × {reason}" for reason, paths in skipped.by_reason()) or "no files"


def log_labels(name: str, index: pd.DataFrame) -> None:
    """Log the number of images by label and split, and how to name the label folders if these are not right."""
    counts = pd.crosstab(index["label"], index["split"])
    texts = []
    for label, row in zip(counts.index, counts.to_dict("records"), strict=True):
        by_split = ", ".join(f"{split or 'no split'} {count}" for split, count in row.items() if count)
        texts.append(f"{label or 'no label'} {sum(row.values())}" + (f" ({by_split})" if any(counts.columns) else ""))
    more = f", and {len(texts) - MAX_LABELS} more" if len(texts) > MAX_LABELS else ""
    log.info("%s: labels: %s%s", name, ", ".join(texts[:MAX_LABELS]), more)
    log.info("If these are not the labels, name the folders, as in --layout '{label}/{file}': see --help")


def warn_of_one_patient(name: str, found: OnlyPatient) -> None:
    """Log a warning if several images have the only patient that DICOM headers name, or a placeholder."""
    if found.images >= MIN_IMAGES_OF_ONE_PATIENT:
        log.warning(
            "%s: the DICOM headers of %d images name %s, so that all are one group. If they are of several patients, "
            "name their folders by {patient} in --layout, or use --no-header-patients",
            name,
            found.images,
            "one patient" if found.is_only else "a placeholder as their patient, such as Anonymous",
        )
