"""Where the images of a data set come from: the slices of a reference set with patients that they are copies of."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pandas as pd

from brain_tumor.audit.groups import DUPLICATE_KINDS
from brain_tumor.audit.patients import COLUMNS
from brain_tumor.audit.transforms import TRANSFORMS, apply_transform, dihedral_tables
from brain_tumor.core.types import Gray
from brain_tumor.datasets.raw_archive import undated_member
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.imaging.encode import encode_mask

MIN_FRAME_CORRELATION = 0.9  # of an image with its aligned reference slice, from which the slice's mask fits the image
EVIDENCE = ["path", "reference", "transform", "correlation"]
ReadFile = Callable[[str], bytes]


def trace_images(table: pd.DataFrame, links: pd.DataFrame, target: str, reference: str) -> pd.DataFrame:
    """Find the reference slice that each image of a data set is a copy of.

    Args:
        table: images of both data sets, audited as if they were one: path, sha256, pixels and dataset.
        links: links of that audit.
        target, reference: names of the two data sets.

    Returns:
        EVIDENCE of the traced images: the slice with the highest correlation after alignment, the transform that turns
        the slice into the image, and that correlation, 1 for equal pixels. Sorted by path.
    """
    dataset = table.set_index("path")["dataset"]
    direct = _links_between(links[links["kind"].isin(DUPLICATE_KINDS)], dataset, target, reference)
    # Images with equal pixels were compared once for all.
    pixels = table.set_index("path")["pixels"]
    usable = table[table["pixels"] != ""]
    sources = usable[usable["dataset"] == reference].drop_duplicates("pixels").set_index("pixels")["path"]
    equal = usable[(usable["dataset"] == target) & usable["pixels"].isin(sources.index)]
    same = pd.DataFrame({"path": equal["path"], "reference": equal["pixels"].map(sources)})
    evidence = pd.concat([same.assign(transform="none", correlation=1.0), direct], ignore_index=True)
    evidence["pixels"] = evidence["path"].map(pixels)
    best = evidence.sort_values(["correlation", "reference"], ascending=[False, True]).drop_duplicates("pixels")
    images = usable.loc[usable["dataset"] == target, ["path", "pixels"]]
    traced = images.merge(best.drop(columns="path"), on="pixels", validate="m:1")
    return traced[EVIDENCE].sort_values("path", ignore_index=True)


def _links_between(links: pd.DataFrame, dataset: "pd.Series[str]", target: str, reference: str) -> pd.DataFrame:
    """Turn the links between the two data sets into evidence, in the direction from slice to image."""
    first, second = links["first"].map(dataset), links["second"].map(dataset)
    forward = links[(first == target) & (second == reference)]
    backward = links[(first == reference) & (second == target)]
    inverse = dihedral_tables()[1]
    undone = {name: TRANSFORMS[inverse[number]] for number, name in enumerate(TRANSFORMS)}
    # The transform of a link turns its second image into the first.
    parts = [
        forward.rename(columns={"first": "path", "second": "reference"}),
        backward.rename(columns={"second": "path", "first": "reference"}).assign(
            transform=backward["transform"].map(undone)
        ),
    ]
    return pd.concat(parts, ignore_index=True)[EVIDENCE]


def make_patients(evidence: pd.DataFrame, table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Make the table of patients of the traced images, one row for each file content, sorted by slice.

    Args:
        evidence: see `trace_images`.
        table: images of both data sets: path, sha256, label, patient, and fold if the reference has folds.
        source: name of the reference for the column `source`.
    """
    images = table.set_index("path").reindex(columns=["sha256", "label", "patient", "fold"], fill_value="")
    slices = images.loc[evidence["reference"]].reset_index()
    patients = pd.DataFrame(
        {
            "sha256": images.loc[evidence["path"], "sha256"].to_numpy(),
            "source": source,
            "patient": slices["patient"].str.partition("/")[2],
            "series": "",
            "slice": [PurePosixPath(path).stem for path in evidence["reference"]],
            "fold": slices["fold"],
            "transform": evidence["transform"].to_numpy(),
            "label": slices["label"],
        }
    )
    return patients[list(COLUMNS)].drop_duplicates("sha256").sort_values(["slice", "sha256"], ignore_index=True)


def transfer_masks(
    evidence: pd.DataFrame, masks: "pd.Series[str]", read_file: ReadFile
) -> Iterator[tuple[str, bytes | None]]:
    """Yield the path of each traced image whose slice has a mask, and the mask in the image's own geometry.

    The mask is None where the aligned frames correlate too little, as after a crop: the mask would be at another place.

    Args:
        evidence: see `trace_images`.
        masks: member of the mask by path of the slice, '' for none.
        read_file: returns the bytes of an image or a mask.
    """
    for path, reference, transform in evidence[["path", "reference", "transform"]].itertuples(index=False, name=None):
        if not masks[reference]:
            continue
        number = TRANSFORMS.index(transform)
        image, slice_image = decode_gray(read_file(path)), decode_gray(read_file(reference))
        size = image.shape[1], image.shape[0]
        resized = cv2.resize(apply_transform(slice_image, number), size, interpolation=cv2.INTER_AREA)
        aligned = np.asarray(resized, np.uint8)
        if correlate(image, aligned) < MIN_FRAME_CORRELATION:
            yield path, None
            continue
        mask = apply_transform(decode_gray(read_file(masks[reference])), number)
        yield path, encode_mask(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST) > 0)


def correlate(first: Gray, second: Gray) -> float:
    """Return Pearson's correlation of the pixels of two (H, W) images; 0 if one of them is constant."""
    a, b = (image.astype(float) - image.mean() for image in (first, second))
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale else 0.0


def write_masks(target: Path, masks: Iterator[tuple[str, bytes | None]]) -> dict[str, int]:
    """Write masks to a zip archive that `datasets.<name>.source.masks` can name: stored, with a fixed date.

    Returns:
        Numbers: masks, those written; masks_not_aligned, those left out.
    """
    counts = {"masks": 0, "masks_not_aligned": 0}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path, content in masks:
            if content is None:
                counts["masks_not_aligned"] += 1
                continue
            name = str(PurePosixPath(path.partition("/")[2]).with_suffix(".png"))
            archive.writestr(undated_member(name), content)
            counts["masks"] += 1
    return counts
