"""Test all readers of untrusted input with mutated files; only the documented exceptions may be raised.

python tests/fuzz.py --files 20000 --seed 1     (or `make fuzz`)
"""

import argparse
import gzip
import io
import json
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import cv2
import gdcm
import numpy as np
from PIL import Image
from tqdm import tqdm

from brain_tumor.audit.inspection import inspect_image
from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.csv_table import read_by_table
from brain_tumor.datasets.readers.layout import Layout, read_by_layout
from brain_tumor.datasets.readers.open_archive import open_archive
from brain_tumor.datasets.readers.via_annotations import ViaAnnotations
from brain_tumor.datasets.readers.volumes import Volumes, expand_medical_formats
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.decode import UnreadableImageError, decode_gray
from brain_tumor.sources.figshare.slices import open_archives
from brain_tumor.sources.roboflow.coco import parse_annotations
from brain_tumor.sources.voc.xml_file import parse_annotation
from brain_tumor.sources.yolo.text_files import parse_boxes, parse_names
from clinical_files import (
    RAMP,
    make_body,
    make_compressed_dicom,
    make_dicom,
    make_enhanced,
    make_itk,
    make_nifti,
)
from figshare_service import SLICES, make_zip
from heads import head, png
from roboflow_service import make_annotations
from tar_files import make_tar
from via_files import CONTENT, DISK, SQUARE, make_via

MAX_SECONDS = 5.0  # per file


def main() -> None:
    """Read the given number of mutated seeds; exit with 1 if a reader raised another exception or was too slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    seeds, outcomes, failures = list(SEEDS.items()), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        for number in tqdm(range(args.files), unit="file", mininterval=2):
            name, content = seeds[number % len(seeds)]
            mutated = mutate(content, np.random.default_rng([args.seed, number]))
            start = time.monotonic()
            try:
                READERS[name.split(".")[0]](mutated, name, Path(folder))
                outcomes[f"{name}: read"] += 1
            except (UserError, UnreadableImageError):
                outcomes[f"{name}: rejected"] += 1
            except Exception:
                failures += 1
                print(f"\n{name}, seed {args.seed}, file {number}:\n{traceback.format_exc()}", file=sys.stderr)
            if time.monotonic() - start > MAX_SECONDS:
                failures += 1
                print(f"\n{name}, seed {args.seed}, file {number}: took over {MAX_SECONDS:g} s", file=sys.stderr)
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:7d}  {outcome}")
    sys.exit(f"a reader failed for {failures} of {args.files} files" if failures else 0)


def mutate(content: bytes, random: np.random.Generator) -> bytes:
    """Replace, overwrite, delete, repeat or truncate bytes at random positions, often near the start (headers)."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        limit = 64 if random.random() < 0.4 else len(data)
        start = int(random.integers(0, max(1, min(limit, len(data)))))
        kind = int(random.integers(0, 5))
        if kind == 0:
            data[start : start + 1] = bytes([int(random.integers(256))])
        elif kind == 1:
            data[start : start + 4] = int(random.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF])).to_bytes(
                4, random.choice(["big", "little"])
            )
        elif kind == 2:
            del data[start : start + int(random.integers(1, 50))]
        elif kind == 3:
            data[start:start] = data[start : start + int(random.integers(1, 50))]
        elif random.random() < 0.3:
            del data[start:]
    return bytes(data)


