"""The bytes of images by their paths in an index. Only light modules are imported: each worker process imports it."""

import hashlib
from pathlib import Path

from brain_tumor.datasets.readers.folder import FolderFiles


class IndexedImages:
    """The images of an index by their paths there; it can be sent to another process.

    Args:
        folder: folder with the files; None if they are in an archive.
        converted: a temporary folder for frames, slices and pages, for images whose names are not text, and for all
            images of an archive.

    Attributes:
        needs_copies: whether all images must be stored, since no folder has them.
    """

    def __init__(self, folder: Path | None, converted: Path) -> None:
        self._files = None if folder is None else FolderFiles(folder)
        self._converted = converted
        self.needs_copies = folder is None

    def read(self, path: str) -> bytes:
        """Return the bytes of an image, of the converted one if there is one; raises a UserError on failure."""
        file = self._converted_file(path)
        return file.read_bytes() if self._files is None or file.exists() else self._files.read(path)

    def store(self, path: str, content: bytes) -> None:
        """Store the bytes of a converted image."""
        self._converted_file(path).write_bytes(content)

    def _converted_file(self, path: str) -> Path:
        return self._converted / hashlib.sha256(path.encode()).hexdigest()
