"""The committed lists and their metadata: in step with the audits, and valid."""

import json
import logging
from pathlib import Path
from typing import Any

import mlcroissant
import pandas as pd
import pytest

from brain_tumor.core.params import read_params
from brain_tumor.datasets.registry import DatasetInfo
from brain_tumor.studies.image_lists import COLUMNS, NUM_FOLDS
from make_croissant import COLUMN_TEXTS, describe_list
from project import ROOT

LISTS = sorted((ROOT / "lists").glob("*.csv"))


@pytest.fixture(params=LISTS, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_lists_of_the_audited_data_sets_are_there() -> None:
    assert {"nickparvar", "navoneel"} <= {file.stem for file in LISTS}


def test_list_is_in_step_with_the_audit(file: Path) -> None:
    images = pd.read_csv(file, dtype=str, keep_default_na=False)
    audit = json.loads((ROOT / f"metrics/{file.stem}/audit.json").read_text())
    assert list(images) == list(COLUMNS)
    expected = {key: audit[key] for key in ("images", "unique_images", "groups", "series", "distinct_files")}
    assert expected == {
        "images": len(images),
        "unique_images": images["duplicate_id"].nunique(),
        "groups": images["group"].nunique(),
        "series": images.loc[images["series"] != "", "series"].nunique(),
        "distinct_files": images["sha256"].nunique(),
    }
    usable = images[images["fold"] != ""]
    assert set(usable["fold"]) == {str(number) for number in range(NUM_FOLDS)}
    assert (usable.groupby("group")["fold"].nunique() == 1).all()
    assert (usable.groupby("fold")["label"].nunique() == images["label"].nunique()).all()


def test_metadata_is_that_of_the_list(file: Path) -> None:
    info = read_params(ROOT / "params.yaml", f"datasets.{file.stem}.info", DatasetInfo)
    assert file.with_suffix(".json").read_text(encoding="utf-8") == describe_list(file, info), "run make_croissant.py"
    assert set(COLUMN_TEXTS) == set(COLUMNS)


def test_metadata_is_valid_and_describes_every_row(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(jsonld=str(file.with_suffix(".json")))
    assert caplog.text == ""
    images = pd.read_csv(file, dtype=str, keep_default_na=False)
    records: list[dict[str, Any]] = list(dataset.records("images"))
    assert len(records) == len(images)
    assert [record["images/sha256"].decode() for record in records] == images["sha256"].tolist()