def encode(kind: str, mode: str = "L", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(head(1)).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


TABLE = b"path,label,split,mask\na/1.png,x,train,a/2.png\na/2.png,y,test,\n"
PAIR = {"a/1.png": png(head(1)), "a/2.png": png(head(2))}
SEEDS = {
    "image.jpeg": encode("JPEG"),
    "image.progressive": encode("JPEG", "CMYK", progressive=True),
    "image.png": encode("PNG"),
    "image.palette": encode("PNG", "P"),
    "image.deep": encode("PNG", "I;16"),
    "image.gif": encode("GIF"),
    "image.tiff": encode("TIFF", compression="tiff_lzw"),
    "image.float": encode("TIFF", "F"),
    "image.bmp": encode("BMP", "RGB"),
    "image.webp": encode("WEBP"),
    "image.jpeg2000": encode("JPEG2000"),
    "image.color16": cv2.imencode(".png", np.repeat(RAMP[..., None], 3, 2).astype(np.uint16) * 50)[1].tobytes(),
    "image.color16tiff": cv2.imencode(".tiff", np.repeat(RAMP[..., None], 3, 2).astype(np.uint16) * 50)[1].tobytes(),
    "image.twelve": cv2.imencode(".tiff", RAMP.astype(np.uint16))[1].tobytes(),
    "clinical.dcm": make_dicom(RAMP, RescaleSlope=2, RescaleIntercept=1, WindowCenter=200, WindowWidth=400),
    "clinical.compressed": gzip.compress(make_dicom(RAMP, PixelPaddingValue=7), mtime=0),
    "clinical.lossless": make_compressed_dicom(RAMP.astype(np.uint16), gdcm.TransferSyntax.JPEGLosslessProcess14_1),
    "clinical.enhanced": make_enhanced(
        np.stack([RAMP] * 2), [{"RescaleSlope": 2}, {"WindowCenter": 9, "WindowWidth": 5}], {"PixelSpacing": [2, 1]}
    ),
    "clinical.tif": encode("TIFF", save_all=True, append_images=[Image.fromarray(head(2))]),
    "clinical.gif": encode("GIF", save_all=True, append_images=[Image.fromarray(head(2))]),
    "clinical.mha": make_itk(make_body(), ".mha"),
    "clinical.nrrd": make_itk(make_body(), ".nrrd"),
    "clinical.nii": make_nifti(make_body()),
    "clinical.nii.gz": make_nifti(make_body(), compress=True),
    "zip.deflated": make_zip(PAIR),
    "zip.stored": make_zip(PAIR, zipfile.ZIP_STORED),
    "zip.tar": make_tar(PAIR),
    "zip.tgz": make_tar(PAIR, "gz"),
    "table.csv": TABLE,
    "table.utf16": TABLE.decode().replace(",", ";").encode("utf-16"),
    "matlab.mat": SLICES[1],
    "coco.json": json.dumps(make_annotations({"a.jpg": [(1, [1, 2, 3, 4])], "b.jpg": []})).encode(),
    "yolo.yaml": b"names:\n  0: glioma\n  1: meningioma\nnc: 2\n",
    "yolo.txt": b"0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.9 0.1 0.9 0.9\n",
    "voc.xml": (
        b"<annotation><filename>a.png</filename><size><width>9</width><height>9</height></size><object>"
        b"<name>glioma</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox>"
        b"</object></annotation>"
    ),
    "via.json": json.dumps(make_via(y1=[SQUARE, DISK])).encode(),
}


def read_image(content: bytes, name: str, folder: Path) -> None:
    gray = decode_gray(content)
    assert gray.dtype == np.uint8
    assert gray.ndim == 2
    assert inspect_image(content).pixels


def read_clinical(content: bytes, name: str, folder: Path) -> None:
    for image in expand_medical_formats([RawImage(name, content, "a")], Volumes(), SkippedFiles()):
        if image.content != content:
            decode_gray(image.content)


def read_zip(content: bytes, name: str, folder: Path) -> None:
    (folder / "a.zip").write_bytes(content)
    with open_archive(folder / "a.zip", folder) as files:
        list(read_by_layout(files, Layout(path="{label}/{file}", labels={"a": "a"}), SkippedFiles()))


class MemoryFiles(dict[str, bytes]):
    path = Path("memory")
    hint = ""

    def names(self) -> list[str]:
        return sorted(self)

    def left_out(self) -> dict[str, str]:
        return {}

    def read(self, name: str) -> bytes:
        return self[name]


def read_csv_table(content: bytes, name: str, folder: Path) -> None:
    list(read_by_table(MemoryFiles({**PAIR, "t.csv": content}), "t.csv", SkippedFiles()))


def read_matlab(content: bytes, name: str, folder: Path) -> None:
    (folder / "m.zip").write_bytes(make_zip({"1.mat": content}))
    with ExitStack() as stack:
        open_archives([folder / "m.zip"], stack, SkippedFiles())[1].read()


def read_coco(content: bytes, name: str, folder: Path) -> None:
    parse_annotations(content, name)


def read_yolo(content: bytes, name: str, folder: Path) -> None:
    if name.endswith(".yaml"):
        parse_names(content, name)
    else:
        parse_boxes(content, name, {0: "glioma", 1: "meningioma"})


def read_voc(content: bytes, name: str, folder: Path) -> None:
    parse_annotation(content, name)


def read_via(content: bytes, name: str, folder: Path) -> None:
    list(ViaAnnotations(content, name).add_to([RawImage("y1.png", CONTENT, "a")]))


READERS: dict[str, Callable[[bytes, str, Path], None]] = {
    "image": read_image, "clinical": read_clinical, "zip": read_zip, "table": read_csv_table,
    "matlab": read_matlab, "coco": read_coco, "yolo": read_yolo, "voc": read_voc, "via": read_via,
}  # fmt: skip

if __name__ == "__main__":
    main()
