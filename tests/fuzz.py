"""Throw mutated files at every reader of untrusted input; nothing but the documented errors may come out.

python tests/fuzz.py --files 20000 --seed 1     (or `make fuzz`)
"""

import argparse
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

import numpy as np
from figshare_service import SLICES, zipped
from heads import head, png
from PIL import Image
from roboflow_service import annotations
from test_own import RAMP, body, dicom, nifti
from test_regions import CONTENT, DISK, SQUARE, via
from tqdm import tqdm

from brain_tumor.archive import RawImage
from brain_tumor.audit import inspect
from brain_tumor.clinical import Volumes, expand
from brain_tumor.errors import UserError
from brain_tumor.images import UnreadableImageError, read_gray
from brain_tumor.regions import Drawn
from brain_tumor.sources.figshare.slices import open_archives
from brain_tumor.sources.roboflow.coco import parse
from brain_tumor.tables import by_table
from brain_tumor.zips import Layout, ZipFiles, by_layout

SLOW = 5.0  # seconds that one file may take


def main() -> None:
    """Mutate seeds in turn until the asked number of files is reached; exit 1 if a reader misbehaved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    seeds, outcomes, bad = list(SEEDS.items()), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        for number in tqdm(range(given.files), unit="file", mininterval=2):
            name, content = seeds[number % len(seeds)]
            mutated = mutate(content, np.random.default_rng([given.seed, number]))
            start = time.monotonic()
            try:
                READERS[name.split(".")[0]](mutated, name, Path(folder))
                outcomes[f"{name}: read"] += 1
            except (UserError, UnreadableImageError):
                outcomes[f"{name}: refused"] += 1
            except Exception:
                bad += 1
                print(f"\n{name}, seed {given.seed}, file {number}:\n{traceback.format_exc()}", file=sys.stderr)
            if time.monotonic() - start > SLOW:
                bad += 1
                print(f"\n{name}, seed {given.seed}, file {number}: took over {SLOW:g} s", file=sys.stderr)
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:7d}  {outcome}")
    sys.exit(f"{bad} of {given.files} files broke a reader" if bad else 0)


def mutate(content: bytes, random: np.random.Generator) -> bytes:
    """Flip, cut, repeat and overwrite a few places; often near the start, where headers are."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        near = 64 if random.random() < 0.4 else len(data)
        at = int(random.integers(0, max(1, min(near, len(data)))))
        kind = int(random.integers(0, 5))
        if kind == 0:
            data[at : at + 1] = bytes([int(random.integers(256))])
        elif kind == 1:
            data[at : at + 4] = int(random.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF])).to_bytes(
                4, random.choice(["big", "little"])
            )
        elif kind == 2:
            del data[at : at + int(random.integers(1, 50))]
        elif kind == 3:
            data[at:at] = data[at : at + int(random.integers(1, 50))]
        elif random.random() < 0.3:
            del data[at:]
    return bytes(data)


def _picture(kind: str, mode: str = "L", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(head(1)).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


TABLE = b"path,label,split,mask\na/1.png,x,train,a/2.png\na/2.png,y,test,\n"
PAIR = {"a/1.png": png(head(1)), "a/2.png": png(head(2))}
SEEDS = {
    "image.jpeg": _picture("JPEG"),
    "image.progressive": _picture("JPEG", "CMYK", progressive=True),
    "image.png": _picture("PNG"),
    "image.palette": _picture("PNG", "P"),
    "image.deep": _picture("PNG", "I;16"),
    "image.gif": _picture("GIF"),
    "image.tiff": _picture("TIFF", compression="tiff_lzw"),
    "image.float": _picture("TIFF", "F"),
    "image.bmp": _picture("BMP", "RGB"),
    "image.webp": _picture("WEBP"),
    "clinical.dcm": dicom(RAMP, RescaleSlope=2, RescaleIntercept=1, WindowCenter=200, WindowWidth=400),
    "clinical.nii": nifti(body()),
    "clinical.nii.gz": nifti(body(), zipped=True),
    "zip.deflated": zipped(PAIR),
    "zip.stored": zipped(PAIR, zipfile.ZIP_STORED),
    "table.csv": TABLE,
    "matlab.mat": SLICES[1],
    "coco.json": json.dumps(annotations({"a.jpg": [(1, [1, 2, 3, 4])], "b.jpg": []})).encode(),
    "via.json": json.dumps(via(y1=[SQUARE, DISK])).encode(),
}


def _image(content: bytes, name: str, folder: Path) -> None:
    gray = read_gray(content)
    assert gray.dtype == np.uint8
    assert gray.ndim == 2
    assert inspect(content).pixels


def _clinical(content: bytes, name: str, folder: Path) -> None:
    for image in expand([RawImage(name, content, "a")], Volumes()):
        if image.content != content:
            read_gray(image.content)


def _zip(content: bytes, name: str, folder: Path) -> None:
    (folder / "a.zip").write_bytes(content)
    with ZipFiles(folder / "a.zip") as files:
        list(by_layout(files, Layout(path="{label}/{file}", labels={"a": "a"})))


class _Memory(dict[str, bytes]):
    place = Path("memory")

    def names(self) -> list[str]:
        return sorted(self)

    def read(self, name: str) -> bytes:
        return self[name]


def _table(content: bytes, name: str, folder: Path) -> None:
    list(by_table(_Memory({**PAIR, "t.csv": content}), "t.csv"))


def _matlab(content: bytes, name: str, folder: Path) -> None:
    (folder / "m.zip").write_bytes(zipped({"1.mat": content}))
    with ExitStack() as stack:
        open_archives([folder / "m.zip"], stack)[1].read()


def _coco(content: bytes, name: str, folder: Path) -> None:
    parse(content, name)


def _via(content: bytes, name: str, folder: Path) -> None:
    list(Drawn(content, name).add_to([RawImage("y1.png", CONTENT, "a")]))


READERS: dict[str, Callable[[bytes, str, Path], None]] = {
    "image": _image, "clinical": _clinical, "zip": _zip, "table": _table,
    "matlab": _matlab, "coco": _coco, "via": _via,
}  # fmt: skip

if __name__ == "__main__":
    main()
