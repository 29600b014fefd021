"""The raw store: against plain copying of the same bytes, and in DVC's hands against the same files as a folder.

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
from machine import save

from brain_tumor import archive
from brain_tumor.archive import RawArchive, RawImage
from brain_tumor.zips import ZipFiles

ROUNDS = 3


def main() -> None:
    """Measure both comparisons and write their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="a raw archive, whose images are used")
    given = parser.parse_args()
    name = given.archive.stem
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source = as_downloaded(given.archive, place / "source.zip")
        plain, ours = best(lambda: copy_plainly(source, place / "a.zip")), best(lambda: store(source, place / "b.zip"))
        rows = [("plain reading, hashing, writing", plain), ("unpacking, hashing, indexing, storing", ours)]
        table = pd.DataFrame(rows, columns=["what", "seconds"])
        save(table.assign(ratio=table["seconds"] / plain).round(2), f"raw {name}", "pandas")
        save(in_dvc(given.archive, place), f"dvc {name}", "dvc")


def best(action: Callable[[], None]) -> float:
    """Seconds of the quickest of some rounds."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def as_downloaded(raw: Path, target: Path) -> Path:
    """The images as a service sends them: a compressed zip."""
    with RawArchive(raw) as images, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for path in images.index["path"]:
            made.writestr(path, images.read(path))
    return target


def copy_plainly(source: Path, target: Path) -> None:
    """Read every member, hash it, write it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for member in old.infolist():
            content = old.read(member)
            hashlib.sha256(content).hexdigest()
            new.writestr(member.filename, content)


def store(source: Path, target: Path) -> None:
    """What the download stage does."""
    with ZipFiles(source) as files:
        archive.write(target, (RawImage(name, files.read(name), name.split("/")[0]) for name in files.names()))


def in_dvc(raw: Path, place: Path) -> pd.DataFrame:
    """Seconds of `dvc` add, push, pull and a no-op repro, for the zip and for the same files in a folder."""
    rows = []
    for kind in ("one stored zip", "a folder of files"):
        repository = place / kind.replace(" ", "-")
        repository.mkdir()

        def dvc(*words: str, root: Path = repository) -> float:
            start = time.perf_counter()
            subprocess.run(["dvc", *words], cwd=root, check=True, capture_output=True)
            return time.perf_counter() - start

        dvc("init", "--no-scm")
        dvc("config", "core.analytics", "false")
        dvc("remote", "add", "-d", "store", str(place / f"{repository.name}-remote"))
        if kind == "one stored zip":
            shutil.copy(raw, repository / "data")
        else:
            with zipfile.ZipFile(raw) as images:
                images.extractall(repository / "data")
        add, push = dvc("add", "data"), dvc("push")
        shutil.rmtree(repository / ".dvc/cache")
        remove = shutil.rmtree if (repository / "data").is_dir() else Path.unlink
        remove(repository / "data")
        pull, repro = dvc("pull"), dvc("repro", "data.dvc")
        rows.append((kind, add, push, pull, repro))
    return pd.DataFrame(rows, columns=["what", "add", "push", "pull", "no-op repro"]).round(2)


if __name__ == "__main__":
    main()
