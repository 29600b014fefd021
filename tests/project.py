"""A copy of the repository to work in, as a user would."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, Self

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
yaml = YAML()
# In the environment of commands that commit or tag.
AUTHOR: Any = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


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
        self.commit("copy")

    @classmethod
    def at(cls, root: Path) -> Self:
        """The project that is at a place already."""
        project = cls.__new__(cls)
        project.root, project.archives = root, root.parent / f"{root.name}-archives"
        return project

    def copy(self, root: Path) -> "Project":
        """A copy of everything, what Git and DVC have and the archives, at another place."""
        other = Project.at(root)
        shutil.copytree(self.root, other.root, symlinks=True)
        shutil.copytree(self.archives, other.archives)
        return other

    def clone(self, root: Path) -> "Project":
        """What Git has and nothing else, without archives."""
        root.parent.mkdir(parents=True, exist_ok=True)
        self.git("clone", "-q", str(self.root), str(root))
        return Project.at(root)

    def git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.root, check=True, capture_output=True, env=os.environ | AUTHOR)

    def commit(self, words: str) -> None:
        """Commit everything."""
        self.git("add", "-A")
        self.git("commit", "--allow-empty", "-qm", words)

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


def one_recipe(root: Path, files: dict[str, bytes]) -> Project:
    """A project with one small recipe, `one`, and nothing else in its params.yaml and dvc.yaml.

    Args:
        files: crosses/… and disks/…, as heads.shapes makes them.
    """
    project = Project(root)
    project.add_data("mine", files)
    params = project.params()
    layout = {"path": "{label}s/{file}", "labels": {"cross": "cross", "disk": "disk"}}
    params["datasets"] = {
        "mine": {
            "source": {"kind": "archive", "file": "mine.zip", "layout": layout},
            "expect": {"counts": dict(Counter(name.split("s/")[0] for name in files)), "fingerprint": ""},
            "about": {"title": "Shapes", "url": "", "license": "none", "generated": True},
        }
    }
    params["backbones"] = {"none": {"architecture": "test_efficientnet", "weights": {"kind": "none"}}}
    recipe = json.loads(json.dumps(params["recipes"]["quickstart"]))
    recipe |= {"dataset": "mine", "backbone": "none", "classes": ["cross", "disk"]}
    recipe["enhance"]["operations"] = [
        {"op": "denoise", "method": "median", "size": 3},
        {"op": "clahe", "clip": 1.0, "tiles": 2},
        {"op": "resize", "size": 32, "mode": "pad"},
    ]
    recipe["train"] |= {"epochs": 1, "batch_size": 8}
    recipe["evaluate"] = {"rounds": 100, "seed": 0, "robustness": [{"kind": "left-right"}], "also": ["train"]}
    recipe["explain"] |= {"checked": 2, "rounds": 100}
    params["recipes"] = {"one": recipe}
    project.edit(params)
    for study in project.root.glob("stages/*/"):
        shutil.rmtree(study)
    top = yaml.load(project.root / "dvc.yaml")
    top["stages"]["deliver"]["deps"][-1] = "reports/one"
    top["plots"] = []
    top["artifacts"] = {"one": {"path": "models/one", "type": "model"}}
    yaml.dump(top, project.root / "dvc.yaml")
    return project
