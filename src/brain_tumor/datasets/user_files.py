"""Parameters of the user's own files, common to an archive and a folder."""

import logging
from collections.abc import Iterator

from pydantic import model_validator

from brain_tumor.datasets.masks import TakesMasks
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.csv_table import read_by_table
from brain_tumor.datasets.readers.files import Files
from brain_tumor.datasets.readers.layout import Layout, read_by_layout
from brain_tumor.datasets.readers.volumes import OnlyPatient, Volumes, expand_medical_formats
from brain_tumor.datasets.skipped import SkippedFiles

log = logging.getLogger(__name__)
ONE_PATIENT = (
    "%s: the headers of all %d DICOM files name one patient (%s): they form one group, which is never divided between "
    "training and test. If they are several patients, name them by {patient} in `layout.path` or in a column `patient` "
    "of the table, or set `patient_from_header: false`"
)
MIN_FILES_OF_ONE_PATIENT = 3  # from which it is noticed that there is no other patient


class UserFiles(TakesMasks):
    """Selection of the files that are images: either `layout` or `table` must be set.

    Attributes:
        layout: pattern of the paths; all images that match it belong to the data set.
        table: path of a CSV file that lists the images, with the columns `path` and `label` and, as far as known,
            `split`, `patient`, `plane`, `mask`, `fold`, `box`, `site`, `age` and `sex`.
        volumes: which slices of NIfTI volumes become images.
        patient_from_header: whether DICOM files without a patient in `layout` or `table` belong to the patient of their
            header. Set it to false where the header of all files names the same one, such as "Anonymous".
    """

    layout: Layout | None = None
    table: str = ""
    volumes: Volumes = Volumes()
    patient_from_header: bool = True

    @model_validator(mode="after")
    def _require_exactly_one(self) -> "UserFiles":
        if (self.layout is None) == (not self.table):
            raise ValueError("set either `layout` or `table`")
        return self

    def read(self, files: Files, skipped: SkippedFiles) -> Iterator[RawImage]:
        """Yield the images of an archive or a folder, DICOM files and volumes as PNG slices.

        A warning is logged if the headers of all DICOM files name one patient, and no image has another.

        Args:
            files: the archive or folder.
            skipped: every file of it that gives no image is added to it.

        Raises:
            UserError: no usable images, see `read_by_layout`, `read_by_table` and `expand_medical_formats`.
        """
        read = read_by_layout(files, self.layout, skipped) if self.layout else read_by_table(files, self.table, skipped)

        def warn(found: OnlyPatient) -> None:
            if found.files >= MIN_FILES_OF_ONE_PATIENT:
                log.warning(ONE_PATIENT, files.path, found.files, found.patient)

        return expand_medical_formats(read, self.volumes, skipped, self.patient_from_header, warn)
