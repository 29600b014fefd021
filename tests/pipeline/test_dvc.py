"""dvc.yaml and stages/**/dvc.yaml against the code and params.yaml, without running anything."""

import ast
import json
import re
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import yaml

import check_params
from brain_tumor.datasets.registry import KINDS

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
PLOTTING = "src/brain_tumor/plotting"
SOURCE_OF_KIND = "src/brain_tumor/sources/${item.source.kind}"
SUMMARY = "metrics/${key}/summary.json"
MAX_CODE_DEPS, MAX_MEDIAN_CODE_DEPS = 12, 7


def load(path: str) -> Any:
    with (ROOT / path).open(encoding="utf-8") as file:
        return yaml.load(file, Loader=yaml.CSafeLoader)


STAGES = {name: stage.get("do", stage) for name, stage in load("stages/dvc.yaml")["stages"].items()}
STAGES["deliver"] = load("dvc.yaml")["stages"]["deliver"]
for study in sorted((ROOT / "stages").glob("*/dvc.yaml")):
    for stage_name, stage in load(str(study.relative_to(ROOT)))["stages"].items():
        STAGES[stage_name] = stage.get("do", stage)


ALWAYS_RUN = {name for name, stage in STAGES.items() if stage.get("always_changed")}


def has_code(path: Path) -> bool:
    """Whether a file holds more than a docstring: only then can it change a result."""
    body = ast.parse(path.read_text()).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


@cache
def direct_imports(path: Path) -> frozenset[Path]:
    """The project's own files with code that `path` imports, those of functions included."""
    files = set()
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
                files |= {file for file in (base.with_suffix(".py"), base / "__init__.py") if file.exists()}
    return frozenset(file for file in files if has_code(file))


def imported(path: Path) -> set[str]:
    """The project's own files that `path` imports, directly or not, itself included; relative to the root."""
    seen, queue = {path}, [path]
    for file in queue:
        new = direct_imports(file) - seen
        seen |= new
        queue += new
    return {file.relative_to(ROOT).as_posix() for file in seen}


def script_of(stage: dict[str, str]) -> Path:
    return ROOT / next(word for word in stage["cmd"].split() if word.endswith(".py"))


def code_deps(stage: Any) -> set[str]:
    return {dep for dep in stage.get("deps", []) if dep.startswith("src/")}


def imported_by_stage(name: str) -> set[str]:
    files = imported(script_of(STAGES[name]))
    if name == "download":
        # The package of a source is imported by its kind, which `deps` name by a parameter.
        for kind in KINDS:
            package = f"src/brain_tumor/sources/{kind}/"
            files |= {file for file in imported(ROOT / package / "__init__.py") if not file.startswith(package)}
    if name == "check_params":
        # Schemas are imported by name. `deps` have the files that hold them, not what these import in turn.
        names = [
            check_params.KINDS,
            *check_params.DATASET.values(),
            check_params.BACKBONE,
            *check_params.RECIPE.values(),
        ]
        names += [check_params.SOURCE.format(kind=kind) for kind in KINDS]
        files |= {file_of(name.partition(":")[0]) for name in names}
    return files


def file_of(module: str) -> str:
    """The file of a module, relative to the root."""
    base = SRC.joinpath(*module.split("."))
    file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    return file.relative_to(ROOT).as_posix()


