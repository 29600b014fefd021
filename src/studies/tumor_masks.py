"""Preprocess the tumor masks of an archive of the user's own for a recipe."""

import logging
from pathlib import Path

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import read_table
from brain_tumor.datasets.raw_archive import RawArchive
from brain_tumor.preprocessing.operations import PreprocessParams
from brain_tumor.studies.tumor_masks import LocalizationParams, preprocess_masks

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write data/masks/<recipe>.npz: numbers of the images that have a mask, and the masks, packed into bits."""
    (recipe,) = (one for one in read_params(PARAMS, "localization", LocalizationParams).recipes if one.name == name)
    operations = read_params(PARAMS, f"recipes.{name}.preprocess", PreprocessParams).operations
    rows = read_table(Path(f"data/enhanced/{name}/rows.csv"), numbers=("row",))
    with RawArchive(f"data/raw/{recipe.dataset}.zip") as raw:
        tumors = preprocess_masks(rows, raw, recipe.masks, operations)
    with atomic_outputs(f"data/masks/{name}.npz") as (path,):
        tumors.save(path)
    log.info("%s: masks of %d of %d images", name, len(tumors.rows), len(rows))


if __name__ == "__main__":
    run_stage(main, "recipe")
