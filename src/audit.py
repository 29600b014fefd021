"""Find near-duplicates, groups, label conflicts and unusable files in a data set."""

from pathlib import Path
from typing import Any

from brain_tumor.audit.audit import audit_images
from brain_tumor.audit.patients import add_patients, read_patients
from brain_tumor.audit.summary import log_summary, summarize_audit
from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.datasets.raw_archive import ArchiveReader, RawArchive


def main(name: str) -> None:
    """Write the table of images, the links between them, and the counts."""
    path = f"data/raw/{name}.zip"
    if not Path(path).exists():
        datasets = read_params(PARAMS, "datasets", dict[str, Any])
        if name not in datasets:
            raise UserError(f"{PARAMS} has no data set {name} (data sets: {', '.join(datasets)})")
        raise UserError(f"{path} is missing: run dvc repro stages/dvc.yaml:download@{name} first")
    with RawArchive(path) as raw:
        index = add_patients(raw.index, read_patients(read_params(PARAMS, f"datasets.{name}.patients", str)))
    table, links = audit_images(index, ArchiveReader(path), f"audit {name}")
    counts = summarize_audit(table, links)
    log_summary(name, table, counts)
    outs = (f"data/audit/{name}.csv", f"data/audit/{name}-links.csv", f"metrics/{name}/audit.json")
    with atomic_outputs(*outs) as (table_path, links_path, counts_path):
        write_csv(table_path, table)
        write_csv(links_path, links)
        write_json(counts_path, counts)


if __name__ == "__main__":
    run_stage(main, "data set")
