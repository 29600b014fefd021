"""The audit of a data set: its table and links, and that neither names nor order of files change them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_samples import FILES, audit_files, sample_audit
from brain_tumor.audit.audit import audit_images
from brain_tumor.audit.summary import summarize_audit
from brain_tumor.audit.transforms import TRANSFORMS, apply_transform
from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import COLUMNS
from brain_tumor.datasets.readers.folder import FolderFiles
from heads import head, png


def test_audit_images_sample_files_table_is_correct() -> None:
    table = sample_audit()[0].set_index("path")
    assert table["duplicate_id"].iloc[:5].nunique() == 1
    assert table["duplicate_id"].iloc[5:7].nunique() == 1
    assert table["duplicate_id"].nunique() == 9
    group = table["group"]
    assert group["train/p1.png"] == group["test/p2.png"]
    assert group.nunique() == 8
    kinds = ["exact", "exact", "pixels", "pixels", "mirrored", "rotated", "rotated", "patient", "patient"]
    assert table["kind"].tolist() == kinds + [""] * 5
    assert table["conflict"].tolist() == [True] * 5 + [False] * 9
    assert table["problem"]["train/broken.png"].startswith("unreadable")
    assert table["problem"]["train/text.jpg"] == "unreadable: not an image file"
    assert table["problem"]["train/flat.png"].startswith("blank")
    assert table["quality_warning"]["train/noise.png"] == "no dark background around a head"
    assert (table["quality_warning"] != "").sum() == 1


def test_audit_images_sample_files_links_have_evidence() -> None:
    table, links = sample_audit()
    assert links["kind"].value_counts().to_dict() == {
        "exact": 1, "pixels": 2, "patient": 1, "mirrored": 1, "rotated": 1,
    }  # fmt: skip
    paths = set(table["path"])
    assert set(links["first"]) | set(links["second"]) <= paths
    compared = links[links["kind"].isin(["mirrored", "rotated"])]
    assert (compared["correlation"] > 0.96).all()
    assert (compared["distance"] < 0.1).all()
    assert (links.loc[links["kind"] == "exact", "correlation"] == 1).all()
    assert links.loc[links["kind"] == "patient", "correlation"].isna().all()


def test_audit_images_orientation_aligns_duplicates() -> None:
    files = [(f"{k}.png", png(apply_transform(head(1), k)), "x", "", "") for k in range(8)]
    table, _ = audit_files(files)
    assert table["duplicate_id"].nunique() == 1
    numbers = [TRANSFORMS.index(name) for name in table["orientation"]]
    aligned = [
        apply_transform(apply_transform(head(1), k), number) for k, number in zip(range(8), numbers, strict=True)
    ]
    assert all(np.array_equal(image, aligned[0]) for image in aligned)
    first = table.sort_values("sha256").iloc[0]
    assert first["orientation"] == "none"


def test_audit_images_reencoded_duplicate_joins_patient_group() -> None:
    table, _ = audit_files(
        [
            ("1.png", png(head(1)), "x", "", "p"),
            ("2.png", png(head(2)), "x", "", "p"),
            ("copy of 1.png", png(head(1), mode="RGB"), "x", "", ""),
            ("copy of 2.png", png(apply_transform(head(2), 6)), "x", "", "q"),
            ("3.png", png(head(3)), "x", "", "q"),
            ("other.png", png(head(4)), "x", "", ""),
        ]
    )
    assert table["group"].nunique() == 2
    assert table["group"][:5].nunique() == 1
    assert table["duplicate_id"].nunique() == 4


def test_audit_images_missing_label_conflicts_with_none() -> None:
    table, links = audit_files([("1.png", png(head(1)), "", "", ""), ("2.png", png(head(1)), "x", "", "")])
    assert not table["conflict"].any()
    assert summarize_audit(table, links)["groups_of_several_classes"] == 0


def test_audit_images_path_listed_twice_raises_user_error() -> None:
    with pytest.raises(UserError, match=r"1\.png is listed twice"):
        audit_files([("1.png", png(head(1)), "x", "", "")] * 2)


@settings(max_examples=8)
@given(st.permutations(range(len(FILES))))
def test_audit_images_other_order_and_names_same_result(order: list[int]) -> None:
    table, links = sample_audit()
    renamed, renamed_links = audit_files([(f"{n}.png", *FILES[i][1:]) for n, i in enumerate(order)])
    columns = ["duplicate_id", "orientation", "group", "kind", "conflict", "problem", "quality_warning"]
    pd.testing.assert_frame_equal(renamed[columns], table.loc[order, columns].reset_index(drop=True))
    assert summarize_audit(renamed, renamed_links) == summarize_audit(table, links)


def test_audit_images_equal_unusable_files_are_not_duplicates() -> None:
    flat = png(np.zeros((9, 9), np.uint8))
    files = [
        (f"{split}/{n}", content, split, split, "")
        for split in ("train", "test")
        for n, content in enumerate((flat, b""))
    ]
    table, links = audit_files(files)
    assert table["group"].nunique() == table["duplicate_id"].nunique() == 4
    counts = summarize_audit(table, links)
    assert counts["label_conflicts"] == counts["leaked_exact"] == counts["leaked_group"] == 0
    assert counts["links"]["exact"] == 2


def test_audit_images_two_processes_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content, *_ in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    results = []
    for workers in ("1", "2"):
        monkeypatch.setenv("WORKERS", workers)
        results.append(audit_images(sample_audit()[0][COLUMNS], FolderFiles(tmp_path).read, "test"))
    for one, other in zip(*results, strict=True):
        pd.testing.assert_frame_equal(one, other)
