"""Split into training, validation and test rows: whole groups, stratified, independent of file names and order."""

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

PARTS = ("train", "validation", "test")
CHUNK_IMAGES = 256  # images in memory at a time


class SplitParams(Block):
    """`recipes.<name>.split`: how training, validation and test rows are chosen. Test rows that leak are always marked.

    Attributes:
        strategy: `published`: the source's own training and test folders. `fraction`: the fraction `test` of each
            class. `folds`: the source's own fold `fold`. `kfold`: fold `fold` of `folds` stratified ones made here.
        group_by: `group` keeps duplicates, adjacent slices and images of one patient together. `image` splits image
            by image, as published protocols do.
        validation: fraction of each class for validation: of all rows with `fraction` (0.2 and 0.2 are 60/20/20),
            else of the rows outside the test.
        test: fraction of each class for the test; only with `fraction`.
        folds: number of folds; only with `kfold`.
        fold: the test fold: the source's name of it with `folds`, a number from 0 with `kfold`.
        seed: seed of the random assignment.
    """

    strategy: Literal["published", "fraction", "folds", "kfold"]
    group_by: Literal["group", "image"] = "group"
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=0)] | str | None = None
    seed: int

    @model_validator(mode="after")
    def _check_consistency(self) -> "SplitParams":
        if self.strategy != "fraction" and self.test:
            raise ValueError(f"`test` is a fraction of the data and does not go with strategy: {self.strategy}")
        if self.strategy == "fraction" and not 0 < self.test < 1 - self.validation:
            raise ValueError("strategy: fraction needs a `test` fraction that leaves training rows")
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
        rows: table with columns path, sha256, label, split ('train', 'test' or ''), duplicate_id, orientation and
            group, and with strategy `folds` the column fold, in any order.
        params: how to split.

    Returns:
        Columns part, and leak (the relation of a test row to training or validation, see `leakage.leak_type`; '' for
        other rows), in the order of `rows`.

    Raises:
        UserError: the data set has no published folders or folds, or a part lacks a class.
    """
    # Rows are handled in the order of their contents: neither their order nor their names matter.
    ordered = rows.sort_values(["sha256", "label", "split", "path"])
    units = ordered["group"] if params.group_by == "group" else pd.Series(np.arange(len(ordered)), ordered.index)
    random = np.random.default_rng(params.seed)
    part = pd.Series(np.where(_select_test(ordered, units, params, random), "test", "train"), ordered.index, dtype=str)
    rest = part == "train"
    fraction = params.validation / (1 - params.test)
    validation = _stratified_group_sample(ordered["label"][rest], units[rest], fraction, random)
    part.loc[validation[validation].index] = "validation"
    _require_classes(ordered["label"], part)
    leak = pd.Series("", ordered.index, dtype=str)
    leak[part == "test"] = leak_type(ordered[part == "test"], ordered[part != "test"])
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
        return _select_source_fold(ordered, str(params.fold))
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


def _select_source_fold(rows: pd.DataFrame, fold: str) -> Masks:
    names = sorted(set(rows["fold"]) - {""}, key=lambda name: (len(name), name)) if "fold" in rows else []
    if fold not in names:
        folds = f"the folds {', '.join(names)}" if names else "no folds"
        raise UserError(f"split.fold is {fold}, but the data set's source has {folds}")
    _require_complete(rows["fold"], "fold")
    return (rows["fold"] == fold).to_numpy()


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


def _require_classes(labels: "pd.Series[Any]", part: "pd.Series[str]") -> None:
    """Reject a split in which a part lacks a class."""
    for name in PARTS:
        missing = sorted(set(labels) - set(labels[part == name]))
        if missing:
            raise UserError(
                f"the {name} part has no image of {', '.join(missing)}: change the fractions of the split or the seed. "
                "A class that consists of one group cannot be in two parts"
            )


def summarize_split(rows: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Any]:
    """Count what is in each part, the test rows by type of leakage, and the groups in two parts.

    Args:
        rows: table with columns part, leak, label, patient, duplicate_id and group.
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
            "classes": {label: int((members["label"] == label).sum()) for label in classes},
        }
    test = rows[rows["part"] == "test"]
    result["leaked"] = {leak: int((test["leak"] == leak).sum()) for leak in LEAK_TYPES}
    result["clean"] = int(is_clean(test).sum())
    # Zero between training and validation unless the split is by image; a published test set is as published.
    parts = rows.groupby("group")["part"].agg(set)
    pairs = [(one, other) for k, one in enumerate(PARTS) for other in PARTS[k + 1 :]]
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
