"""Lists of images, and what they tell about a split."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain_tumor.audit.audit import audit_images
from brain_tumor.audit.patients import COLUMNS as PATIENT_COLUMNS
from brain_tumor.audit.relations import relate_images
from brain_tumor.audit.transforms import apply_transform
from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import COLUMNS as INDEX_COLUMNS
from brain_tumor.studies.image_lists import (
    COLUMNS,
    CONFLICT,
    NUM_FOLDS,
    OTHER_LABEL,
    look_up,
    make_list,
    read_lists,
    relate_listed_images,
)
from heads import head, png

INVERSE = {"rotate-90": "rotate-270", "rotate-270": "rotate-90"}  # links have either direction


def make_audit(files: dict[str, bytes], **columns: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Audit files whose folder is their label."""
    index = pd.DataFrame({"path": list(files), **columns}).reindex(columns=[*INDEX_COLUMNS, *columns], fill_value="")
    index = index.loc[:, ~index.columns.duplicated()]
    index["label"] = [path.split("/")[0] for path in files]
    index["sha256"] = [sha256(content).hexdigest() for content in files.values()]
    return audit_images(index, files.__getitem__, "test")


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Two classes of ten heads, a copy, a mirrored and a rotated one, a conflict, and a broken file."""
    monkeypatch.setenv("WORKERS", "1")
    files = {f"{'ab'[seed % 2]}/{seed}.png": png(head(seed)) for seed in range(20)}
    files |= {"a/0 copy.png": files["a/0.png"], "b/1 mirrored.png": png(apply_transform(head(1), 4))}
    files |= {"a/2 rotated.png": png(apply_transform(head(2), 1)), "a/2 turned.png": png(apply_transform(head(2), 5))}
    return files | {"b/4 conflict.png": png(head(4), level=1), "a/broken.png": b"not an image"}


NOBODY = pd.DataFrame(columns=PATIENT_COLUMNS, dtype=str)


def test_make_list_has_a_row_for_each_image_and_folds_that_keep_groups_apart(files: dict[str, bytes]) -> None:
    table, _ = make_audit(files)
    images = make_list(table, NOBODY)
    assert list(images) == list(COLUMNS)
    assert sorted(images["path"]) == sorted(files)
    assert images["sha256"].is_monotonic_increasing
    doubts = dict(zip(images["path"], images["doubt"], strict=True))
    assert {path: doubt for path, doubt in doubts.items() if doubt} == {
        "a/broken.png": "unreadable: not an image file", "a/4.png": CONFLICT, "b/4 conflict.png": CONFLICT
    }  # fmt: skip
    usable = images[images["doubt"] == ""]
    assert set(usable["fold"]) == {str(number) for number in range(NUM_FOLDS)}
    assert (usable.groupby("group")["fold"].nunique() == 1).all()
    assert (images.loc[images["doubt"] != "", "fold"] == "").all()
    again = make_list(make_audit(dict(reversed(files.items())))[0], NOBODY)
    assert again.equals(images)


def test_make_list_facts_of_a_file_are_not_passed_on_and_another_label_is_a_doubt(files: dict[str, bytes]) -> None:
    table, _ = make_audit(files)
    digest = table.loc[table["path"] == "a/0.png", "sha256"].item()
    facts = {"sha256": digest, "source": "somewhere", "series": "s1", "slice": "7", "label": "b"}
    patients = pd.DataFrame([facts]).reindex(columns=PATIENT_COLUMNS, fill_value="")
    table = table.assign(source_label=np.where(table["path"] == "a/0.png", "b", ""))
    images = make_list(table, patients).set_index("path")
    columns = ["source", "slice", "source_label", "doubt"]
    assert [images.at["a/0.png", column] for column in columns] == ["somewhere", "7", "b", OTHER_LABEL]
    assert [images.at["a/6.png", column] for column in columns] == ["", "", "", ""]
    # Of two duplicates with different labels, the source says which label is wrong; neither is in a fold.
    table = table.assign(source_label=np.where(table["path"].isin(["a/4.png", "b/4 conflict.png"]), "a", ""))
    images = make_list(table, NOBODY).set_index("path")
    assert images.loc[["a/4.png", "b/4 conflict.png"], "doubt"].tolist() == [CONFLICT, OTHER_LABEL]
    assert images.loc[["a/4.png", "b/4 conflict.png"], "fold"].tolist() == ["", ""]


@pytest.mark.parametrize("seed", range(8))
def test_relate_listed_images_finds_what_an_audit_finds(files: dict[str, bytes], seed: int, tmp_path: Path) -> None:
    names = list(files)
    patients = ["p" if name in ("a/8.png", "b/9.png") else "" for name in names]
    table, links = make_audit(files, patient=patients)
    make_list(table, NOBODY).to_csv(tmp_path / "mine.csv", index=False)
    is_test = np.random.default_rng(seed).random(len(names)) < 0.5
    expected = relate_images(table, links, is_test, ~is_test).set_index("path")
    index = table[["path", "sha256"]].assign(pixels="", patient="")
    looked_up = look_up(index, read_lists([tmp_path]))
    found = relate_listed_images(looked_up.rows, is_test, ~is_test).set_index("path")
    assert looked_up.unlisted == []
    # An audit does not compare each pair of one image's duplicates, and may know only a longer way between two.
    kinds = [
        table["kind"].replace(["near", "mirrored", "rotated"], "duplicate").to_dict() for table in (found, expected)
    ]
    assert kinds[0] == kinds[1]
    pairs = found.join(expected, lsuffix="_listed", rsuffix="_audited")
    same = pairs[(pairs["other_listed"] == pairs["other_audited"]) & (pairs["through_audited"] == "")]
    assert len(same) > 0
    for listed, audited in zip(same["transform_listed"], same["transform_audited"], strict=True):
        assert listed in (audited, INVERSE.get(audited))
    test, train = set(table.loc[is_test, "path"]), set(table.loc[~is_test, "path"])
    assert set(found.index) <= test
    assert set(found["other"]) <= train


def test_look_up_by_pixels_and_unlisted_images(files: dict[str, bytes], tmp_path: Path) -> None:
    table, _ = make_audit(files)
    make_list(table, NOBODY).to_csv(tmp_path / "mine.csv", index=False)
    known = table.set_index("path").loc["a/6.png"]
    index = pd.DataFrame(
        {"path": ["x", "y", "z"], "sha256": ["0", "1", known["sha256"]], "pixels": [known["pixels"], "2", ""],
         "patient": ["", "q", ""]}
    )  # fmt: skip
    rows, unlisted = look_up(index, read_lists([tmp_path / "mine.csv"]))
    assert unlisted == ["y"]
    assert rows["label"].tolist() == ["a", "", "a"]
    assert rows["group"].tolist() == [f"mine {known['group']}", "", f"mine {known['group']}"]
    assert rows["patient"].tolist() == ["", "q", ""]


def test_read_lists_other_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no list"):
        read_lists([tmp_path])
    with pytest.raises(UserError, match="does not exist"):
        read_lists([tmp_path / "none.csv"])
    (tmp_path / "other.csv").write_text("sha256,label\n1,a\n")
    with pytest.raises(UserError, match="is not a list of images: it has no column pixels, path"):
        read_lists([tmp_path])
    (tmp_path / "other.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not a CSV table"):
        read_lists([tmp_path / "other.csv"])
