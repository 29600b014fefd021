"""Fingerprints of the training code."""

import subprocess
import sys
from pathlib import Path

from brain_tumor.training.provenance import CODE_ROOMS, fingerprint_code, fingerprint_folder
from project import ROOT, yaml

PREFIX = "src/brain_tumor/"


def test_code_rooms_are_those_of_the_train_stage() -> None:
    deps = yaml.load(ROOT / "stages/dvc.yaml")["stages"]["train"]["do"]["deps"]
    assert sorted(dep.removeprefix(PREFIX) for dep in deps if dep.startswith(PREFIX)) == sorted(CODE_ROOMS)


def test_code_rooms_are_those_that_train_imports() -> None:
    code = "import sys, train; print(*sorted(name for name in sys.modules if name.startswith('brain_tumor.')))"
    env = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert sorted({name.split(".")[1] for name in run.stdout.split()}) == sorted(CODE_ROOMS)


def test_fingerprint_code_covers_each_room() -> None:
    fingerprints = fingerprint_code()
    assert list(fingerprints) == list(CODE_ROOMS)
    assert len(set(fingerprints.values())) == len(CODE_ROOMS)
    assert fingerprints["training"] == fingerprint_folder(ROOT / PREFIX / "training")


def test_fingerprint_folder_depends_on_source_paths_and_contents(tmp_path: Path) -> None:
    def fingerprint(files: dict[str, str]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        return fingerprint_folder(folder)

    files = {"a.py": "1", "b.py": "2", "c/d.py": "3"}
    first = fingerprint(files)
    assert first == fingerprint(dict(reversed(files.items())))
    assert first == fingerprint(files | {"__pycache__/a.cpython-311.pyc": "x"})
    assert first != fingerprint(files | {"a.py": "x"})
    assert first != fingerprint({"a.py": "1", "b.py": "2", "d.py": "3"})
    assert first != fingerprint({"a.py": "2", "b.py": "1", "c/d.py": "3"})
