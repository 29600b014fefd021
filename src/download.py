"""Download a data set from its source and store it as a raw archive."""

import logging

from brain_tumor.core.cli import PARAMS, SCRATCH, run_stage
from brain_tumor.core.outputs import atomic_outputs
from brain_tumor.core.params import read_params
from brain_tumor.datasets import raw_archive, registry

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write data/raw/<dataset>.zip after comparing its content with what params.yaml expects."""
    expected = read_params(PARAMS, f"datasets.{name}.expected", registry.ExpectedContent)
    with atomic_outputs(f"data/raw/{name}.zip") as (path,):
        index = raw_archive.write_archive(path, registry.load_images(PARAMS, name, SCRATCH / "downloads"))
        raw_archive.check_expected(index, expected.counts, expected.fingerprint, name)
    log.info("%s: %d images, fingerprint %s", name, len(index), raw_archive.content_fingerprint(index))


if __name__ == "__main__":
    run_stage(main, "data set")
