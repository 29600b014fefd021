"""A copy of the repository to work in, as a user would."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
yaml = YAML()


class Project:
    """A copy of the repository with its own archives, run through the commands of the README."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.archives = root.parent / f"{root.name}-archives"
        self.archives.mkdir()
        root.mkdir()
        for name in ("src", "stages", ".dvc"):
            ignore = shutil.ignore_patterns("__pycache__", "cache", "tmp", "dvc.lock", "config.local")
            shutil.copytree(ROOT / name, root / name, ignore=ignore)
        for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, root / name)
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm", "copy")

    def git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.root, check=True, capture_output=True)

    def run(self, *words: str, code: int = 0, **env: str) -> str:
        """Run a command in the project; return what it printed."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "KAGGLE_", "HF_"))}
        environ |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}",
            "HOME": str(self.root.parent),
        }
        environ |= {"DATA_ARCHIVES": str(self.archives)} | env
        done = subprocess.run(words, cwd=self.root, env=environ, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @staticmethod
    def shipped() -> Any:
        """params.yaml as the repository has it."""
        return yaml.load(ROOT / "params.yaml")

    def params(self) -> Any:
        return yaml.load(self.root / "params.yaml")

    def edit(self, params: Any) -> None:
        yaml.dump(params, self.root / "params.yaml")

    def lock(self) -> Any:
        return yaml.load(self.root / "stages/dvc.lock")["stages"]

    def add_data(self, name: str, files: dict[str, bytes]) -> None:
        with zipfile.ZipFile(self.archives / f"{name}.zip", "w") as archive:
            for path, content in files.items():
                archive.writestr(path, content)
