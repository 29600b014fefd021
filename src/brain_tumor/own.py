"""What the user's own files have in common, in an archive or in a folder."""

from collections.abc import Iterator

from pydantic import model_validator

from brain_tumor.archive import RawImage
from brain_tumor.clinical import Volumes
from brain_tumor.params import Block
from brain_tumor.tables import by_table
from brain_tumor.zips import Files, Layout, by_layout


class OwnFiles(Block):
    """Which files are images: those that fit `layout`, or those that the CSV file `table` lists.

    `volumes` says which slices are taken of NIfTI volumes.
    """

    layout: Layout | None = None
    table: str = ""
    volumes: Volumes = Volumes()

    @model_validator(mode="after")
    def _one_way(self) -> "OwnFiles":
        if (self.layout is None) == (not self.table):
            raise ValueError("give `layout` or `table`, and not both")
        return self

    def rows(self, files: Files) -> Iterator[RawImage]:
        """Yield the images there are, volumes as they are."""
        return by_layout(files, self.layout) if self.layout else by_table(files, self.table)
