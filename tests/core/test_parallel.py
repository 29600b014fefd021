"""The parallel map: in one process, in several, and on a Dask cluster."""

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

from brain_tumor import parallel
from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage, write_archive
from brain_tumor.metrics.bootstrap import BootstrapParams, PredictionSet, ResamplingUnits, bootstrap_metrics
from brain_tumor.parallel import ordered_map
from heads import head, png
from project import ROOT, yaml


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as running:
        yield str(running.scheduler_address)


def test_ordered_map_any_backend_keeps_the_order(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "DASK_CHUNK", 7)
    for environment in ({"WORKERS": "1"}, {"WORKERS": "2"}, {"DASK_SCHEDULER": cluster}):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert list(ordered_map(abs, range(-20, 0))) == list(range(20, 0, -1))


def test_ordered_map_missing_scheduler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_SCHEDULER", "nonsense://x")
    with pytest.raises(UserError, match="DASK_SCHEDULER=nonsense://x cannot be used"):
        list(ordered_map(abs, [1, 2]))


def test_bootstrap_metrics_on_cluster_are_the_same(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    truth, probabilities = random.integers(0, 3, 50), random.dirichlet(np.ones(3), 50)
    units = ResamplingUnits(truth, [f"g{k // 2}" for k in range(50)], ["all"] * 50)
    prediction_sets = [PredictionSet("m", "all", probabilities, np.ones(50, bool))]
    tables = []
    for name, value in (("WORKERS", "1"), ("DASK_SCHEDULER", cluster)):
        monkeypatch.setenv(name, value)
        tables.append(bootstrap_metrics(units, prediction_sets, "abc", BootstrapParams(rounds=300, seed=0)))
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)


def test_stages_on_cluster_write_the_same_bytes(cluster: str, tmp_path: Path) -> None:
    images = [RawImage(f"{n}.png", png(head(n % 9, 48)), "ab"[n % 2], patient=str(n % 9)) for n in range(24)]
    contents: list[dict[str, bytes]] = []
    for name, environment in (("local", {"WORKERS": "1"}), ("dask", {"DASK_SCHEDULER": cluster})):
        folder = tmp_path / name
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "data/raw").mkdir(parents=True)
        write_archive(folder / "data/raw/mine.zip", images)
        shutil.copytree(ROOT / "provenance", folder / "provenance")
        params: dict[str, Any] = {"datasets": {"mine": {"patients": "provenance/none.csv"}}, "recipes": {}}
        params["recipes"]["mine"] = {"dataset": "mine", "classes": ["a", "b"]}
        params["recipes"]["mine"]["preprocess"] = {"operations": [{"op": "resize", "size": 32, "mode": "pad"}]}
        yaml.dump(params, folder / "params.yaml")
        for stage in ("audit", "preprocess"):
            # Workers read files by the relative paths of the stage, so they need its working folder.
            code = f"import os; os.chdir({str(folder)!r})"
            if environment.get("DASK_SCHEDULER"):
                from distributed import Client

                with Client(cluster) as client:
                    client.run(exec, code)
            command = [sys.executable, f"src/{stage}.py", "mine"]
            env = {**os.environ, **environment, "TQDM_DISABLE": "1", "PYTHONPATH": str(folder / "src")}
            result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
            assert result.returncode == 0, result.stderr
        outs = [
            path for path in folder.rglob("*") if path.is_file() and "src" not in path.parts and "raw" not in path.parts
        ]
        contents.append({path.relative_to(folder).as_posix(): path.read_bytes() for path in outs})
    assert contents[0].keys() == contents[1].keys()
    assert json.loads(contents[0]["metrics/mine/audit.json"])["images"] == 24
    assert "data/enhanced/mine/images.npy" in contents[0]
    assert contents[0] == contents[1]
