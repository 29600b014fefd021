"""Parameters of the user's own files, common to an archive and a folder."""

from collections.abc import Iterator

from pydantic import model_validator

from brain_tumor.datasets.masks import TakesMasks
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.csv_table import read_by_table
from brain_tumor.datasets.readers.volumes import Volumes
from brain_tumor.datasets.readers.zip_archive import Files, Layout, read_by_layout


class UserFiles(TakesMasks):
    """Selection of the files that are images: either `layout` or `table` must be set.

    Attributes:
        layout: pattern of the paths; all files that match it are images.
        table: path of a CSV file that lists the images, with the columns `path` and `label` and, as far as known,
            `split`, `patient`, `plane`, `mask`, `fold`, `box`, `site`, `age` and `sex`.
        volumes: which slices of NIfTI volumes become images.
    """

    layout: Layout | None = None
    table: str = ""
    volumes: Volumes = Volumes()

    @model_validator(mode="after")
    def _require_exactly_one(self) -> "UserFiles":
        if (self.layout is None) == (not self.table):
            raise ValueError("set either `layout` or `table`")
        return self

    def read(self, files: Files) -> Iterator[RawImage]:
        """Yield the images of an archive or a folder, volumes unchanged."""
        return read_by_layout(files, self.layout) if self.layout else read_by_table(files, self.table)
