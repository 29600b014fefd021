"""Benchmark of the raw archive: compared with plain copying, and, in DVC, with the same files in a folder.

python benchmarks/bench_raw.py data/raw/nickparvar.zip
"""

import argparse
import hashlib
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from machine import save_table

from brain_tumor.datasets import raw_archive
from brain_tumor.datasets.raw_archive import RawArchive, RawImage
from brain_tumor.datasets.readers.zip_archive import ZipFiles

NUM_ROUNDS = 3


def main() -> None:
    """Measure both comparisons and save their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="raw archive whose images are used")
    archive = parser.parse_args().archive
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = compress_images(archive, folder / "source.zip")
        copy_seconds = measure_fastest(lambda: copy_archive(source, folder / "a.zip"))
        store_seconds = measure_fastest(lambda: store_archive(source, folder / "b.zip"))
        rows = [("read, hash, write", copy_seconds), ("decompress, hash, index, store", store_seconds)]
        table = pd.DataFrame(rows, columns=["operation", "seconds"])
        save_table(table.assign(ratio=table["seconds"] / copy_seconds).round(2), f"raw {archive.stem}", "pandas")
        save_table(measure_dvc(archive, folder), f"dvc {archive.stem}", "dvc")


def measure_fastest(action: Callable[[], None]) -> float:
    """Return the seconds of the fastest of NUM_ROUNDS runs."""
    seconds = []
    for _ in range(NUM_ROUNDS):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def compress_images(archive: Path, target: Path) -> Path:
    """Write the images of a raw archive to a compressed zip archive, as services send them."""
    with RawArchive(archive) as images, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as compressed:
        for path in images.index["path"]:
            compressed.writestr(path, images.read(path))
    return target


def copy_archive(source: Path, target: Path) -> None:
    """Read, hash and write every member."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for member in old.infolist():
            content = old.read(member)
            hashlib.sha256(content).hexdigest()
            new.writestr(member.filename, content)


def store_archive(source: Path, target: Path) -> None:
    """Write a raw archive as the download stage does."""
    with ZipFiles(source) as files:
        raw_archive.write_archive(
            target, (RawImage(name, files.read(name), name.split("/")[0]) for name in files.names())
        )


def measure_dvc(archive: Path, folder: Path) -> pd.DataFrame:
    """Measure the seconds of `dvc` add, push, pull and a no-op repro, for the archive and for a folder of its files."""
    rows = []
    for kind in ("raw archive", "folder of files"):
        repository = folder / kind.replace(" ", "-")
        repository.mkdir()

        def dvc(*args: str, root: Path = repository) -> float:
            start = time.perf_counter()
            subprocess.run(["dvc", *args], cwd=root, check=True, capture_output=True)
            return time.perf_counter() - start

        dvc("init", "--no-scm")
        dvc("config", "core.analytics", "false")
        dvc("remote", "add", "-d", "store", str(folder / f"{repository.name}-remote"))
        if kind == "raw archive":
            shutil.copy(archive, repository / "data")
        else:
            with zipfile.ZipFile(archive) as images:
                images.extractall(repository / "data")
        add, push = dvc("add", "data"), dvc("push")
        shutil.rmtree(repository / ".dvc/cache")
        remove = shutil.rmtree if (repository / "data").is_dir() else Path.unlink
        remove(repository / "data")
        pull, repro = dvc("pull"), dvc("repro", "data.dvc")
        rows.append((kind, add, push, pull, repro))
    return pd.DataFrame(rows, columns=["storage", "add", "push", "pull", "no-op repro"]).round(2)


if __name__ == "__main__":
    main()
