"""Properties of the split: complete, grouped, stratified, and blind to order and names."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from brain_tumor.errors import UserError
from brain_tumor.split import SplitParams, split, statistics, summary


def make(groups: list[tuple[str, int]], published: bool = False, seed: int = 0) -> pd.DataFrame:
    """Rows from (label, size) of each group; with published folders every third row is a test row."""
    rows = [(label, f"g{number}") for number, (label, size) in enumerate(groups) for _ in range(size)]
    table = pd.DataFrame(rows, columns=["label", "group"])
    table["sha256"] = [hashlib.sha256(f"{seed} {i}".encode()).hexdigest() for i in range(len(table))]
    table["path"] = [f"{i}.png" for i in range(len(table))]
    table["patient"] = ""
    table["copies"] = table["group"] + "." + (np.arange(len(table)) // 2 % 2).astype(str)
    table["orientation"] = np.where(np.arange(len(table)) % 2, "left-right", "none")
    table["split"] = np.where(np.arange(len(table)) % 3 == 0, "test", "train") if published else ""
    return table


def params(**changes: Any) -> SplitParams:
    return SplitParams.model_validate({"by": "fraction", "test": 0.2, "validation": 0.2, "seed": 1} | changes)


def check_leaks(rows: pd.DataFrame, found: pd.DataFrame) -> None:
    """Each test row's leak against the learned rows, one by one."""
    learned = rows[found["part"] != "test"]
    for row, part, leak in zip(rows.itertuples(), found["part"], found["leak"], strict=True):
        picture = learned["orientation"][learned["copies"] == row.copies].tolist()
        expected = "related" if row.group in set(learned["group"]) else ""
        if picture:
            expected = "copy" if row.orientation in picture else "mirrored"
        assert leak == (expected if part == "test" else "")


GROUPS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4)), min_size=40, max_size=80)


def splittable(groups: list[tuple[str, int]]) -> bool:
    return min(sum(label == name for label, _ in groups) for name in "ab") >= 12


@given(GROUPS, st.integers(0, 99))
def test_each_row_has_a_part_and_no_group_straddles(groups: list[tuple[str, int]], seed: int) -> None:
    assume(splittable(groups))
    rows = make(groups, seed=seed)
    found = split(rows, params(seed=seed))
    assert found.index.equals(rows.index)
    assert set(found["part"]) == {"train", "validation", "test"}
    assert (found["part"].groupby(rows["group"]).nunique() == 1).all()
    assert (found["leak"] == "").all()
    for label in "ab":
        mine = found["part"][rows["label"] == label]
        for part in ("test", "validation"):
            # Groups go whole, so a class may be off, but by no more than its largest group.
            assert (
                abs((mine == part).sum() - 0.2 * len(mine)) <= rows[rows["label"] == label].value_counts("group").max()
            )


@given(GROUPS, st.integers(0, 99))
def test_order_and_names_of_files_do_not_matter(groups: list[tuple[str, int]], seed: int) -> None:
    assume(splittable(groups))
    rows = make(groups)
    shuffled = rows.sample(frac=1, random_state=seed).assign(path=lambda t: [f"x{i}" for i in range(len(t))])
    kfold = {"by": "kfold", "test": 0.0, "folds": 4, "fold": 1}
    for changes in ({"unit": "group"}, {"unit": "image"}, kfold | {"unit": "group"}, kfold | {"unit": "image"}):
        one, other = split(rows, params(**changes)), split(shuffled, params(**changes))
        pd.testing.assert_frame_equal(one, other.loc[one.index])


@given(GROUPS, st.sampled_from(["group", "image"]))
def test_published_folders_are_kept_and_their_leaks_marked(groups: list[tuple[str, int]], unit: str) -> None:
    assume(splittable(groups))
    rows = make(groups, published=True)
    found = split(rows, params(by="published", test=0.0, unit=unit))
    assert ((found["part"] == "test") == (rows["split"] == "test")).all()
    check_leaks(rows, found)
    if unit == "group":
        rest = found["part"] != "test"
        assert (found["part"][rest].groupby(rows["group"][rest]).nunique() == 1).all()
    for label in "ab":
        mine = found["part"][(rows["label"] == label) & (rows["split"] == "train")]
        largest = rows[rows["label"] == label].value_counts("group").max()
        assert abs((mine == "validation").sum() - 0.2 * len(mine)) <= (largest if unit == "group" else 1)


@given(GROUPS, st.sampled_from(["fraction", "published"]), st.integers(0, 99))
def test_groups_of_several_classes_stay_whole_too(groups: list[tuple[str, int]], by: str, seed: int) -> None:
    """Slices of one patient may bear several labels, as may copies that two people labeled."""
    assume(splittable(groups))
    rows = make(groups, published=by == "published")
    rows["label"] = np.random.default_rng(seed).permutation(rows["label"])
    found = split(rows, params(by=by, test=0.2 if by == "fraction" else 0.0))
    rest = (found["part"] != "test") | (by == "fraction")
    assert (found["part"][rest].groupby(rows["group"][rest]).nunique() == 1).all()


@given(GROUPS)
def test_a_split_by_image_says_what_leaks(groups: list[tuple[str, int]]) -> None:
    assume(splittable(groups))
    rows = make(groups)
    check_leaks(rows, split(rows, params(unit="image")))


def test_another_seed_is_another_split() -> None:
    rows = make([("a", 1), ("b", 2)] * 30)
    assert (split(rows, params(seed=1))["part"] != split(rows, params(seed=2))["part"]).any()


