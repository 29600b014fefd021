"""Parameters of the user's own files, common to an archive and a folder."""

from collections.abc import Iterator

from pydantic import model_validator

from brain_tumor.datasets.clinical_files import TakesClinicalFiles
from brain_tumor.datasets.masks import TakesMasks
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.csv_table import read_by_table
from brain_tumor.datasets.readers.files import Files
from brain_tumor.datasets.readers.layout import Layout, read_by_layout
from brain_tumor.datasets.skipped import SkippedFiles


class UserFiles(TakesMasks, TakesClinicalFiles):
    """Selection of the files that are images: either `layout` or `table` must be set.

    Attributes:
        layout: pattern of the paths; all images that match it belong to the data set.
        table: path of a CSV file that lists the images, with the columns `path` and `label` and, as far as known,
            `split`, `patient`, `plane`, `mask`, `fold`, `box`, `site`, `age` and `sex`.
    """

    layout: Layout | None = None
    table: str = ""

    @model_validator(mode="after")
    def _require_exactly_one(self) -> "UserFiles":
        if (self.layout is None) == (not self.table):
            raise ValueError("set either `layout` or `table`")
        return self

    def read(self, files: Files, skipped: SkippedFiles) -> Iterator[RawImage]:
        """Yield the images of an archive or a folder, DICOM files and volumes as PNG slices.

        Args:
            files: the archive or folder.
            skipped: every file of it that gives no image is added to it.

        Raises:
            UserError: no usable images, see `read_by_layout`, `read_by_table` and `convert`.
        """
        read = read_by_layout(files, self.layout, skipped) if self.layout else read_by_table(files, self.table, skipped)
        return self.convert(read, files, skipped)
