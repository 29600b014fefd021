"""Training, validation and test rows: whole groups, stratified, the same for any order or names of files."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator
from sklearn.model_selection import StratifiedGroupKFold

from brain_tumor.errors import UserError
from brain_tumor.leakage import LEAKS, leaks
from brain_tumor.params import Block

PARTS = ("train", "validation", "test")


class SplitParams(Block):
    """`recipes.<name>.split`: how the test rows are chosen.

    `published`: the source's own training and test folders. `fraction`: `test` of each class. `folds`: the
    source's own fold number `fold`. `kfold`: fold number `fold` (from 0) of `folds` stratified ones made here.
    In all of them `validation` of each class is carved from what is left, as a share of that (with `fraction`
    as a share of the whole, so that 0.2 and 0.2 are 60/20/20).

    `unit: group` (default) keeps copies, adjacent slices and patients together; `unit: image` splits by image,
    as published protocols do. Test rows that leak are marked either way.
    """

    by: Literal["published", "fraction", "folds", "kfold"]
    unit: Literal["group", "image"] = "group"
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0
    folds: Annotated[int, Field(ge=2)] | None = None
    fold: Annotated[int, Field(ge=0)] | str | None = None
    seed: int

    @model_validator(mode="after")
    def _consistent(self) -> "SplitParams":
        if self.by != "fraction" and self.test:
            raise ValueError(f"`test` is a share of the data and does not go with by: {self.by}")
        if self.by == "fraction" and not 0 < self.test < 1 - self.validation:
            raise ValueError("by: fraction needs a `test` share that leaves something to train on")
        if (self.fold is not None) != (self.by in ("folds", "kfold")):
            raise ValueError("`fold` goes with by: folds and by: kfold, which need it")
        if (self.folds is not None) != (self.by == "kfold"):
            raise ValueError("`folds` goes with by: kfold, which needs it")
        if self.by == "kfold" and (isinstance(self.fold, str) or not (self.fold or 0) < (self.folds or 0)):
            raise ValueError("`fold` counts from 0 and must be less than `folds`")
        return self


def split(rows: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """Assign each row to a part.

    Args:
        rows: with columns path, sha256, label, split ('train', 'test' or ''), copies, orientation and group,
            and with `folds` the column fold, in any order.

    Returns:
        Columns part and leak (what of a test row is in training or validation, see `leakage.leaks`; '' for
        other rows), in the order of `rows`.

    Raises:
        UserError: the data set has no published folders or folds, or a part lacks a class.
    """
    # Rows are handled in the order of their contents: neither listing order nor names matter.
    ordered = rows.sort_values(["sha256", "label", "split", "path"])
    unit = ordered["group"] if params.unit == "group" else pd.Series(np.arange(len(ordered)), ordered.index)
    random = np.random.default_rng(params.seed)
    test = _test_rows(ordered, unit, params, random)
    part = pd.Series(np.where(test, "test", "train"), ordered.index, dtype=str)
    rest = part == "train"
    share = params.validation / (1 - params.test)
    carved = _carve(ordered["label"][rest], unit[rest], share, random)
    part.loc[carved[carved].index] = "validation"
    _require_classes(ordered["label"], part)
    leak = pd.Series("", ordered.index, dtype=str)
    leak[part == "test"] = leaks(ordered[part == "test"], ordered[part != "test"])
    return pd.DataFrame({"part": part, "leak": leak}).loc[rows.index]


def _test_rows(
    ordered: pd.DataFrame, unit: "pd.Series[Any]", params: SplitParams, random: np.random.Generator
) -> NDArray[np.bool_]:
    if params.by == "published":
        if not {"train", "test"} <= set(ordered["split"]):
            raise UserError("split.by is 'published', but the data set has no published training and test folders")
        _require_all(ordered["split"], "published part")
        return (ordered["split"] == "test").to_numpy()
    if params.by == "fraction":
        return _carve(ordered["label"], unit, params.test, random).to_numpy()
    if params.by == "folds":
        known = sorted(set(ordered["fold"]) - {""}, key=lambda fold: (len(fold), fold)) if "fold" in ordered else []
        if str(params.fold) not in known:
            has = f"the folds {', '.join(known)}" if known else "no folds"
            raise UserError(f"split.fold is {params.fold}, but the data set's source has {has}")
        _require_all(ordered["fold"], "fold")
        return (ordered["fold"] == str(params.fold)).to_numpy()
    assert params.folds is not None
    assert isinstance(params.fold, int)
    folds = StratifiedGroupKFold(params.folds, shuffle=True, random_state=params.seed)
    try:
        parts = list(folds.split(ordered, ordered["label"], unit))
    except ValueError as error:
        raise UserError(f"the data cannot be split into {params.folds} folds: {error}") from None
    return np.isin(np.arange(len(ordered)), parts[params.fold][1])


def _carve(
    labels: "pd.Series[Any]", units: "pd.Series[Any]", share: float, random: np.random.Generator
) -> "pd.Series[bool]":
    """Choose whole units that make up `share` of each class as nearly as they can; a row mask."""
    table = pd.DataFrame({"label": labels, "unit": units})
    # A unit with images of several classes counts for its most frequent one.
    counts = table.value_counts(["unit", "label"], sort=False).unstack(fill_value=0)
    counts = counts.loc[table["unit"].drop_duplicates()]
    sizes = pd.DataFrame({"size": counts.sum(axis=1), "label": counts.idxmax(axis=1)})
    chosen: list[Any] = []
    for _, members in sizes.groupby("label", sort=True):
        # Large groups first, or a late one would overshoot; equal sizes in random order.
        shuffled = members.iloc[random.permutation(len(members))].sort_values("size", ascending=False, kind="stable")
        taken = 0
        # Walk evenly through the sizes, so that the carved part has groups of all sizes.
        for count, (name, size) in enumerate(shuffled["size"].items(), start=1):
            due = share * shuffled["size"].iloc[:count].sum()
            if taken + size / 2 <= due:
                chosen.append(name)
                taken += size
    return units.isin(chosen)


def _require_all(values: "pd.Series[str]", what: str) -> None:
    """Rows of which nothing is said would silently become training rows."""
    lacking = int((values == "").sum())
    if lacking:
        raise UserError(
            f"{lacking} of {len(values)} images have no {what}: leave them out of the data set, or split by fraction"
        )


def _require_classes(labels: "pd.Series[Any]", part: "pd.Series[str]") -> None:
    for name in PARTS:
        missing = sorted(set(labels) - set(labels[part == name]))
        if missing:
            raise UserError(
                f"the {name} part has no image of {', '.join(missing)}: change the shares of the split, or the seed; "
                "a class that is one group of copies or of one patient cannot stand on two sides"
            )


def summary(rows: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Any]:
    """Count rows, classes, groups and patients by part, what leaks, and the groups on more than one side."""
    result: dict[str, Any] = {}
    for name in PARTS:
        members = rows[rows["part"] == name]
        patients = members.loc[members["patient"] != "", "patient"]
        result[name] = {
            "images": len(members),
            "pictures": int(members["copies"].nunique()),
            "groups": int(members["group"].nunique()),
            "patients": int(patients.nunique()),
            "classes": {label: int((members["label"] == label).sum()) for label in classes},
        }
    test = rows[rows["part"] == "test"]
    result["leaked"] = {kind: int((test["leak"] == kind).sum()) for kind in LEAKS}
    result["clean"] = int((test["leak"] == "").sum())
    # Between training and validation there must be none unless images are split one by one; with a published
    # test folder the test side is as it was published.
    sides = rows.groupby("group")["part"].agg(set)
    pairs = [(one, other) for k, one in enumerate(PARTS) for other in PARTS[k + 1 :]]
    straddling = {f"{one}-{other}": int(sides.map({one, other}.issubset).sum()) for one, other in pairs}
    result["straddling_groups"] = straddling
    return result


def statistics(images: NDArray[np.uint8], labels: Sequence[str], classes: tuple[str, ...]) -> dict[str, Any]:
    """What is known of the training rows alone: gray levels and how frequent each class is.

    Args:
        images: (N, H, W) uint8, the training images; may be memory-mapped.
        labels: (N,) of them.

    Returns:
        images; mean and std of all pixels (0 to 1); class_weights, the inverse frequency of each class, one
        on average over the rows.
    """
    # Sums of whole numbers: the same for any order and machine.
    total = squares = pixels = 0
    for start in range(0, len(images), 256):
        chunk = images[start : start + 256].astype(np.int64)
        total, squares, pixels = total + int(chunk.sum()), squares + int((chunk**2).sum()), pixels + chunk.size
    mean = total / pixels
    counts = {label: sum(found == label for found in labels) for label in classes}
    return {
        "images": len(images),
        "mean": mean / 255,
        "std": (squares / pixels - mean**2) ** 0.5 / 255,
        "class_weights": {label: len(images) / (len(classes) * counts[label]) for label in classes},
    }
