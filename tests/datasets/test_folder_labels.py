"""Labels and splits of images from the names of their folders."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.folder_labels import FolderLabels, infer_labels, match_labels
from brain_tumor.datasets.skipped import SkippedFiles

FOLDERS = st.sampled_from(["glioma", "notumor", "archive", "P1", "P2", "Training", "test", "val", "axial", "a b"])


def labels_of(*names: str) -> list[tuple[str, str]]:
    return [(label, split) for label, split, _ in infer_labels(names).values()]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["glioma/0.png", "notumor/1.png"], ["glioma", "notumor"]),
        (["glioma/0.png"], ["glioma"]),
        (["0.png"], [""]),
        (["0.png", "archive/glioma/1.png", "archive/notumor/2.png"], ["", "glioma", "notumor"]),
        (["archive/glioma/0.png", "archive/notumor/1.png"], ["glioma", "notumor"]),
        (["archive/glioma/0.png"], ["glioma"]),
        (["a/b/glioma/0.png", "a/b/notumor/1.png"], ["glioma", "notumor"]),
        (["a/b/glioma/0.png", "a/b/notumor/1.png", "a/2.png"], ["a", "a", "a"]),
        (["yes/0.png", "no/0.png", "all/yes/0.png", "all/no/0.png"], ["yes", "no", "yes", "no"]),
        (["zip/yes/0.png", "zip/no/0.png", "zip/all/yes/0.png"], ["yes", "no", "yes"]),
        (["yes/0.png", "no/0.png", "all/maybe/0.png", "all/no/0.png"], ["yes", "no", "all", "all"]),
        (["yes/0.png", "no/0.png", "all/yes/0.png", "all/1.png"], ["yes", "no", "all", "all"]),
        (["glioma/P1/0", "glioma/P2/0", "notumor/P1/0"], ["glioma", "glioma", "notumor"]),
        (["glioma/P1/0", "glioma/P2/0"], ["glioma", "glioma"]),
        (["glioma/P1/0", "glioma/1.png"], ["glioma", "glioma"]),
        (["archive/glioma/P1/0", "archive/glioma/P2/0"], ["glioma", "glioma"]),
        (["P1/0", "P2/0"], ["P1", "P2"]),
    ],
)
def test_infer_labels_folders_without_split_the_class_folder(names: list[str], labels: list[str]) -> None:
    assert labels_of(*names) == [(label, "") for label in labels]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Training/a/0.png", "TESTING/b/1.png"], [("a", "train"), ("b", "test")]),
        (["archive/Training/a/0.png", "archive/Testing/b/1.png"], [("a", "train"), ("b", "test")]),
        (["set1/Training/a/0.png", "set2/Testing/b/1.png"], [("a", "train"), ("b", "test")]),
        (["train/images/a/0.png", "val/images/b/1.png"], [("a", "train"), ("b", "train")]),
        (["Training/a/0.png", "Testing/loose.png"], [("a", "train"), ("", "test")]),
        (["a/train/0.png", "a/test/1.png", "b/test/2.png"], [("a", "train"), ("a", "test"), ("b", "test")]),
        (["a/train/0.png", "a/test/1.png"], [("a", "train"), ("a", "test")]),
        (["a/train/P1/0.png", "b/test/P2/1.png"], [("a", "train"), ("b", "test")]),
        (["train/a/P1/0.png", "test/a/P2/1.png"], [("a", "train"), ("a", "test")]),
        (["a/patient 1/0.png", "valid/c/1.png", "c/test/2.png"], [("a", ""), ("c", "train"), ("c", "test")]),
        (["zip/Training/a/0.png", "zip/extra/a/1.png"], [("a", "train"), ("a", "")]),
        (["training data/0.png", "latest/1.png"], [("training data", ""), ("latest", "")]),
    ],
)
def test_infer_labels_split_folders_name_the_split(names: list[str], expected: list[tuple[str, str]]) -> None:
    assert labels_of(*names) == expected


def test_infer_labels_names_are_compared_normalized() -> None:
    composed, decomposed = (unicodedata.normalize(form, "méningiome") for form in ("NFC", "NFD"))
    names = [f"{composed}/0.png", f"{decomposed}/1.png", f"{composed} /2.png", "meningiome/3.png", " /4.png"]
    assert [label for label, _ in labels_of(*names)] == [composed] * 3 + ["meningiome", ""]


@given(st.lists(st.tuples(FOLDERS, FOLDERS, FOLDERS).map(lambda path: "/".join((*path, "0.png"))), unique=True))
def test_infer_labels_any_tree_labels_are_folders_of_the_path(names: list[str]) -> None:
    result = infer_labels(names)
    assert list(result) == names
    for name, (label, split, patient) in result.items():
        folders = name.split("/")[:-1]
        named = [folder for folder in folders if folder not in ("Training", "test", "val")]
        assert label in named if named else label == ""
        assert split == next(("test" if f == "test" else "train" for f in folders if f not in named), "")
        assert patient == ""


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (
            "{label}/{patient}/{file}",
            {"a/P1/0.png": FolderLabels("a", "", "P1"), "Test/b /1.png": FolderLabels("Test", "", "b")},
        ),
        ("{split}/{label}/{file}", {"Test/b /1.png": FolderLabels("b", "test")}),
        (
            "**/{label}/{file}",
            {name: FolderLabels(name.split("/")[-2].strip()) for name in ("a/P1/0.png", "Test/b /1.png", "c/2.png")},
        ),
    ],
)
def test_match_labels_layout_names_the_folders(layout: str, expected: dict[str, FolderLabels]) -> None:
    names, skipped = ["a/P1/0.png", "Test/b /1.png", "c/2.png", "3.png"], SkippedFiles()
    assert match_labels(names, layout, skipped) == expected
    assert set(skipped.table()["path"]) == set(names) - set(expected)


def test_match_labels_other_paths_are_skipped_with_the_reason() -> None:
    skipped = SkippedFiles()
    assert match_labels(["x\x1by/a/0.png", "1.png", "VAL/a/2.png"], "{split}/{label}/{file}", skipped) == {
        "VAL/a/2.png": FolderLabels("a", "train")
    }
    assert skipped.table().to_numpy().tolist() == [
        ["1.png", "the path does not match {split}/{label}/{file}"],
        [
            "x\\x1by/a/0.png",
            "'x\\x1by' is not the name of a split (train, training, val, valid, validation, test, testing)",
        ],
    ]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("{label}", r"must contain \{label\} and \{file\} once"),
        ("{labels}/{file}", r"has \{labels\}, which is none of"),
    ],
)
def test_match_labels_invalid_layout_is_an_error(layout: str, message: str) -> None:
    with pytest.raises(UserError, match="^--layout .*" + message):
        match_labels(["a/0.png"], layout, SkippedFiles())
