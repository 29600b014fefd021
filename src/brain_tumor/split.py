"""Training, validation and test rows: whole groups, stratified, the same for any order or names of files."""

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from brain_tumor.errors import UserError
from brain_tumor.params import Block

PARTS = ("train", "validation", "test")


class SplitParams(Block):
    """`recipes.<name>.split`.

    `published`: the source's own training and test folders; `fraction`: `test` of each class. In both,
    `validation` of each class is carved from what is left (as a share of the whole with `fraction`, of the
    training folder with `published`). `unit: image` splits by image, as published protocols do; the leaked
    test images are marked either way.
    """

    by: Literal["published", "fraction"]
    unit: Literal["group", "image"] = "group"
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0
    seed: int

    @model_validator(mode="after")
    def _consistent(self) -> "SplitParams":
        if self.by == "published" and self.test:
            raise ValueError("`test` is a share of the data and does not go with by: published")
        if self.by == "fraction" and not 0 < self.test < 1 - self.validation:
            raise ValueError("by: fraction needs a `test` share that leaves something to train on")
        return self


def split(rows: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """Assign each row to a part.

    Args:
        rows: with columns sha256, label, split ('train', 'test' or '') and group, in any order.

    Returns:
        Columns part and leaked, in the order of `rows`; leaked marks test rows whose group is also in
        training or validation.

    Raises:
        UserError: `published` without published folders, or a class that a part has none of.
    """
    # Rows are handled in the order of their contents: neither listing order nor names matter.
    ordered = rows.sort_values(["sha256", "path"])
    unit = ordered["group"] if params.unit == "group" else pd.Series(np.arange(len(ordered)), ordered.index)
    part = pd.Series("train", ordered.index)
    random = np.random.default_rng(params.seed)
    if params.by == "published":
        if not {"train", "test"} <= set(ordered["split"]):
            raise UserError("split.by is 'published', but the data set has no published training and test folders")
        part[ordered["split"] == "test"] = "test"
        share = params.validation
    else:
        part[_carve(ordered["label"], unit, params.test, random)] = "test"
        share = params.validation / (1 - params.test)
    rest = part == "train"
    carved = _carve(ordered["label"][rest], unit[rest], share, random)
    part.loc[carved[carved].index] = "validation"
    _require_classes(ordered["label"], part)
    learned = set(ordered["group"][part != "test"])
    leaked = (part == "test") & ordered["group"].isin(learned)
    return pd.DataFrame({"part": part, "leaked": leaked}).loc[rows.index]


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


def _require_classes(labels: "pd.Series[Any]", part: "pd.Series[str]") -> None:
    for name in PARTS:
        missing = sorted(set(labels) - set(labels[part == name]))
        if missing:
            raise UserError(f"the {name} part has no image of {', '.join(missing)}: change the shares of the split")


def summary(rows: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Any]:
    """Count rows, classes and groups by part, the leaked test rows, and the groups on more than one side."""
    result: dict[str, Any] = {}
    for name in PARTS:
        members = rows[rows["part"] == name]
        patients = members.loc[members["patient"] != "", "patient"]
        result[name] = {
            "images": len(members),
            "groups": int(members["group"].nunique()),
            "patients": int(patients.nunique()),
            "classes": {label: int((members["label"] == label).sum()) for label in classes},
        }
    test = rows[rows["part"] == "test"]
    result["leaked"] = int(test["leaked"].sum())
    result["clean"] = int((~test["leaked"]).sum())
    parts = rows.groupby("group")["part"]
    result["straddling_groups"] = int((parts.nunique() > 1).sum())
    return result
