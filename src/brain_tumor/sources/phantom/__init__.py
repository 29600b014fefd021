"""A generated data set: real brain anatomy with simulated tumors, a mask and a patient for every image.

It is no medical data: it lets the whole pipeline run without a download, with a known answer.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from brain_tumor.archive import RawImage
from brain_tumor.encoding import encode
from brain_tumor.params import Block
from brain_tumor.sources.phantom.generator import generate


class Source(Block):
    """How many patients (a multiple of four gives classes of one size), slices of each, and the seed."""

    kind: Literal["phantom"]
    patients: int = Field(ge=4)
    slices: int = Field(ge=1)
    seed: int


def images(source: Source, scratch: Path) -> Iterator[RawImage]:
    """Yield the generated images with their masks; `scratch` is not used."""
    for made in generate(source.patients, source.slices, source.seed):
        # The path tells no class: nothing that reads names could learn from them.
        name = f"{made.patient}_{made.index}.png"
        content, mask = encode(made.image), encode(made.mask)
        yield RawImage(name, content, made.label, patient=made.patient, plane=made.plane, mask=mask)
