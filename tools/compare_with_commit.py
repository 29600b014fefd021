"""Compare the results in this folder with those of the commit, and say where and why they differ.

Reads what Git tracks: the lock files for the bytes, metrics/<recipe>/test.json for the accuracy. Runs at the end of
`make repro`; needs no data.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dvc_lock import parse_lock

Stages = Mapping[str, Any]
LOCK = "stages/dvc.lock"
# In the order in which a difference is looked for: numbers first, then the drawings that follow from them.
STAGES = (
    "download", "audit", "weights", "preprocess", "split", "train", "baselines", "evaluate", "explain", "export",
    "plot_audit", "plot_preprocess", "plot_evaluation", "plot_explanation", "report",
)  # fmt: skip
METRIC, SUBSET = "accuracy", "published"


def main() -> None:
    """Print one line if all results here are the committed ones, else a line for each recipe that differs."""
    committed = git_show(LOCK)
    if committed is None:
        print(f"Nothing to compare with: there is no commit that has {LOCK}.")
        return
    if not Path(LOCK).exists():
        print(f"Nothing to compare: {LOCK} is missing here.")
        return
    before, now = (parse_lock(text)["stages"] for text in (committed, Path(LOCK).read_text(encoding="utf-8")))
    reports = [name for name in now if name.startswith("report@") and is_here(now[name])]
    recipes = sorted(name.removeprefix("report@") for name in reports)
    lines = [line for recipe in recipes for line in compare_recipe(recipe, before, now)]
    if lines or not recipes:
        print("\n".join(lines) or "No recipe has been run here.")
    else:
        print(f"Same results as committed: {', '.join(recipes)}.")


def compare_recipe(recipe: str, before: Stages, now: Stages) -> Iterator[str]:
    """Describe how the results of a recipe differ from those of the commit; nothing if they do not."""
    names = recipe_stages(recipe, now)
    if f"report@{recipe}" not in before:
        yield f"{recipe}: not in the commit."
        return
    different = [name for name in names if name in before and hashes(before[name], "outs") != hashes(now[name], "outs")]
    if different:
        old, new = committed_metrics(recipe), read_metrics(recipe)
        reason = explain(different[0], before, now)
        yield f"{recipe}: {describe_accuracy(old, new)}; differs from `{different[0]}` on, {reason}"


def recipe_stages(recipe: str, stages: Stages) -> list[str]:
    """Return the stages that a recipe's results come from, in order."""
    inputs = {path for stage in ("preprocess", "train") for path in hashes(stages.get(f"{stage}@{recipe}", {}), "deps")}
    sources = {Path(path).stem for path in inputs if path.startswith("data/raw/")}
    sources |= {Path(path).name for path in inputs if path.startswith("data/weights/")}
    names = [f"{stage}@{key}" for stage in STAGES for key in (*sorted(sources), recipe)]
    return [name for name in names if name in stages]


def hashes(stage: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Return the hashes of a stage's `outs` or `deps` by path."""
    return {item["path"]: item.get("md5", "") for item in stage.get(kind, [])}


def is_here(stage: Mapping[str, Any]) -> bool:
    """Return whether the outputs of a stage exist in this folder."""
    return all(Path(path).exists() for path in hashes(stage, "outs"))


def explain(name: str, before: Stages, now: Stages) -> str:
    """Say why the outputs of a stage differ: its inputs do, or the same inputs gave other bytes here."""
    old, new = hashes(before[name], "deps"), hashes(now[name], "deps")
    changed = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    parameters = [before[name].get("params", {}), now[name].get("params", {})]
    if parameters[0] != parameters[1]:
        changed.append("params.yaml")
    if changed:
        return f"because these changed: {', '.join(changed)}."
    return "with the same code, parameters and inputs: this machine computes other bytes: see docs/reproducibility.md."


def describe_accuracy(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """Compare the accuracies with their 95 % intervals."""
    if old is not None and old == new:
        return f"same {METRIC} as committed, {format_accuracy(new)}"
    text = f"{METRIC} committed {format_accuracy(old)}, here {format_accuracy(new)}"
    intervals = [read_interval(block) for block in (old, new)]
    if None in intervals:
        return text
    (low, high), (other_low, other_high) = intervals
    return f"{text}: intervals {'overlap' if low <= other_high and other_low <= high else 'DO NOT OVERLAP'}"


def format_accuracy(block: Mapping[str, Any] | None) -> str:
    """Format an accuracy as `0.708 (0.615–0.802)`."""
    if block is None:
        return "unknown"
    interval = read_interval(block)
    return f"{block[METRIC]:.3f}" + (f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else "")


def read_interval(block: Mapping[str, Any] | None) -> Any:
    """Return the 95 % interval of the accuracy, low and high; None if there is none."""
    return None if block is None else block.get("interval", {}).get(METRIC)


def read_metrics(recipe: str) -> Any:
    """Read the metrics of all test images of a recipe; None if there are none."""
    path = Path(metrics_path(recipe))
    return json.loads(path.read_text(encoding="utf-8"))[SUBSET] if path.exists() else None


def committed_metrics(recipe: str) -> Any:
    """Read the same from the last commit."""
    text = git_show(metrics_path(recipe))
    return None if text is None else json.loads(text)[SUBSET]


def metrics_path(recipe: str) -> str:
    """Return the path of a recipe's metrics."""
    return f"metrics/{recipe}/test.json"


def git_show(path: str) -> str | None:
    """Return the content of a file in the last commit; None if it is not there."""
    result = subprocess.run(["git", "show", f"HEAD:./{path}"], capture_output=True, text=True, encoding="utf-8")
    return result.stdout if result.returncode == 0 else None


if __name__ == "__main__":
    main()
