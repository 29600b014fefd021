"""Properties of the split: complete, grouped, stratified, and independent of order and names."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.splits.split import SplitParams, assign_source_folds, split_rows, summarize_split


def make_rows(groups: list[tuple[str, int]], published: bool = False, seed: int = 0) -> pd.DataFrame:
    """Make rows from (label, size) of each group; with published folders every third row is a test row."""
    rows = [(label, f"g{number}") for number, (label, size) in enumerate(groups) for _ in range(size)]
    table = pd.DataFrame(rows, columns=["label", "group"])
    table["sha256"] = [hashlib.sha256(f"{seed} {i}".encode()).hexdigest() for i in range(len(table))]
    table["path"] = [f"{i}.png" for i in range(len(table))]
    table[["series", "fold"]] = ""
    table["patient"] = table["group"]  # known: without a relation, a test row is clean
    table["duplicate_id"] = table["group"] + "." + (np.arange(len(table)) // 2 % 2).astype(str)
    table["orientation"] = np.where(np.arange(len(table)) % 2, "left-right", "none")
    table["split"] = np.where(np.arange(len(table)) % 3 == 0, "test", "train") if published else ""
    return table


def make_params(**changes: Any) -> SplitParams:
    return SplitParams.model_validate({"strategy": "fraction", "test": 0.2, "validation": 0.2, "seed": 1} | changes)


def check_leaks(rows: pd.DataFrame, split: pd.DataFrame) -> None:
    """Compare each test row's leak with the training and validation rows, one by one."""
    train = rows[split["part"] != "test"]
    for row, part, leak in zip(rows.itertuples(), split["part"], split["leak"], strict=True):
        orientations = train["orientation"][train["duplicate_id"] == row.duplicate_id].tolist()
        expected = "same_group" if row.group in set(train["group"]) else ""
        if orientations:
            expected = "duplicate" if row.orientation in orientations else "transformed_duplicate"
        assert leak == (expected if part == "test" else "")


GROUPS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4)), min_size=40, max_size=80)


def splittable(groups: list[tuple[str, int]]) -> bool:
    return min(sum(label == name for label, _ in groups) for name in "ab") >= 12


@given(GROUPS, st.integers(0, 99))
def test_split_rows_fraction_stratified_and_groups_whole(groups: list[tuple[str, int]], seed: int) -> None:
    assume(splittable(groups))
    rows = make_rows(groups, seed=seed)
    split = split_rows(rows, make_params(seed=seed))
    assert split.index.equals(rows.index)
    assert set(split["part"]) == {"train", "validation", "test"}
    assert (split["part"].groupby(rows["group"]).nunique() == 1).all()
    assert (split["leak"] == "").all()
    for label in "ab":
        parts = split["part"][rows["label"] == label]
        for part in ("test", "validation"):
            # Groups go whole, so a class may be off, but by no more than its largest group.
            assert (
                abs((parts == part).sum() - 0.2 * len(parts))
                <= rows[rows["label"] == label].value_counts("group").max()
            )


@given(GROUPS, st.integers(0, 99))
def test_split_rows_other_order_and_names_same_result(groups: list[tuple[str, int]], seed: int) -> None:
    assume(splittable(groups))
    rows = make_rows(groups)
    shuffled = rows.sample(frac=1, random_state=seed).assign(path=lambda t: [f"x{i}" for i in range(len(t))])
    kfold = {"strategy": "kfold", "test": 0.0, "folds": 4, "fold": 1}
    for changes in (
        {"group_by": "group"},
        {"group_by": "image"},
        kfold | {"group_by": "group"},
        kfold | {"group_by": "image"},
    ):
        one, other = split_rows(rows, make_params(**changes)), split_rows(shuffled, make_params(**changes))
        pd.testing.assert_frame_equal(one, other.loc[one.index])


