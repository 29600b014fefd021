"""Types of train–test leakage."""

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
        "test/alone.png": "",
    }
