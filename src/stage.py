"""What every stage script shares: its one argument, its log, and how an error reaches the user."""

import argparse
import errno
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from brain_tumor.errors import UserError

PARAMS = Path("params.yaml")
SCRATCH = Path("scratch")


def run(main: Callable[[str], None], what: str) -> None:
    """Call `main` with the name given on the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name", help=f"the {what} of params.yaml to work on")
    name = parser.parse_args().name
    guarded(lambda: main(name))


def guarded(action: Callable[[], None]) -> None:
    """Call `action` with logging set up; a UserError is printed alone, with exit code 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for chatty in ("httpx", "matplotlib", "timm", "PIL", "fontTools"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        action()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.exit(f"error: no room left on the disk of {error.filename or Path.cwd()}: free some and run again")
