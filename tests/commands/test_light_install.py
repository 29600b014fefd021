"""The commands that need only the dependencies of the package itself, without its extras."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest

from project import ROOT

LIGHT = ("audit", "gate", "split", "clean")
IMPORTED = """
import importlib, json, sys
for command in sys.argv[1:]:
    importlib.import_module(f"brain_tumor.commands.{command}")
for reader in ("dicom", "nifti", "itk"):
    importlib.import_module(f"brain_tumor.imaging.{reader}")
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
# Runs the command of the arguments where some packages are not installed.
WITHOUT_PACKAGES = """
import sys
from brain_tumor.commands.main import main
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "timm", "lightning_fabric", "dvc", "matplotlib", "onnxruntime", "gradio"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
sys.exit(main(sys.argv[1:]))
"""
OF_THE_BASE = {"brain-tumor-mri", "setuptools"}
# Packages that others import where they are installed.
OPTIONAL = {
    "python-gdcm", "requests", "certifi", "charset-normalizer", "idna", "urllib3", "brotli", "rich", "psutil", "pytz",
    "cloudpickle",
}  # fmt: skip


def normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def find_closure(names: set[str]) -> set[str]:
    """Return packages with all that they need, as installed here; extras are left out."""
    found: set[str] = set()
    while names:
        name = names.pop()
        found.add(name)
        try:
            needed = requires(name) or []
        except PackageNotFoundError:  # of another platform
            continue
        names |= {normalize(re.split(r"[^\w.-]", each)[0]) for each in needed if "extra ==" not in each} - found
    return found


def test_light_commands_import_only_the_base_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = {normalize(re.split(r"[^\w.-]", each)[0]) for each in project["dependencies"]}
    assert not base & {"torch", "timm", "dvc", "matplotlib", "onnxruntime"}
    result = subprocess.run([sys.executable, "-c", IMPORTED, *LIGHT], capture_output=True, text=True, check=True)
    packages = packages_distributions()
    used = {normalize(name) for module in json.loads(result.stdout) for name in packages.get(module, [])}
    assert {"faiss-cpu", "pandas", "nibabel", "pydicom"} <= used
    assert "scikit-learn" not in used, "it takes as long to import as all else together, and only `split` needs it"
    closure = find_closure(base)
    assert used - closure - OF_THE_BASE <= OPTIONAL


def run_without_packages(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT_PACKAGES, *args], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("args", [("predict", "models/none", "x.png"), ("app",)])
def test_command_without_its_packages_says_what_to_install(args: tuple[str, ...]) -> None:
    result = run_without_packages(*args)
    assert result.returncode == 1
    assert re.fullmatch(r"error: \w+ is not installed: pip install '\S+\[\w+\]'\n", result.stderr), result.stderr


@pytest.mark.parametrize("command", LIGHT)
def test_light_command_starts_without_heavy_packages(command: str) -> None:
    result = run_without_packages(command, "--help")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"usage: brain-tumor {command}")