@given(GROUPS, st.sampled_from(["group", "image"]))
def test_split_rows_published_keeps_the_test_folder_and_marks_leaks(
    groups: list[tuple[str, int]], group_by: str
) -> None:
    assume(splittable(groups))
    rows = make_rows(groups, published=True)
    split = split_rows(rows, make_params(strategy="published", test=0.0, group_by=group_by))
    assert ((split["part"] == "test") == (rows["split"] == "test")).all()
    check_leaks(rows, split)
    if group_by == "group":
        rest = split["part"] != "test"
        assert (split["part"][rest].groupby(rows["group"][rest]).nunique() == 1).all()
    for label in "ab":
        parts = split["part"][(rows["label"] == label) & (rows["split"] == "train")]
        largest = rows[rows["label"] == label].value_counts("group").max()
        assert abs((parts == "validation").sum() - 0.2 * len(parts)) <= (largest if group_by == "group" else 1)


@given(GROUPS, st.sampled_from(["fraction", "published"]), st.integers(0, 99))
def test_split_rows_groups_of_several_classes_stay_whole(
    groups: list[tuple[str, int]], strategy: str, seed: int
) -> None:
    """Slices of one patient may have several labels, as may duplicates that two people labeled."""
    assume(splittable(groups))
    rows = make_rows(groups, published=strategy == "published")
    rows["label"] = np.random.default_rng(seed).permutation(rows["label"])
    split = split_rows(rows, make_params(strategy=strategy, test=0.2 if strategy == "fraction" else 0.0))
    rest = (split["part"] != "test") | (strategy == "fraction")
    assert (split["part"][rest].groupby(rows["group"][rest]).nunique() == 1).all()


@given(GROUPS)
def test_split_rows_by_image_marks_leaks(groups: list[tuple[str, int]]) -> None:
    assume(splittable(groups))
    rows = make_rows(groups)
    check_leaks(rows, split_rows(rows, make_params(group_by="image")))


def test_split_rows_other_seed_other_parts() -> None:
    rows = make_rows([("a", 1), ("b", 2)] * 30)
    assert (split_rows(rows, make_params(seed=1))["part"] != split_rows(rows, make_params(seed=2))["part"]).any()


def test_split_rows_part_without_a_class_raises_user_error() -> None:
    with pytest.raises(UserError, match="validation part has no image of a, b"):
        split_rows(make_rows([("a", 1)] * 40 + [("b", 4)] * 2), make_params(test=0.5, validation=0.01))


def test_split_rows_published_without_folders_raises_user_error() -> None:
    with pytest.raises(UserError, match="no published training and test folders"):
        split_rows(make_rows([("a", 1), ("b", 1)] * 20), make_params(strategy="published", test=0.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "published"}, "does not go with strategy: published"),
        ({"strategy": "kfold", "folds": 3, "fold": 0}, "does not go with strategy: kfold"),
        ({"strategy": "kfold", "test": 0.0, "fold": 0}, "`folds` goes with strategy: kfold"),
        ({"strategy": "kfold", "test": 0.0, "folds": 3}, "`fold` goes with"),
        ({"strategy": "kfold", "test": 0.0, "folds": 3, "fold": 3}, "less than `folds`"),
        ({"strategy": "folds", "test": 0.0}, "`fold` goes with"),
        ({"fold": 1}, "`fold` goes with"),
        ({"test": 0.0}, "needs a `test` fraction"),
        ({"test": 0.8}, "leave no training rows"),
        ({"conformal": 0.6}, "leave no training rows"),
        ({"validation": -0.1}, "greater than or equal to 0"),
        ({"tests": 1}, "Extra inputs"),
    ],
)
def test_split_params_contradictory_values_are_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_params(**changes)


def test_summarize_split_counts_leaks_and_straddling_groups() -> None:
    rows = make_rows([("a", 2), ("b", 2)] * 20)
    table = rows.join(split_rows(rows, make_params()))
    counts = summarize_split(table, ("a", "b"))
    assert sum(counts[part]["images"] for part in ("train", "validation", "test")) == len(rows)
    assert set(counts["straddling_groups"].values()) == {0}
    assert sum(counts["leaked"].values()) == 0
    by_image = rows.join(split_rows(rows, make_params(group_by="image")))
    counts = summarize_split(by_image, ("a", "b"))
    assert min(counts["straddling_groups"].values()) > 0
    leaked = sum(counts["leaked"].values())
    assert leaked == (by_image["leak"] != "").sum() > 0
    assert counts["clean"] == counts["test"]["images"] - leaked


