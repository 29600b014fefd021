"""Recall and precision of the audit on synthetic duplicates in a data set whose images are all different."""

import logging
from functools import partial
from pathlib import Path

import pandas as pd

from brain_tumor.audit.inspection import ImageRecord, inspect_image
from brain_tumor.audit.transforms import TRANSFORMS
from brain_tumor.core.cli import run_stage
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.tables import read_table
from brain_tumor.datasets.raw_archive import ArchiveReader
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.parallel import ordered_map
from brain_tumor.studies.synthetic_duplicates import (
    ALTERATIONS,
    choose_originals,
    detect_duplicates,
    detection_rates,
    make_duplicate,
)

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write precision and recall of the detected duplicates, by alteration and by transform."""
    if not Path(f"data/audit/{name}.csv").exists():
        raise UserError(f"{name} has not been audited: run dvc repro stages/dvc.yaml:audit@{name} first")
    paths = choose_originals(read_table(f"data/audit/{name}.csv"), read_table(f"data/audit/{name}-links.csv"))
    detections = _measure_detection(ArchiveReader(f"data/raw/{name}.zip"), paths)
    values = {"alteration": list(ALTERATIONS), "transform": list(TRANSFORMS)}
    rates = {attribute: detection_rates(detections, attribute, values[attribute]) for attribute in values}
    with atomic_outputs(f"metrics/{name}/planted.json", f"plots/{name}/planted.csv") as (metrics, csv):
        columns = {key: table.set_index("attribute_value")[["precision", "recall"]] for key, table in rates.items()}
        write_json(metrics, {key: table.to_dict("index") for key, table in columns.items()}, digits=4)
        write_csv(csv, pd.concat(rates.values()))
    recall = detections["is_detected"].mean()
    log.info("recall %.3f, precision %.3f", recall, detections["num_correct"].sum() / detections["num_joined"].sum())


def _measure_detection(read: ArchiveReader, paths: list[str]) -> pd.DataFrame:
    """Make a duplicate of each original by each alteration, and detect duplicates, one alteration after the other."""
    originals = list(ordered_map(partial(_inspect_original, read), paths, "originals"))
    tables = []
    # Each alteration begins with another transform, so that an original does not always have the same one.
    for first_index, alteration in enumerate(ALTERATIONS):
        items = [(path, alteration, first_index + n) for n, path in enumerate(paths)]
        title = f"synthetic duplicates: {alteration}"
        duplicates = list(ordered_map(partial(_inspect_duplicate, read), items, title))
        tables.append(detect_duplicates(originals, duplicates, first_index).assign(alteration=alteration))
    return pd.concat(tables)


def _inspect_original(read: ArchiveReader, path: str) -> ImageRecord:
    return inspect_image(read(path))


def _inspect_duplicate(read: ArchiveReader, item: tuple[str, str, int]) -> ImageRecord:
    path, alteration, index = item
    return inspect_image(make_duplicate(decode_gray(read(path)), alteration, index))


if __name__ == "__main__":
    run_stage(main, "data set")
