"""The columns of a table of images by the names that people give them."""

import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.table_columns import COLUMNS, count_known_columns, name_columns


@pytest.mark.parametrize(
    ("name", "meaning"),
    [(name, "patient") for name in ("Patient", "patient_id", "PatientID", "PATIENT ID", "subject", "Subject-Id")]
    + [(name, "patient") for name in ("Patient identifier", "case_number", "MRN", "subj", "person_id", "case")]
    + [(name, "path") for name in ("file", "FileName", "file_path", "image", "Image Path")]
    + [(name, "label") for name in ("class", "Diagnosis", "LABEL")]
    + [("Gender", "sex"), ("PatientAge", "age"), ("hospital", "site"), ("mask_path", "mask"), ("subset", "split")],
)
def test_name_columns_other_names_are_understood(name: str, meaning: str) -> None:
    header = [*(column for column in ("path", "label") if column != meaning), name]
    assert name_columns(header, "t.csv")[-1] == meaning
    assert count_known_columns(header) == len(header)


def test_name_columns_all_columns_mean_themselves(caplog: pytest.LogCaptureFixture) -> None:
    assert name_columns(COLUMNS, "t.csv") == list(COLUMNS)
    assert not caplog.text


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["path", "label", "patiant"], "a column 'patiant', which is not known but resembles 'patient': rename it"),
        (["path", "label", "bbox"], "'bbox', which is not known but resembles 'box'"),
        (["path", "lable"], "'lable', which is not known but resembles 'label'"),
        (["path", "label", "Subject_IDs"], "'Subject_IDs', which is not known but resembles 'patient'"),
        (["path", "label", "file"], "the columns 'path' and 'file', which both mean path: rename or remove one"),
        (["path", "label", "label"], "the columns 'label' and 'label', which both mean label"),
        (["path", "scanner"], r"has no column label \(it has path, scanner\)"),
    ],
)
def test_name_columns_ambiguous_header_is_an_error(header: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        name_columns(header, "t.csv")


def test_name_columns_different_columns_are_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    header = ["", "path", "label", "scanner", "image_id"]
    assert name_columns(header, "t.csv") == ["", "path", "label", "", ""]
    assert (
        "ignored columns: number 1, which has no name, scanner, image_id (known columns: path, label, " in caplog.text
    )


@pytest.mark.parametrize("name", ["id", "scan_id", "Study ID", "SeriesInstanceUID", "session"])
def test_name_columns_other_ids_are_no_patients_and_are_warned_of(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert name_columns(["path", "label", name], "t.csv") == ["path", "label", ""]
    assert f"ignored columns: {name}" in caplog.text
    assert "no column names the patients" in caplog.text
    assert f"if '{name}' does, rename it to 'patient'" in caplog.text


@pytest.mark.parametrize("others", [["scanner"], ["number"], ["version"], ["scan_id", "patient"]])
def test_name_columns_table_with_patients_or_without_ids_is_not_warned_of(
    others: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    name_columns(["path", "label", *others], "t.csv")
    assert "names the patients" not in caplog.text


def test_name_columns_id_without_path_error_names_both_meanings() -> None:
    with pytest.raises(UserError, match=r"no column path .*: rename 'id' to 'path' if it has the file names"):
        name_columns(["id", "label"], "t.csv")
