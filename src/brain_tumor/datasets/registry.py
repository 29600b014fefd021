"""The data sets of params.yaml: their source, expected content, and images."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block, read_params
from brain_tumor.datasets.masks import TakesMasks, add_masks
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.skipped import SkippedFiles

KINDS = ("archive", "figshare", "folder", "kaggle", "phantom", "roboflow", "voc", "yolo")


class ExpectedContent(Block):
    """`datasets.<name>.expected`: content that the source must have.

    Attributes:
        counts: number of images by label, or by `split/label` where the source has published splits; `{}` is not
            checked.
        fingerprint: SHA-256 of contents, labels and published splits, which the download stage logs; '' is not
            checked.
    """

    counts: dict[str, int]
    fingerprint: str

    @field_validator("fingerprint")
    @classmethod
    def _require_digest(cls, fingerprint: str) -> str:
        if fingerprint and not re.fullmatch("[0-9a-f]{64}", fingerprint):
            raise ValueError(f"must be the 64 hexadecimal digits that the download logs, or '' (got {fingerprint!r})")
        return fingerprint


class DatasetInfo(Block):
    """`datasets.<name>.info`: information for reports; it changes no result.

    Attributes:
        title: name of the data set for people.
        url: URL of its web page.
        license: name of its license.
        generated: whether its images are synthetic.
    """

    title: str
    url: str = Field(pattern=r"^(https?://[^\s\"'<>()]+)?$")
    license: str
    generated: bool


def load_images(params: Path, name: str, scratch: Path, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the images of a data set from its source.

    The module of the source is imported here, so that a download depends only on the code of its own source.

    Args:
        params: path of params.yaml.
        name: name of the data set.
        scratch: folder where downloads are kept for the next run.
        skipped: files of the source that give no image are added to it while the images are read.

    Raises:
        UserError: invalid parameters, or images that cannot be downloaded or read.
    """
    kind = read_params(params, f"datasets.{name}.source.kind", str)
    if kind not in KINDS:
        raise UserError(f"{params}: datasets.{name}.source.kind is '{kind}' (valid kinds: {', '.join(KINDS)})")
    module: Any = importlib.import_module(f"brain_tumor.sources.{kind}")
    source = read_params(params, f"datasets.{name}.source", module.Source)
    images: Iterator[RawImage] = module.images(source, scratch, skipped)
    return add_masks(images, source.masks, scratch) if isinstance(source, TakesMasks) and source.masks else images
