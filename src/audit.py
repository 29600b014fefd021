"""Look for duplicates, label conflicts and unreadable files in a raw data set."""

import logging

from brain_tumor import audit
from brain_tumor.archive import RawArchive
from brain_tumor.outputs import staged, write_csv, write_json
from brain_tumor.parallel import ordered_map
from brain_tumor.sheets import pair_sheet
from stage import run

log = logging.getLogger(__name__)
GALLERY_PAIRS = 24


def main(name: str) -> None:
    """Audit one data set: a table with a group for every image, counts, and a gallery of copies."""
    with RawArchive(f"data/raw/{name}.zip") as raw:
        contents = [content for _, content in raw.contents()]
        readings = list(ordered_map(audit.inspect, contents, f"audit {name}"))
        table = audit.audit(raw.index, readings)
        counts = audit.summary(table)
        pairs = [
            (raw.read(first), raw.read(second), first, second, what)
            for first, second, what in audit.example_pairs(table, GALLERY_PAIRS)
        ]
    for path, problem in table.loc[table["problem"] != "", ["path", "problem"]].itertuples(index=False):
        log.warning("%s: %s", path, problem)
    outs = (f"data/audit/{name}.csv", f"metrics/{name}/audit.json", f"plots/{name}/audit.png")
    with staged(*outs) as (csv, metrics, gallery):
        write_csv(csv, table)
        write_json(metrics, counts)
        pair_sheet(gallery, pairs, f"{name}: copies found by the audit")


if __name__ == "__main__":
    run(main, "data set")
