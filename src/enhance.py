"""Enhance the images of a recipe into one memory-mapped array."""

import functools
import logging

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from brain_tumor.archive import RawArchive, Reader
from brain_tumor.enhance import Enhanced, EnhanceParams, Operation, enhance
from brain_tumor.errors import UserError
from brain_tumor.images import UnreadableImageError, read_gray
from brain_tumor.outputs import staged, write_csv
from brain_tumor.parallel import ordered_map
from brain_tumor.params import read as read_params
from brain_tumor.sheets import Gray, before_after_sheet
from stage import PARAMS, run

log = logging.getLogger(__name__)
SHEET_IMAGES = 12


def main(name: str) -> None:
    """Write images.npy, rows.csv (in the order of the contents) and masks.npy, where the source has masks or boxes."""
    params = read_params(PARAMS, f"recipes.{name}.enhance", EnhanceParams)
    classes = read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...])
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    with RawArchive(f"data/raw/{dataset}.zip") as raw:
        unknown = set(classes) - set(raw.index["label"])
        if unknown:
            raise UserError(f"recipes.{name}.classes names {sorted(unknown)}, which {dataset} does not have")
        rows = raw.index[raw.index["label"].isin(classes)].sort_values(["sha256", "path"], ignore_index=True)
    # A column that the index has only where some image has boxes.
    boxes = rows["box"] if "box" in rows else pd.Series("", rows.index)
    files = list(zip(rows["path"], rows["mask"], boxes, strict=True))
    archive = Reader(f"data/raw/{dataset}.zip")
    work = functools.partial(_enhance, read=archive, operations=params.operations)
    results = ordered_map(work, files, f"enhance {name}")
    shape = (len(files), params.size, params.size)
    with staged(f"data/enhanced/{name}", f"plots/{name}/enhance.png") as (folder, sheet):
        folder.mkdir()
        images = open_memmap(folder / "images.npy", "w+", np.uint8, shape)
        has_masks = bool(((rows["mask"] != "") | (boxes != "")).any())
        masks = open_memmap(folder / "masks.npy", "w+", np.uint8, shape) if has_masks else None
        problems, whole = [], 0
        for row, result in enumerate(results):
            if isinstance(result, str):
                problems.append(f"{rows['path'][row]}: {result}")
                continue
            images[row] = result.image
            if masks is not None and result.mask is not None:
                masks[row] = result.mask
            whole += result.whole
        if problems:
            lines = "\n  ".join(problems)
            raise UserError(f"images of {dataset} cannot be read: mend or remove them\n  {lines}")
        images.flush()
        write_csv(folder / "rows.csv", rows.rename_axis("row").reset_index())
        log.info("%d images; the crop kept the whole image in %d", len(rows), whole)
        chosen = np.linspace(0, len(rows) - 1, min(SHEET_IMAGES, len(rows))).astype(int)
        shown = [(read_gray(archive(files[i][0])), np.asarray(images[i]), rows["label"][i]) for i in chosen]
        before_after_sheet(sheet, shown, f"{name}: before and after enhancement")


def _enhance(file: tuple[str, str, str], read: Reader, operations: tuple[Operation, ...]) -> Enhanced | str:
    path, mask, boxes = file
    try:
        image = read_gray(read(path))
        return enhance(image, operations, read_gray(read(mask)) if mask else filled(boxes, image.shape))
    except UnreadableImageError as error:
        return str(error)


def filled(boxes: str, shape: tuple[int, ...]) -> Gray | None:
    """A mask (H, W), 0 or 255, of boxes as index.csv names them, `left top width height` joined by `;`; None of ''."""
    if not boxes:
        return None
    mask = np.zeros(shape, np.uint8)
    for box in boxes.split(";"):
        left, top, width, height = (float(number) for number in box.split())
        mask[round(top) : round(top + height), round(left) : round(left + width)] = 255
    return mask


if __name__ == "__main__":
    run(main, "recipe")