def lies_under(file: str, dep: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


@pytest.mark.parametrize("name", sorted(STAGES.keys() - ALWAYS_RUN))
def test_deps_imported_module_is_under_a_dep(name: str) -> None:
    deps = code_deps(STAGES[name])
    assert not {file for file in imported_by_stage(name) if not any(lies_under(file, dep) for dep in deps)}


@pytest.mark.parametrize("name", STAGES)
def test_deps_listed_module_is_imported(name: str) -> None:
    files, deps = imported_by_stage(name), code_deps(STAGES[name])
    assert name != "download" or SOURCE_OF_KIND in deps
    assert not {dep for dep in deps - {SOURCE_OF_KIND} if not any(lies_under(file, dep) for file in files)}


def test_deps_numbers_of_code_lines_stay_small() -> None:
    counts = [len(code_deps(stage)) for stage in STAGES.values()]
    assert max(counts) <= MAX_CODE_DEPS
    assert median(counts) <= MAX_MEDIAN_CODE_DEPS


DRAWING = {name for name, stage in STAGES.items() if any(dep.startswith(PLOTTING) for dep in code_deps(stage))}


def test_deps_plotting_only_in_drawing_stages() -> None:
    assert {name for name in DRAWING if not name.startswith("plot_")} == {"report", "deliver"}
    for name in DRAWING:
        # A report selects a few of the numbers that it shows; what draws computes no others.
        outs = [out for out in outs_of(STAGES[name]) if (name, out) != ("report", SUMMARY)]
        assert all(out.startswith(("plots/", "reports/")) for out in outs), name


@pytest.mark.parametrize("module", sorted((ROOT / PLOTTING).glob("*.py")), ids=lambda path: path.stem)
def test_deps_plotting_module_only_in_drawing_stages(module: Path) -> None:
    """What DVC makes of it is checked by test_stale_drawings.py."""
    file = module.relative_to(ROOT).as_posix()
    assert {name for name, stage in STAGES.items() if any(lies_under(file, dep) for dep in code_deps(stage))} <= DRAWING


def outs_of(stage: Any) -> list[str]:
    entries = [entry for key in ("outs", "plots", "metrics") for entry in stage.get(key, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def test_dynamic_imports_are_listed() -> None:
    """`deps` cannot follow such an import: a source by its kind, a package of pretrained weights, a schema.

    The commands, which their door imports by name, are no stages.
    """
    known = {
        "brain_tumor/datasets/registry.py", "brain_tumor/pretrained/weights.py", "check_params.py",
        "brain_tumor/commands/main.py",
    }  # fmt: skip
    files = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        if re.search(r"import_module|__import__|exec\(|runpy", path.read_text())
    }
    assert files == known


def test_source_kinds_equal_packages() -> None:
    packages = sorted(p.name for p in (SRC / "brain_tumor/sources").iterdir() if (p / "__init__.py").exists())
    assert sorted(KINDS) == packages


def test_check_params_runs_before_all_stages_that_have_no_other_stage_before_them() -> None:
    """Every other stage reads what one of these writes."""
    checked = set(outs_of(STAGES["check_params"]))
    first = {name for name, stage in STAGES.items() if checked & set(stage.get("deps", []))}
    assert first == {"download", "weights", "preprocess"}
    for name in first:
        assert STAGES[name]["deps"][0] in checked, "DVC visits deps in this order: nothing else may run before"


def test_commands_and_parameters_do_not_mention_hardware() -> None:
    # Comments may say that hardware is set by the environment.
    lines = [*(ROOT / "params.yaml").read_text().splitlines(), *(ROOT / "stages/dvc.yaml").read_text().splitlines()]
    text = "\n".join(line.split("#")[0] for line in lines).lower()
    for word in ("cuda", "gpu", "device", "workers", "threads", "num_nodes"):
        assert word not in text


def test_results_as_text_are_in_git_and_all_else_is_in_the_cache() -> None:
    for name, stage in STAGES.items():
        for out in (*stage.get("metrics", []), *stage.get("outs", [])):
            path = out if isinstance(out, str) else next(iter(out))
            in_git = path.startswith(("metrics/", "lists/", "data/sources.json"))
            assert isinstance(out, str) != in_git, f"{name}: {path}"
            assert isinstance(out, str) or out[path]["cache"] is False


def test_metrics_of_dvc_are_few_columns() -> None:
    """All other numbers would be columns of `dvc metrics show`, hundreds of them."""
    metrics = {path for stage in STAGES.values() for entry in stage.get("metrics", []) for path in entry}
    assert metrics == {"metrics/${key}/train.json", SUMMARY}
    recipes = load("params.yaml")["recipes"]
    paths = (ROOT / f"metrics/{recipe}/{name}.json" for recipe in recipes for name in ("train", "summary"))
    files = [path for path in paths if path.exists()]
    columns = {column for file in files for column in json.loads(file.read_text())}
    assert 1 < len(columns) <= 12, sorted(columns)


def test_stages_say_what_they_make() -> None:
    descriptions = {name: stage.get("desc", "") for name, stage in STAGES.items()}
    assert [name for name, text in descriptions.items() if not text] == []
    texts = [text for text in descriptions.values() if text]
    assert len(set(texts)) == len(texts)


def test_records_of_local_files_are_in_git_and_stay_where_nothing_is_found() -> None:
    assert {"locate"} == ALWAYS_RUN
    assert STAGES["locate"]["outs"] == [{"data/sources.json": {"cache": False, "persist": True}}]
    assert "deps" not in STAGES["locate"], "each change of code would put the lock file out of date"
    assert {"data/sources.json": ["datasets.${key}"]} in STAGES["download"]["params"]
    assert "!/data/sources.json" in (ROOT / ".gitignore").read_text().splitlines()


def test_train_has_no_dependency_that_measures_test_rows() -> None:
    assert not [dep for dep in STAGES["train"]["deps"] if dep.startswith(("metrics/", "plots/", "reports/"))]


def test_plots_and_artifacts_of_shipped_recipes_are_listed() -> None:
    """A recipe of a user need not be listed; one that is has both."""
    top = load("dvc.yaml")
    plots = {next(iter(plot)) for plot in top["plots"]}
    shipped = {"quickstart", "vit-rollout", "vit-finetune", "resnet-gradcam", "efficientnet", "edge", "probe"}
    assert shipped <= set(top["artifacts"]) <= set(load("params.yaml")["recipes"])
    assert plots == {f"curves-{name}" for name in top["artifacts"]}
    assert all(artifact["path"] == f"models/{name}" for name, artifact in top["artifacts"].items())
