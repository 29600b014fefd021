"""Reading the rows of a split, and their tensors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from brain_tumor.models.samples import fingerprint_samples, load_samples, read_split


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    table = pd.DataFrame(
        {"row": [0, 1, 2], "path": ["a", "b", "c"], "label": ["no", "NA", "no"], "age": ["40", "", "7"]}
    )
    table.to_csv(tmp_path / "rows.csv", index=False)
    parts = pd.DataFrame(
        {"row": [2, 1, 0], "part": ["train", "validation", "test"], "group": ["1", "2", "3"], "leak": ""}
    )
    parts.to_csv(tmp_path / "split.csv", index=False)
    return read_split(tmp_path, tmp_path / "split.csv", "train", "test")


def test_read_split_selects_parts_and_keeps_text(rows: pd.DataFrame) -> None:
    assert rows["row"].tolist() == [0, 2]
    assert rows["part"].tolist() == ["test", "train"]
    assert rows[["label", "age", "group", "leak"]].to_numpy().tolist() == [["no", "40", "3", ""], ["no", "7", "1", ""]]


def test_load_samples_takes_images_by_row_and_classes_by_name(rows: pd.DataFrame) -> None:
    images = np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2)
    samples = load_samples(images, rows, ("NA", "no"))
    assert samples.images.tolist() == images[[0, 2]].tolist()
    assert samples.targets.tolist() == [1, 1]
    assert samples.metadata.shape == (2, 0)
    changed = samples._replace(targets=torch.tensor([0, 1]))
    assert fingerprint_samples(samples) != fingerprint_samples(changed)
