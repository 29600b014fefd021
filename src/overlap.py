"""Find the images that the data sets share."""

import argparse
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor import plots
from brain_tumor.archive import RawArchive, Reader
from brain_tumor.audit import audit
from brain_tumor.errors import UserError
from brain_tumor.gallery import choose_examples
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.params import read as read_params
from brain_tumor.sheets import pair_sheet
from stage import PARAMS, guarded

log = logging.getLogger(__name__)
RAW = Path("data/raw")
EXAMPLES = 3


class ReaderOfAll:
    """Reads images by data set and path: `<data set>/<path>`."""

    def __call__(self, path: str) -> bytes:
        """Return the bytes of one image."""
        dataset, _, member = path.partition("/")
        return Reader(f"{RAW / dataset}.zip")(member)


def main() -> None:
    """Audit data sets as if they were one, and count what they share."""
    known = list(read_params(PARAMS, "datasets", dict[str, Any]))
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help="data sets of params.yaml; all of them if none is named")
    names = parser.parse_args().names or known
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"{PARAMS} has no data set {unknown[0]} (known: {', '.join(known)})")
    missing = [name for name in names if not (RAW / f"{name}.zip").exists()]
    if missing:
        raise UserError(
            f"{', '.join(missing)}: not in {RAW}; dvc repro stages/dvc.yaml:download@{missing[0]} downloads it"
        )
    parts = []
    for name in names:
        with RawArchive(RAW / f"{name}.zip") as raw:
            part = raw.index.assign(path=f"{name}/" + raw.index["path"], dataset=name)
            part["patient"] = part["patient"].where(part["patient"] == "", f"{name}/" + part["patient"])
            parts.append(part)
    index = pd.concat(parts, ignore_index=True).fillna("")
    table, links = audit(index, ReaderOfAll(), "overlap")
    for column, key in (("copied_in", "copies"), ("related_in", "group")):
        table[column] = elsewhere(table, key)
    shared = matrix(table, names)
    of = table.set_index("path")["dataset"]
    across = links[links["first"].map(of) != links["second"].map(of)]
    read = ReaderOfAll()
    rows = choose_examples(table.assign(split="", label=""), across, EXAMPLES)
    examples = [[(read(first), read(second), first, second, why) for first, second, why in row] for row in rows]
    with staged("data/overlap", "metrics/overlap/shared.json", "plots/overlap") as (folder, metrics, pictures):
        folder.mkdir()
        columns = ["dataset", "path", "label", "split", "sha256", "copies", "group", "copied_in", "related_in"]
        write_csv(folder / "images.csv", table[columns])
        write_csv(folder / "links.csv", across)
        write_json(metrics, shared)
        pictures.mkdir()
        plots.overlap_matrix(pictures / "shared.png", shared)
        pair_sheet(pictures / "examples.png", examples, "images that data sets share")
    for name, found in shared.items():
        for other, count in found["copied"].items():
            log.info("%s: %d of %d images have a copy in %s", name, count, found["images"], other)


def elsewhere(table: pd.DataFrame, key: str) -> "pd.Series[str]":
    """The names of the other data sets with images of the same `key`, joined by blanks."""
    sets = {value: sorted(set(found)) for value, found in table.groupby(key)["dataset"]}
    pairs = zip(table["dataset"], table[key], strict=True)
    return pd.Series([" ".join(x for x in sets[value] if x != own) for own, value in pairs], table.index, dtype=str)


def matrix(table: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """How many images of each data set have a copy, or a copy or relative, in each other one."""
    result: dict[str, Any] = {}
    for name in names:
        own = table[table["dataset"] == name]
        result[name] = {"images": len(own)}
        for kind in ("copied", "related"):
            found = own[f"{kind}_in"].str.split(" ")
            result[name][kind] = {
                other: int(found.map(lambda f, o=other: o in f).sum()) for other in names if other != name
            }
    return result


if __name__ == "__main__":
    guarded(main)
