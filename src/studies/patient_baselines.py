"""Fit the baselines of a recipe on each fold of the cross-validation by patients."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv
from brain_tumor.core.params import read_params
from brain_tumor.datasets.raw_archive import RawArchive
from brain_tumor.evaluation.baselines import extract_features, file_metadata_features, tabulate_baselines
from brain_tumor.models.samples import read_split
from brain_tumor.splits.split import PARTS
from brain_tumor.studies.params import PatientsParams
from brain_tumor.studies.retrain import assign_patient_fold

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write each baseline's probabilities for all rows, each predicted on the fold that it is tested in."""
    params = read_params(PARAMS, "patients", PatientsParams)
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    folder = Path(f"data/enhanced/{name}")
    rows = read_split(folder, Path(f"data/split/{name}.csv"), *PARTS)
    images = np.load(folder / "images.npy", mmap_mode="r")[rows["row"].to_numpy()]
    with RawArchive(f"data/raw/{dataset}.zip") as raw:
        file_features = np.array([file_metadata_features(raw.read(path)) for path in rows["path"]])
    features = extract_features(images, file_features)
    tables = []
    for fold in params.folds:
        log.info("%s, fold %s", name, fold)
        tables.append(tabulate_baselines(features, assign_patient_fold(rows, params, str(fold)), classes))
    with atomic_outputs(f"data/patients/{name}-baselines.csv") as (path,):
        write_csv(path, pd.concat(tables))


if __name__ == "__main__":
    run_stage(main, "recipe")
