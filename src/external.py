"""Ask a recipe's model about a data set that it has never seen."""

import argparse
import functools
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from brain_tumor import runtime
from brain_tumor.archive import RawArchive, Reader
from brain_tumor.calibration import to_probabilities
from brain_tumor.classifier import load, predict_logits
from brain_tumor.enhance import Operation, enhance_file
from brain_tumor.errors import UserError
from brain_tumor.external import ExternalParams, translate
from brain_tumor.images import UnreadableImageError
from brain_tumor.metadata import encode
from brain_tumor.outputs import staged, write_csv
from brain_tumor.parallel import ordered_map
from brain_tumor.params import read
from stage import PARAMS, guarded

log = logging.getLogger(__name__)


def main() -> None:
    """Predict the images of a data set that the recipe's own data set has no copy or relative of."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name", help="the recipe of params.yaml whose model is asked")
    parser.add_argument("dataset", help="the data set of params.yaml that it is asked about")
    given = parser.parse_args()
    params = read(PARAMS, "external", ExternalParams)
    device = runtime.start()
    model, card = load(Path("models") / given.name, device)
    table = pd.DataFrame(columns=["path", "group", "label"])
    rows = foreign_rows(given.dataset, card.dataset) if card.dataset != given.dataset else table
    translated = translate(card.classes, rows["label"], params.means) if len(rows) else None
    if translated is None:
        words = "%s on %s: nothing to ask: its own data, or fewer than two classes in common"
        log.info(words, given.name, given.dataset)
    else:
        known = translated.labels.notna()
        rows = rows[known].reset_index(drop=True)
        archive = f"data/raw/{given.dataset}.zip"
        read_image = functools.partial(_enhanced, read_bytes=Reader(archive), operations=card.enhance.operations)
        images = np.stack(list(ordered_map(read_image, list(rows["path"]), f"enhance {given.dataset}")))
        logits = predict_logits(model, torch.from_numpy(images), device, encode(rows, card.metadata)).double()
        probabilities = to_probabilities(logits, card.head, card.calibration.temperature).numpy()
        joined = translated.join(probabilities)
        table = rows[["path", "group"]].assign(label=translated.labels[known].to_numpy())
        for k, label in enumerate(translated.classes):
            table[f"p_{label}"] = joined[:, k].round(6)
        words = "%s on %s: %d images, classes %s; %d more have no class in common"
        log.info(words, given.name, given.dataset, len(rows), ", ".join(translated.classes), (~known).sum())
    with staged(f"data/external/{given.name}-{given.dataset}.csv") as (draft,):
        write_csv(draft, table)


def foreign_rows(dataset: str, trained_on: str) -> pd.DataFrame:
    """The images of a data set that share no group with another one, with what is known of them."""
    with RawArchive(f"data/raw/{dataset}.zip") as raw:
        index = raw.index
    shared = pd.read_csv("data/overlap/images.csv", dtype=str, keep_default_na=False)
    if not {dataset, trained_on} <= set(shared["dataset"]):
        raise UserError(
            f"the overlap of {dataset} and {trained_on} is not known: name both in stages/overlap/dvc.yaml, and run "
            "dvc repro stages/overlap/dvc.yaml"
        )
    shared = shared[shared["dataset"] == dataset]
    related = shared["related_in"].str.split().map(lambda names: trained_on in names)
    shared = shared[~related].assign(path=shared["path"].str.removeprefix(f"{dataset}/"))
    rows = index.merge(shared[["path", "group"]], on="path", validate="1:1")
    log.info("%s: %d of %d images have a copy or a relative in %s", dataset, related.sum(), len(index), trained_on)
    return rows


def _enhanced(path: str, read_bytes: Reader, operations: tuple[Operation, ...]) -> NDArray[np.uint8]:
    try:
        return enhance_file(read_bytes(path), operations).image
    except UnreadableImageError as error:
        raise UserError(f"{path}: {error}: mend or remove it") from None


if __name__ == "__main__":
    guarded(main)
