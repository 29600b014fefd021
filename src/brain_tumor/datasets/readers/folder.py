"""The files of a folder on disk."""

from functools import cached_property
from pathlib import Path

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.files import is_text
from brain_tumor.imaging.formats import HIDDEN, is_hidden
from brain_tumor.local_files import find_local_folder, find_problem, walk_files

OTHER_ENCODING = (
    "Some of its file names are not in UTF-8 but in another encoding, such as GBK: rename the files, for example with "
    "`convmv -f gbk -t utf-8 -r --notest`."
)


def find_folder(name: str, archive_advice: str) -> Path:
    """Search for a folder of the user in the repository and in the folders of DATA_ARCHIVES.

    Args:
        name: path of the folder, relative to one of these.
        archive_advice: what to do about a file of this name that is an archive.

    Raises:
        UserError: it is not there, or it is a file.
    """
    path = find_local_folder(name)
    file = path if path is not None else Path(name)
    if file.exists() and not file.is_dir():
        raise UserError(f"{file} is a file, not a folder: {archive_advice} if it is a zip or tar archive")
    if path is None:
        raise UserError(
            f"the folder {name} was not found: put it into the repository, or into another folder that is "
            "named in the environment, as in DATA_ARCHIVES=/folder/of/folders dvc repro"
        )
    return path


class FolderFiles:
    """The files below a folder, with those of linked folders; it can be sent to another process.

    The folder is listed once, when the names are first needed.

    Args:
        path: path of the folder.
        leave_out_folders: leave out a folder in it that cannot be listed, like a file, instead of raising an error.

    Attributes:
        path: path of the folder.
        hint: sentence to add to errors about names that were not found, '' for none.
    """

    def __init__(self, path: Path, leave_out_folders: bool = False) -> None:
        self.path, self._leave_out_folders = path, leave_out_folders

    @property
    def hint(self) -> str:
        """Return what to do about names that are not text, '' if all are."""
        return "" if all(is_text(name) for name in self.names()) else OTHER_ENCODING

    def names(self) -> list[str]:
        """Return the sorted relative paths of the files that can be read, without hidden ones, `/` between folders.

        Raises:
            UserError: a folder in it cannot be listed.
        """
        return [name for name, reason in self._listing.items() if not reason]

    def left_out(self) -> dict[str, str]:
        """Return all other files, each with the reason: hidden, a link to nothing, not a regular file, not readable."""
        return {name: reason for name, reason in self._listing.items() if reason}

    def read(self, name: str) -> bytes:
        """Return the bytes of one file; raises a UserError if it cannot be read."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise UserError(f"{self.path / name} cannot be read: {error.strerror}") from None

    @cached_property
    def _listing(self) -> dict[str, str]:
        """All files by name, sorted, each with the reason why it cannot be an image, '' if it can."""
        errors: list[OSError] = []
        names = sorted(self._relative(file) for file in walk_files(self.path, errors.append))
        listing = {name: HIDDEN if is_hidden(name) else find_problem(self.path / name) for name in names}
        for error in errors:
            folder = Path(error.filename)
            if self._leave_out_folders:
                listing[self._relative(folder)] = f"a folder that cannot be listed ({error.strerror})"
            elif not is_hidden(self._relative(folder)):
                raise UserError(f"the folder {folder} cannot be listed: {error.strerror}")
        return listing

    def _relative(self, file: Path) -> str:
        return file.relative_to(self.path).as_posix()
