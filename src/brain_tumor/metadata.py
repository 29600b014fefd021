"""Clinical metadata of an image (age, sex, site) as numbers beside its features."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from brain_tumor.errors import UserError
from brain_tumor.params import Block

Name = Literal["age", "sex", "site", "plane"]


class Column(Block):
    """One column, as the training rows showed it.

    Numbers are shifted and scaled by `mean` and `sd`; without them the column holds one of `values`. Either
    way a last number tells whether nothing usable is known: an empty cell, or a value that training never saw.
    """

    name: str
    mean: float | None = None
    sd: float | None = None
    values: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """How many numbers stand for the column."""
        return 1 + (len(self.values) if self.mean is None else 1)

    def encode(self, cells: Sequence[str]) -> Tensor:
        """(N, width) numbers for N cells."""
        if self.mean is None or self.sd is None:
            known = torch.tensor([[cell == value for value in self.values] for cell in cells], dtype=torch.float32)
            return torch.cat([known, 1 - known.sum(1, keepdim=True)], 1)
        numbers = pd.to_numeric(pd.Series(cells, dtype=str), errors="coerce").to_numpy(np.float32)
        missing = ~np.isfinite(numbers)
        scaled = np.where(missing, 0.0, (numbers - self.mean) / self.sd)
        return torch.from_numpy(np.stack([scaled, missing], 1).astype(np.float32))


def learn(rows: pd.DataFrame, names: Sequence[str]) -> tuple[Column, ...]:
    """Describe the columns by the training rows: as numbers where all that is known are numbers.

    Raises:
        UserError: a column that the rows do not have, or that is empty in all of them.
    """
    found = []
    for name in names:
        if name not in rows:
            raise UserError(f"train.metadata names {name}, which the data set does not have (its index.csv is without)")
        cells = rows.loc[rows[name] != "", name]
        if cells.empty:
            raise UserError(f"train.metadata names {name}, which is empty for all training images")
        numbers = pd.to_numeric(cells, errors="coerce")
        if np.isfinite(numbers).all():
            sd = float(numbers.std(ddof=0)) or 1.0
            found.append(Column(name=name, mean=float(numbers.mean()), sd=sd))
        else:
            found.append(Column(name=name, values=tuple(sorted(set(cells)))))
    return tuple(found)


def encode(rows: pd.DataFrame, columns: Sequence[Column]) -> Tensor:
    """(N, M) numbers of all columns, M = 0 without any; a column that the rows lack counts as missing."""
    nothing = pd.Series("", rows.index, dtype=str)
    parts = [column.encode(rows.get(column.name, nothing).tolist()) for column in columns]
    return torch.cat([torch.zeros(len(rows), 0), *parts], 1)


class Beside(nn.Module):
    """Clinical metadata beside the image's features before the head: a layer of their own, added to the logits.

    That is the same as one layer over both. Without columns the logits pass as they are.
    """

    unknown: Tensor

    def __init__(self, columns: Sequence[Column], num_logits: int) -> None:
        super().__init__()
        self.register_buffer("unknown", encode(pd.DataFrame(index=[0]), columns), persistent=False)
        width = self.unknown.shape[1]
        self.weight = nn.Parameter(torch.zeros(num_logits, width)) if width else None

    def forward(self, logits: Tensor, metadata: Tensor | None) -> Tensor:
        """Add what (N, M) metadata say; without any, all of them count as missing."""
        if self.weight is None:
            return logits
        return logits + nn.functional.linear(self.unknown if metadata is None else metadata, self.weight)
