"""Environment variables that set up torch, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from brain_tumor.core.errors import UserError
from brain_tumor.models import numerics, runtime

SRC = Path(__file__).parents[2] / "src"


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = f"import logging\nlogging.basicConfig(level=logging.INFO)\nfrom brain_tumor.models import runtime\n{code}"
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "DEVICE": "cpu"} | environment
    return subprocess.run([sys.executable, "-c", script], env=env, cwd=SRC, capture_output=True, text=True)


def test_setup_device_native_uses_the_threads_of_the_environment() -> None:
    assert "computing on the CPU, 3 threads" in run("runtime.setup_device()", THREADS="3").stderr


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"DEVICE": "abacus"}, "DEVICE=abacus: it may be cpu or cuda"),
        ({"THREADS": "many"}, "THREADS=many: it must be a whole number"),
    ],
)
def test_setup_device_invalid_variable_is_an_error(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        runtime.setup_device()


def test_launch_fabric_logs_precision_and_sets_determinism() -> None:
    code = """
import torch
fabric = runtime.launch_fabric()
print(fabric.global_rank, fabric.world_size, fabric.device, torch.are_deterministic_algorithms_enabled())
print(torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark)
"""
    process = run(code)
    assert process.stdout == "0 1 cpu True\nhighest False False\n"
    assert "precision: float32, which is fastest on the CPU" in process.stderr


@pytest.mark.parametrize(("text", "expected"), [(None, 16), ("", 16), ("0", 16), ("4", 4), ("64", 16)])
def test_micro_batch_size_limits_the_share_of_a_batch(
    monkeypatch: pytest.MonkeyPatch, text: str | None, expected: int
) -> None:
    monkeypatch.delenv("MICRO_BATCH_SIZE", raising=False)
    if text is not None:
        monkeypatch.setenv("MICRO_BATCH_SIZE", text)
    assert runtime.micro_batch_size(16) == expected


def test_micro_batch_size_not_a_number_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_BATCH_SIZE", "-4")
    with pytest.raises(UserError, match="MICRO_BATCH_SIZE=-4: it must be a whole number"):
        runtime.micro_batch_size(16)


def test_setup_device_portable_takes_the_cpu_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(numerics, "set_portable", lambda: None)  # it would change the threads of other tests
    assert runtime.setup_device("portable").type == "cpu"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "fake GPU")
    assert runtime.setup_device("native").type == "cuda"


def test_launch_fabric_several_processes_keep_the_threads(tmp_path: Path) -> None:
    """Lightning sets the threads of each process by the number of cores, unless OMP_NUM_THREADS is set."""
    script = tmp_path / "launch.py"
    script.write_text(
        "import torch\nfrom brain_tumor.models import runtime\n"
        "fabric = runtime.launch_fabric('portable')\n"
        "print(torch.get_num_threads(), flush=True)\nfabric.barrier()\n"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(SRC), "DEVICE": "cpu", "DEVICES": "2"}
    process = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=120)
    assert process.stdout.split() == ["2", "2"], process.stderr
