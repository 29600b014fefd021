"""Tables of patients, and what the audit makes of them."""

from pathlib import Path

import pandas as pd
import pytest

from audit_samples import FILES, audit_files, sample_audit
from brain_tumor.audit.patients import COLUMNS, add_patients, pass_on_to_duplicates, read_patients
from brain_tumor.audit.summary import labels_differ, summarize_audit
from brain_tumor.core.errors import UserError

HASHES = [f"{number:064x}" for number in range(4)]


def write_table(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def make_index(patient: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"path": [f"{k}.png" for k in range(4)], "sha256": HASHES, "patient": patient})


def make_patients(rows: list[dict[str, str]]) -> pd.DataFrame:
    return pd.DataFrame([dict.fromkeys(COLUMNS, "") | row for row in rows], dtype=str)


def test_read_patients_missing_columns_are_empty_and_text_is_stripped(tmp_path: Path) -> None:
    file = write_table(tmp_path / "patients.csv", f"sha256,patient,fold\n{HASHES[1].upper()}, 007 ,1\n")
    table = read_patients(file)
    assert list(table) == list(COLUMNS)
    assert table[["sha256", "patient", "fold", "series"]].iloc[0].to_list() == [HASHES[1], "007", "1", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a CSV table"),
        ("sha256,patients\n", "unknown columns patients"),
        ("sha256,fold\n", "needs the column sha256, and patient or series"),
        ("patient\n", "needs the column sha256"),
        ("sha256,patient\nabc,1\n", "'abc' is not a SHA-256"),
        (f"sha256,patient\n{HASHES[0]},\n", "has neither patient nor series"),
        (f"sha256,patient\n{HASHES[0]},1\n{HASHES[0]},2\n", "is listed twice"),
        (f"sha256,patient\n{HASHES[0]},1,2,3\n{HASHES[1]}\n", "is not"),
        (f"sha256,patient,transform\n{HASHES[0]},1,upside-down\n", "has a transform that is none of none, rotate-90"),
        (f"sha256,patient,fold\n{HASHES[0]},1,1\n{HASHES[1]},1,2\n", "is of a patient with images in several folds"),
        (
            f"sha256,patient,series\n{HASHES[0]},a,1\n{HASHES[1]},b,1\n",
            "is of a series with images of several patients",
        ),
    ],
)
def test_read_patients_bad_table_raises_user_error(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read_patients(write_table(tmp_path / "patients.csv", text))


def test_read_patients_missing_file_or_other_encoding_raises_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is missing: datasets\.<name>\.patients names it"):
        read_patients(str(tmp_path / "none.csv"))
    with pytest.raises(UserError, match="is a folder"):
        read_patients(str(tmp_path))
    (tmp_path / "latin.csv").write_bytes("sha256,patient\nM\xfcller".encode("latin-1"))
    with pytest.raises(UserError, match="is not a CSV table"):
        read_patients(str(tmp_path / "latin.csv"))


def test_add_patients_by_content_keeps_what_the_source_says(caplog: pytest.LogCaptureFixture) -> None:
    index = make_index(patient=["p0", "", "", ""])
    patients = make_patients(
        [
            {"sha256": HASHES[2], "series": "s1", "fold": "2", "label": "glioma"},
            {"sha256": HASHES[0], "patient": "p0"},
            {"sha256": "f" * 64, "patient": "p9"},
        ]
    )
    with caplog.at_level("INFO"):
        table = add_patients(index, patients)
    assert table["patient"].tolist() == ["p0", "", "", ""]
    assert table["series"].tolist() == ["", "", "s1", ""]
    assert table["fold"].tolist() == ["", "", "2", ""]
    assert table["source_label"].tolist() == ["", "", "glioma", ""]
    assert "1 of 3 rows of the table of patients" in caplog.text
    with pytest.raises(UserError, match=r"0.png and 0 more images have another patient .* 'p0' and 'p1'"):
        add_patients(index, make_patients([{"sha256": HASHES[0], "patient": "p1"}]))


def test_pass_on_to_duplicates_only_where_they_agree() -> None:
    table = pd.DataFrame(
        {
            "duplicate_id": ["a", "a", "b", "b", "b", "c"],
            "patient": ["p1", "", "p1", "p2", "", ""],
            "series": ["", "", "s1", "s1", "", ""],
            "fold": [""] * 6,
            "source_label": ["glioma", "", "", "", "", ""],
        }
    )
    result = pass_on_to_duplicates(table)
    assert result["patient"].tolist() == ["p1", "p1", "p1", "p2", "", ""]
    assert result["series"].tolist() == ["", "", "s1", "s1", "s1", ""]
    assert result["source_label"].tolist() == ["glioma", "glioma", "", "", "", ""]
    assert result["fold"].tolist() == [""] * 6


def test_audit_images_rows_of_a_series_are_one_group_and_copies_get_the_series() -> None:
    plain, _ = sample_audit()
    alone, other = plain.set_index("path").loc[["test/alone.png", "test/b.png"], "sha256"]
    patients = make_patients(
        [
            {"sha256": alone, "series": "s1", "fold": "1", "label": "other"},
            {"sha256": other, "series": "s1", "fold": "1"},
        ]
    )
    assert plain.loc[plain["sha256"].isin([alone, other]), "group"].nunique() == 2
    table, links = audit_files(FILES, patients)
    rows = table.set_index("path")
    assert table.loc[table["sha256"].isin([alone, other]), "group"].nunique() == 1
    copies = rows[rows["duplicate_id"] == rows.loc["test/b.png", "duplicate_id"]]
    assert len(copies) > 1
    assert set(copies["series"]) == {"s1"}
    assert set(copies["fold"]) == {"1"}
    assert (links["kind"] == "series").sum() == 1
    counts = summarize_audit(table, links)
    assert counts["series"] == 1
    assert counts["links"]["series"] == 1
    assert counts["images_of_known_patients"] == ((table["patient"] != "") | (table["series"] != "")).sum()
    assert counts["labels_other_than_in_source"] == labels_differ(table).sum() == 1
