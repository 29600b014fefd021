"""An index of the images of a folder, an archive or a table, like that of a raw archive, and their bytes."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import pandas as pd

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import COLUMNS, RawImage
from brain_tumor.datasets.readers.contrasts import ImageReader, find_patients, pair_masks, parse_names
from brain_tumor.datasets.readers.files import Files
from brain_tumor.datasets.readers.folder import FolderFiles
from brain_tumor.datasets.readers.folder_labels import FolderLabels
from brain_tumor.datasets.readers.indexed_images import IndexedImages
from brain_tumor.datasets.readers.volumes import OnlyPatient, Volumes, expand_medical_formats, find_free_path
from brain_tumor.datasets.skipped import SkippedFiles, readable_path
from brain_tumor.imaging.formats import HEAD_BYTES, identify
from brain_tumor.parallel import progress

MAX_FILE_BYTES = 2 * 2**30


def find_images(files: Files, skipped: SkippedFiles) -> list[str]:
    """Return the names of the files that are images by content or suffix; add all others to `skipped`."""
    for name, reason in files.left_out().items():
        skipped.add(name, reason)
    reader, names, images = ImageReader(files), files.names(), []
    for name in progress(names, f"listing {files.path.resolve().name}", len(names), "file"):
        try:
            head, size = _read_head(files, name)
        except OSError as error:
            skipped.add(name, f"a file that cannot be read ({error.strerror})")
            continue
        except UserError as error:
            skipped.add(name, readable_path(str(error)))
            continue
        kind = identify(head, name)
        if kind.kind is None:
            skipped.add(name, reader.describe_header(name) or kind.reason)
        elif size > MAX_FILE_BYTES:
            skipped.add(name, f"an image file of more than {MAX_FILE_BYTES >> 30} GiB")
        else:
            images.append(name)
    masks = pair_masks(parse_names(images))
    for name, reason in masks.reasons.items():
        skipped.add(name, reason)
    return [name for name in images if name not in masks.reasons]


def _read_head(files: Files, name: str) -> tuple[bytes, int]:
    """Return the first bytes of a file and its size; the members of archives have a limit of their own."""
    if isinstance(files, FolderFiles):
        with (files.path / name).open("rb") as file:
            return file.read(HEAD_BYTES), os.fstat(file.fileno()).st_size
    content = files.read(name)
    return content[:HEAD_BYTES], len(content)


def index_images(
    files: Files,
    labels: Mapping[str, FolderLabels],
    images: IndexedImages,
    volumes: Volumes,
    skipped: SkippedFiles,
    patient_from_header: bool = True,
    on_only_patient: Callable[[OnlyPatient], None] = lambda found: None,
) -> pd.DataFrame:
    """Read image files whose folders tell what they are, and index the images in them.

    Args:
        files: the folder or archive.
        labels: its image files by name, and what their folders tell about them.
        images, volumes, skipped, patient_from_header, on_only_patient: see `index_raw_images`; `skipped` also collects
            the files that cannot be read.
    """

    def read_files() -> Iterator[RawImage]:
        reader, patients = ImageReader(files), find_patients(parse_names(files.names()))
        title = f"reading {files.path.resolve().name}"
        for name, (label, split, patient) in progress(labels.items(), title, len(labels), "file"):
            try:
                content, reason = reader.read(name)
            except UserError as error:
                content, reason = b"", readable_path(str(error))
            if reason:
                skipped.add(name, reason)
                continue
            yield RawImage(name, content, label, split, patient or patients.get(name, ""))

    return index_raw_images(read_files(), labels, images, volumes, skipped, patient_from_header, on_only_patient)


def index_raw_images(
    raw: Iterable[RawImage],
    names: Collection[str],
    images: IndexedImages,
    volumes: Volumes,
    skipped: SkippedFiles,
    patient_from_header: bool = True,
    on_only_patient: Callable[[OnlyPatient], None] = lambda found: None,
) -> pd.DataFrame:
    """Index the images in image files.

    In the index, control characters and bytes that are not UTF-8 are escaped.

    Args:
        raw: the image files.
        names: their names, which no converted image gets.
        images: every image that differs from its file in content or name is stored there.
        volumes: which slices of volumes become images.
        skipped: collects the files that the conversion leaves out.
        patient_from_header, on_only_patient: see `expand_medical_formats`.

    Returns:
        A table with the columns of a raw archive's index, sorted by path; columns without a value are ''.
    """
    indexed: set[str] = set()  # paths in the index
    taken = set(names)
    digests: dict[str, str] = {}  # of the files that were read
    rows = []

    def note_digests() -> Iterator[RawImage]:
        for image in raw:
            digests[image.path] = hashlib.sha256(image.content).hexdigest()
            yield image

    for image in expand_medical_formats(note_digests(), volumes, skipped, patient_from_header, on_only_patient):
        digest = hashlib.sha256(image.content).hexdigest()
        path = readable_path(image.path)
        is_unchanged = path == image.path and path not in indexed and digests.get(path) == digest
        if not is_unchanged:
            path = find_free_path(path, taken)  # `a.dcm` becomes `a.dcm.png`, which may also be a file
        if images.needs_copies or not is_unchanged:
            images.store(path, image.content)
        indexed.add(path)
        taken.add(path)
        metadata = (image.label, image.split, image.patient)
        rows.append((path, *map(readable_path, metadata), "", image.plane, digest, image.fold))
    index = pd.DataFrame(rows, columns=[*COLUMNS, "fold"], dtype=str).sort_values("path", ignore_index=True)
    return index if (index["fold"] != "").any() else index.drop(columns="fold")
