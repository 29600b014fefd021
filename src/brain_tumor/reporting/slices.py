"""Test images on the pages: with the outline of the tumor, their heat maps, and a caption."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from brain_tumor.core.tables import read_table
from brain_tumor.core.types import Gray, Maps
from brain_tumor.plotting.contact_sheets import join_views
from brain_tumor.plotting.leakage import LEAK_STYLES
from brain_tumor.reporting.images import encode_webp

CORRECT, INCORRECT = "correct", "incorrect"


class Slice(NamedTuple):
    """A test image on a page.

    Attributes:
        picture: WebP data URI.
        alt: what the picture shows, for those who do not see it.
        title: predicted and true class.
        path: of the image in its data set.
        note: further facts.
        is_wrong: whether the prediction is wrong.
        is_outlined: whether the picture has the outline of the tumor.
    """

    picture: str
    alt: str
    title: str
    path: str
    note: str
    is_wrong: bool
    is_outlined: bool


class TestImages(NamedTuple):
    """The preprocessed images of a recipe.

    Attributes:
        images: (N, S, S) of all rows.
        masks: (N, S, S) of the tumors, None without masks.
        paths: (N,) in the data set.
    """

    images: Gray
    masks: Gray | None
    paths: Sequence[str]

    @classmethod
    def open(cls, folder: Path) -> "TestImages":
        """Open data/enhanced/<recipe>."""
        masks = folder / "masks.npy"
        return cls(
            np.load(folder / "images.npy", mmap_mode="r"),
            np.load(masks, mmap_mode="r") if masks.exists() else None,
            read_table(folder / "rows.csv")["path"].tolist(),
        )

    def show(
        self, row: int, label: str, predicted: str, probability: float, note: str, heats: Mapping[str, Maps]
    ) -> Slice:
        """Make the picture and the texts of a row.

        Args:
            note: further facts for the caption.
            heats: (S, S) heat maps, 0 to 1, by method.
        """
        mask = None if self.masks is None or not self.masks[row].any() else np.asarray(self.masks[row])
        title = f"{predicted} {probability:.1%}, true: {label}"
        outline = " with the outline of the tumor" if mask is not None else ""
        maps = f"; beside it the heat map of {', '.join(heats)} for {predicted}" if heats else ""
        return Slice(
            picture=encode_webp(join_views(np.asarray(self.images[row]), mask, list(heats.values()))),
            alt=f"Test image {self.paths[row]}{outline}{maps}. Predicted: {title}.",
            title=title,
            path=self.paths[row],
            note=note,
            is_wrong=predicted != label,
            is_outlined=mask is not None,
        )


def show_mistakes(images: TestImages, predictions: pd.DataFrame, classes: Sequence[str], count: int) -> list[Slice]:
    """Show the most confident wrong predictions.

    Args:
        predictions: row, label, predicted, leak, and p_<class> of each test image.
        count: at most so many.
    """
    table = predictions[predictions["predicted"] != predictions["label"]]
    confidence = table[[f"p_{label}" for label in classes]].max(axis=1)
    table = table.assign(confidence=confidence).sort_values("confidence", ascending=False, kind="stable").head(count)
    return [
        images.show(
            int(case["row"]),
            str(case["label"]),
            str(case["predicted"]),
            float(case["confidence"]),
            LEAK_STYLES[case["leak"]][0] if case["leak"] else "",
            {},
        )
        for _, case in table.iterrows()
    ]


def show_cases(
    images: TestImages, cases: pd.DataFrame, maps: Mapping[str, Maps], methods: Sequence[str]
) -> list[Slice]:
    """Show cases beside their heat maps for the predicted class.

    Args:
        cases: row, label, predicted, kind, p.
        maps: (number of cases, S, S) by method.
        methods: those to show.
    """
    return [
        images.show(
            int(case["row"]),
            str(case["label"]),
            str(case["predicted"]),
            float(case["p"]),
            str(case["kind"]),
            {method: maps[method][number] for method in methods},
        )
        for number, (_, case) in enumerate(cases.iterrows())
    ]


def choose_examples(cases: pd.DataFrame) -> list[int]:
    """Return the positions of the first correct and the first incorrect case of each class, class by class."""
    chosen = cases.reset_index(drop=True)
    chosen = chosen[chosen["kind"].isin((CORRECT, INCORRECT))].drop_duplicates(["label", "kind"])
    return chosen.index.tolist()
