"""Find the images that data sets share."""

import argparse
from pathlib import Path
from typing import Any

from brain_tumor.audit.audit import audit_images
from brain_tumor.core.cli import PARAMS, run_cli
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.studies.shared_images import (
    MultiArchiveReader,
    add_relations,
    count_shared_images,
    log_shared_images,
    read_joint_index,
    select_links_across,
)

RAW = Path("data/raw")
COLUMNS = ["dataset", "path", "label", "split", "sha256", "pixels", "duplicate_id", "group"]
COLUMNS += ["duplicate_in", "same_group_in"]


def main() -> None:
    """Audit data sets as if they were one, and count the images that they share."""
    names = _read_names()
    table, links = audit_images(read_joint_index(RAW, names), MultiArchiveReader(RAW), "overlap")
    table = add_relations(table)
    shared = count_shared_images(table, names)
    with atomic_outputs("data/overlap", "metrics/overlap/shared.json") as (folder, counts_path):
        folder.mkdir()
        write_csv(folder / "images.csv", table[COLUMNS])
        write_csv(folder / "links.csv", select_links_across(table, links))
        write_json(counts_path, shared)
    log_shared_images(shared)


def _read_names() -> list[str]:
    """Return the data sets that the command line names, all of them by default, after checking that they exist."""
    datasets = list(read_params(PARAMS, "datasets", dict[str, Any]))
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help="data sets of params.yaml; default: all of them")
    names: list[str] = parser.parse_args().names or datasets
    if unknown := [name for name in names if name not in datasets]:
        raise UserError(f"{PARAMS} has no data set {unknown[0]} (data sets: {', '.join(datasets)})")
    if missing := [name for name in names if not (RAW / f"{name}.zip").exists()]:
        raise UserError(
            f"{', '.join(missing)}: not in {RAW}; dvc repro stages/dvc.yaml:download@{missing[0]} downloads it"
        )
    return names


if __name__ == "__main__":
    run_cli(main)
