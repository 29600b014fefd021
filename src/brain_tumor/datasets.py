"""A data set of params.yaml: its source, what is expected of it, and its images."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from brain_tumor.archive import RawImage
from brain_tumor.errors import UserError
from brain_tumor.params import Block, read

KINDS = ("archive", "figshare", "folder", "kaggle", "phantom", "roboflow")


class Expected(Block):
    """What the source must hold; `{}` and `''` check nothing."""

    counts: dict[str, int]
    fingerprint: str


class About(Block):
    """What people should know of a data set; changes no result."""

    title: str
    url: str = Field(pattern=r"^(https?://[^\s\"'<>()]+)?$")
    license: str
    generated: bool


def images(params: Path, name: str, scratch: Path) -> Iterator[RawImage]:
    """Yield the images of the data set `name` from its source, whose module its `kind` names.

    The module is imported only now: a stage depends on the code of its own source and no other.
    """
    kind = read(params, f"datasets.{name}.source.kind", str)
    if kind not in KINDS:
        raise UserError(f"{params}: datasets.{name}.source.kind is '{kind}' (known: {', '.join(KINDS)})")
    module: Any = importlib.import_module(f"brain_tumor.sources.{kind}")
    source = read(params, f"datasets.{name}.source", module.Source)
    result: Iterator[RawImage] = module.images(source, scratch)
    return result
