"""Fetch a data set from its source into data/raw/<dataset>.zip."""

import logging

from brain_tumor import archive, datasets
from brain_tumor.outputs import staged
from brain_tumor.params import read
from stage import PARAMS, SCRATCH, run

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Fetch one data set, check it against what params.yaml expects, and store it."""
    expected = read(PARAMS, f"datasets.{name}.expect", datasets.Expected)
    with staged(f"data/raw/{name}.zip") as (draft,):
        index = archive.write(draft, datasets.images(PARAMS, name, SCRATCH / "downloads"))
        archive.check_expected(index, expected.counts, expected.fingerprint, name)
    log.info("%s: %d images, fingerprint %s", name, len(index), archive.fingerprint(index))


if __name__ == "__main__":
    run(main, "data set")
