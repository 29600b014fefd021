"""A small data set with every kind of link and problem, and its audit."""

import functools
import hashlib

import numpy as np
import pandas as pd
import pytest

from brain_tumor.audit.audit import audit_images
from brain_tumor.audit.patients import add_patients
from brain_tumor.audit.transforms import apply_transform
from heads import head, png

File = tuple[str, bytes, str, str, str]

# Path, content, label, published split, patient.
FILES: list[File] = [
    ("train/a.png", png(head(1)), "x", "train", ""),
    ("test/a copy.png", png(head(1)), "x", "test", ""),
    ("test/a again.png", png(head(1), level=0), "x", "test", ""),
    ("train/a color.png", png(head(1), mode="RGB"), "y", "train", ""),
    ("test/a mirrored.png", png(apply_transform(head(1), 4)), "x", "test", ""),
    ("train/b rotated.png", png(apply_transform(head(6), 3)), "x", "train", ""),
    ("test/b.png", png(head(6)), "x", "test", ""),
    ("train/p1.png", png(head(2)), "x", "train", "p"),
    ("test/p2.png", png(head(3)), "x", "test", "p"),
    ("test/alone.png", png(head(4)), "y", "test", ""),
    ("train/broken.png", png(head(5))[:50], "y", "train", ""),
    ("train/text.jpg", b"not an image", "y", "train", ""),
    ("train/flat.png", png(np.full((5, 5), 7, np.uint8)), "y", "train", ""),
    ("train/noise.png", png(np.random.default_rng(0).integers(0, 255, (90, 90)).astype(np.uint8)), "y", "train", ""),
]


class Contents(dict[str, bytes]):
    """Bytes by path, as a reader that can be sent to other processes."""

    def __call__(self, path: str) -> bytes:
        return self[path]


def audit_files(files: list[File], patients: pd.DataFrame | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Audit files in one process, with a table of patients or without; return the table and the links."""
    rows = [(n, lab, s, p, "", "", hashlib.sha256(c).hexdigest()) for n, c, lab, s, p in files]
    index = pd.DataFrame(rows, columns=["path", "label", "split", "patient", "mask", "plane", "sha256"])
    index = index if patients is None else add_patients(index, patients)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKERS", "1")
        return audit_images(index, Contents({name: content for name, content, *_ in files}), "test")


@functools.cache
def sample_audit() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table and the links of FILES; not to be changed."""
    return audit_files(FILES)
