"""Files with unresolved merge conflicts, and what to do: neither DVC nor our stages can read them."""

import subprocess
import sys

PAGE = "docs/conflicts.md"


def require_no_conflicts() -> None:
    """Exit with the names of the files that Git could not merge, if there are any; each in one line with the advice."""
    command = ("git", "diff", "--name-only", "--diff-filter=U", "--relative", "-z")
    files = subprocess.run(command, capture_output=True, text=True).stdout.split("\0")
    if conflicts := sorted(filter(None, files)):
        sys.exit(
            "\n".join(
                [
                    "Git could not merge these files:",
                    *(f"  {name}: {advise(name)}" for name in conflicts),
                    f"See {PAGE}.",
                ]
            )
        )


def advise(name: str) -> str:
    """Return what to do with a file that has a conflict."""
    if name.endswith("dvc.lock"):
        return f"`git checkout --ours {name} && git add {name}`, then `dvc repro` of the stages of the other side"
    return f"edit it so that it has what both sides need and no marker (<<<<<<<), then `git add {name}`"
