"""`brain-tumor split`: parts and folds that have nothing in common."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain_tumor.audit.transforms import apply_transform
from brain_tumor.commands import gate
from brain_tumor.commands.split import main
from clinical_files import make_dicom
from heads import head, png


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of twelve distinct images, mirrored copies of six, one under two labels, and one that is broken."""
    monkeypatch.setenv("WORKERS", "1")
    monkeypatch.chdir(tmp_path)
    files = {f"{'ab'[seed % 2]}/{seed}.png": png(head(seed)) for seed in range(24)}
    files |= {f"{'ab'[seed % 2]}/{seed} copy.png": png(apply_transform(head(seed), 4)) for seed in range(6)}
    files |= {"a/conflict.png": png(head(23)), "a/broken.png": b"not an image"}
    for name, content in files.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(content)
    return tmp_path / "images"


def test_split_parts_pass_the_gate_and_leave_out_what_cannot_be_used(images: Path) -> None:
    assert main([str(images), "--out", "images/split.csv", "--test", "0.25", "--validation", "0.25"]) == 0
    table = pd.read_csv("images/split.csv", keep_default_na=False)
    assert len(table) == 32
    assert set(table["split"]) == {"", "train", "validation", "test"}
    left_out = table[table["split"] == ""]
    assert dict(zip(left_out["path"], left_out["reason"], strict=True)) == {
        "a/broken.png": "unreadable: not an image file",
        "a/conflict.png": "duplicates have different labels",
        "b/23.png": "duplicates have different labels",
    }
    used = table[table["split"] != ""]
    assert (used.groupby("group")["split"].nunique() == 1).all()
    assert (used.groupby("split")["label"].nunique() == 2).all()
    assert gate.main(["--table", "images/split.csv"]) == gate.PASSED
    # The gate notices a split that is not one of groups.
    used.assign(split=["train", "test"] * (len(used) // 2) + ["train"] * (len(used) % 2)).to_csv(
        images / "used.csv", index=False
    )
    assert gate.main(["--table", "images/used.csv"]) == gate.FAILED


def test_split_folds_have_each_image_once_and_each_class(images: Path) -> None:
    assert main([str(images), "--out", "folds.csv", "--folds", "3"]) == 0
    table = pd.read_csv("folds.csv", keep_default_na=False)
    used = table[table["reason"] == ""]
    assert set(used["fold"]) == {"0", "1", "2"}
    assert (used.groupby("group")["fold"].nunique() == 1).all()
    assert (used.groupby("fold")["label"].nunique() == 2).all()


def test_split_names_and_order_do_not_matter(images: Path, tmp_path: Path) -> None:
    assert main([str(images), "--out", "one.csv", "--seed", "5"]) == 0
    other = tmp_path / "other"
    for number, path in enumerate(sorted(images.rglob("*.png"), reverse=True)):
        (other / path.parent.name).mkdir(parents=True, exist_ok=True)
        (other / path.parent.name / f"{number:03}.png").write_bytes(path.read_bytes())
    assert main([str(other), "--out", "two.csv", "--seed", "5"]) == 0
    one, two = (pd.read_csv(file).sort_values(["group", "label", "split"]) for file in ("one.csv", "two.csv"))
    assert one[["group", "label", "split"]].to_numpy().tolist() == two[["group", "label", "split"]].to_numpy().tolist()


def test_split_of_dicom_files_is_a_table_that_the_gate_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "1")
    for number in range(8):
        path = tmp_path / f"dicom/{'ab'[number % 2]}/IM{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_dicom(head(number).astype(np.int16), PatientID=f"P{number}"))
    assert main([str(tmp_path / "dicom"), "--out", str(tmp_path / "dicom/split.csv"), "--test", "0.25"]) == 0
    table = pd.read_csv(tmp_path / "dicom/split.csv", keep_default_na=False)
    assert sorted(table["path"]) == sorted(f"{'ab'[number % 2]}/IM{number}" for number in range(8))
    assert gate.main(["--table", str(tmp_path / "dicom/split.csv")]) == gate.PASSED


