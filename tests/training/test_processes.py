"""Training in several processes on the CPU (gloo), started in each of the documented ways."""

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
from safetensors.torch import load_file

from heads import head
from project import ROOT, yaml

NUM_TRAIN, NUM_VALIDATION, NUM_TEST = 30, 7, 4  # batches of 8 leave training images out
CLASSES = ("dark", "bright")
COMMAND = [sys.executable, "src/train.py", "mine"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
TIMEOUT_SECONDS = 120


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with all that `train.py mine` reads: bright heads and dark ones, a small transformer."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    params = yaml.load(ROOT / "params.yaml")
    recipe = json.loads(json.dumps(params["recipes"]["quickstart"]))
    recipe |= {"classes": list(CLASSES), "preprocess": {"operations": [{"op": "resize", "size": 32, "mode": "pad"}]}}
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
    total = NUM_TRAIN + NUM_VALIDATION + NUM_TEST
    labels = [CLASSES[n % 3 == 0] for n in range(total)]
    images = [np.asarray(head(n, 32)[:, :32]) // (1 if label == "bright" else 3) for n, label in enumerate(labels)]
    np.save(folder / "data/enhanced/mine/images.npy", np.stack(images))
    rows = pd.DataFrame({"row": range(total), "path": [f"{n}.png" for n in range(total)], "label": labels})
    rows.to_csv(folder / "data/enhanced/mine/rows.csv", index=False)
    parts = ["train"] * NUM_TRAIN + ["validation"] * NUM_VALIDATION + ["test"] * NUM_TEST
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
    output = process.communicate(timeout=TIMEOUT_SECONDS)[0]
    assert process.returncode == code, output
    return output


def copy(project: Path, path: Path) -> Path:
    return Path(shutil.copytree(project, path, dirs_exist_ok=True))


@pytest.fixture(scope="module")
def single(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train in a single process."""
    folder = copy(project, tmp_path_factory.mktemp("single"))
    finish(start(folder, *COMMAND))
    return folder


def read_curves(folder: Path) -> np.ndarray:
    return pd.read_csv(folder / "plots/mine/curves.csv").to_numpy()


def assert_same_result(folder: Path, single: Path) -> None:
    """Check curves to 1e-4 and weights to 1e-3, so that each image was counted once, and that one process wrote."""
    np.testing.assert_allclose(read_curves(folder), read_curves(single), rtol=1e-4, atol=1e-4)
    weights, expected = (load_file(path / "models/mine/model.safetensors") for path in (folder, single))
    for name, values in expected.items():
        np.testing.assert_allclose(weights[name], values, rtol=1e-3, atol=1e-3)
    assert sorted(path.name for path in (folder / "models/mine").iterdir()) == ["model.json", "model.safetensors"]
    assert not list(folder.rglob("*.partial"))


def test_train_devices_2_gives_the_result_of_one_process(project: Path, single: Path, tmp_path: Path) -> None:
    folder = copy(project, tmp_path)
    output = finish(start(folder, *COMMAND, DEVICES="2", MASTER_PORT=str(free_port())))
    assert "process 2 of 2" in output
    assert_same_result(folder, single)


def test_train_torchrun_gives_the_result_of_one_process(project: Path, single: Path, tmp_path: Path) -> None:
    folder = copy(project, tmp_path)
    output = finish(
        start(folder, *TORCHRUN, "--nproc-per-node=2", f"--master-port={free_port()}", *COMMAND[1:])
    )  # fmt: skip
    assert "process 2 of 2" in output
    assert_same_result(folder, single)


def test_train_mixup_and_cutmix_two_processes_give_the_result_of_one(
    project: Path, single: Path, tmp_path: Path
) -> None:
    """The second process mixes its images with those of the first, and in micro-batches of other sizes."""
    params = yaml.load(project / "params.yaml")
    params["recipes"]["mine"]["train"]["mix"] = {"mixup": 0.4, "cutmix": 1.0}
    folders = [copy(project, tmp_path / name) for name in ("one", "two")]
    for folder in folders:
        yaml.dump(params, folder / "params.yaml")
    finish(start(folders[0], *COMMAND))
    finish(start(folders[1], *COMMAND, DEVICES="2", MASTER_PORT=str(free_port()), MICRO_BATCH_SIZE="3"))
    assert_same_result(folders[1], folders[0])
    assert np.abs(read_curves(folders[0]) - read_curves(single)).max() > 0.01


def test_train_two_nodes_give_the_result_of_one_process(project: Path, single: Path, tmp_path: Path) -> None:
    port = str(free_port())
    shared = {"NODES": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    # The second node has none of the first one's files.
    folders = [copy(project, tmp_path / name) for name in ("first", "second")]
    nodes = [start(folder, *COMMAND, NODE_RANK=str(rank), **shared) for rank, folder in enumerate(folders)]
    for node in nodes:
        finish(node)
    assert_same_result(folders[0], single)
    assert not (folders[1] / "models").exists()


def test_train_failing_process_ends_all(project: Path, tmp_path: Path) -> None:
    folder = copy(project, tmp_path)
    script = folder / "src/brain_tumor/training/fit.py"
    failing = script.read_text().replace("    state = train(", "    assert fabric.global_rank == 0\n    state = train(")
    assert failing != script.read_text()
    script.write_text(failing)
    process = start(folder, *COMMAND, DEVICES="2", MASTER_PORT=str(free_port()))
    output = process.communicate(timeout=TIMEOUT_SECONDS)[0]
    assert process.returncode != 0
    assert "assert fabric.global_rank == 0" in output
    assert not (folder / "models/mine").exists()


GUARD = """
import numpy as np
import train

class Guarded(np.memmap):
    def __getitem__(self, rows):
        assert isinstance(rows, np.ndarray) and rows.max(initial=0) < FIRST, "training reads test rows"
        return np.asarray(super().__getitem__(rows))

load = np.load
np.load = lambda *args, **options: load(*args, **options).view(Guarded)
train.main("mine")
"""


def test_train_does_not_read_pixels_or_labels_of_test_rows(project: Path, single: Path, tmp_path: Path) -> None:
    folder = copy(project, tmp_path)
    rows = pd.read_csv(folder / "data/enhanced/mine/rows.csv")
    rows.loc[NUM_TRAIN + NUM_VALIDATION :, "label"] = "unreadable"
    rows.to_csv(folder / "data/enhanced/mine/rows.csv", index=False)
    (folder / "src/guard.py").write_text(GUARD.replace("FIRST", str(NUM_TRAIN + NUM_VALIDATION)))
    finish(start(folder, sys.executable, "src/guard.py"))
    models = [(path / "models/mine/model.safetensors").read_bytes() for path in (single, folder)]
    assert models[0] == models[1]


def test_train_killed_at_any_time_ends_in_the_same_bytes(project: Path, single: Path, tmp_path: Path) -> None:
    folder = copy(project, tmp_path)
    scratch = folder / "scratch/train/mine"
    for pattern in ("frozen-*", "*.pt"):  # before the first step, and after the first epoch
        process = start(folder, *COMMAND)
        while process.poll() is None and not list(scratch.glob(pattern)):
            time.sleep(0.005)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    finish(start(folder, *COMMAND))
    for name in ("models/mine/model.safetensors", "models/mine/model.json", "plots/mine/curves.csv"):
        assert (folder / name).read_bytes() == (single / name).read_bytes()
    assert not scratch.exists()
