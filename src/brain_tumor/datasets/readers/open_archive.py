"""Opening an archive of the user, whatever its format; what cannot be read is an error that says what it is."""

import zipfile
from pathlib import Path
from typing import NamedTuple

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.archive_limits import SAVE_ITSELF, read_head
from brain_tumor.datasets.readers.tar_archive import TarFiles, is_tar
from brain_tumor.datasets.readers.zip_archive import ZIP_MAGIC, ZipFiles
from brain_tumor.imaging.formats import identify
from brain_tumor.local_files import find_local_file

ADVICE = "copy it again, or pack the files again"


class Advice(NamedTuple):
    """What to do about something that is not an archive, by what it is."""

    folder: str
    other_archive: str
    image: str


OF_IMAGES = Advice(
    "set `kind: folder` and `path` for it",
    "unpack it, and pack the files as .zip or .tar.gz or set `kind: folder` for them",
    "set `kind: folder` and `path` for the folder that contains it",
)
OF_MASKS = Advice(
    "pack what is in it as .zip or .tar.gz, and name that file",
    "unpack it, and pack the files as .zip or .tar.gz",
    "pack all masks as .zip or .tar.gz, and name that file",
)


def find_archive(name: str) -> Path:
    """Search for an archive of the user in the folders of DATA_ARCHIVES; raises a UserError if it is not there."""
    path = find_local_file(name)
    if path is None:
        raise UserError(
            f"{name} was not found: put it into a folder and name that folder in the environment, "
            "as in DATA_ARCHIVES=/folder/of/archives dvc repro"
        )
    return path


def open_archive(path: Path, scratch: Path, advice: Advice = OF_IMAGES) -> ZipFiles | TarFiles:
    """Open a zip archive, or a tar archive, compressed with gzip, bzip2 or not at all; the content decides.

    Args:
        path: path of the archive.
        scratch: folder for temporary files.
        advice: what to do about something else.

    Raises:
        UserError: a folder, another format, or an archive that is damaged, encrypted or unsafe.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder, not an archive: {advice.folder}")
    head = read_head(path)
    if head.startswith(ZIP_MAGIC):
        return ZipFiles(path, advice=ADVICE)
    if is_tar(head):
        return TarFiles(path, scratch, ADVICE)
    if zipfile.is_zipfile(path):  # one that begins with something else, such as a program that unpacks it
        return ZipFiles(path, advice=ADVICE)
    kind, reason, other = identify(head, "")
    what_to_do = advice.other_archive if other == "packed" else advice.image if kind else SAVE_ITSELF
    raise UserError(f"{path} is {reason or 'an image'}, not a zip or tar archive: {what_to_do}")
