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
        (["glioma/P1/0", "glioma/P1/1", "glioma/P2/0", "glioma/P2/1"], ["glioma"] * 4),
        (["tumor/1/0", "tumor/2/0"], ["tumor", "tumor"]),
        (["archive/1/0", "archive/2/0", "archive/3/0"], ["1", "2", "3"]),
        (["data/label0/0", "data/label1/0"], ["label0", "label1"]),
        (["BrainTumor/class_1/0", "BrainTumor/class_2/0"], ["class_1", "class_2"]),
        (["any/class_1/0", "any/class_2/0"], ["class_1", "class_2"]),
        (["any/class_1/0", "any/P2/0"], ["any", "any"]),
        (["Brain Tumor Dataset (2)/1/0", "Brain Tumor Dataset (2)/2/0"], ["1", "2"]),
        (
            ["archive/Glioma T1/0", "archive/Glioma T2/0", "archive/_NORMAL T1/0"],
            ["Glioma T1", "Glioma T2", "_NORMAL T1"],
        ),
        (["any/0.png", "any/glioma/0", "any/notumor/0"], ["", "glioma", "notumor"]),
        (["any/0.png", "any/1.png", "any/glioma/0", "any/notumor/0"], ["any"] * 4),
        (["glioma/0.png", "glioma/axial/0"], ["glioma", "glioma"]),
        (["archive/0.png", "archive/1/0", "archive/2/0"], ["", "1", "2"]),
        (["yes/0", "no/0", "x/x/yes/0", "x/x/no/0"], ["yes", "no", "yes", "no"]),
        (["yes/0", "no/0", "x/y/yes/0", "x/y/maybe/0"], ["yes", "no", "x", "x"]),
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
        (["zip/Training/0/0", "zip/Training/1/0", "zip/Testing/0/0"], [("0", "train"), ("1", "train"), ("0", "test")]),
        (["any/Training/0/0", "any/Training/1/0", "any/Testing/0/0"], [("0", "train"), ("1", "train"), ("0", "test")]),
        (["set1/Training/0/0", "set2/Testing/1/0"], [("0", "train"), ("1", "test")]),
        (["a/train/class 1/0", "b/test/class 2/0"], [("class 1", "train"), ("class 2", "test")]),
        (["Training/0/0", "any/Testing/1/0"], [("0", "train"), ("1", "test")]),
        (["a/train/P1/0", "a/test/P2/0"], [("a", "train"), ("a", "test")]),
        (["a/train/1/0", "b/train/1/0", "a/test/1/0"], [("a", "train"), ("b", "train"), ("a", "test")]),
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
    all_folders = [name.split("/")[:-1] for name in names]
    all_named = [[folder for folder in folders if folder not in ("Training", "test", "val")] for folders in all_folders]
    wrappers = {folder for named in all_named for folder in named[:-1]}
    for (label, split, patient), folders, named in zip(result.values(), all_folders, all_named, strict=True):
        assert label in named or (label == "" and (not named or named[-1] in wrappers))
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


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (["Brain/P001", "Brain/P002"], {"Brain"}),
        (["images/patient_1", "images/patient_2"], {"images"}),
        (["Study/WHO_grade_1", "Study/WHO_grade_2"], {"WHO_grade_1", "WHO_grade_2"}),
        (["X/yes1", "X/no0"], {"yes1", "no0"}),
        (["AD/Stage1", "AD/Stage2"], {"Stage1", "Stage2"}),
    ],
)
def test_infer_labels_numbered_folders_are_patients_or_classes_by_their_names(
    folders: list[str], labels: set[str]
) -> None:
    names = [f"{folder}/{number}.png" for folder in folders for number in range(3)]
    assert {found.label for found in infer_labels(names).values()} == labels
