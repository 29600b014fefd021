"""Trace the images of a data set to the slices of a reference set that has patients."""

import argparse
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor.audit.audit import audit_images
from brain_tumor.core.cli import PARAMS, run_cli
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.core.params import read_params
from brain_tumor.datasets.raw_archive import RawArchive
from brain_tumor.studies.provenance import make_patients, trace_images, transfer_masks, write_masks
from brain_tumor.studies.shared_images import MultiArchiveReader, read_joint_index

log = logging.getLogger(__name__)
RAW = Path("data/raw")


def main() -> None:
    """Write the table of patients, its evidence, and the reference's masks in the geometry of the images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="data set of params.yaml whose images are traced")
    parser.add_argument("reference", help="data set of params.yaml with patients")
    args = parser.parse_args()
    table, links = audit_images(read_joint_index(RAW, [args.name, args.reference]), MultiArchiveReader(RAW), "trace")
    if not (table.loc[table["dataset"] == args.reference, "patient"] != "").all():
        raise UserError(f"{args.reference} has images without a patient: it cannot be a reference")
    evidence = trace_images(table, links, args.name, args.reference)
    title = read_params(PARAMS, f"datasets.{args.reference}.info.title", str)
    patients = make_patients(evidence, table, title)
    own = table.loc[table["dataset"] == args.name]
    counts: dict[str, Any] = {"images": len(own), "traced": len(evidence), "patients": patients["patient"].nunique()}
    counts["slices"] = int(evidence["reference"].nunique())
    counts["traced_by_class"] = own[own["path"].isin(evidence["path"])]["label"].value_counts().sort_index().to_dict()
    counts["lowest_correlation"] = evidence["correlation"].min()
    masks = read_mask_names(args.reference)
    outs = [f"data/provenance/{args.name}{end}" for end in (".csv", "-evidence.csv", "-masks.zip")]
    with atomic_outputs(*outs, f"metrics/{args.name}/provenance.json") as (
        table_path,
        evidence_path,
        zip_path,
        metrics,
    ):
        write_csv(table_path, patients)
        write_csv(evidence_path, evidence)
        counts |= write_masks(zip_path, transfer_masks(evidence, masks, MultiArchiveReader(RAW)))
        write_json(metrics, counts)
    message = "%s: %d of %d images traced to %d slices of %d patients; %d masks"
    log.info(message, args.name, *(counts[key] for key in ("traced", "images", "slices", "patients", "masks")))


def read_mask_names(reference: str) -> "pd.Series[str]":
    """Return the member of the mask by path of each slice, both with the name of the data set in front."""
    with RawArchive(RAW / f"{reference}.zip") as raw:
        index = raw.index
    names = (f"{reference}/" + index["mask"]).where(index["mask"] != "", "")
    return names.set_axis(f"{reference}/" + index["path"])


if __name__ == "__main__":
    run_cli(main)
