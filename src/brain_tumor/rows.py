"""The rows of a recipe: which image, which class, which part of the split; and as tensors."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from brain_tumor.metadata import Column, encode


class Rows(NamedTuple):
    """Images (N, H, W) uint8, or what the frozen part made of them; class numbers (N,) int64; metadata (N, M)."""

    images: Tensor
    targets: Tensor
    metadata: Tensor


def read_rows(enhanced: Path, split: Path, *parts: str) -> pd.DataFrame:
    """Read a recipe's rows with their part, group and leak, for the parts asked for.

    Text stays text: a class may be called `no` or `NA`. `row` is the place in images.npy.
    """
    text = {"label": str, "path": str, "split": str, "patient": str, "mask": str, "plane": str, "group": str}
    text |= dict.fromkeys(("leak", "fold", "box", "site", "age", "sex"), str)
    tables = [pd.read_csv(path, dtype=text, keep_default_na=False) for path in (enhanced / "rows.csv", split)]
    rows = tables[0].merge(tables[1], on="row", validate="1:1")
    return rows[rows["part"].isin(parts)].reset_index(drop=True)


def gather(
    images: NDArray[np.uint8], rows: pd.DataFrame, classes: Sequence[str], metadata: Sequence[Column] = ()
) -> Rows:
    """The tensors of some rows, out of all images (N, H, W), which may be memory-mapped."""
    targets = torch.tensor([classes.index(label) for label in rows["label"]], dtype=torch.int64)
    return Rows(torch.from_numpy(images[rows["row"].to_numpy()]), targets, encode(rows, metadata))


def fingerprint(*parts: Rows) -> str:
    """SHA-256 of all pixels, classes and metadata."""
    digest = hashlib.sha256()
    for part in parts:
        for values in part:
            digest.update(values.numpy().tobytes())
    return digest.hexdigest()
