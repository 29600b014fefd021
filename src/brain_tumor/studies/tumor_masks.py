"""Tumor masks of the user's own, brought to the size of a recipe's preprocessed images."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from brain_tumor.core.params import Block
from brain_tumor.core.types import Ints, Masks
from brain_tumor.datasets.masks import add_masks
from brain_tumor.datasets.raw_archive import RawArchive, RawImage
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.preprocessing.operations import Operation, preprocess


class MaskedRecipe(Block):
    """A recipe whose heat maps are measured on masks that its data set does not have.

    Attributes:
        name: key in `recipes`.
        dataset: the recipe's data set, repeated because DVC cannot resolve it from the recipe.
        masks: file name of a zip archive of masks, as in `datasets.<name>.source.masks`.
    """

    name: str
    dataset: str
    masks: str


class LocalizationParams(Block):
    """`localization`: heat maps compared with tumor masks from an archive of the user's own.

    Attributes:
        recipes: the recipes whose models are explained.
    """

    recipes: tuple[MaskedRecipe, ...]


class TumorMasks(NamedTuple):
    """Masks of preprocessed images.

    Attributes:
        rows: (n,) numbers of the images that have a mask.
        masks: (n, S, S) whether a pixel lies in the tumor.
    """

    rows: Ints
    masks: Masks

    def save(self, path: Path) -> None:
        """Write an .npz file: rows, size S, and the masks packed into bits."""
        with path.open("wb") as file:
            np.savez(file, rows=self.rows, masks=np.packbits(self.masks, axis=-1), size=self.masks.shape[-1])

    @classmethod
    def read(cls, path: Path) -> "TumorMasks":
        """Read a file that `save` wrote."""
        with np.load(path) as stored:
            masks = np.unpackbits(stored["masks"], axis=-1, count=int(stored["size"])).astype(bool)
            return cls(stored["rows"], masks)

    def of_rows(self, rows: Sequence[int]) -> Masks:
        """Return the masks (N, S, S) of rows that all have one."""
        position = {row: index for index, row in enumerate(self.rows.tolist())}
        return self.masks[[position[row] for row in rows]]


def preprocess_masks(
    rows: pd.DataFrame, raw: RawArchive, archive: str, operations: tuple[Operation, ...]
) -> TumorMasks:
    """Preprocess the masks of an archive together with their images.

    Args:
        rows: row and path of the recipe's images.
        raw: the raw archive of its data set.
        archive: file name of the zip archive of masks, see `datasets.masks`.
        operations: operations of the recipe.

    Raises:
        UserError: see `datasets.masks.add_masks`.
    """

    def read_images() -> Iterator[RawImage]:
        for path in rows["path"]:
            yield RawImage(path, raw.read(path), "")

    numbers, masks = [], []
    for row, image in zip(rows["row"], add_masks(read_images(), archive), strict=True):
        if image.mask is not None:
            result = preprocess(decode_gray(image.content), operations, decode_gray(image.mask))
            assert result.mask is not None
            numbers.append(int(row))
            masks.append(result.mask > 127)
    return TumorMasks(np.array(numbers, np.int64), np.stack(masks))
