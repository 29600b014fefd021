"""Write the Croissant metadata of the lists: lists/<data set>.json beside each lists/<data set>.csv.

Croissant (mlcommons.org/croissant) describes tables for machines: what each column means, and the checksum of the file.
Run again after each change of a list; a test compares.
"""

import hashlib
import json
from datetime import datetime
from pathlib import Path

import mlcroissant

from brain_tumor.core.cli import PARAMS, run_cli
from brain_tumor.core.params import read_params
from brain_tumor.datasets.registry import DatasetInfo
from brain_tumor.studies.image_lists import COLUMNS

LISTS = Path("lists")
LICENSE = "https://www.apache.org/licenses/LICENSE-2.0"
PUBLISHED = datetime(2026, 11, 28)  # change it with the lists
COLUMN_TEXTS = {
    "sha256": "SHA-256 of the image file",
    "pixels": "SHA-256 of the text '<width>x<height> ' and of the gray pixels by row; empty if unreadable",
    "path": "path of the file in the data set",
    "label": "class in the data set",
    "split": "published split: train, test or empty",
    "patient": "patient, empty if unknown",
    "series": "series, a part of one patient's images; empty if unknown",
    "source": "where the image was published first, empty if unknown",
    "slice": "number of the slice in that source",
    "source_fold": "cross-validation fold of that source, which keeps patients apart; empty if unknown",
    "source_label": "class in that source, empty if unknown",
    "duplicate_id": "equal for versions of one image: copies, re-encoded, rescaled, mirrored or rotated ones",
    "orientation": "transform that aligns the image with the first one of its duplicate_id",
    "group": "equal for images that must be in one part of a split: duplicates, adjacent slices, one patient or series",
    "doubt": "why the label may be wrong or the file cannot be used (another label in its source, duplicates with "
    "different labels, unreadable, blank); empty if there is no reason",
    "fold": "number of one of five folds that keep groups apart; empty if the image cannot be used",
}


def main() -> None:
    """Write the metadata of all lists."""
    for file in sorted(LISTS.glob("*.csv")):
        target = file.with_suffix(".json")
        target.write_text(describe_list(file, read_params(PARAMS, f"datasets.{file.stem}.info", DatasetInfo)), "utf-8")
        print(f"{target} written")


def describe_list(file: Path, info: DatasetInfo) -> str:
    """Return the metadata of a list as JSON.

    Args:
        file: the list.
        info: what params.yaml says about its data set.
    """
    table = mlcroissant.FileObject(
        id=file.name,
        name=file.name,
        content_url=file.name,
        encoding_formats=["text/csv"],
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    fields = [
        mlcroissant.Field(
            id=f"images/{column}",
            name=column,
            description=COLUMN_TEXTS[column],
            data_types=mlcroissant.DataType.TEXT,
            source=mlcroissant.Source(file_object=file.name, extract=mlcroissant.Extract(column=column)),
        )
        for column in COLUMNS
    ]
    metadata = mlcroissant.Metadata(
        name=f"{file.stem}-image-list",
        description=(
            f"Content hashes, groups of related images, patients and leak-free folds of the images of {info.title} "
            f"({info.url}). It contains no image."
        ),
        license=[LICENSE],
        cite_as=f"{info.title}, {info.url}",
        date_published=PUBLISHED,
        url=info.url,
        version="1.0.0",
        distribution=[table],
        record_sets=[mlcroissant.RecordSet(id="images", name="images", key="images/path", fields=fields)],
    )
    return json.dumps(metadata.to_json(), indent=1, ensure_ascii=False, default=str) + "\n"


if __name__ == "__main__":
    run_cli(main)
