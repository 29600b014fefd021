"""Measure the audit: plant altered and turned copies in a data set whose images are all different."""

import logging
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.archive import Reader
from brain_tumor.audit import Reading, inspect
from brain_tumor.copies import TRANSFORMS, components, find_links
from brain_tumor.errors import UserError
from brain_tumor.images import read_gray
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.parallel import ordered_map
from brain_tumor.planting import ALTERATIONS, plant, turn_of
from brain_tumor.sheets import pair_sheet
from stage import run

log = logging.getLogger(__name__)
MOST = 480  # originals


def main(name: str) -> None:
    """Write precision and recall of the copies found, by alteration and by turn."""
    read = Reader(f"data/raw/{name}.zip")
    if not Path(f"data/audit/{name}.csv").exists():
        raise UserError(f"{name} has not been audited: run dvc repro stages/dvc.yaml:audit@{name} first")
    table = pd.read_csv(f"data/audit/{name}.csv", dtype=str, keep_default_na=False)
    # Images without a relative but those of their own patient, at even steps through the contents.
    alone = table[table["kind"].isin(("", "patient")) & (table["problem"] == "")].sort_values("sha256")["path"]
    paths = alone.iloc[np.unique(np.linspace(0, len(alone) - 1, MOST).round().astype(int))].tolist()
    originals = list(ordered_map(partial(_original, read), paths, "originals"))
    found = []
    for number, alteration in enumerate(ALTERATIONS):
        items = [(path, alteration, n + number) for n, path in enumerate(paths)]
        copies = list(ordered_map(partial(_planted, read), items, f"plant: {alteration}"))
        found.append(compare(originals, copies, number).assign(alteration=alteration))
    each = pd.concat(found)
    table = pd.concat([rates(each, "alteration", list(ALTERATIONS)), rates(each, "turn", list(TRANSFORMS))])
    outs = (f"metrics/{name}/planted.json", f"plots/{name}/planted.csv", f"plots/{name}/planted.png")
    with staged(*outs) as (metrics, csv, picture):
        figures = {by: part.set_index("name")[["precision", "recall"]] for by, part in table.groupby("by")}
        write_json(metrics, {by: part.to_dict("index") for by, part in figures.items()}, digits=4)
        write_csv(csv, table)
        examples = [
            (read(path), _bytes(read, (path, alteration, n)), path, f"{alteration}, {turn_of(n)[1]}", "planted copy")
            for n, (path, alteration) in enumerate(zip(paths, ALTERATIONS, strict=False))
        ]
        rows = [examples[start : start + 3] for start in range(0, len(examples), 3)]
        pair_sheet(picture, rows, f"{name}: an original and a planted copy, each")
    log.info("recall %.3f, precision %.3f", each["found"].mean(), each["right"].sum() / each["joined"].sum())


def compare(originals: list[Reading], copies: list[Reading], shift: int) -> pd.DataFrame:
    """Look for copies among originals and planted ones together; one row a planted copy.

    Columns: turn; found (whether it is in one class with its original); joined (other images in its class)
    and right (those of them that belong there).
    """
    both = [reading.thumbnails for reading in originals + copies]
    frames, heads = (np.stack([getattr(small, kind) for small in both]) for kind in ("frame", "head"))
    links = find_links(frames, heads, "planted")
    links = links[links["kind"] == "copy"]
    count = len(originals)
    component = components(links[["first", "second"]].to_numpy(np.int64), 2 * count)
    sizes = np.bincount(component)
    rows = []
    for n in range(count):
        turn = turn_of(n + shift)[1]
        together = component[n] == component[n + count]
        rows.append((turn, together, sizes[component[n + count]] - 1, int(together)))
    return pd.DataFrame(rows, columns=["turn", "found", "joined", "right"])


def rates(each: pd.DataFrame, by: str, names: list[str]) -> pd.DataFrame:
    """Precision and recall by the values of a column."""
    sums = each.groupby(by)[["found", "joined", "right"]].sum().loc[names]
    planted = each.groupby(by).size().loc[names]
    precision = (sums["right"] / sums["joined"]).fillna(1.0)
    columns = {"by": by, "name": names, "planted": planted.to_numpy(), "recall": (sums["found"] / planted).to_numpy()}
    return pd.DataFrame(columns | {"precision": precision.to_numpy()})


def _original(read: Reader, path: str) -> Reading:
    return inspect(read(path))


def _planted(read: Reader, item: tuple[str, str, int]) -> Reading:
    return inspect(_bytes(read, item))


def _bytes(read: Reader, item: tuple[str, str, int]) -> bytes:
    path, alteration, number = item
    random = np.random.default_rng([number, list(ALTERATIONS).index(alteration)])
    return plant(read_gray(read(path)), alteration, turn_of(number)[0], random)


if __name__ == "__main__":
    run(main, "data set")
