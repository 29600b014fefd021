"""Kill `dvc repro` at random moments, run it again until it ends, and compare all hashes with an undisturbed run.

The first kill of a run is uniformly distributed over its duration; the waiting times of later kills are exponential, in
whichever stage is running. Half of the kills are SIGINT (what Ctrl-C sends), half are SIGKILL, to the whole process
group. Before each run, `repair_dvc_state.py` repairs DVC's own files, as `make repro` does. Repairs are reported.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

SIGNALS = (signal.SIGINT, signal.SIGKILL)
EXIT_TIMEOUT_SECONDS = 120  # after a kill
POLL_SECONDS = 0.05
REPAIR = Path(__file__).with_name("repair_dvc_state.py")
DVC = [sys.executable, "-m", "dvc"]
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRON = os.environ | {"PATH": PATH, "TQDM_DISABLE": "1", "PYTHONUNBUFFERED": "1"}


class Clone:
    """A clone of the repository with its own cache and scratch folder.

    Attributes:
        repairs: messages of `repair_dvc_state.py`.
    """

    def __init__(self, repository: str, folder: Path, targets: list[str]) -> None:
        subprocess.run(["git", "clone", "-q", repository, str(folder)], check=True)
        self.folder, self.targets, self.log = folder, targets, folder.with_suffix(".log")
        self.repairs: list[str] = []

    def start(self) -> subprocess.Popen[bytes]:
        """Repair DVC's files, then start `dvc repro` in a new process group."""
        repair = subprocess.run(
            [sys.executable, str(REPAIR)], cwd=self.folder, env=ENVIRON, capture_output=True, text=True, check=True
        )
        self.repairs += repair.stdout.splitlines()
        command = [*DVC, "repro", *self.targets]
        with self.log.open("wb") as log:
            return subprocess.Popen(command, cwd=self.folder, env=ENVIRON, stdout=log, stderr=log, process_group=0)

    def finish(self) -> None:
        """Run to the end."""
        if self.start().wait():
            self.fail()

    def fail(self) -> None:
        """Exit with the log of a run that failed without being killed."""
        sys.exit(f"A run failed that was not killed:\n{self.log.read_text(errors='replace')}")

    def run_and_kill(self, delay: float, kind: signal.Signals) -> str | None:
        """Start a run and kill it.

        Args:
            delay: seconds from start to kill.
            kind: the signal to send.

        Returns:
            The stage that was killed, or None if the run ended first.
        """
        process = self.start()
        try:
            if process.wait(delay):
                self.fail()
            return None
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, kind)
        deadline = time.monotonic() + EXIT_TIMEOUT_SECONDS
        while is_group_alive(process):
            if time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
                sys.exit(f"Still running {EXIT_TIMEOUT_SECONDS} s after {kind.name}:\n{self.log.read_text()}")
            time.sleep(POLL_SECONDS)
        if process.returncode == 0:
            return None  # it ended just before the kill
        lines = self.log.read_text(errors="replace").splitlines()
        stages = [line.split("'")[1] for line in lines if line.startswith("Running stage")]
        return stages[-1].removeprefix("stages/dvc.yaml:") if stages else "DVC itself"

    def read_locks(self) -> dict[str, str]:
        """Read all lock files: they hold the hash of every input and output of every stage."""
        return {str(path.relative_to(self.folder)): path.read_text() for path in sorted(self.folder.rglob("dvc.lock"))}

    def check(self) -> None:
        """Exit if an output does not match its lock file, or if temporary files are left."""
        command = [*DVC, "status", "--json", "--with-deps", *(self.targets or ["dvc.yaml"])]
        status = subprocess.run(command, cwd=self.folder, env=ENVIRON, capture_output=True, text=True, check=True)
        stale = {name: reasons for name, reasons in json.loads(status.stdout).items() if reasons != ["always changed"]}
        if stale:
            sys.exit(f"Stale after the end of the run:\n{json.dumps(stale, indent=2)}")
        if left := sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*.partial")):
            sys.exit(f"Temporary files left after the end of the run: {', '.join(left)}")


def is_group_alive(process: "subprocess.Popen[bytes]") -> bool:
    """Return whether any process of the group of `process` is alive."""
    process.poll()  # without this, an ended process remains as a zombie
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Exit with a message if a killed run does not end in the same bytes as the undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="total number of kills (default: %(default)s)")
    parser.add_argument("--interval", type=float, default=30, help="mean seconds between kills (default: %(default)s)")
    parser.add_argument("--max-per-run", type=int, default=10, help="maximum kills of one run (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments (default: %(default)s)")
    parser.add_argument("--repository", default=".", help="the repository, at its last commit (default: this one)")
    parser.add_argument("targets", nargs="*", help="targets of `dvc repro` (default: the quickstart)")
    args = parser.parse_args()
    # A shell that starts this in the background ignores Ctrl-C, and child processes would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = random.Random(args.seed)
    bar = tqdm(total=args.kills, desc="kills", unit="kill", disable=None)
    with tempfile.TemporaryDirectory() as tmp, bar:
        reference = Clone(args.repository, Path(tmp, "undisturbed"), args.targets)
        start = time.monotonic()
        reference.finish()
        duration = time.monotonic() - start
        print(f"undisturbed: {duration:.0f} s", flush=True)
        runs, kills = 0, 0
        while kills < args.kills:
            runs += 1
            run = Clone(args.repository, Path(tmp, f"run-{runs}"), args.targets)
            events: list[str] = []
            while kills < args.kills and len(events) < args.max_per_run:
                # Uniform at first: otherwise late stages would rarely be killed.
                delay = rng.expovariate(1 / args.interval) if events else rng.uniform(0, duration)
                kind = rng.choice(SIGNALS)
                stage = run.run_and_kill(delay, kind)
                if stage is None:
                    break
                events.append(f"{kind.name} in {stage} after {delay:.1f} s")
                kills += 1
                bar.update()
            run.finish()
            print(f"run {runs}: " + ("; ".join(events + run.repairs) or "not killed"), flush=True)
            if run.read_locks() != reference.read_locks():
                sys.exit(f"Run {runs} did not end with the hashes of the undisturbed run.")
            run.check()
    print(f"{kills} kills in {runs} runs: all hashes equal those of the undisturbed run.")


if __name__ == "__main__":
    main()