@settings(max_examples=25)
@given(GROUPS, st.integers(2, 5), st.sampled_from(["group", "image"]), st.integers(0, 99))
def test_split_rows_kfold_each_row_is_tested_once(
    groups: list[tuple[str, int]], folds: int, group_by: str, seed: int
) -> None:
    assume(splittable(groups))
    rows = make_rows(groups)
    kfold = {"strategy": "kfold", "test": 0.0, "folds": folds, "group_by": group_by, "seed": seed}
    splits = [split_rows(rows, make_params(**kfold, fold=k)) for k in range(folds)]
    is_test = np.stack([split["part"] == "test" for split in splits])
    assert (is_test.sum(0) == 1).all()
    for split in splits:
        check_leaks(rows, split)
        assert set(split["part"]) == {"train", "validation", "test"}
        if group_by == "group":
            assert (split["part"].groupby(rows["group"]).nunique() == 1).all()
        for label in "ab":
            parts = split["part"][rows["label"] == label]
            largest = rows[rows["label"] == label].value_counts("group").max() if group_by == "group" else 1
            assert abs((parts == "test").sum() - len(parts) / folds) <= 2 * largest + 1


@settings(max_examples=25)
@given(GROUPS, st.integers(1, 3))
def test_split_rows_folds_keeps_the_folds_of_the_source(groups: list[tuple[str, int]], fold: int) -> None:
    assume(splittable(groups))
    rows = make_rows(groups)
    rows["fold"] = (rows["group"].str[1:].astype(int) % 3 + 1).astype(str)
    split = split_rows(rows, make_params(strategy="folds", test=0.0, fold=fold))
    assert ((split["part"] == "test") == (rows["fold"] == str(fold))).all()
    assert (split["part"].groupby(rows["group"]).nunique() == 1).all()
    assert (split["leak"] == "").all()


def test_split_rows_missing_fold_error_lists_the_folds() -> None:
    rows = make_rows([("a", 1), ("b", 1)] * 20)
    with pytest.raises(UserError, match="source has no folds"):
        split_rows(rows, make_params(strategy="folds", test=0.0, fold=1))
    with pytest.raises(UserError, match="the folds 1, 2"):
        split_rows(rows.assign(fold=["1", "2"] * 20), make_params(strategy="folds", test=0.0, fold=3))


def test_split_rows_rows_without_part_or_fold_raise_user_error() -> None:
    rows = make_rows([("a", 1), ("b", 1)] * 20, published=True)
    with pytest.raises(UserError, match="1 of 40 images have no published part"):
        split_rows(rows.assign(split=["", *rows["split"][1:]]), make_params(strategy="published", test=0.0))
    by_image = make_params(strategy="folds", test=0.0, fold="A", group_by="image")
    with pytest.raises(UserError, match="20 of 40 images have no fold"):
        split_rows(rows.assign(fold=["A", ""] * 20), by_image)


def test_split_rows_more_folds_than_class_images_is_an_error() -> None:
    with pytest.raises(UserError, match="the test part has no image of b"):
        split_rows(
            make_rows([("a", 1)] * 40 + [("b", 1)] * 4), make_params(strategy="kfold", test=0.0, folds=9, fold=0)
        )


def test_split_rows_patient_in_two_groups_raises_user_error() -> None:
    """The audit joins the images of a patient; the split checks it again, by patient, series and duplicates."""
    rows = make_rows([("a", 1), ("b", 1)] * 40)
    assert (split_rows(rows, make_params())["leak"] == "").all()
    everywhere = rows.index % 2 == 0
    for column in ("patient", "series", "duplicate_id"):
        planted = rows.assign(**{column: rows[column].where(~everywhere, "planted")})
        with pytest.raises(UserError, match=f"{column} planted has images in the parts test and train and validation"):
            split_rows(planted, make_params())
        kfold = {"strategy": "kfold", "test": 0.0, "folds": 3, "fold": 1}
        with pytest.raises(UserError, match=f"{column} planted has images in the parts"):
            split_rows(planted, make_params(**kfold))
        # By image, patients straddle as in published protocols; their test rows are marked as leaks.
        by_image = split_rows(planted.assign(group=planted[column]), make_params(group_by="image"))
        assert (by_image["leak"][everywhere & (by_image["part"] == "test")] != "").all()


