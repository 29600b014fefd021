"""The harness that kills runs: it hits them, and it notices when one does not end as it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from project import AUTHOR, ROOT

STAGE = """stages:
  slow:
    cmd: python slow.py
    deps: [slow.py]
    outs: [out.txt]
"""
SLOW = """import os, pathlib, time
draft = pathlib.Path(".out.txt.partial")
draft.write_text("begun")
time.sleep(1.5)
draft.write_text({content})
{end}
"""
MOVED = 'draft.replace("out.txt")'
COPIED = 'pathlib.Path("out.txt").write_bytes(draft.read_bytes())'


@pytest.mark.parametrize(
    ("content", "end", "says"),
    [
        ('"the same"', MOVED, "2 kills in"),
        ('str(os.getpid()) + str(time.time())', MOVED, "did not end in the hashes of the undisturbed one"),
        ('"the same"', COPIED, "drafts are left: .out.txt.partial"),
    ],
    ids=["sound", "other bytes", "drafts"],
)  # fmt: skip
def test_runs_are_killed_and_compared(tmp_path: Path, content: str, end: str, says: str) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "dvc.yaml").write_text(STAGE)
    (repository / "slow.py").write_text(SLOW.format(content=content, end=end))
    for words in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(words, cwd=repository, check=True)
    subprocess.run(["git", "commit", "-qm", "slow"], cwd=repository, check=True, env=os.environ | AUTHOR)
    harness = [sys.executable, str(ROOT / ".ci/kill.py"), "--repository", str(repository), "--kills", "2"]
    done = subprocess.run([*harness, "--every", "2"], capture_output=True, text=True)
    assert says in done.stdout + done.stderr
    assert done.returncode == (0 if "kills in" in says else 1)
    if done.returncode == 0:
        assert done.stdout.count(" after ") == 2
