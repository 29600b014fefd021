"""The parallel map: in this process, in several, and on a Dask cluster."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from heads import head, png
from project import ROOT, yaml

from brain_tumor import parallel
from brain_tumor.archive import RawImage, write
from brain_tumor.errors import UserError
from brain_tumor.intervals import Rounds, Sample, View, measure
from brain_tumor.parallel import ordered_map


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as running:
        yield str(running.scheduler_address)


def test_order_is_kept_everywhere(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "BLOCK", 7)
    for environment in ({"WORKERS": "1"}, {"WORKERS": "2"}, {"DASK_SCHEDULER": cluster}):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert list(ordered_map(abs, range(-20, 0))) == list(range(20, 0, -1))


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_SCHEDULER", "nonsense://x")
    with pytest.raises(UserError, match="DASK_SCHEDULER=nonsense://x cannot be used"):
        list(ordered_map(abs, [1, 2]))


def test_the_bootstrap_gives_the_same_figures_on_a_cluster(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    truth, probabilities = random.integers(0, 3, 50), random.dirichlet(np.ones(3), 50)
    sample = Sample(truth, [f"g{k // 2}" for k in range(50)], ["all"] * 50)
    views = [View("m", "all", probabilities, np.ones(50, bool))]
    found = []
    for name, value in (("WORKERS", "1"), ("DASK_SCHEDULER", cluster)):
        monkeypatch.setenv(name, value)
        found.append(measure(sample, views, "abc", Rounds(rounds=300, seed=0)))
    pd.testing.assert_frame_equal(found[0], found[1], check_exact=True)


def test_stages_give_the_same_bytes_on_a_cluster(cluster: str, tmp_path: Path) -> None:
    images = [RawImage(f"{n}.png", png(head(n % 9, 48)), "ab"[n % 2], patient=str(n % 9)) for n in range(24)]
    found: list[dict[str, bytes]] = []
    for name, environment in (("local", {"WORKERS": "1"}), ("dask", {"DASK_SCHEDULER": cluster})):
        folder = tmp_path / name
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "data/raw").mkdir(parents=True)
        write(folder / "data/raw/mine.zip", images)
        params: dict[str, Any] = {"datasets": {"mine": {}}, "recipes": {"mine": {"dataset": "mine"}}}
        params["recipes"]["mine"] |= {"classes": ["a", "b"]}
        params["recipes"]["mine"]["enhance"] = {"operations": [{"op": "resize", "size": 32, "mode": "pad"}]}
        yaml.dump(params, folder / "params.yaml")
        for stage in ("audit", "enhance"):
            # Workers find files by the paths of the stage: they must run where it does.
            code = f"import os; os.chdir({str(folder)!r})"
            if environment.get("DASK_SCHEDULER"):
                from distributed import Client

                with Client(cluster) as client:
                    client.run(exec, code)
            command = [sys.executable, f"src/{stage}.py", "mine"]
            env = {**os.environ, **environment, "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT / "src")}
            done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        outs = [
            path for path in folder.rglob("*") if path.is_file() and "src" not in path.parts and "raw" not in path.parts
        ]
        found.append({path.relative_to(folder).as_posix(): path.read_bytes() for path in outs})
    assert found[0].keys() == found[1].keys()
    assert json.loads(found[0]["metrics/mine/audit.json"])["images"] == 24
    assert found[0] == found[1]
