"""The documentation against the repository: pages, the tree of the README, the tables of docs/architecture.md."""

import re
import tomllib
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
LIBRARY = "src/brain_tumor/"


def table(text: str, first: str) -> list[list[str]]:
    """Return the cells of the table whose first heading is `first`."""
    (match,) = re.findall(rf"^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in match.splitlines()]


def stages() -> dict[str, Any]:
    """Return all stages that are not studies, by name."""
    files = ("stages/dvc.yaml", "dvc.yaml")
    return {k: v for file in files for k, v in YAML(typ="safe", pure=True).load(ROOT / file)["stages"].items()}


def test_docs_pages_are_linked_from_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert {path.name for path in ROOT.glob("docs/*.md")} <= set(re.findall(r"docs/([\w-]+\.md)", readme))


def test_readme_tree_paths_exist() -> None:
    block = re.search(r"^## Repository\n+```\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    outputs = {"data", "models", "exports", "metrics", "plots", "reports"}
    named = set()
    for line in block[1].splitlines():
        for name in re.findall(r"(?<!\S)([\w./-]+(?:/|\.py|\.yaml|\.toml|\.lock)|Makefile)(?=\s|$)", line):
            path = f"{LIBRARY if line.startswith('  ') else ''}{name}".rstrip("/")
            assert path in outputs or (ROOT / path).exists(), path
            named.add(path)
    rooms = {path.relative_to(ROOT).as_posix() for path in (ROOT / LIBRARY).iterdir() if path.name[0] != "_"}
    assert rooms <= named


def test_architecture_room_order_equals_import_linter() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(each["layers"] for each in config["contracts"] if each["type"] == "layers")
    expected = [set(re.findall(r"\w+", layer)) for layer in reversed(layers)]
    rows = table((ROOT / "docs/architecture.md").read_text(), "room")
    assert [set(re.findall(r"`(\w+)(?:\.py)?`", row[0])) for row in rows] == expected


def test_architecture_stages_are_those_of_dvc() -> None:
    rows = table((ROOT / "docs/architecture.md").read_text(), "stage")
    expected = {}
    for name, stage in stages().items():
        deps = [dep.replace("${item.source.kind}", "*") for dep in stage.get("do", stage).get("deps", [])]
        expected[name] = [dep.removeprefix(LIBRARY) for dep in deps if dep.startswith(LIBRARY)]
    assert {row[0]: row[2].split(", ") for row in rows} == expected
