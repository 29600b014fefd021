"""The Git history of source files."""

import subprocess
from collections.abc import Sequence


def last_commit(paths: Sequence[str]) -> str:
    """Return the commit that last changed files or folders, which is the same in every full clone.

    The commit that is checked out would not do: each later commit would change the report without any change in it.
    """

    def git(*args: str) -> str:
        return subprocess.run(["git", *args, "--", *paths], capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("log", "-1", "--format=%H")
        changes = git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (no Git history here)"
    return f"{commit or 'none yet'}{' with uncommitted changes' if changes else ''}"
