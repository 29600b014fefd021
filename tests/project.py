"""A copy of the repository in which tests work as users do."""

import hashlib
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
# Environment of commands that commit or tag.
AUTHOR: Any = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Project:
    """A copy of the repository with its own archives. Tests run the commands of the documentation in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.archives = root.parent / f"{root.name}-archives"
        self.archives.mkdir()
        root.mkdir()
        for name in ("src", "stages", "provenance", ".dvc"):
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "cache", "tmp", "dvc.lock", "config.local")
            shutil.copytree(ROOT / name, root / name, ignore=ignore)
        (root / "docs").mkdir()
        for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", "docs/results.json"):
            shutil.copy(ROOT / name, root / name)
        self.git("init", "-q")
        self.commit("copy")

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open an existing project."""
        project = cls.__new__(cls)
        project.root, project.archives = root, root.parent / f"{root.name}-archives"
        return project

    def copy(self, root: Path) -> "Project":
        """Copy everything: files, Git repository, DVC cache and archives."""
        other = Project.open(root)
        shutil.copytree(self.root, other.root, symlinks=True)
        shutil.copytree(self.archives, other.archives)
        return other

    def clone(self, root: Path) -> "Project":
        """Clone the Git repository: no DVC cache, no archives."""
        root.parent.mkdir(parents=True, exist_ok=True)
        self.git("clone", "-q", str(self.root), str(root))
        return Project.open(root)

    def add_tools(self) -> None:
        """Add what the Makefile and the tools need; the environment of the tests is used instead of a new one."""
        for name in ("tools", "docs"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, self.root / name, ignore=ignore, dirs_exist_ok=True)
        for name in ("Makefile", "README.md", "LICENSE", "NOTICE", "pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / name, self.root / name)
        (self.root / ".venv").mkdir()
        for name in ("complete", "installed"):
            (self.root / ".venv" / name).touch()

    def git(self, *args: str) -> None:
        """Run Git."""
        subprocess.run(["git", *args], cwd=self.root, check=True, capture_output=True, env=os.environ | AUTHOR)

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.git("add", "-A")
        self.git("commit", "--allow-empty", "-qm", message)

    def run(self, *command: str, code: int = 0, **env: str) -> str:
        """Run a command in the project; return what it printed, and check its exit code.

        The package of this copy comes first on Python's path, as if it were installed from here: the environment of the
        tests has the package of the original checkout.
        """
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "KAGGLE_", "HF_"))}
        environ |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "HOME": str(self.root.parent),
        }
        environ |= {"DATA_ARCHIVES": str(self.archives)} | env
        result = subprocess.run(command, cwd=self.root, env=environ, capture_output=True, text=True)
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    @staticmethod
    def default_params() -> Any:
        """Read params.yaml of the repository."""
        return yaml.load(ROOT / "params.yaml")

    def params(self) -> Any:
        """Read params.yaml of the project."""
        return yaml.load(self.root / "params.yaml")

    def edit(self, params: Any) -> None:
        """Write params.yaml of the project."""
        yaml.dump(params, self.root / "params.yaml")

    def lock(self) -> Any:
        """Read the stages of stages/dvc.lock."""
        return yaml.load(self.root / "stages/dvc.lock")["stages"]

    def add_data(self, name: str, files: dict[str, bytes]) -> None:
        """Write an archive into the project's folder of archives."""
        with zipfile.ZipFile(self.archives / f"{name}.zip", "w") as archive:
            for path, content in files.items():
                archive.writestr(path, content)


def one_recipe(root: Path, files: dict[str, bytes]) -> Project:
    """Make a project with one small recipe, `one`, and nothing else in its params.yaml and dvc.yaml.

    Args:
        root: its folder.
        files: by path, crosses/… and disks/…, as `heads.shapes` makes them.
    """
    project = Project(root)
    project.add_data("mine", files)
    params = project.params()
    layout = {"path": "{label}s/{file}", "labels": {"cross": "cross", "disk": "disk"}}
    params["datasets"] = {
        "mine": {
            "source": {"kind": "archive", "file": "mine.zip", "layout": layout},
            "expected": {"counts": dict(Counter(name.split("s/")[0] for name in files)), "fingerprint": ""},
            "patients": "provenance/mine.csv",
            "info": {"title": "Shapes", "url": "", "license": "none", "generated": True},
        }
    }
    hashes = sorted({hashlib.sha256(content).hexdigest() for content in files.values()})
    rows = "".join(f"{digest},patient {number},{number % 2 + 1}\n" for number, digest in enumerate(hashes))
    (project.root / "provenance/mine.csv").write_text(f"sha256,patient,fold\n{rows}")
    params["backbones"] = {"none": {"architecture": "test_efficientnet", "weights": {"kind": "none"}}}
    recipe = json.loads(json.dumps(params["recipes"]["quickstart"]))
    recipe |= {"dataset": "mine", "backbone": "none", "classes": ["cross", "disk"]}
    recipe["preprocess"]["operations"] = [
        {"op": "denoise", "method": "median", "size": 3},
        {"op": "clahe", "clip": 1.0, "tiles": 2},
        {"op": "resize", "size": 32, "mode": "pad"},
    ]
    recipe["train"] |= {"epochs": 1, "batch_size": 8, "numerics": "native"}  # one thread, as the suite sets it
    recipe["evaluate"] = {"rounds": 100, "seed": 0, "robustness": [{"kind": "left-right"}], "extra_splits": ["train"]}
    recipe["explain"] |= {"num_images_checks": 2, "rounds": 100}
    params["recipes"] = {"one": recipe}
    project.edit(params)
    for study in project.root.glob("stages/*/"):
        if study.name != "sources":  # no study: data sets need it
            shutil.rmtree(study)
    top = yaml.load(project.root / "dvc.yaml")
    deps = top["stages"]["deliver"]["deps"]
    deps[deps.index("reports/quickstart")] = "reports/one"
    top["plots"] = []
    top["artifacts"] = {"one": {"path": "models/one", "type": "model"}}
    yaml.dump(top, project.root / "dvc.yaml")
    return project
