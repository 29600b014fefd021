"""Write the list of a data set: content hashes, groups, patients and folds of its images."""

import logging

from brain_tumor.audit.patients import read_patients
from brain_tumor.core.cli import PARAMS, run_stage
from brain_tumor.core.outputs import atomic_outputs, write_csv
from brain_tumor.core.params import read_params
from brain_tumor.core.tables import read_table
from brain_tumor.studies.image_lists import make_list

log = logging.getLogger(__name__)


def main(name: str) -> None:
    """Write lists/<dataset>.csv."""
    patients = read_patients(read_params(PARAMS, f"datasets.{name}.patients", str))
    table = read_table(f"data/audit/{name}.csv")
    table = table.assign(conflict=table["conflict"] == "True")
    images = make_list(table, patients)
    with atomic_outputs(f"lists/{name}.csv") as (path,):
        write_csv(path, images)
    doubtful = images.loc[images["doubt"] != "", "doubt"].value_counts()
    log.info("%s: %d images, %d groups; %s", name, len(images), images["group"].nunique(), doubtful.to_dict())


if __name__ == "__main__":
    run_stage(main, "data set")
