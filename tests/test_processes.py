"""Training in several processes on the CPU (gloo), started in the ways that people start them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from heads import head
from project import ROOT, yaml
from safetensors.torch import load_file

COUNT = 30  # training images: batches of 8 leave some over
CLASSES = ("dark", "bright")
STEP = [sys.executable, "src/train.py", "mine"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that `train.py mine` reads: bright heads and dark ones, a small transformer."""
    folder = tmp_path_factory.mktemp("prepared")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    params = yaml.load(ROOT / "params.yaml")
    recipe = json.loads(json.dumps(params["recipes"]["quickstart"]))
    recipe |= {"classes": list(CLASSES), "enhance": {"operations": [{"op": "resize", "size": 32, "mode": "pad"}]}}
    # Without batch norms, whose statistics are those of each process.
    recipe["train"] |= {"epochs": 2, "batch_size": 8, "optimizer": {"kind": "sgd", "lr": 0.05}}
    recipe["train"]["augment"] = [{"op": "flip"}, {"op": "noise", "sd": 0.05}]
    recipe["train"]["loss"] = {"label_smoothing": 0.1, "balance": True}
    params["recipes"] = {"mine": recipe}
    yaml.dump(params, folder / "params.yaml")
    for name in ("enhanced/mine", "split", "weights/tf_efficientnet_lite0"):
        (folder / "data" / name).mkdir(parents=True)
    backbone = {"architecture": "test_vit", "mean": [0.5] * 3, "std": [0.5] * 3, "source": "none", "sha256": ""}
    (folder / "data/weights/tf_efficientnet_lite0/backbone.json").write_text(json.dumps(backbone))
    total = COUNT + 11
    labels = [CLASSES[n % 3 == 0] for n in range(total)]
    images = [np.asarray(head(n, 32)[:, :32]) // (1 if label == "bright" else 3) for n, label in enumerate(labels)]
    np.save(folder / "data/enhanced/mine/images.npy", np.stack(images))
    numbers = {"row": range(total), "path": [f"{n}.png" for n in range(total)]}
    pd.DataFrame(numbers | {"label": labels}).to_csv(folder / "data/enhanced/mine/rows.csv", index=False)
    parts = ["train"] * COUNT + ["validation"] * 7 + ["test"] * 4
    split = pd.DataFrame({"row": range(total), "part": parts, "group": range(total), "leak": ""})
    split.to_csv(folder / "data/split/mine.csv", index=False)
    weights = {"class_weights": {"dark": 0.75, "bright": 1.5}}
    (folder / "data/split/mine.json").write_text(json.dumps(weights))
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, *command: str, **environment: str) -> "subprocess.Popen[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "TORCHELASTIC"))}
    env = clean | {"DEVICE": "cpu", "THREADS": "1", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"} | environment
    return subprocess.Popen(
        command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )  # fmt: skip


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    output = process.communicate(timeout=120)[0]
    assert process.returncode == code, output
    return output


def copy(prepared: Path, place: Path) -> Path:
    return Path(shutil.copytree(prepared, place, dirs_exist_ok=True))


@pytest.fixture(scope="module")
def alone(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy(prepared, tmp_path_factory.mktemp("alone"))
    finish(start(folder, *STEP))
    return folder


def assert_as_alone(folder: Path, alone: Path) -> None:
    """The curves agree to 1e-4, the weights to 1e-3; each image was counted once, and one process wrote."""
    curves = [pd.read_csv(place / "plots/mine/curves.csv").to_numpy() for place in (alone, folder)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4, atol=1e-4)
    weights = [load_file(place / "models/mine/model.safetensors") for place in (alone, folder)]
    for name, values in weights[0].items():
        np.testing.assert_allclose(weights[1][name], values, rtol=1e-3, atol=1e-3)
    assert sorted(path.name for path in (folder / "models/mine").iterdir()) == ["model.json", "model.safetensors"]
    assert not list(folder.rglob("*.partial"))


def test_one_command_starts_two_processes(prepared: Path, alone: Path, tmp_path: Path) -> None:
    folder = copy(prepared, tmp_path)
    output = finish(start(folder, *STEP, DEVICES="2", MASTER_PORT=str(free_port())))
    assert "process 2 of 2" in output
    assert_as_alone(folder, alone)


def test_torchrun_starts_two_processes(prepared: Path, alone: Path, tmp_path: Path) -> None:
    folder = copy(prepared, tmp_path)
    output = finish(
        start(folder, *TORCHRUN, "--nproc-per-node=2", f"--master-port={free_port()}", *STEP[1:])
    )  # fmt: skip
    assert "process 2 of 2" in output
    assert_as_alone(folder, alone)


def test_two_nodes_train_together(prepared: Path, alone: Path, tmp_path: Path) -> None:
    port = str(free_port())
    shared = {"NODES": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    # The second node sees none of the first one's files.
    folders = [copy(prepared, tmp_path / name) for name in ("first", "second")]
    nodes = [start(folder, *STEP, NODE_RANK=str(rank), **shared) for rank, folder in enumerate(folders)]
    for node in nodes:
        finish(node)
    assert_as_alone(folders[0], alone)
    assert not (folders[1] / "models").exists()


def test_a_process_that_fails_ends_all(prepared: Path, tmp_path: Path) -> None:
    folder = copy(prepared, tmp_path)
    script = folder / "src/brain_tumor/fitting.py"
    failing = script.read_text().replace("    state = train(", "    assert run.rank == 0\n    state = train(")
    assert failing != script.read_text()
    script.write_text(failing)
    process = start(folder, *STEP, DEVICES="2", MASTER_PORT=str(free_port()))
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert not (folder / "models/mine").exists()


GUARD = """
import numpy as np
import train

class Guarded(np.memmap):
    def __getitem__(self, rows):
        assert isinstance(rows, np.ndarray) and rows.max() < FIRST, "training reads test rows"
        return np.asarray(super().__getitem__(rows))

load = np.load
np.load = lambda *words, **options: load(*words, **options).view(Guarded)
train.main("mine")
"""


def test_training_does_not_read_test_rows(prepared: Path, alone: Path, tmp_path: Path) -> None:
    """Their pixels may not be touched, and their labels are none."""
    folder = copy(prepared, tmp_path)
    rows = pd.read_csv(folder / "data/enhanced/mine/rows.csv")
    rows.loc[COUNT + 7 :, "label"] = "unreadable"
    rows.to_csv(folder / "data/enhanced/mine/rows.csv", index=False)
    (folder / "src/guard.py").write_text(GUARD.replace("FIRST", str(COUNT + 7)))
    finish(start(folder, sys.executable, "src/guard.py"))
    models = [(place / "models/mine/model.safetensors").read_bytes() for place in (alone, folder)]
    assert models[0] == models[1]


def test_a_run_that_is_killed_at_any_moment_ends_in_the_same_bytes(prepared: Path, alone: Path, tmp_path: Path) -> None:
    folder = copy(prepared, tmp_path)
    scratch = folder / "scratch/train/mine"
    for moment in ("frozen-*", "*.pt"):  # before the first step, and after the first epoch
        process = start(folder, *STEP)
        while process.poll() is None and not list(scratch.glob(moment)):
            time.sleep(0.005)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    finish(start(folder, *STEP))
    for name in ("models/mine/model.safetensors", "models/mine/model.json", "plots/mine/curves.csv"):
        assert (folder / name).read_bytes() == (alone / name).read_bytes()
    assert not scratch.exists()
