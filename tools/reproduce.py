"""Run `dvc repro`, and compare the results with those of the commit.

usage: python tools/reproduce.py [TARGET ...]
"""

import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import compare_with_commit
from brain_tumor.core.cli import PARAMS
from brain_tumor.core.errors import UserError
from brain_tumor.core.params import read_params
from brain_tumor.recipes.names import describe_unknown, find_name_problem

# DVC ends with advice to add the changed files to Git, which is right only where the results were meant to change.
ADVICE_BEGIN, ADVICE_END = "To track the changes with git, run:", "dvc config core.autostage true"
REPORT = re.compile(r"stages/dvc\.yaml:report@(?P<recipe>.*)")  # the target of `make repro RECIPE=…`


def main() -> None:
    """Run all stages; exit with DVC's exit code if one fails."""
    try:
        require_recipes(sys.argv[1:])
        require_names()
    except UserError as error:
        sys.exit(f"error: {error}")
    with subprocess.Popen(["dvc", "repro", *sys.argv[1:]], stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        in_advice = False
        try:
            for line in process.stdout:
                in_advice = in_advice or line.strip() == ADVICE_BEGIN
                if not in_advice:
                    print(line, end="", flush=True)
                in_advice = in_advice and line.strip() != ADVICE_END
        except KeyboardInterrupt:
            sys.exit(process.wait())
    if process.returncode:
        sys.exit(process.returncode)
    compare_with_commit.main()


def require_names() -> None:
    """Raise a UserError if a name cannot be used: DVC reads all stages first, and would not name the recipe."""
    for section in ("datasets", "backbones", "recipes"):
        for name in read_params(PARAMS, section, dict[str, Any]):
            if problem := find_name_problem(name):
                raise UserError(f"{PARAMS}: {section}: {problem}")


def require_recipes(targets: Sequence[str]) -> None:
    """Raise a UserError if a target is the report of a recipe that does not exist; DVC would list no recipes."""
    for recipe in (match["recipe"] for target in targets if (match := REPORT.fullmatch(target))):
        recipes = read_params(PARAMS, "recipes", dict[str, Any])
        if recipe not in recipes:
            raise UserError(f"{PARAMS}: {describe_unknown('recipe', recipe, recipes)}")


if __name__ == "__main__":
    main()
