"""Kill `dvc repro` at random moments, run it again until it ends, and compare every hash with an undisturbed run.

The first kill of a run comes at any moment of it, those that follow like radioactive decays, whichever stage is
running; half of them are SIGINT (what Ctrl-C sends), half SIGKILL, to the whole process group. Before each run
`mend.py` looks at what DVC itself may have left torn, as `make repro` does; what it mends is reported.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

KINDS = (signal.SIGINT, signal.SIGKILL)
PATIENCE = 120  # seconds that an interrupted run may take to end
MEND = Path(__file__).with_name("mend.py")
DVC = [sys.executable, "-m", "dvc"]
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
ENVIRON = os.environ | {"PATH": PATH, "TQDM_DISABLE": "1", "PYTHONUNBUFFERED": "1"}


class Clone:
    """A clone with a cache and a scratch folder of its own, in which `dvc repro` runs."""

    def __init__(self, repository: str, folder: Path, targets: list[str]) -> None:
        subprocess.run(["git", "clone", "-q", repository, str(folder)], check=True)
        self.folder, self.targets, self.log = folder, targets, folder.with_suffix(".log")
        self.mended: list[str] = []  # files that DVC was killed while it wrote

    def start(self) -> subprocess.Popen[bytes]:
        """Mend what the last kill tore, as `make repro` does, and run in a process group of its own."""
        words = [sys.executable, str(MEND)]
        self.mended += subprocess.run(
            words, cwd=self.folder, env=ENVIRON, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [*DVC, "repro", *self.targets], cwd=self.folder, env=ENVIRON, stdout=log, stderr=log, process_group=0
            )

    def finish(self) -> None:
        """Run to the end."""
        if self.start().wait():
            self.fail()

    def fail(self) -> None:
        """Exit with what a run said that should not have failed."""
        sys.exit(f"a run that nobody killed failed:\n{self.log.read_text(errors='replace')}")

    def kill(self, after: float, kind: signal.Signals) -> str | None:
        """Run, and kill after so many seconds; return the stage that was hit, or None if all had ended before."""
        process = self.start()
        try:
            if process.wait(after):
                self.fail()
            return None
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, kind)
        until = time.monotonic() + PATIENCE
        while _lives(process):
            if time.monotonic() > until:
                os.killpg(process.pid, signal.SIGKILL)
                sys.exit(f"{PATIENCE} s after {kind.name} it still runs:\n{self.log.read_text()}")
            time.sleep(0.05)
        if process.returncode == 0:
            return None  # it ended in the moment that it was to be killed
        lines = self.log.read_text(errors="replace").splitlines()
        stages = [line.split("'")[1] for line in lines if line.startswith("Running stage")]
        return stages[-1].removeprefix("stages/dvc.yaml:") if stages else "DVC itself"

    def locks(self) -> dict[str, str]:
        """All lock files: they hold the hash of everything that a stage reads and writes."""
        return {str(path.relative_to(self.folder)): path.read_text() for path in sorted(self.folder.rglob("dvc.lock"))}

    def check(self) -> None:
        """Exit if an out is not what the lock promises, or if drafts are left."""
        words = [*DVC, "status", "--with-deps", *(self.targets or ["dvc.yaml"])]
        said = subprocess.run(words, cwd=self.folder, env=ENVIRON, capture_output=True, text=True, check=True).stdout
        if "up to date" not in said:
            sys.exit(f"after its end something is stale:\n{said}")
        if left := sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*.partial")):
            sys.exit(f"after its end drafts are left: {', '.join(left)}")


def _lives(process: "subprocess.Popen[bytes]") -> bool:
    """Whether any process of the group is left."""
    process.poll()  # the first one is gone when its end has been taken note of
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Exit with a message if a run that was killed does not end in the bytes of the undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="in all (default: %(default)s)")
    parser.add_argument("--every", type=float, default=30, help="mean seconds between two (default: %(default)s)")
    parser.add_argument("--each", type=int, default=10, help="most of one run, which then ends (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--repository", default=".", help="whose last commit is run (default: this one)")
    parser.add_argument("targets", nargs="*", help="of `dvc repro` (default: the quickstart)")
    given = parser.parse_args()
    # A shell that starts this in the background has Ctrl-C ignored, and what is started here would ignore it, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    moments = random.Random(given.seed)
    bar = tqdm(total=given.kills, desc="kills", unit="kill", disable=None)
    with tempfile.TemporaryDirectory() as place, bar:
        whole = Clone(given.repository, Path(place, "undisturbed"), given.targets)
        started = time.monotonic()
        whole.finish()
        whole_s = time.monotonic() - started
        print(f"undisturbed: {whole_s:.0f} s", flush=True)
        rounds, kills = 0, 0
        while kills < given.kills:
            rounds += 1
            cut = Clone(given.repository, Path(place, f"cut-{rounds}"), given.targets)
            hits: list[str] = []
            while kills < given.kills and len(hits) < given.each:
                # The first at any moment of the whole run, so that late stages have their share.
                after = moments.expovariate(1 / given.every) if hits else moments.uniform(0, whole_s)
                kind = moments.choice(KINDS)
                stage = cut.kill(after, kind)
                if stage is None:
                    break
                hits.append(f"{kind.name} in {stage} after {after:.1f} s")
                kills += 1
                bar.update()
            cut.finish()
            print(f"run {rounds}: " + ("; ".join(hits + cut.mended) or "not hit"), flush=True)
            if cut.locks() != whole.locks():
                sys.exit(f"run {rounds} did not end in the hashes of the undisturbed one")
            cut.check()
    print(f"{kills} kills in {rounds} runs: every hash is that of the undisturbed run")


if __name__ == "__main__":
    main()
