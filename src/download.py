"""Download a data set from its source and store it as a raw archive."""

import logging

from brain_tumor.core.cli import PARAMS, SCRATCH, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv
from brain_tumor.core.params import read_params
from brain_tumor.datasets import raw_archive, registry
from brain_tumor.datasets.skipped import SkippedFiles

log = logging.getLogger(__name__)
ADVICE = "leave the class out of `labels`, or set split.strategy to fraction, which divides all images"


def main(name: str) -> None:
    """Write data/raw/<dataset>.zip after comparing its content with what params.yaml expects.

    Also writes data/raw/<dataset>-skipped.csv: each file of the source that gave no image, with the reason.
    """
    expected = read_params(PARAMS, f"datasets.{name}.expected", registry.ExpectedContent)
    skipped = SkippedFiles()
    with atomic_outputs(f"data/raw/{name}.zip", f"data/raw/{name}-skipped.csv") as (path, skipped_path):
        images = registry.load_images(PARAMS, name, SCRATCH / "downloads", skipped)
        index = raw_archive.write_archive(path, images)
        write_csv(skipped_path, skipped.table())
        skipped.log_summary(name)
        raw_archive.check_expected(index, expected.counts, expected.fingerprint, name)
    for missing in raw_archive.find_missing_classes(index):
        log.warning("%s: no image in %s: this split lacks the class. For recipes, %s", name, missing, ADVICE)
    log.info("%s: %d images, fingerprint %s", name, len(index), raw_archive.content_fingerprint(index))
    if not expected.counts or not expected.fingerprint:
        block = raw_archive.format_expected(index)
        log.info(
            "To have the next download compared with this one, put into datasets.%s of params.yaml:\n%s", name, block
        )


if __name__ == "__main__":
    run_stage(main, "data set")
