"""External validation: predict images of another data set than that of the recipe."""

import argparse
import functools
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.core.cli import PARAMS, run_cli
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import probability_columns, read_table
from brain_tumor.core.types import Gray
from brain_tumor.datasets.raw_archive import ArchiveReader, RawArchive
from brain_tumor.imaging.decode import UnreadableImageError, decode_gray
from brain_tumor.models.classifier import load_model
from brain_tumor.models.predict import predict_probabilities
from brain_tumor.parallel import ordered_map
from brain_tumor.preprocessing.operations import Operation, preprocess
from brain_tumor.studies.label_mapping import ExternalParams, map_labels

log = logging.getLogger(__name__)


def main() -> None:
    """Predict the images of a data set that have no duplicate or related image in the recipe's own data set."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name", help="the recipe of params.yaml whose model is evaluated")
    parser.add_argument("dataset", help="the data set of params.yaml that it is evaluated on")
    args = parser.parse_args()
    params = read_params(PARAMS, "external", ExternalParams)
    model, config, device = load_model(Path("models") / args.name)
    table = pd.DataFrame(columns=["path", "group", "label"])
    rows = read_external_rows(args.dataset, config.dataset) if config.dataset != args.dataset else table
    mapping = map_labels(config.classes, rows["label"], params.superclasses) if len(rows) else None
    if mapping is None:
        reason = "the model's own data set, or fewer than two classes in common"
        log.info("%s on %s: not evaluated: %s", args.name, args.dataset, reason)
    else:
        in_common = mapping.labels.notna()
        rows = rows[in_common].reset_index(drop=True)
        reader = ArchiveReader(f"data/raw/{args.dataset}.zip")
        read_image = functools.partial(read_preprocessed, reader=reader, operations=config.preprocess.operations)
        images = np.stack(list(ordered_map(read_image, list(rows["path"]), f"preprocess {args.dataset}")))
        probabilities = predict_probabilities(model, config, images, device, rows).calibrated
        merged = mapping.merge_probabilities(probabilities)
        table = rows[["path", "group"]].assign(label=mapping.labels[in_common].to_numpy())
        table[probability_columns(mapping.classes)] = merged.round(6)
        message = "%s on %s: %d images, classes %s; %d more have no class in common"
        names = ", ".join(mapping.classes)
        log.info(message, args.name, args.dataset, len(rows), names, (~in_common).sum())
    with atomic_outputs(f"data/external/{args.name}-{args.dataset}.csv") as (path,):
        write_csv(path, table)


def read_external_rows(dataset: str, trained_on: str) -> pd.DataFrame:
    """Read the rows of a data set, with their groups, that share no group with the data set of the model.

    Raises:
        UserError: the study of overlaps does not cover both data sets.
    """
    with RawArchive(f"data/raw/{dataset}.zip") as raw:
        index = raw.index
    overlap = read_table("data/overlap/images.csv")
    if not {dataset, trained_on} <= set(overlap["dataset"]):
        raise UserError(
            f"the overlap of {dataset} and {trained_on} has not been computed: name both in stages/overlap/dvc.yaml, "
            "and run dvc repro stages/overlap/dvc.yaml"
        )
    overlap = overlap[overlap["dataset"] == dataset]
    related = overlap["same_group_in"].str.split().map(lambda names: trained_on in names)
    unrelated = overlap[~related].assign(path=overlap["path"].str.removeprefix(f"{dataset}/"))
    rows = index.merge(unrelated[["path", "group"]], on="path", validate="1:1")
    log.info("%s: %d of %d images have a related image in %s", dataset, related.sum(), len(index), trained_on)
    return rows


def read_preprocessed(path: str, reader: ArchiveReader, operations: tuple[Operation, ...]) -> Gray:
    """Read an image of the archive, preprocessed to (S, S)."""
    try:
        return preprocess(decode_gray(reader(path)), operations).image
    except UnreadableImageError as error:
        raise UserError(f"{path}: {error}: repair or remove it") from None


if __name__ == "__main__":
    run_cli(main)
