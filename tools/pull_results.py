"""Pull what some stages need from the remote, and check that it is what the lock files say.

usage: python tools/pull_results.py [TARGET ...]

Without a target: what the reports that this commit delivers were made from. DVC compares files with their hash where
the remote has `verify = true`, but not the lists of the files of folders: these are checked here. Recipes that were
never run have nothing to pull, which makes plain `dvc pull` fail.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from dvc.repo import Repo

from dvc_lock import parse_lock
from merge_conflicts import require_no_conflicts

DELIVERED = "dvc.yaml:deliver"
PULL = ("dvc", "pull", "--with-deps")
NOT_ALL = 1  # exit code of `dvc pull` if it could not get some outputs; other errors end it at once
ATTEMPTS = 2  # after a list of a folder was wrong, DVC's first pull of the right one fails
MAX_SHOWN = 20  # objects in a message
PAGE = "docs/reproducibility.md#damaged-objects"
ADVICE = f"""\
Those that are in the remote are damaged: delete them there. Then run `dvc push` where the results are, or `dvc repro`
here, which computes them again: {PAGE}"""


class Output(NamedTuple):
    """An output of a stage, with its hash in the lock file."""

    path: str
    md5: str


def main() -> None:
    """Pull; exit with the objects that are damaged or missing, if there are any."""
    require_no_conflicts()
    targets = sys.argv[1:] or [DELIVERED]
    cache = Path(run("dvc", "cache", "dir").strip()) / "files/md5"
    for _ in range(ATTEMPTS):
        status = subprocess.run([*PULL, *targets]).returncode
        if status not in (0, NOT_ALL):
            print(f"If an object is corrupted (see above), it is damaged in the remote: {PAGE}", file=sys.stderr)
            sys.exit(status)
        damaged = [line for output in find_changed(targets) for line in find_damaged(output, cache)]
        if not damaged:
            break
    if damaged:
        lines = "\n".join(f"  {line}" for line in damaged[:MAX_SHOWN])
        count = f"{len(damaged)} object{'' if len(damaged) == 1 else 's'}"
        sys.exit(f"error: {count} missing in the remote, or damaged there:\n{lines}\n{ADVICE}")
    if status:
        sys.exit(status)
    print("Everything is here, with the hashes of the lock files.")


def find_changed(targets: list[str]) -> Iterator[Output]:
    """Yield the outputs that are not what the lock files say, after a pull."""
    status = json.loads(run("dvc", "status", "--json", "--with-deps", *targets))
    for stage, reasons in status.items():
        lock, name = split_address(stage)
        outs = parse_lock(lock.read_text(encoding="utf-8"))["stages"].get(name, {}).get("outs", [])
        hashes = {out["path"]: out["md5"] for out in outs}
        changes: list[Any] = [reason["changed outs"] for reason in reasons if "changed outs" in reason]
        paths = {path for change in changes for path, state in change.items() if state != "always changed"}
        yield from (Output(path, hashes[path]) for path in sorted(paths & hashes.keys()))


def split_address(stage: str) -> tuple[Path, str]:
    """Return the lock file and the name of a stage from its address, such as `stages/dvc.yaml:split@edge`."""
    file, _, name = stage.rpartition(":")
    return Path(file or "dvc.yaml").with_suffix(".lock"), name


def find_damaged(output: Output, cache: Path) -> Iterator[str]:
    """Describe the objects of an output that are not in the cache, or not what their name says.

    A list of a folder that is wrong is deleted from the cache, so that the next pull asks the remote again.
    """
    path = cache / locate(output.md5)
    if not path.is_file():
        yield f"{output.path}: files/md5/{locate(output.md5)}"
    elif not output.md5.endswith(".dir"):
        return  # changed here, after it was pulled
    elif hashlib.md5(content := path.read_bytes()).hexdigest() != output.md5.removesuffix(".dir"):
        path.unlink()
        yield f"{output.path}: files/md5/{locate(output.md5)}"
    else:
        missing = [file for file in json.loads(content) if not (cache / locate(file["md5"])).is_file()]
        yield from (f"{output.path}/{file['relpath']}: files/md5/{locate(file['md5'])}" for file in missing)
        # As long as a list with a file is in the remote, `dvc push` takes the file for uploaded.
        for folder in find_folders({file["md5"] for file in missing}) if missing else []:
            yield f"{folder.path}, its list of files: files/md5/{locate(folder.md5)}"


def find_folders(md5s: set[str]) -> Iterator[Output]:
    """Yield the folders of all lock files that have one of these files, by their lists in the remote."""
    with Repo() as repo:
        remote = repo.cloud.get_remote_odb()
        for lock in sorted(Path().rglob("dvc.lock")):
            stages = parse_lock(lock.read_text(encoding="utf-8"))["stages"].values()
            for out in (out for stage in stages for out in stage.get("outs", []) if out["md5"].endswith(".dir")):
                with suppress(OSError, ValueError, TypeError):  # not in the remote, or not a list: named elsewhere
                    content = remote.fs.cat_file(remote.oid_to_path(out["md5"]))
                    if md5s & {file["md5"] for file in json.loads(content)}:
                        yield Output(out["path"], out["md5"])


def locate(md5: str) -> str:
    """Return the path of an object below files/md5, in a cache or a remote."""
    return f"{md5[:2]}/{md5[2:]}"


def run(*command: str) -> str:
    """Run a command; return its standard output, or exit with its error."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr)
    return result.stdout


if __name__ == "__main__":
    main()
