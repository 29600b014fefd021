"""Measure on tumor masks of the user's own how well the heat maps of a recipe's model localize tumors."""

import logging
from pathlib import Path

import numpy as np

from brain_tumor.attribution.cases import ExplainParams, sample_rows, select_test_rows
from brain_tumor.attribution.explained_model import ExplainedModel, MapCache
from brain_tumor.attribution.measure import explain_true_classes, measure_localization
from brain_tumor.attribution.tables import summarize_table
from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.models.classifier import load_model
from brain_tumor.models.samples import read_split
from brain_tumor.studies.tumor_masks import TumorMasks

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write metrics/<recipe>/localization.csv, with the columns of explain.csv, and its summary."""
    params = read_params(PARAMS, f"recipes.{name}.explain", ExplainParams)
    model, config, device = load_model(Path("models") / name)
    folder = Path(f"data/enhanced/{name}")
    images = np.load(folder / "images.npy", mmap_mode="r")
    tumors = TumorMasks.read(Path(f"data/masks/{name}.npz"))
    rows = read_split(folder, Path(f"data/split/{name}.csv"), "train", "test")
    rows = rows[rows["row"].isin(tumors.rows)]
    train, test = (rows[rows["part"] == part].reset_index(drop=True) for part in ("train", "test"))
    if train.empty or test.empty:
        raise UserError(f"{name}: {len(train)} training and {len(test)} test images have a mask: both are needed")
    sample = sample_rows(select_test_rows(test), params.num_images_measured, params.seed)
    cache = MapCache(ExplainedModel(model, config, params, device), images)
    maps = {method: result.maps for method, result in explain_true_classes(cache, sample).items()}
    mean_mask = tumors.of_rows(train["row"].tolist()).mean(0, dtype=np.float64).astype(np.float32)
    table = measure_localization(cache, sample, maps, tumors.of_rows(sample["row"].tolist()), mean_mask)
    counts = {"model": {"test_images_with_mask": len(test), "training_images_with_mask": len(train)}}
    with atomic_outputs(f"metrics/{name}/localization.csv", f"metrics/{name}/localization.json") as (path, summary):
        write_csv(path, table.round(4))
        write_json(summary, summarize_table(table, counts), digits=4)
    log.info("%s: measured on %d of %d test images with a mask", name, len(sample), len(test))


if __name__ == "__main__":
    run_stage(main, "recipe")
