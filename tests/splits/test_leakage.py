"""Types of train–test leakage."""

import pandas as pd

from audit_samples import sample_audit
from brain_tumor.splits.leakage import leak_type


def test_leak_type_sample_files_closest_relation_of_each_test_image() -> None:
    table, _ = sample_audit()
    test = table[table["split"] == "test"]
    leaks = leak_type(test, table[table["split"] == "train"])
    assert dict(zip(test["path"], leaks, strict=True)) == {
        "test/a copy.png": "duplicate",
        "test/a again.png": "duplicate",
        "test/a mirrored.png": "transformed_duplicate",
        "test/b.png": "transformed_duplicate",
        "test/p2.png": "same_group",
        "test/alone.png": "unknown_patient",
    }


def make_rows(prefix: str, *rows: dict[str, str]) -> pd.DataFrame:
    """Make rows without any relation, named after the prefix."""
    unrelated = [{"duplicate_id": f"{prefix}{k}", "group": f"{prefix}{k}", "orientation": "none"} for k in range(9)]
    unknown = dict.fromkeys(("patient", "series", "fold"), "")
    return pd.DataFrame([unknown | one | row for one, row in zip(unrelated, rows, strict=False)])


def test_leak_type_without_a_relation_is_clean_only_if_the_patient_is_known() -> None:
    fit_rows = make_rows("train", {"patient": "p1"}, {"series": "s1", "fold": "1"})
    test = make_rows(
        "test",
        {"patient": "p2"},  # another patient
        {},  # nothing is known
        {"series": "s2"},  # a patient may have several series
        {"series": "s2", "fold": "1"},  # the fold is in training, as its patient may be
        {"series": "s2", "fold": "2"},  # a fold of its own keeps the patient apart
        {"fold": "2"},  # a fold that only a source without patients or series names
    )
    unknown = "unknown_patient"
    assert leak_type(test, fit_rows).tolist() == ["", unknown, unknown, unknown, "", unknown]