def test_a_part_without_a_class_is_an_error() -> None:
    with pytest.raises(UserError, match="validation part has no image of a, b"):
        split(make([("a", 1)] * 40 + [("b", 4)] * 2), params(test=0.5, validation=0.01))


def test_published_needs_folders() -> None:
    with pytest.raises(UserError, match="no published training and test folders"):
        split(make([("a", 1), ("b", 1)] * 20), params(by="published", test=0.0))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"by": "published"}, "does not go with by: published"),
        ({"by": "kfold", "folds": 3, "fold": 0}, "does not go with by: kfold"),
        ({"by": "kfold", "test": 0.0, "fold": 0}, "`folds` goes with by: kfold"),
        ({"by": "kfold", "test": 0.0, "folds": 3}, "`fold` goes with"),
        ({"by": "kfold", "test": 0.0, "folds": 3, "fold": 3}, "less than `folds`"),
        ({"by": "folds", "test": 0.0}, "`fold` goes with"),
        ({"fold": 1}, "`fold` goes with"),
        ({"test": 0.0}, "leaves something to train on"),
        ({"test": 0.8}, "leaves something to train on"),
        ({"validation": 0.0}, "greater than 0"),
        ({"tests": 1}, "Extra inputs"),
    ],
)
def test_contradictory_parameters_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        params(**changes)


def test_summary_counts_and_proves() -> None:
    rows = make([("a", 2), ("b", 2)] * 20)
    table = rows.join(split(rows, params()))
    counts = summary(table, ("a", "b"))
    assert sum(counts[part]["images"] for part in ("train", "validation", "test")) == len(rows)
    assert set(counts["straddling_groups"].values()) == {0}
    assert sum(counts["leaked"].values()) == 0
    by_image = rows.join(split(rows, params(unit="image")))
    counts = summary(by_image, ("a", "b"))
    assert min(counts["straddling_groups"].values()) > 0
    leaked = sum(counts["leaked"].values())
    assert leaked == (by_image["leak"] != "").sum() > 0
    assert counts["clean"] == counts["test"]["images"] - leaked


@settings(max_examples=25)
@given(GROUPS, st.integers(2, 5), st.sampled_from(["group", "image"]), st.integers(0, 99))
def test_k_folds_test_every_row_once(groups: list[tuple[str, int]], folds: int, unit: str, seed: int) -> None:
    assume(splittable(groups))
    rows = make(groups)
    wanted = [params(by="kfold", test=0.0, folds=folds, fold=k, unit=unit, seed=seed) for k in range(folds)]
    found = [split(rows, each) for each in wanted]
    tested = np.stack([each["part"] == "test" for each in found])
    assert (tested.sum(0) == 1).all()
    for each in found:
        check_leaks(rows, each)
        assert set(each["part"]) == {"train", "validation", "test"}
        if unit == "group":
            assert (each["part"].groupby(rows["group"]).nunique() == 1).all()
        for label in "ab":
            mine = each["part"][rows["label"] == label]
            largest = rows[rows["label"] == label].value_counts("group").max() if unit == "group" else 1
            assert abs((mine == "test").sum() - len(mine) / folds) <= 2 * largest + 1


@settings(max_examples=25)
@given(GROUPS, st.integers(1, 3))
def test_the_source_s_own_folds_are_kept(groups: list[tuple[str, int]], fold: int) -> None:
    assume(splittable(groups))
    rows = make(groups)
    rows["fold"] = (rows["group"].str[1:].astype(int) % 3 + 1).astype(str)
    found = split(rows, params(by="folds", test=0.0, fold=fold))
    assert ((found["part"] == "test") == (rows["fold"] == str(fold))).all()
    assert (found["part"].groupby(rows["group"]).nunique() == 1).all()
    assert (found["leak"] == "").all()


def test_folds_that_the_source_does_not_have_are_named() -> None:
    rows = make([("a", 1), ("b", 1)] * 20)
    with pytest.raises(UserError, match="source has no folds"):
        split(rows, params(by="folds", test=0.0, fold=1))
    with pytest.raises(UserError, match="the folds 1, 2"):
        split(rows.assign(fold=["1", "2"] * 20), params(by="folds", test=0.0, fold=3))


def test_rows_of_which_nothing_is_said_are_an_error() -> None:
    rows = make([("a", 1), ("b", 1)] * 20, published=True)
    with pytest.raises(UserError, match="1 of 40 images have no published part"):
        split(rows.assign(split=["", *rows["split"][1:]]), params(by="published", test=0.0))
    with pytest.raises(UserError, match="20 of 40 images have no fold"):
        split(rows.assign(fold=["A", ""] * 20), params(by="folds", test=0.0, fold="A"))


def test_more_folds_than_a_class_has_images_is_an_error() -> None:
    with pytest.raises(UserError, match="the test part has no image of b"):
        split(make([("a", 1)] * 40 + [("b", 1)] * 4), params(by="kfold", test=0.0, folds=9, fold=0))


@given(st.integers(1, 40), st.integers(0, 99))
def test_statistics_of_the_training_rows(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count + 2, 5, 4)).astype(np.uint8)
    labels = ["a", "b", *random.choice(["a", "b"], count)]
    found = statistics(images, labels, ("a", "b"))
    assert found["images"] == count + 2
    assert found["mean"] == pytest.approx((images / 255).mean())
    assert found["std"] == pytest.approx((images / 255).std())
    weights = [found["class_weights"][label] for label in labels]
    assert np.mean(weights) == pytest.approx(1)
    assert found["class_weights"]["a"] * labels.count("a") == pytest.approx(
        found["class_weights"]["b"] * labels.count("b")
    )
