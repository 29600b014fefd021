"""Preprocess the images of a recipe into one memory-mapped array."""

import functools
import logging

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv
from brain_tumor.core.params import read_params
from brain_tumor.datasets.raw_archive import ArchiveReader, RawArchive
from brain_tumor.imaging.boxes import fill_boxes
from brain_tumor.imaging.decode import UnreadableImageError, decode_gray
from brain_tumor.parallel import ordered_map
from brain_tumor.preprocessing.operations import Operation, Preprocessed, PreprocessParams, preprocess

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write data/enhanced/<recipe>/: images.npy, rows.csv, and masks.npy where the source has masks or boxes.

    All three have one row per image, sorted by the content of the raw files.
    """
    params = read_params(PARAMS, f"recipes.{name}.preprocess", PreprocessParams)
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    rows = read_rows(name, dataset)
    # The index has the column only if some image has boxes.
    boxes = rows["box"] if "box" in rows else pd.Series("", rows.index)
    archive = ArchiveReader(f"data/raw/{dataset}.zip")
    preprocess_row = functools.partial(preprocess_files, read_file=archive, operations=params.operations)
    files = list(zip(rows["path"], rows["mask"], boxes, strict=True))
    results = ordered_map(preprocess_row, files, f"preprocess {name}")
    shape = (len(rows), params.size, params.size)
    with atomic_outputs(f"data/enhanced/{name}") as (folder,):
        folder.mkdir()
        images = open_memmap(folder / "images.npy", "w+", np.uint8, shape)
        has_masks = bool(((rows["mask"] != "") | (boxes != "")).any())
        masks = open_memmap(folder / "masks.npy", "w+", np.uint8, shape) if has_masks else None
        problems, crops_skipped = [], 0
        for row, result in enumerate(results):
            if isinstance(result, str):
                problems.append(f"{rows['path'][row]}: {result}")
                continue
            images[row] = result.image
            if masks is not None and result.mask is not None:
                masks[row] = result.mask
            crops_skipped += result.crop_skipped
        if problems:
            lines = "\n  ".join(problems)
            raise UserError(f"images of {dataset} cannot be read; repair or remove them:\n  {lines}")
        images.flush()
        write_csv(folder / "rows.csv", rows.rename_axis("row").reset_index())
    log.info("%d images; cropping skipped for %d of them", len(rows), crops_skipped)


def read_rows(name: str, dataset: str) -> pd.DataFrame:
    """Return the index rows of the images whose label is a class of the recipe, sorted by content, then by path."""
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    with RawArchive(f"data/raw/{dataset}.zip") as raw:
        index = raw.index
    if unknown := sorted(set(classes) - set(index["label"])):
        raise UserError(f"recipes.{name}.classes names {unknown}, which {dataset} does not have")
    return index[index["label"].isin(classes)].sort_values(["sha256", "path"], ignore_index=True)


def preprocess_files(
    files: tuple[str, str, str], read_file: ArchiveReader, operations: tuple[Operation, ...]
) -> Preprocessed | str:
    """Preprocess one image and its mask.

    Args:
        files: path of the image, path of its mask ('' for none), and its boxes, which are used if it has no mask.
        read_file: reads a file of the raw archive.
        operations: operations of the recipe.

    Returns:
        The result, or why a file cannot be read.
    """
    path, mask_path, boxes = files
    try:
        image = decode_gray(read_file(path))
        mask = decode_gray(read_file(mask_path)) if mask_path else fill_boxes(boxes, image.shape)
        return preprocess(image, operations, mask)
    except UnreadableImageError as error:
        return str(error)


if __name__ == "__main__":
    run_stage(main, "recipe")
