"""Look for copies, adjacent slices, label conflicts and unfit files in a data set, or in any folder of images."""

import argparse
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor.archive import RawArchive, Reader
from brain_tumor.audit import Read, audit, summary
from brain_tumor.errors import UserError
from brain_tumor.folders import FolderFiles, index_images
from brain_tumor.gallery import choose_examples
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read
from brain_tumor.sheets import pair_sheet
from stage import PARAMS, guarded

log = logging.getLogger(__name__)
EXAMPLES = 3  # of each kind in the gallery
DESCRIPTION = """
Find copies among images: the same bytes, the same pixels, and the same slice rescaled, re-encoded, brightened,
cropped, padded, lettered, mirrored or rotated; adjacent slices; label conflicts; files that cannot be read, blank
images, and images that do not look like a slice of a head.

  python src/audit.py nickparvar                             a data set of params.yaml (as the pipeline does)
  python src/audit.py --folder ~/images --out ~/images-audit any folder of images: <class>/…, or train/<class>/…
"""


def main() -> None:
    """Audit what the command line names."""
    parser = argparse.ArgumentParser(description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", help="a data set of params.yaml that has been downloaded")
    parser.add_argument("--folder", type=Path, help="audit the images below this folder; nothing in it is changed")
    parser.add_argument("--out", type=Path, help="where audit.csv, links.csv, audit.json and audit.png of it go")
    given = parser.parse_args()
    if bool(given.name) == bool(given.folder) or bool(given.folder) != bool(given.out):
        parser.error("name a data set, or give --folder and --out")
    guarded(lambda: of_folder(given.folder, given.out) if given.folder else of_dataset(given.name))


def of_dataset(name: str) -> None:
    """Audit the raw archive of a data set."""
    path = f"data/raw/{name}.zip"
    if not Path(path).exists():
        known = read(PARAMS, "datasets", dict[str, Any])
        if name not in known:
            raise UserError(f"{PARAMS} has no data set {name} (known: {', '.join(known)})")
        raise UserError(f"{path} is missing: run dvc repro stages/dvc.yaml:download@{name} first")
    with RawArchive(path) as raw:
        index = raw.index
    outs = [f"data/audit/{name}.csv", f"data/audit/{name}-links.csv"]
    write(index, Reader(path), name, [*outs, f"metrics/{name}/audit.json", f"plots/{name}/audit.png"])


def of_folder(folder: Path, out: Path) -> None:
    """Audit any folder of images."""
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"--out {out} lies in the folder itself: the next run would take the pictures in it for images")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file, and must be a folder")
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    outs = [str(out / file) for file in ("audit.csv", "links.csv", "audit.json", "audit.png")]
    files = FolderFiles(folder)
    write(index_images(files), files.read, folder.resolve().name, outs)
    log.info("written: %s", ", ".join(outs))


def write(index: pd.DataFrame, get: Read, name: str, outs: list[str]) -> None:
    """Audit, write the table, the links, the counts and the gallery, and say in the log what matters."""
    table, links = audit(index, get, f"audit {name}")
    counts = summary(table, links)
    examples = [[(get(a), get(b), a, b, why) for a, b, why in row] for row in choose_examples(table, links, EXAMPLES)]
    for path, problem, doubt in zip(table["path"], table["problem"], table["doubt"], strict=True):
        if problem or doubt:
            log.warning("%s: %s", path, problem or f"does not look like a head ({doubt})")
    with staged(*outs) as (csv, links_csv, metrics, picture):
        write_csv(csv, table)
        write_csv(links_csv, links)
        write_json(metrics, counts)
        pair_sheet(picture, examples, f"{name}: copies and neighbors found by the audit")
    log.info(
        "%s: %d images, %d distinct, %d groups", name, *(counts[k] for k in ("images", "distinct_images", "groups"))
    )
    if "published_test" in counts:
        words = "%d of %d test images have a copy in training (%d only mirrored or rotated), %d an image of their group"
        keys = ("leaked_copies", "published_test", "leaked_mirrored_only", "leaked_group")
        log.info(words, *(counts[key] for key in keys))


if __name__ == "__main__":
    main()