def make_related_images(folder: Path, seed: int) -> dict[str, int]:
    """Write images of 40 heads of two classes with altered copies, and a table of patients; return the group of each.

    The groups are those of the construction, found without the audit. Some patients have two heads, and the table names
    them for one version of each head only.
    """
    random = np.random.default_rng(seed)
    group = {number: number - number % 3 if number % 3 < 2 and number < 24 else number for number in range(40)}
    rows, groups = ["path,label,patient"], {}
    for number in range(40):
        image, label = head(1000 * seed + number), "ab"[number % 2]
        versions = [image, *(apply_transform(image, int(k)) for k in random.integers(0, 8, random.integers(0, 4)))]
        has_siblings = list(group.values()).count(group[number]) > 1
        for version, pixels in enumerate(versions):
            path = f"{label}/{random.integers(10**9)}.png"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(png(pixels, level=int(random.integers(0, 9))))
            rows.append(f"{path},{label},{f'P{group[number]}' if has_siblings and version == 0 else ''}")
            groups[path] = group[number]
    (folder / "table.csv").write_text("\n".join(rows))
    return groups


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "options", [["--test", "0.3", "--validation", "0.2"], ["--folds", "4"]], ids=["parts", "folds"]
)
def test_split_keeps_groups_of_the_construction_together_and_classes_balanced(
    seed: int, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKERS", "1")
    groups = make_related_images(tmp_path / "images", seed)
    assert main([str(tmp_path / "images/table.csv"), "--out", str(tmp_path / "split.csv"), *options]) == 0
    table = pd.read_csv(tmp_path / "split.csv", dtype=str, keep_default_na=False)
    assert sorted(table["path"]) == sorted(groups)
    part = table.columns[-1]
    assert (table[part] != "").all()
    truth = table["path"].map(groups)
    assert (table[part].groupby(truth).nunique() == 1).all()
    expected = {"train": 0.5, "validation": 0.2, "test": 0.3} if part == "split" else dict.fromkeys("0123", 0.25)
    shares = pd.crosstab(table["label"], table[part], normalize="index")
    assert set(shares) == set(expected)
    assert all((shares[name] - share).abs().max() < 0.15 for name, share in expected.items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--test", "0"], "needs a `test` fraction"),
        (["--test", "2"], "--test: Input should be less than 1"),
        (["--validation", "nan"], "--validation: Input should be"),
        (["--test", "0.6", "--validation", "0.4"], "leave no training rows"),
        (["--folds", "1"], "--folds: Input should be greater than or equal to 2"),
        (["--folds", "30"], "cannot be split into 30 folds"),
    ],
)
def test_split_impossible_parts_are_errors(images: Path, options: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        main([str(images), "--out", "split.csv", *options])
    assert not Path("split.csv").exists()


@pytest.mark.parametrize(
    "options", [["--seed", "-1"], ["--seed", str(2**32)], ["--folds", "3", "--test", "0.5"], ["--folds", "x"]]
)
def test_split_wrong_options_print_usage(images: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(images), "--out", "split.csv", *options])
    assert stop.value.code == 2


@pytest.mark.parametrize("options", [[], ["--folds", "3"]])
def test_split_images_without_labels_are_split_too(tmp_path: Path, images: Path, options: list[str]) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for seed in range(6):
        (flat / f"{seed}.png").write_bytes(png(head(seed)))
    assert main([str(flat), "--out", "split.csv", *options]) == 0
    table = pd.read_csv("split.csv", keep_default_na=False)
    assert set(table["label"]) == {""}
    assert set(table.iloc[:, -1].astype(str)) == ({"0", "1", "2"} if options else {"train", "test"})


def test_split_no_usable_image_is_an_error_with_the_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "1")
    for label in "ab":
        (tmp_path / "images" / label).mkdir(parents=True)
        (tmp_path / "images" / label / "1.png").write_bytes(png(head(1)))
    with pytest.raises(SystemExit, match="no image can be used: 2 × duplicates have different labels"):
        main([str(tmp_path / "images"), "--out", str(tmp_path / "split.csv")])
    assert not (tmp_path / "split.csv").exists()
