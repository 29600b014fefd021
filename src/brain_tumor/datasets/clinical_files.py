"""Parameters of sources whose files may be DICOM files, volumes or files with several pages."""

import logging
from collections.abc import Iterable, Iterator

from brain_tumor.core.params import Block
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.files import Files
from brain_tumor.datasets.readers.volumes import OnlyPatient, Volumes, expand_medical_formats
from brain_tumor.datasets.skipped import SkippedFiles

log = logging.getLogger(__name__)
ADVICE = (
    "they form one group, which is never divided between training and test. If they are several patients, name them by "
    "{patient} in `layout.path` or, with `kind: archive` and `kind: folder`, in a column `patient` of a table, or set "
    "`patient_from_header: false`"
)
ONE_PATIENT = "%s: the headers of all %d DICOM files name one patient (%s): " + ADVICE
PLACEHOLDER = "%s: the headers of %d DICOM files name a placeholder as their patient, such as Anonymous (%s): " + ADVICE
MIN_FILES_OF_ONE_PATIENT = 3  # from which it is noticed that they have one patient


class TakesClinicalFiles(Block):
    """How DICOM files, volumes and files with several pages become images.

    Attributes:
        volumes: which slices of NIfTI volumes become images.
        patient_from_header: whether DICOM files without a patient in `layout` or `table` belong to the patient of their
            header. Set it to false where the headers of several patients name the same one, such as "Anonymous".
    """

    volumes: Volumes = Volumes()
    patient_from_header: bool = True

    def convert(self, images: Iterable[RawImage], files: Files, skipped: SkippedFiles) -> Iterator[RawImage]:
        """Yield images, DICOM files and volumes as PNG slices, see `expand_medical_formats`.

        A warning is logged if the headers of all DICOM files name one patient and no image has another, or if headers
        name a placeholder as the patient.

        Args:
            images: files of `files` in any format.
            files: the archive or folder.
            skipped: files that give no image are added to it.
        """

        def warn(found: OnlyPatient) -> None:
            if found.files >= MIN_FILES_OF_ONE_PATIENT:
                message = ONE_PATIENT if found.is_only else PLACEHOLDER
                log.warning(message, files.path, found.files, found.patient)

        return expand_medical_formats(
            images, self.volumes, skipped, self.patient_from_header, warn, frozenset(files.names())
        )
