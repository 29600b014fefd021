"""A synthetic data set: real brain anatomy with simulated tumors, a mask and a patient for every image.

It is not medical data. It lets the whole pipeline run without a download and with a known ground truth.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from brain_tumor.core.params import Block
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.encode import encode_image
from brain_tumor.sources.phantom.generator import generate


class Source(Block):
    """`datasets.<name>.source` for synthetic images.

    Attributes:
        patients: number of patients; a multiple of four gives classes of the same size.
        slices: number of slices per patient.
        seed: seed of all random numbers.
    """

    kind: Literal["phantom"]
    patients: int = Field(ge=4)
    slices: int = Field(ge=1)
    seed: int


def images(source: Source, scratch: Path, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the generated images with their masks; `scratch` and `skipped` are not used."""
    for item in generate(source.patients, source.slices, source.seed):
        # The class is not part of the path, so that it cannot be learned from file names.
        path = f"{item.patient}_{item.index}.png"
        content, mask = encode_image(item.image), encode_image(item.mask)
        yield RawImage(path, content, item.label, patient=item.patient, plane=item.plane, mask=mask)
