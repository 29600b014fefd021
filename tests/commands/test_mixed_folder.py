"""`brain-tumor audit` of a folder of many kinds of files with damaged ones in between: each file is accounted for."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brain_tumor.commands.audit import main
from brain_tumor.core.types import Gray
from brain_tumor.datasets.skipped import readable_path
from clinical_files import make_body, make_dicom, make_nifti, make_report
from heads import head, png

NUM_FILES = 300
CONVERTED = re.compile(r"(\.([a-z]+-)?\d+)?\.png( \(converted\))*$")  # end of the path of a converted image


def encode(image: Gray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def make_pages(image: Gray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "TIFF", save_all=True, append_images=[Image.fromarray(image.T)])
    return buffer.getvalue()


WHOLE: dict[str, Callable[[Gray], bytes]] = {
    ".png": png,
    ".jpg": lambda image: encode(image, "JPEG"),
    ".tif": lambda image: encode(image, "TIFF"),
    " pages.tif": make_pages,
    ".bmp": lambda image: encode(image, "BMP"),
    ".dcm": lambda image: make_dicom(image.astype(np.int16), PatientID=str(image.sum())),
    "": lambda image: make_dicom(image.astype(np.int16), PatientID=str(image.sum())),
    ".nii.gz": lambda _: make_nifti(make_body(), compress=True),
}
OTHERS: dict[str, Callable[[Gray], bytes]] = {
    ".txt": lambda _: b"text",
    " empty.png": lambda _: b"",
    " text.jpg": lambda _: b"text",
    ".zip": lambda _: b"PK\x03\x04",
    " report.dcm": lambda _: make_report(),
    " 1.png": lambda _: png(np.zeros((1, 1), np.uint8)),
    "_mask.png": lambda image: png((image > 200).astype(np.uint8)),
    ' =1+1,"<b>\n.png': png,
}


def write_mixed_files(folder: Path, count: int) -> list[str]:
    """Write files of all kinds, whole, cut off, or with other bytes in the middle; return their paths."""
    random, names = np.random.default_rng(0), []
    for number in range(count):
        image = head(number if number % 10 else 0, 48)
        kinds = OTHERS if number % 5 == 0 else WHOLE
        suffix = list(kinds)[number % len(kinds)]
        content = kinds[suffix](image)
        if kinds is WHOLE and number % 7 == 0:
            content = content[: random.integers(len(content))]
        elif kinds is WHOLE and number % 7 == 1:
            start = len(content) // 2
            content = content[:start] + random.bytes(20) + content[start + 20 :]
        hidden = "." if number % 29 == 0 else ""
        names.append(f"{'ab'[number % 2]}/{hidden}{number}{suffix}")
        (folder / names[-1]).parent.mkdir(parents=True, exist_ok=True)
        (folder / names[-1]).write_bytes(content)
    (folder / "a/link.png").symlink_to("nothing.png")
    return [*names, "a/link.png"]


def test_audit_mixed_folder_accounts_for_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "1")
    files = list(map(readable_path, write_mixed_files(tmp_path / "mixed", NUM_FILES)))
    assert main([str(tmp_path / "mixed"), "--out", str(tmp_path / "out")]) == 0
    table = pd.read_csv(tmp_path / "out/audit.csv", dtype=str, keep_default_na=False)
    left_out = pd.read_csv(tmp_path / "out/files.csv", keep_default_na=False)
    assert table["path"].is_unique
    assert left_out["path"].is_unique
    sources = {path if path in set(files) else CONVERTED.sub("", path) for path in table["path"]}
    assert not sources & set(left_out["path"])
    assert sorted(sources | set(left_out["path"])) == sorted(files)
    assert (left_out["reason"] != "").all()
    unreadable = table["problem"].str.startswith("unreadable").sum()
    assert 20 < unreadable < len(table) / 2
