"""Run `dvc repro`, and compare the results with those of the commit.

usage: python tools/reproduce.py [TARGET ...]
"""

import signal
import subprocess
import sys

import compare_with_commit

# DVC ends with advice to add the changed files to Git, which is right only where the results were meant to change.
ADVICE_BEGIN, ADVICE_END = "To track the changes with git, run:", "dvc config core.autostage true"


def main() -> None:
    """Run all stages; exit with DVC's exit code if one fails."""
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


if __name__ == "__main__":
    main()
