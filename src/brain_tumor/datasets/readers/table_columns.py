"""The columns of a table of images: their meaning by the names that people give them."""

import difflib
import logging
import re
from collections.abc import Collection, Sequence

from brain_tumor.core.errors import UserError

log = logging.getLogger(__name__)
REQUIRED_COLUMNS = ("path", "label")
COLUMNS = (*REQUIRED_COLUMNS, "split", "patient", "plane", "mask", "fold", "box", "site", "age", "sex")
# Other names of the columns, compared without case, blanks, underscores and hyphens.
ALIASES = {
    "path": ("file", "filename", "filepath", "image", "imagefile", "imagename", "imagepath"),
    "label": ("class", "classname", "labelname", "category", "diagnosis"),
    "split": ("subset", "partition"),
    "patient": (
        "patientid", "patientcode", "patientname", "patientno", "patientnr", "patientnumber", "pid", "subject",
        "subjectid", "participant", "participantid", "case", "caseid",
    ),
    "plane": ("orientation", "view"),
    "mask": ("maskfile", "maskpath", "segmentation"),
    "fold": ("cvfold",),
    "box": (),
    "site": ("center", "centre", "hospital", "institution"),
    "age": ("patientage", "ageyears"),
    "sex": ("gender", "patientsex"),
}  # fmt: skip
# Names of patients that many other words resemble (`number`, `version`): they count only as they are.
OTHER_PATIENTS = (
    "patientidentifier", "patid", "patient#", "medicalrecordnumber", "mrn", "subj", "subjid", "subjectno",
    "subjectnumber", "subjectcode", "subjectidentifier", "participantno", "participantnumber", "person", "personid",
    "caseno", "casenumber",
)  # fmt: skip
RESEMBLED = {name: column for column, names in ALIASES.items() for name in (column, *names)}
MEANING = RESEMBLED | dict.fromkeys(OTHER_PATIENTS, "patient")
# Columns that tell images of one patient apart, but sometimes also name the patient.
OTHER_IDS = (
    "id", "scan", "scanid", "study", "studyid", "studyuid", "studyinstanceuid", "series", "seriesid", "seriesuid",
    "seriesinstanceuid", "session", "sessionid", "exam", "examid", "visit", "visitid", "accession", "accessionnumber",
)  # fmt: skip
MIN_SIMILARITY = 0.75  # of names, from which one may be meant as the other


def count_known_columns(header: Sequence[str]) -> int:
    """Return how many cells of a header name a column of COLUMNS."""
    return sum(_simplify(name) in MEANING for name in header)


def name_columns(header: Sequence[str], source: str, required: Collection[str] = REQUIRED_COLUMNS) -> list[str]:
    """Return the meaning of each column, one of COLUMNS; '' for columns that are ignored, which are logged.

    A warning says how to name a column of OTHER_IDS if it names the patients and no other column does.

    Args:
        header: the first row of the table.
        source: name of the table in messages.
        required: columns that the table must have, of REQUIRED_COLUMNS.

    Raises:
        UserError: a required column is missing, two columns have one meaning, or a column is not known but resembles
            one that is missing.
    """
    columns = [MEANING.get(_simplify(name), "") for name in header]
    for column in COLUMNS:
        names = [name for name, meaning in zip(header, columns, strict=True) if meaning == column]
        if len(names) > 1:
            both = " and ".join(f"'{name}'" for name in names)
            raise UserError(f"{source} has the columns {both}, which both mean {column}: rename or remove one")
    unknown = [
        (number, name) for number, (name, column) in enumerate(zip(header, columns, strict=True), 1) if not column
    ]
    for _, name in unknown:
        if nearest := _find_nearest(name, columns):
            raise UserError(
                f"{source} has a column '{name}', which is not known but resembles '{nearest}': rename it to "
                f"'{nearest}', or remove it (known columns: {', '.join(COLUMNS)})"
            )
    if missing := [column for column in required if column not in columns]:
        has_id = "path" in missing and any(_simplify(name) == "id" for _, name in unknown)
        advice = ": rename 'id' to 'path' if it has the file names, to 'patient' if it names patients"
        listed = f"{', '.join(missing)} (it has {', '.join(header)})"
        raise UserError(f"{source} has no column {listed}{advice if has_id else ''}")
    if unknown:
        listed = ", ".join(name or f"number {number}, which has no name" for number, name in unknown)
        log.warning("%s: ignored columns: %s (known columns: %s)", source, listed, ", ".join(COLUMNS))
    ids = [name for _, name in unknown if _simplify(name) in OTHER_IDS]
    if ids and "patient" not in columns:
        log.warning(
            "%s: no column names the patients, so that images of one may be in training and in test: if %s does, "
            "rename it to 'patient'",
            source,
            " or ".join(f"'{name}'" for name in ids),
        )
    return columns


def _find_nearest(name: str, columns: Sequence[str]) -> str:
    """Return the column of COLUMNS that an unknown name resembles, '' if none or if the table has it already."""
    if _simplify(name) in OTHER_IDS:
        return ""
    similar = difflib.get_close_matches(_simplify(name), RESEMBLED, n=1, cutoff=MIN_SIMILARITY)
    meaning = MEANING[similar[0]] if similar else ""
    return meaning if meaning not in columns else ""


def _simplify(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()
