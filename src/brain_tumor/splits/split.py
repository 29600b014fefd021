"""Split into training, validation, conformal and test rows: whole groups, stratified, independent of order."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator
from sklearn.model_selection import StratifiedGroupKFold

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block
from brain_tumor.core.subsets import LEAK_TYPES
from brain_tumor.core.tables import is_clean
from brain_tumor.core.types import Gray, Masks
from brain_tumor.splits.leakage import leak_type

log = logging.getLogger(__name__)
PARTS = ("train", "validation", "conformal", "test")
LEFT_OUT = "left_out"  # part of rows that are in no part, see `SplitParams.strategy`
KEPT_TOGETHER = ("group", "duplicate_id", "patient", "series")  # columns whose values are in one part each
CHUNK_IMAGES = 256  # images in memory at a time


class SplitParams(Block):
    """`recipes.<name>.split`: how training, validation and test rows are chosen. Test rows that leak are always marked.

    Attributes:
        strategy: `published`: the source's own training and test folders. `fraction`: the fraction `test` of each
            class. `folds`: the source's own fold `fold`; groups of which no fold is known are distributed over the
            folds, and a group with images of several folds goes to one of them: its images of the test fold, of whose
            patients there are others in the test, are left out if it is not this one. `kfold`: fold `fold` of `folds`
            stratified ones made here.
        group_by: `group` keeps duplicates, adjacent slices and images of one patient or series together. `image` splits
            image by image, as published protocols do.
        validation: fraction of each class for validation: of all rows with `fraction` (0.2 and 0.2 are 60/20/20),
            else of the rows outside the test. 0: no validation rows; training keeps the last epoch then, without
            calibration.
        conformal: fraction of each class, as `validation`, that sets the thresholds of the prediction sets and nothing
            else. 0: no prediction sets.
        test: fraction of each class for the test; only with `fraction`.
        folds: number of folds; only with `kfold`.
        fold: the test fold: the source's name of it with `folds`, a number from 0 with `kfold`.
        seed: seed of the random assignment.
    """

    strategy: Literal["published", "fraction", "folds", "kfold"]
    group_by: Literal["group", "image"] = "group"
    validation: Annotated[float, Field(ge=0, lt=1)]
    conformal: Annotated[float, Field(ge=0, lt=1)] = 0.0
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=0)] | str | None = None
    seed: int

    @model_validator(mode="after")
    def _check_consistency(self) -> "SplitParams":
        if self.strategy != "fraction" and self.test:
            raise ValueError(f"`test` is a fraction of the data and does not go with strategy: {self.strategy}")
        if self.strategy == "fraction" and not self.test:
            raise ValueError("strategy: fraction needs a `test` fraction")
        if self.test + self.validation + self.conformal >= 1:
            raise ValueError("`test`, `validation` and `conformal` leave no training rows")
        if (self.fold is not None) != (self.strategy in ("folds", "kfold")):
            raise ValueError("`fold` goes with strategy: folds and strategy: kfold, which need it")
        if (self.folds is not None) != (self.strategy == "kfold"):
            raise ValueError("`folds` goes with strategy: kfold, which needs it")
        if self.strategy == "kfold" and (isinstance(self.fold, str) or not (self.fold or 0) < (self.folds or 0)):
            raise ValueError("`fold` counts from 0 and must be less than `folds`")
        return self


def split_rows(rows: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """Assign each row to a part.

    Args:
        rows: table with columns path, sha256, label, split ('train', 'test' or ''), and those of the audit:
            duplicate_id, orientation, group, patient, series and fold, in any order.
        params: how to split.

    Returns:
        Columns part, and leak (the relation of a test row to the rows of the other parts, see `leakage.leak_type`; ''
        for other rows), in the order of `rows`.

    Raises:
        UserError: the data set has no published folders or folds, a part lacks a class, or a patient, series, group or
            duplicate is in two parts of a split by groups (of which a published test set is not one).
    """
    # Rows are handled in the order of their contents: neither their order nor their names matter.
    ordered = rows.sort_values(["sha256", "label", "split", "path"])
    units = ordered["group"] if params.group_by == "group" else pd.Series(np.arange(len(ordered)), ordered.index)
    random = np.random.default_rng(params.seed)
    part = pd.Series(np.where(_select_test(ordered, units, params, random), "test", "train"), ordered.index, dtype=str)
    if params.strategy == "folds":
        part[(ordered["fold"] == str(params.fold)) & (part != "test")] = LEFT_OUT
    fractions = {"validation": params.validation, "conformal": params.conformal}
    remaining = 1 - params.test
    for name, size in fractions.items():
        rest = part == "train"
        sampled = _stratified_group_sample(ordered["label"][rest], units[rest], size / remaining, random)
        part.loc[sampled[sampled].index] = name
        remaining -= size
    _require_classes(ordered["label"], part, [name for name in PARTS if fractions.get(name, 1)])
    if params.group_by == "group":
        _require_apart(ordered, part, params.strategy == "published")
    leak = pd.Series("", ordered.index, dtype=str)
    leak[part == "test"] = leak_type(ordered[part == "test"], ordered[~part.isin(("test", LEFT_OUT))])
    return pd.DataFrame({"part": part, "leak": leak}).loc[rows.index]


def _select_test(
    ordered: pd.DataFrame, units: "pd.Series[Any]", params: SplitParams, random: np.random.Generator
) -> Masks:
    """Select the test rows by the strategy; a row mask."""
    if params.strategy == "published":
        return _select_published_test(ordered)
    if params.strategy == "fraction":
        return _stratified_group_sample(ordered["label"], units, params.test, random).to_numpy()
    if params.strategy == "folds":
        return _select_source_fold(ordered, params)
    assert params.folds is not None
    assert isinstance(params.fold, int)
    folds = StratifiedGroupKFold(params.folds, shuffle=True, random_state=params.seed)
    try:
        parts = list(folds.split(ordered, ordered["label"], units))
    except ValueError as error:
        raise UserError(f"the data cannot be split into {params.folds} folds: {error}") from None
    return np.isin(np.arange(len(ordered)), parts[params.fold][1])


def _select_published_test(rows: pd.DataFrame) -> Masks:
    if not {"train", "test"} <= set(rows["split"]):
        raise UserError("split.strategy is 'published', but the data set has no published training and test folders")
    _require_complete(rows["split"], "published part")
    return (rows["split"] == "test").to_numpy()


def _select_source_fold(rows: pd.DataFrame, params: SplitParams) -> Masks:
    names, fold = fold_names(rows["fold"]), str(params.fold)
    if fold not in names:
        folds = f"the folds {', '.join(names)}" if names else "no folds"
        raise UserError(f"split.fold is {fold}, but the data set's source has {folds}")
    if params.group_by == "group":
        return (assign_source_folds(rows, params.seed) == fold).to_numpy()
    _require_complete(rows["fold"], "fold")
    return (rows["fold"] == fold).to_numpy()


def fold_names(folds: "pd.Series[str]") -> list[str]:
    """Return the names of the known folds, in the order of numbers."""
    return sorted(set(folds) - {""}, key=lambda name: (len(name), name))


def assign_source_folds(rows: pd.DataFrame, seed: int) -> "pd.Series[str]":
    """Assign each row to one of the source's folds, whole groups together.

    A group whose images have several folds goes to the most frequent one. Groups of which no fold is known are
    distributed, the largest first: each to the fold with the fewest rows of its most frequent class so far.

    Args:
        rows: table with columns sha256, label, split, path, group and fold ('' where unknown), in any order.
        seed: shuffles groups of equal size.
    """
    ordered = rows.sort_values(["sha256", "label", "split", "path"])
    names = fold_names(ordered["fold"])
    known = ordered[ordered["fold"] != ""]
    votes = known.value_counts(["group", "fold"], sort=False).unstack(fill_value=0).reindex(columns=names)
    folds: dict[Any, Any] = votes.idxmax(axis=1).to_dict()
    several = int((votes > 0).sum(axis=1).gt(1).sum())
    if several:
        log.info("%d groups have images of several folds: each goes to its most frequent fold", several)
    rest = ordered[~ordered["group"].isin(folds)]
    label_counts = rest.value_counts(["group", "label"], sort=False).unstack(fill_value=0)
    label_counts = label_counts.loc[rest["group"].drop_duplicates()]  # in the order of contents
    sizes = pd.DataFrame({"size": label_counts.sum(axis=1), "label": label_counts.idxmax(axis=1)})
    shuffled = sizes.iloc[np.random.default_rng(seed).permutation(len(sizes))]
    counts: Counter[tuple[Any, Any]] = Counter(zip(ordered["group"].map(folds), ordered["label"], strict=True))
    for group, size, label in shuffled.sort_values("size", ascending=False, kind="stable").itertuples(name=None):
        # The first of the folds with the fewest rows of the class.
        folds[group] = names[int(np.argmin([counts[name, label] for name in names]))]
        counts[folds[group], label] += size
    return rows["group"].map(folds)


def _stratified_group_sample(
    labels: "pd.Series[Any]", units: "pd.Series[Any]", fraction: float, random: np.random.Generator
) -> "pd.Series[bool]":
    """Sample whole units that make up nearly `fraction` of each class; a row mask.

    Args:
        labels, units: (N,) the class of each row, and the unit that it belongs to.
        fraction: fraction of the rows of each class, 0 to 1.
        random: shuffles units of equal size.
    """
    table = pd.DataFrame({"label": labels, "unit": units})
    # A unit with images of several classes counts for its most frequent one.
    counts = table.value_counts(["unit", "label"], sort=False).unstack(fill_value=0)
    counts = counts.loc[table["unit"].drop_duplicates()]
    sizes = pd.DataFrame({"size": counts.sum(axis=1), "label": counts.idxmax(axis=1)})
    sampled: list[Any] = []
    for _, members in sizes.groupby("label", sort=True):
        # Large units first, since a late one would overshoot; equal sizes in random order.
        shuffled = members.iloc[random.permutation(len(members))].sort_values("size", ascending=False, kind="stable")
        sampled_rows = 0
        # Walk evenly through the sizes, so that the sample has units of all sizes.
        for count, (name, size) in enumerate(shuffled["size"].items(), start=1):
            target = fraction * shuffled["size"].iloc[:count].sum()
            if sampled_rows + size / 2 <= target:
                sampled.append(name)
                sampled_rows += size
    return units.isin(sampled)


def _require_complete(values: "pd.Series[str]", what: str) -> None:
    """Reject missing values: their rows would silently become training rows."""
    missing = int((values == "").sum())
    if missing:
        raise UserError(
            f"{missing} of {len(values)} images have no {what}: leave them out of the data set, or set "
            "split.strategy to fraction"
        )


def _require_classes(labels: "pd.Series[Any]", part: "pd.Series[str]", names: Sequence[str]) -> None:
    """Reject a split in which one of the named parts lacks a class."""
    for name in names:
        missing = sorted(set(labels) - set(labels[part == name]))
        if missing:
            raise UserError(
                f"the {name} part has no image of {', '.join(missing)}: change the fractions of the split or the seed. "
                "A class that consists of one group cannot be in two parts"
            )


def _require_apart(rows: pd.DataFrame, part: "pd.Series[str]", is_published: bool) -> None:
    """Reject a split in which a patient, series, group or duplicate is in two parts, except a published test set."""
    checked = part[(part != LEFT_OUT) & ~((part == "test") & is_published)]
    for column in KEPT_TOGETHER:
        values = rows.loc[checked.index, column]
        parts = checked.groupby(values[values != ""]).agg(lambda names: sorted(set(names)))
        straddling = parts[parts.map(len) > 1]
        if len(straddling):
            raise UserError(
                f"{column} {straddling.index[0]} has images in the parts {' and '.join(straddling.iloc[0])} of the "
                f"split ({len(straddling)} such values of {column}): the audit did not put them into one group"
            )


def summarize_split(rows: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Any]:
    """Count what is in each part, the test rows by type of leakage, and the groups in two parts.

    Args:
        rows: table with columns part, leak, label, patient, series, duplicate_id and group.
        classes: classes in the order in which they are counted.
    """
    result: dict[str, Any] = {}
    for name in PARTS:
        members = rows[rows["part"] == name]
        patients = members.loc[members["patient"] != "", "patient"]
        result[name] = {
            "images": len(members),
            "unique_images": int(members["duplicate_id"].nunique()),
            "groups": int(members["group"].nunique()),
            "patients": int(patients.nunique()),
            "series": int(members.loc[members["series"] != "", "series"].nunique()),
            "classes": {label: int((members["label"] == label).sum()) for label in classes},
        }
    result[LEFT_OUT] = int((rows["part"] == LEFT_OUT).sum())
    test = rows[rows["part"] == "test"]
    result["leaked"] = {leak: int((test["leak"] == leak).sum()) for leak in LEAK_TYPES}
    result["clean"] = int(is_clean(test).sum())
    result["clean_classes"] = {label: int((test.loc[is_clean(test), "label"] == label).sum()) for label in classes}
    # Zero between training and validation unless the split is by image; a published test set is as published.
    parts = rows.groupby("group")["part"].agg(set)
    present = [name for name in PARTS if (rows["part"] == name).any()]
    pairs = [(one, other) for k, one in enumerate(present) for other in present[k + 1 :]]
    result["straddling_groups"] = {
        f"{one}-{other}": int(parts.map({one, other}.issubset).sum()) for one, other in pairs
    }
    return result


def training_statistics(images: Gray, labels: Sequence[str], classes: tuple[str, ...]) -> dict[str, Any]:
    """Compute the statistics of the training rows only.

    Args:
        images: (N, H, W) uint8, the training images; may be memory-mapped.
        labels: (N,) their classes.
        classes: all classes.

    Returns:
        images, their number; mean and std of all pixels, 0 to 1; class_weights, the inverse frequency of each class,
        1 on average over the rows.
    """
    # Sums of whole numbers: the same for any order and on any machine.
    total = squares = pixels = 0
    for start in range(0, len(images), CHUNK_IMAGES):
        chunk = images[start : start + CHUNK_IMAGES].astype(np.int64)
        total, squares, pixels = total + int(chunk.sum()), squares + int((chunk**2).sum()), pixels + chunk.size
    mean = total / pixels
    counts = {label: sum(other == label for other in labels) for label in classes}
    return {
        "images": len(images),
        "mean": mean / 255,
        "std": (squares / pixels - mean**2) ** 0.5 / 255,
        "class_weights": {label: len(images) / (len(classes) * counts[label]) for label in classes},
    }