def test_split_rows_published_patient_may_be_in_the_test_but_not_in_two_other_parts() -> None:
    rows = make_rows([("a", 1), ("b", 1)] * 60, published=True)
    straddling = rows.assign(patient=["planted"] * 6 + rows["patient"].tolist()[6:])
    straddling["group"] = straddling["patient"]
    split = split_rows(straddling, make_params(strategy="published", test=0.0))
    assert set(split["leak"][straddling["patient"] == "planted"]) == {"", "same_group"}
    apart = rows.assign(patient=rows["patient"].where(rows.index % 2 == 0, "planted"))
    with pytest.raises(UserError, match="patient planted has images in the parts train and validation"):
        split_rows(apart, make_params(strategy="published", test=0.0))


@pytest.mark.parametrize("strategy", ["fraction", "published", "kfold"])
def test_split_rows_conformal_rows_are_stratified_whole_groups_of_their_own(strategy: str) -> None:
    rows = make_rows([("a", 2), ("b", 1)] * 60)
    rows["split"] = np.where(rows.index % 5 == 0, "test", "train")
    options: dict[str, Any] = {
        "fraction": {},
        "published": {"test": 0.0},
        "kfold": {"test": 0.0, "folds": 4, "fold": 0},
    }
    params = make_params(strategy=strategy, conformal=0.1, **options[strategy])
    split = split_rows(rows, params)
    rest = split[(split["part"] != "test") | (strategy == "fraction")]
    assert set(split["part"]) == {"train", "validation", "conformal", "test"}
    for label in "ab":
        parts = rest["part"][rows["label"] == label]
        assert abs((parts == "conformal").mean() - 0.1) < 0.04
    assert (rest["part"].groupby(rows["group"]).nunique() == 1).all()


def test_split_rows_without_validation_trains_on_all_published_training_rows() -> None:
    rows = make_rows([("a", 1), ("b", 1)] * 20, published=True)
    split = split_rows(rows, make_params(strategy="published", test=0.0, validation=0.0))
    assert split["part"].tolist() == rows["split"].tolist()


def test_assign_source_folds_keeps_known_folds_and_distributes_other_groups_by_class() -> None:
    rows = make_rows([("a", 2), ("b", 1)] * 60)
    number = rows["group"].str[1:].astype(int)
    rows["fold"] = np.where(number < 60, (number % 3 + 1).astype(str), "")
    rows.loc[rows["group"] == "g0", "fold"] = ["1", "3"]  # as two slices of a patient whose source says otherwise
    folds = assign_source_folds(rows, 0)
    known = (rows["fold"] != "") & (rows["group"] != "g0")
    assert (folds[known] == rows["fold"][known]).all()
    assert set(folds) == {"1", "2", "3"}
    assert (folds.groupby(rows["group"]).nunique() == 1).all()
    for label in "ab":
        counts = folds[rows["label"] == label].value_counts()
        assert counts.max() - counts.min() <= 2
    pd.testing.assert_series_equal(folds, assign_source_folds(rows.sample(frac=1), 0).loc[rows.index])
    assert (assign_source_folds(rows, 1) != folds).any()


def test_split_rows_folds_group_of_two_folds_leaves_out_its_images_of_the_test_fold() -> None:
    """Another series of their patient may be in the test; and where they are tested, it may be in training."""
    rows = make_rows([("a", 2), ("b", 2)] * 30).assign(patient="")
    rows["series"], rows["fold"] = rows["group"], (rows.index // 2 % 3 + 1).astype(str)
    rows.loc[rows["group"].isin(["g0", "g1"]), "group"] = "joined"  # of the folds 1 and 2: goes to 1
    params = {"strategy": "folds", "test": 0.0}
    second = split_rows(rows, make_params(**params, fold=2))
    joined = rows["group"] == "joined"
    assert (second["part"][rows["series"] == "g1"] == "left_out").all()
    assert not (second["part"][rows["series"] == "g0"].isin(["test", "left_out"])).any()
    assert (second["part"] == "left_out").sum() == 2
    assert (second["leak"] == "").all()
    first = split_rows(rows, make_params(**params, fold=1))
    assert (first["part"][joined] == "test").all()
    assert set(first["leak"][rows["series"] == "g1"]) == {"unknown_patient"}
    assert (first["leak"][rows["series"] != "g1"] == "").all()
    assert summarize_split(rows.join(second), ("a", "b"))["left_out"] == 2
