"""The rows of a recipe's split, and their images, classes and metadata as tensors."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from brain_tumor.core.tables import class_indices, read_table
from brain_tumor.core.types import Gray
from brain_tumor.models.clinical_features import Column, encode_columns


class Samples(NamedTuple):
    """Images (N, H, W) uint8, or their features (N, ...) float32; class indices (N,) int64; metadata (N, M)."""

    images: Tensor
    targets: Tensor
    metadata: Tensor


def read_split(enhanced: Path, split: Path, *parts: str) -> pd.DataFrame:
    """Read the rows of some parts of a recipe's split, with their group and leak type.

    Args:
        enhanced: folder with `rows.csv`, whose column `row` is the index into images.npy.
        split: CSV table of the split.
        parts: `train`, `validation`, `conformal` or `test`.
    """
    index, assignment = (read_table(path, numbers=("row",)) for path in (enhanced / "rows.csv", split))
    # The split has patient and fold with what the audit knows of them, the index only what the source says.
    known = [column for column in assignment if column in index and column != "row"]
    rows = index.drop(columns=known).merge(assignment, on="row", validate="1:1")
    return rows[rows["part"].isin(parts)].reset_index(drop=True)


def load_samples(images: Gray, rows: pd.DataFrame, classes: Sequence[str], metadata: Sequence[Column] = ()) -> Samples:
    """Load the tensors of some rows out of all images (N, H, W), which may be memory-mapped."""
    targets = torch.from_numpy(class_indices(rows["label"], classes))
    return Samples(torch.from_numpy(images[rows["row"].to_numpy()]), targets, encode_columns(rows, metadata))


def fingerprint_samples(*sets: Samples) -> str:
    """Compute the SHA-256 of all pixels, classes and metadata."""
    digest = hashlib.sha256()
    for samples in sets:
        for values in samples:
            digest.update(values.numpy().tobytes())
    return digest.hexdigest()
