"""How the commands on images end: with one message for whatever the user can mend, and never with a traceback."""

import errno
import sys
from collections.abc import Callable

from brain_tumor.commands.main import INTERRUPTED
from brain_tumor.core.cli import run_cli
from brain_tumor.core.errors import UserError


def run_command(action: Callable[[], None]) -> None:
    """Call `action` like `run_cli`, which also knows a full disk; other errors of files and Ctrl-C are one message too.

    Raises:
        SystemExit: with the message of an error, or with INTERRUPTED.
    """

    def run() -> None:
        try:
            action()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            name = f"{error.filename}: " if error.filename else ""
            raise UserError(f"{name}{error.strerror or error}") from None

    try:
        run_cli(run)
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        sys.exit(INTERRUPTED)
