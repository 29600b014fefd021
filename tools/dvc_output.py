"""What DVC prints: the stages that `dvc repro` ran, or would run with `--dry`."""

ALWAYS_RUN = "stages/sources/dvc.yaml:"  # these stages look for local files each time, and change nothing else


def stages_run(output: str) -> list[str]:
    """Return the stages that an output of `dvc repro` names, in order, without those that run each time."""
    names = [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]
    return [name for name in names if not name.startswith(ALWAYS_RUN)]
