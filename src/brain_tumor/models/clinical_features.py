"""Clinical metadata of an image (age, sex, site, plane) as numeric features of the classifier."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block

ColumnName = Literal["age", "sex", "site", "plane"]


class Column(Block):
    """Encoding of one column, fitted on the training rows.

    A numeric column is standardized by `mean` and `sd`; any other column is one-hot encoded over `values`. The last
    feature marks a missing value: an empty cell, or one that is not a number or did not occur in training.
    """

    name: str
    mean: float | None = None
    sd: float | None = None
    values: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of features."""
        return 1 + (len(self.values) if self.mean is None else 1)

    def encode(self, cells: Sequence[str]) -> Tensor:
        """Encode N cells as (N, width) features."""
        if self.mean is None or self.sd is None:
            one_hot = torch.tensor([[cell == value for value in self.values] for cell in cells], dtype=torch.float32)
            return torch.cat([one_hot, 1 - one_hot.sum(1, keepdim=True)], 1)
        numbers = pd.to_numeric(pd.Series(cells, dtype=str), errors="coerce").to_numpy(np.float32)
        missing = ~np.isfinite(numbers)
        scaled = np.where(missing, 0.0, (numbers - self.mean) / self.sd)
        return torch.from_numpy(np.stack([scaled, missing], 1).astype(np.float32))


def fit_columns(rows: pd.DataFrame, names: Sequence[str]) -> tuple[Column, ...]:
    """Fit the encoding of each column on the training rows: numeric if all its values are finite numbers.

    Raises:
        UserError: a column that the rows do not have, or that is empty in all of them.
    """
    columns = []
    for name in names:
        if name not in rows:
            raise UserError(f"train.metadata names {name}, a column that index.csv of the data set does not have")
        cells = rows.loc[rows[name] != "", name]
        if cells.empty:
            raise UserError(f"train.metadata names {name}, which is empty for all training images")
        numbers = pd.to_numeric(cells, errors="coerce")
        if np.isfinite(numbers).all():
            sd = float(numbers.std(ddof=0)) or 1.0
            columns.append(Column(name=name, mean=float(numbers.mean()), sd=sd))
        else:
            columns.append(Column(name=name, values=tuple(sorted(set(cells)))))
    return tuple(columns)


def encode_columns(rows: pd.DataFrame, columns: Sequence[Column]) -> Tensor:
    """Encode all columns of N rows as (N, M) features, M = 0 without columns; a column that is absent is missing."""
    empty = pd.Series("", rows.index, dtype=str)
    features = [column.encode(rows.get(column.name, empty).tolist()) for column in columns]
    return torch.cat([torch.zeros(len(rows), 0), *features], 1)


class ClinicalFeatureHead(nn.Module):
    """Linear layer over clinical features, whose output is added to the logits of the image.

    That equals one linear layer over the features of both. Without columns the logits pass unchanged.
    """

    unknown: Tensor

    def __init__(self, columns: Sequence[Column], num_logits: int) -> None:
        super().__init__()
        self.register_buffer("unknown", encode_columns(pd.DataFrame(index=[0]), columns), persistent=False)
        width = self.unknown.shape[1]
        self.weight = nn.Parameter(torch.zeros(num_logits, width)) if width else None

    def forward(self, logits: Tensor, metadata: Tensor | None) -> Tensor:
        """Add the contribution of (N, M) metadata to (N, logits); None means that all of it is missing."""
        if self.weight is None:
            return logits
        return logits + nn.functional.linear(self.unknown if metadata is None else metadata, self.weight)
