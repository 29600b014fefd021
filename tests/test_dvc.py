"""dvc.yaml and stages/dvc.yaml against the code and params.yaml, without running anything."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from brain_tumor.datasets import KINDS

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
SOURCE_OF_KIND = "src/brain_tumor/sources/${item.source.kind}"


def load(path: str) -> Any:
    return YAML(typ="safe", pure=True).load(ROOT / path)


STAGES = {name: stage["do"] for name, stage in load("stages/dvc.yaml")["stages"].items()}
STAGES["deliver"] = load("dvc.yaml")["stages"]["deliver"]
for study in sorted((ROOT / "stages").glob("*/dvc.yaml")):
    for name, stage in load(str(study.relative_to(ROOT)))["stages"].items():
        STAGES[name] = stage.get("do", stage)


def imported(path: Path, seen: set[Path] | None = None) -> set[Path]:
    """The project's own files that importing `path` reads, itself included."""
    seen = set() if seen is None else seen
    if path in seen:
        return seen
    seen.add(path)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path}: relative imports are not followed here"
            assert not node.level, f"{path}: relative imports are not followed here"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                base = SRC.joinpath(*parts[:depth])
                for file in (base.with_suffix(".py"), base / "__init__.py"):
                    if file.exists():
                        imported(file, seen)
    return seen


def has_code(path: Path) -> bool:
    """Whether a file holds more than a docstring: only then can it change a result."""
    body = ast.parse(path.read_text()).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def code_deps(stage: Any) -> set[str]:
    return {dep for dep in stage["deps"] if dep.startswith("src/")}


def names(paths: set[Path]) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in paths if has_code(path)}


@pytest.mark.parametrize("name", STAGES)
def test_deps_name_each_imported_module_and_no_other(name: str) -> None:
    stage = STAGES[name]
    script = ROOT / stage["cmd"].split()[1]
    files = {dep for dep in code_deps(stage) if dep.endswith(".py")}
    needed = names(imported(script))
    if name == "download":
        # The source's own package is imported by its kind, and stands in deps as a folder.
        assert SOURCE_OF_KIND in code_deps(stage)
        for kind in KINDS:
            package = names(imported(SRC / f"brain_tumor/sources/{kind}/__init__.py"))
            needed |= {file for file in package if not file.startswith(f"src/brain_tumor/sources/{kind}/")}
    assert needed == files


def test_modules_are_imported_by_name_alone_where_deps_know_of_it() -> None:
    """By a name that is computed, `deps` could not follow: a source by its kind, a package of pretrained weights."""
    known = {"brain_tumor/datasets.py", "brain_tumor/backbones.py"}
    found = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        if re.search(r"import_module|__import__|exec\(|runpy", path.read_text())
    }
    assert found == known


def test_pages_depend_on_their_templates() -> None:
    for stage in STAGES.values():
        if "src/brain_tumor/report.py" in stage["deps"]:
            assert "src/brain_tumor/templates" in stage["deps"]


def test_the_kinds_of_sources_are_the_packages_there() -> None:
    packages = sorted(p.name for p in (SRC / "brain_tumor/sources").iterdir() if (p / "__init__.py").exists())
    assert sorted(KINDS) == packages


def test_neither_commands_nor_parameters_mention_hardware() -> None:
    text = (ROOT / "stages/dvc.yaml").read_text() + (ROOT / "params.yaml").read_text()
    for word in ("cuda", "gpu", "device", "workers", "threads", "num_nodes"):
        assert word not in text.lower()


def test_metrics_are_in_git_and_nothing_else_is_out_of_the_cache() -> None:
    for stage in STAGES.values():
        assert all(entry == {path: {"cache": False}} for entry in stage.get("metrics", []) for path in entry)
        assert all(isinstance(out, str) for out in stage.get("outs", []))


def test_training_reads_no_measure_of_the_test_rows() -> None:
    assert not [dep for dep in STAGES["train"]["deps"] if dep.startswith(("metrics/", "plots/", "reports/"))]


def test_plots_and_artifacts_in_dvc_yaml_belong_to_recipes() -> None:
    """A recipe of your own need not stand there; one that does has both."""
    top = load("dvc.yaml")
    plots = {next(iter(plot)) for plot in top["plots"]}
    shipped = {"quickstart", "vit-rollout", "vit-finetune", "resnet-gradcam", "efficientnet", "edge", "probe"}
    assert shipped <= set(top["artifacts"]) <= set(load("params.yaml")["recipes"])
    assert plots == {f"curves-{name}" for name in top["artifacts"]}
    assert all(artifact["path"] == f"models/{name}" for name, artifact in top["artifacts"].items())
