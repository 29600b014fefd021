"""What the environment decides, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SRC = Path(__file__).parents[1] / "src"


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = f"import logging\nlogging.basicConfig(level=logging.INFO)\nfrom brain_tumor import runtime\n{code}"
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "DEVICE": "cpu"} | environment
    return subprocess.run([sys.executable, "-c", script], env=env, cwd=SRC, capture_output=True, text=True)


@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"), reason="the CPU has no AVX2")
def test_the_instructions_can_be_fixed() -> None:
    done = run("runtime.start()", CPU_LEVEL="avx2", THREADS="1")
    assert "computing on the CPU, 1 threads, AVX2" in done.stderr


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"CPU_LEVEL": "sse9"}, "CPU_LEVEL=sse9: it may be avx2"),
        ({"DEVICE": "abacus"}, "DEVICE=abacus: it may be cpu or cuda"),
        ({"THREADS": "many"}, "THREADS=many: it must be a whole number"),
    ],
)
def test_what_the_environment_may_not_say_is_an_error(environment: dict[str, str], says: str) -> None:
    assert says in run("runtime.start()", **environment).stderr


def test_precision_and_its_reason_are_logged_and_determinism_is_set() -> None:
    code = """
import torch
found = runtime.launch()
print(found.rank, found.world, found.device, torch.are_deterministic_algorithms_enabled())
print(torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark)
"""
    done = run(code)
    assert done.stdout == "0 1 cpu True\nhighest False False\n"
    assert "precision: float32, as the CPU is fastest with it" in done.stderr
