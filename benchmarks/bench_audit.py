"""How the audit's cost grows with the number of images: time of reading, time of linking, memory.

python benchmarks/bench_audit.py data/raw/nickparvar.zip --most 100000
"""

import argparse
import math
import resource
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from machine import save
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from brain_tumor.archive import RawArchive, Reader
from brain_tumor.audit import inspect
from brain_tumor.copies import find_links
from brain_tumor.images import read_gray
from brain_tumor.parallel import ordered_map
from brain_tumor.thumbnails import SIDE, Thumbnails, thumbnails

SIZES = (7_000, 25_000, 100_000)
SPEED_SAMPLE = 1_000


class Line(NamedTuple):
    """One size: seconds of each part, the number of links, and the largest memory of the main process so far."""

    images: int
    seconds_reading: float
    seconds_linking: float
    seconds: float
    links: int
    memory_mb: int


def main() -> None:
    """Measure sizes up to --most, print them, and write a CSV file named after machine and versions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", help="a raw archive; beyond its size, augmented versions of its thumbnails are used")
    parser.add_argument("--most", type=int, default=20_000, help="the largest size to measure")
    given = parser.parse_args()
    read = Reader(given.archive)
    with RawArchive(given.archive) as raw:
        paths = raw.index.sort_values("sha256")["path"].tolist()
    rate = reading_rate(read, paths)
    sizes = [*(size for size in SIZES if size < given.most), given.most]
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        frames, heads = fill(Path(folder), read, paths, given.most)
        for size in sizes:
            start = time.perf_counter()
            links = find_links(frames[:size], heads[:size], f"{size:,} images")
            linking = time.perf_counter() - start
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            total = size / rate + linking
            lines.append(Line(size, round(size / rate, 1), round(linking, 1), round(total, 1), len(links), memory))
            # Saved after each size: the largest may take long.
            table = pd.DataFrame(lines)
            # 1 throughout would be n log n exactly; what falls grows more slowly.
            cost = table["seconds"] / table["images"].map(lambda n: n * math.log(n))
            table["against_n_log_n"] = (cost / cost.iloc[0]).round(2)
            save(table, f"audit {Path(given.archive).stem}", "faiss-cpu", "opencv-python-headless", "numpy")


def reading_rate(read: Reader, paths: list[str]) -> float:
    """Images a second of decoding, hashing and making thumbnails, with all workers."""
    sample = paths[:: max(1, len(paths) // SPEED_SAMPLE)]
    list(ordered_map(partial(_inspect, read), sample[:50], ""))  # start the processes
    start = time.perf_counter()
    list(ordered_map(partial(_inspect, read), sample, "reading"))
    return len(sample) / (time.perf_counter() - start)


def fill(folder: Path, read: Reader, paths: list[str], size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Thumbnails of `size` images on disk: those there are, then augmented versions of them."""
    arrays = [open_memmap(folder / name, "w+", np.uint8, (size, SIDE, SIDE)) for name in ("frames", "heads")]
    for row, made in enumerate(ordered_map(partial(_thumbnails, read), paths[:size], "thumbnails")):
        arrays[0][row], arrays[1][row] = made.frame, made.head
    for row in range(len(paths), size):
        original = row % len(paths)
        random = np.random.default_rng(row)
        center = ((SIDE - 1) / 2, (SIDE - 1) / 2)
        matrix = cv2.getRotationMatrix2D(center, random.uniform(-20, 20), random.uniform(0.8, 1.05))
        matrix = matrix + np.array([[0, 0, random.uniform(-3, 3)], [0, 0, random.uniform(-3, 3)]])
        gamma = np.rint((np.arange(256) / 255) ** random.uniform(0.7, 1.4) * 255).astype(np.uint8)
        for array in arrays:
            array[row] = gamma[cv2.warpAffine(array[original], matrix, (SIDE, SIDE))]
    for array in arrays:
        array.flush()
    frames, heads = (np.load(folder / name, mmap_mode="r") for name in ("frames", "heads"))
    return frames, heads


def _inspect(read: Reader, path: str) -> str:
    return inspect(read(path)).pixels


def _thumbnails(read: Reader, path: str) -> Thumbnails:
    return thumbnails(read_gray(read(path)))


if __name__ == "__main__":
    main()
