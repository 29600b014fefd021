"""Command line of stage scripts: the argument, the log, and the report of errors to the user."""

import argparse
import errno
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from brain_tumor.core.errors import UserError

PARAMS = Path("params.yaml")
SCRATCH = Path("scratch")


def run_stage(main: Callable[[str], None], kind: str) -> None:
    """Call `main` with the name given on the command line.

    Args:
        main: the stage; its docstring is the description that `--help` prints.
        kind: what the name stands for in params.yaml: "data set", "backbone" or "recipe".
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name", help=f"name of a {kind} in params.yaml")
    name = parser.parse_args().name
    run_cli(lambda: main(name))


def run_cli(action: Callable[[], None]) -> None:
    """Call `action` with logging set up; for a UserError, a full disk or GPU, print one message and exit with 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy_logger in ("httpx", "matplotlib", "timm", "PIL", "fontTools"):
        logging.getLogger(noisy_logger).setLevel(logging.WARNING)
    try:
        action()
    except UserError as error:
        sys.exit(f"error: {error}")
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # of torch, which is not imported here
            raise
        sys.exit(f"error: the GPU is out of memory ({error}): stop other programs that use it, or set DEVICE=cpu")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.exit(f"error: no space left on the disk of {error.filename or Path.cwd()}: free disk space and run again")
