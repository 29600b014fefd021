"""What DVC prints, in the words of the installed version."""

from dvc_output import stages_run

OUTPUT = """\
Running stage 'stages/sources/dvc.yaml:locate':
> python src/locate.py

Running stage 'stages/dvc.yaml:download@mine':
> python src/download.py mine
Stage 'stages/dvc.yaml:audit@mine' didn't change, skipping
Stage 'stages/dvc.yaml:split@one' is cached - skipping run, checking out outputs
Running stage 'deliver':
Running stages in threads: a line of a stage
"""


def test_stages_run_are_named_without_those_that_run_each_time() -> None:
    assert stages_run(OUTPUT) == ["stages/dvc.yaml:download@mine", "deliver"]


def test_stages_run_of_other_output_are_none() -> None:
    assert stages_run("") == stages_run("Data and pipelines are up to date.\n") == []
