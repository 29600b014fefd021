"""Portable numerics, in processes of their own: torch takes its instructions on its first computation."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from brain_tumor.core.errors import UserError
from brain_tumor.models import numerics

SRC = Path(__file__).parents[2] / "src"
CPU = torch.device("cpu")
NETWORK = """
import hashlib, logging, torch
logging.basicConfig(level=logging.INFO)
from brain_tumor.models import numerics, runtime
{before}
runtime.setup_device("{numerics}")
torch.manual_seed(0)
conv, norm = torch.nn.Conv2d(3, 32, 3, 2), torch.nn.BatchNorm2d(32)
net = torch.nn.Sequential(conv, norm, torch.nn.SiLU(), torch.nn.Flatten(), torch.nn.Linear(32 * 31 * 31, 3))
x = torch.randint(0, 256, (4, 3, 64, 64)) / 255
net(x).square().sum().backward()
gradients = b"".join(p.grad.numpy().tobytes() for p in net.parameters())
print(hashlib.sha256(gradients).hexdigest(), numerics.describe_numerics("{numerics}", torch.device("cpu")))
"""
portable_machine = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64")
    or torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="portable numerics are for x86-64 CPUs with AVX2",
)


def compute(name: str, before: str = "", **environment: str) -> tuple[str, str, str]:
    """Return the hash of a network's gradients, the description of the numerics, and the log."""
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "DEVICE": "cpu"} | environment
    code = NETWORK.format(numerics=name, before=before)
    process = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=SRC, capture_output=True, text=True, check=True, timeout=120
    )
    digest, description = process.stdout.strip().split(" ", 1)
    return digest, description, process.stderr


@portable_machine
def test_set_portable_bits_do_not_depend_on_the_environment() -> None:
    expected = compute("portable")
    assert expected[1] == "portable"
    assert "computing on the CPU, 2 threads, AVX2, numerics: portable" in expected[2]
    assert "may differ" not in expected[2]
    other = compute("portable", OMP_NUM_THREADS="1", MKL_NUM_THREADS="4", THREADS="1")
    assert other[:2] == expected[:2]
    # The control: these do decide bits.
    one, two = (compute("native", THREADS=threads) for threads in ("1", "2"))
    assert one[0] != two[0]
    assert one[1] != two[1]
    assert "1 threads" in one[1]


@portable_machine
@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() == "AVX2", reason="nothing but AVX2 on this CPU")
def test_set_portable_after_a_computation_is_a_warning() -> None:
    _, description, log = compute("portable", before="torch.ones(8).exp()")
    assert "numerics: portable: torch computes with the instructions AVX512, not AVX2; results may differ" in log
    assert description != "portable"


def test_set_threads_too_few_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch with more threads than this limit waits forever."""
    monkeypatch.setenv("OMP_THREAD_LIMIT", "1")
    with pytest.raises(UserError, match="OMP_THREAD_LIMIT=1, but torch computes with 2 threads: unset it"):
        numerics.set_threads(2)


@pytest.mark.parametrize(("name", "value"), [("OMP_DYNAMIC", "true"), ("OMP_MAX_ACTIVE_LEVELS", "0")])
def test_set_threads_settings_that_would_hang_are_errors(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=rf"{name}.*: unset it"):
        numerics.set_threads(2)


@portable_machine
def test_set_portable_after_a_matrix_product_is_a_warning() -> None:
    """MKL keeps the mode of its first computation, which ATen's level does not tell."""
    before = "torch.set_num_threads(2); torch.ones(300, 300) @ torch.ones(300, 300)"
    _, description, log = compute("portable", before, ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2")
    assert "a convolution or a matrix product gives other bits" in log
    assert description != "portable"


def test_find_difference_other_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert numerics.find_difference() == "this machine is Darwin on arm64, not Linux on x86_64"


def test_describe_numerics_native_names_cpu_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "SSE4_2")
    description = numerics.describe_numerics("native", CPU)
    assert description.startswith(platform.machine())
    assert "MKL_CBWR=SSE4_2" in description
    assert f"{torch.get_num_threads()} threads" in description
