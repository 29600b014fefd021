"""The kill test itself: it kills runs, and it detects runs that end with other results."""

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
tmp = pathlib.Path(".out.txt.partial")
tmp.write_text("start")
time.sleep(1.5)
tmp.write_text({content})
{end}
"""
MOVE = 'tmp.replace("out.txt")'
COPY = 'pathlib.Path("out.txt").write_bytes(tmp.read_bytes())'


@pytest.mark.parametrize(
    ("content", "end", "message"),
    [
        ('"the same"', MOVE, "2 kills in"),
        ('str(os.getpid()) + str(time.time())', MOVE, "did not end with the hashes of the undisturbed run"),
        ('"the same"', COPY, "Temporary files left after the end of the run: .out.txt.partial"),
    ],
    ids=["reproducible", "other bytes", "temporary files"],
)  # fmt: skip
def test_kill_test_pipeline_gives_verdict(tmp_path: Path, content: str, end: str, message: str) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "dvc.yaml").write_text(STAGE)
    (repository / "slow.py").write_text(SLOW.format(content=content, end=end))
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=repository, check=True)
    subprocess.run(["git", "commit", "-qm", "slow"], cwd=repository, check=True, env=os.environ | AUTHOR)
    command = [sys.executable, str(ROOT / "tools/kill_test.py"), "--repository", str(repository)]
    result = subprocess.run([*command, "--kills", "2", "--interval", "2"], capture_output=True, text=True)
    assert message in result.stdout + result.stderr
    assert result.returncode == (0 if "kills in" in message else 1)
    if result.returncode == 0:
        assert result.stdout.count(" after ") == 2
