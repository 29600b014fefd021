"""Images that several data sets share."""

import pickle
from pathlib import Path

import pandas as pd
import pytest

from brain_tumor.audit.audit import audit_images
from brain_tumor.audit.transforms import apply_transform
from brain_tumor.datasets.raw_archive import RawImage, write_archive
from brain_tumor.studies.shared_images import (
    MultiArchiveReader,
    add_relations,
    count_shared_images,
    read_joint_index,
    select_links_across,
)
from heads import head, png


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    one = [RawImage(f"{n}.png", png(head(n)), "a", patient="p" if n < 2 else "") for n in range(4)]
    two = [RawImage(f"{n}.png", png(apply_transform(head(n), 4)), "b", patient="p") for n in (3, 4)]
    write_archive(tmp_path / "one.zip", one)
    write_archive(tmp_path / "two.zip", [*two, RawImage("fold.png", png(head(5)), "b", fold="1")])
    return tmp_path


def test_read_joint_index_prefixes_paths_and_patients(folder: Path) -> None:
    index = read_joint_index(folder, ["one", "two"])
    assert index["path"].tolist() == [
        "one/0.png", "one/1.png", "one/2.png", "one/3.png", "two/3.png", "two/4.png", "two/fold.png",
    ]  # fmt: skip
    assert index["patient"].tolist() == ["one/p", "one/p", "", "", "two/p", "two/p", ""]
    assert index["fold"].tolist() == [""] * 6 + ["1"]


def test_multi_archive_reader_pickled_reads_by_data_set(folder: Path) -> None:
    read = pickle.loads(pickle.dumps(MultiArchiveReader(folder)))
    assert read("one/2.png") == png(head(2))
    assert read("two/fold.png") == png(head(5))


def test_add_relations_and_counts_mirrored_duplicate_and_its_patient(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKERS", "1")
    index = read_joint_index(folder, ["one", "two"])
    table, links = audit_images(index, MultiArchiveReader(folder), "test")
    table = add_relations(table)
    columns = zip(table["path"], table["duplicate_in"], table["same_group_in"], strict=True)
    relations = {path: relation for path, *relation in columns}
    assert relations["one/3.png"] == ["two", "two"]
    assert relations["two/3.png"] == ["one", "one"]
    assert relations["two/4.png"] == ["", "one"]
    assert all(relations[path] == ["", ""] for path in ("one/0.png", "one/1.png", "one/2.png", "two/fold.png"))
    assert count_shared_images(table, ["one", "two"]) == {
        "one": {"images": 4, "duplicate": {"two": 1}, "same_group": {"two": 1}},
        "two": {"images": 3, "duplicate": {"one": 1}, "same_group": {"one": 2}},
    }
    across = select_links_across(table, links)
    assert across[["first", "second", "kind"]].to_numpy().tolist() in (
        [["one/3.png", "two/3.png", "mirrored"]],
        [["two/3.png", "one/3.png", "mirrored"]],
    )
    assert len(links) == 3


def test_add_relations_image_in_three_data_sets_names_both_others() -> None:
    table = pd.DataFrame({"dataset": ["a", "b", "c"], "duplicate_id": "x", "group": "y"})
    assert add_relations(table)["duplicate_in"].tolist() == ["b c", "a c", "a b"]
