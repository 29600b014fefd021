"""Archives and folders as collections of files that are read by name."""

import unicodedata
from pathlib import Path
from typing import Protocol

UNKNOWN_ENCODING = (
    "Some of its file names are not in UTF-8 but in an encoding that it does not state, such as GBK: rename the files, "
    "or pack them with a program that writes UTF-8."
)


class Files(Protocol):
    """An archive or a folder whose files are read by name.

    Attributes:
        path: path of the archive or folder.
        hint: sentence to add to errors about names that were not found, '' for none.
    """

    path: Path

    @property
    def hint(self) -> str:
        """Return the sentence to add, see above."""

    def names(self) -> list[str]:
        """Return the sorted names of all files that can be read, `/` between folders; hidden ones are left out."""

    def left_out(self) -> dict[str, str]:
        """Return the names of all other files, each with the reason why it is not among `names`."""

    def read(self, name: str) -> bytes:
        """Return the bytes of one file."""


def is_text(name: str) -> bool:
    """Return whether a name could be decoded; bytes of another encoding than UTF-8 are surrogates in it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def normalize_name(name: str) -> str:
    """Return a path in the form in which paths are compared: composed letters (NFC), no blanks around its parts."""
    return "/".join(part.strip() for part in unicodedata.normalize("NFC", name).split("/"))
