"""The files of a folder on disk."""

from pathlib import Path

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.files import HIDDEN
from brain_tumor.imaging.formats import is_hidden
from brain_tumor.local_files import find_problem, walk_files


class FolderFiles:
    """The files below a folder, with those of linked folders; it can be sent to another process.

    Attributes:
        path: path of the folder.
        hint: sentence to add to errors about names that were not found; always ''.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hint = ""

    def names(self) -> list[str]:
        """List the files that can be read, without hidden ones: sorted relative paths, `/` between folders.

        Each call walks the folder.

        Raises:
            UserError: a folder in it cannot be listed.
        """
        return [name for name, reason in self._walk() if not reason]

    def left_out(self) -> dict[str, str]:
        """List all other files, each with the reason: hidden, a link to nothing, not a regular file, not readable."""
        return {name: reason for name, reason in self._walk() if reason}

    def read(self, name: str) -> bytes:
        """Return the bytes of one file; raises a UserError if it cannot be read."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise UserError(f"{self.path / name} cannot be read: {error.strerror}") from None

    def _walk(self) -> list[tuple[str, str]]:
        """Return the sorted names of all files, each with the reason why it cannot be an image, '' if it can."""
        errors: list[OSError] = []
        names = sorted(file.relative_to(self.path).as_posix() for file in walk_files(self.path, errors.append))
        for error in errors:
            folder = Path(error.filename)
            if not is_hidden(folder.relative_to(self.path).as_posix()):
                raise UserError(f"the folder {folder} cannot be listed: {error.strerror}")
        return [(name, HIDDEN if is_hidden(name) else find_problem(self.path / name)) for name in names]
