"""Cost of the audit by number of images: time to read, time to find near-duplicates, memory.

python benchmarks/bench_audit.py data/raw/nickparvar.zip --max-images 100000
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
from machine import save_table
from numpy.lib.format import open_memmap

from brain_tumor.audit.inspection import inspect_image
from brain_tumor.audit.near_duplicates import find_near_duplicates
from brain_tumor.audit.thumbnails import THUMBNAIL_SIDE, Thumbnails, make_thumbnails
from brain_tumor.core.types import Gray
from brain_tumor.datasets.raw_archive import ArchiveReader, RawArchive
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.parallel import ordered_map

SIZES = (7_000, 25_000, 100_000)  # numbers of images
SPEED_SAMPLE = 1_000  # images that the reading rate is measured on
WARM_UP_IMAGES = 50


class Measurement(NamedTuple):
    """Cost for one number of images: seconds of each part, number of links, peak memory of the main process."""

    images: int
    seconds_reading: float
    seconds_linking: float
    seconds: float
    links: int
    memory_mb: int


def main() -> None:
    """Measure sizes up to --max-images, print them, and write a CSV file named after machine and versions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", help="a raw archive; beyond its size, augmented versions of its thumbnails are used")
    parser.add_argument("--max-images", type=int, default=20_000, help="the largest size to measure")
    args = parser.parse_args()
    read = ArchiveReader(args.archive)
    with RawArchive(args.archive) as raw:
        paths = raw.index.sort_values("sha256")["path"].tolist()
    rate = measure_reading_rate(read, paths)
    sizes = [*(size for size in SIZES if size < args.max_images), args.max_images]
    measurements = []
    with tempfile.TemporaryDirectory() as folder:
        frames, heads = make_thumbnail_arrays(Path(folder), read, paths, args.max_images)
        for size in sizes:
            start = time.perf_counter()
            links = find_near_duplicates(frames[:size], heads[:size], f"{size:,} images")
            linking = time.perf_counter() - start
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            total = size / rate + linking
            measurements.append(
                Measurement(size, round(size / rate, 1), round(linking, 1), round(total, 1), len(links), memory)
            )
            # Saved after each size: the largest may take long.
            table = pd.DataFrame(measurements)
            # Constant if the cost is proportional to n log n; decreasing if it grows more slowly.
            cost = table["seconds"] / table["images"].map(lambda n: n * math.log(n))
            table["against_n_log_n"] = (cost / cost.iloc[0]).round(2)
            save_table(table, f"audit {Path(args.archive).stem}", "faiss-cpu", "opencv-python-headless", "numpy")


def measure_reading_rate(read: ArchiveReader, paths: list[str]) -> float:
    """Measure the images per second of decoding, hashing and making thumbnails, with all workers."""
    sample = paths[:: max(1, len(paths) // SPEED_SAMPLE)]
    list(ordered_map(partial(_inspect, read), sample[:WARM_UP_IMAGES], ""))  # start the processes
    start = time.perf_counter()
    list(ordered_map(partial(_inspect, read), sample, "reading"))
    return len(sample) / (time.perf_counter() - start)


def make_thumbnail_arrays(folder: Path, read: ArchiveReader, paths: list[str], size: int) -> tuple[Gray, Gray]:
    """Make thumbnails of `size` images on disk: those of the archive, then augmented versions of them."""
    arrays = [
        open_memmap(folder / name, "w+", np.uint8, (size, THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        for name in ("frames", "heads")
    ]
    for row, pair in enumerate(ordered_map(partial(_read_thumbnails, read), paths[:size], "thumbnails")):
        arrays[0][row], arrays[1][row] = pair.frame, pair.head
    for row in range(len(paths), size):
        original = row % len(paths)
        random = np.random.default_rng(row)
        center = ((THUMBNAIL_SIDE - 1) / 2, (THUMBNAIL_SIDE - 1) / 2)
        matrix = cv2.getRotationMatrix2D(center, random.uniform(-20, 20), random.uniform(0.8, 1.05))
        matrix = matrix + np.array([[0, 0, random.uniform(-3, 3)], [0, 0, random.uniform(-3, 3)]])
        gamma = np.rint((np.arange(256) / 255) ** random.uniform(0.7, 1.4) * 255).astype(np.uint8)
        for array in arrays:
            array[row] = gamma[cv2.warpAffine(array[original], matrix, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))]
    for array in arrays:
        array.flush()
    frames, heads = (np.load(folder / name, mmap_mode="r") for name in ("frames", "heads"))
    return frames, heads


def _inspect(read: ArchiveReader, path: str) -> str:
    return inspect_image(read(path)).pixels


def _read_thumbnails(read: ArchiveReader, path: str) -> Thumbnails:
    return make_thumbnails(decode_gray(read(path)))


if __name__ == "__main__":
    main()
