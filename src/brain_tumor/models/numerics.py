"""What decides the last bits of a network's results on the CPU, and how to make them the same on all x86-64 CPUs.

The same network gives other bits with other instructions (AVX2, AVX-512), with another number of threads (sums are
split by threads), with other block sizes of oneDNN (chosen by cache sizes, mostly with AVX-512), and in MKL's matrix
products on CPUs of another vendor. docs/reproducibility.md says how this was found and checked.
"""

import logging
import os
import platform
from pathlib import Path
from typing import Literal

import torch

from brain_tumor.core.errors import UserError

Numerics = Literal["portable", "native"]
log = logging.getLogger(__name__)

PORTABLE_THREADS = 2
# Read by ATen, oneDNN and MKL on their first computation. AVX2 is in all x86-64 CPUs since 2015. MKL computes by vendor
# in all modes but COMPATIBLE; it does the matrix products of linear layers, which take little time in CNNs.
PORTABLE_ENVIRONMENT = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}
CPU_FIELDS = ("vendor_id", "cpu family", "model", "model name")  # of /proc/cpuinfo


def set_portable() -> None:
    """Make torch compute the same bits on every x86-64 CPU with AVX2; call it before the first computation.

    Where that cannot be, on a CPU of another kind or after a computation with other instructions, a warning is logged.

    Raises:
        UserError: the environment allows fewer threads; torch would wait for the others forever.
    """
    limit = os.environ.get("OMP_THREAD_LIMIT", "")
    if limit.isdigit() and 0 < int(limit) < PORTABLE_THREADS:
        raise UserError(f"OMP_THREAD_LIMIT={limit}: numerics: portable needs {PORTABLE_THREADS} threads: unset it")
    os.environ.update(PORTABLE_ENVIRONMENT)
    torch.set_num_threads(PORTABLE_THREADS)
    if reason := find_difference():
        log.warning("numerics: portable: %s; results may differ from those of other machines in the last bits", reason)


def find_difference() -> str | None:
    """Say why this process does not compute the portable bits; None if it does."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"this machine is {platform.system()} on {platform.machine()}, not Linux on x86_64"
    if (capability := torch.backends.cpu.get_cpu_capability()) != "AVX2":
        return f"torch computes with the instructions {capability}, not AVX2"
    if (threads := torch.get_num_threads()) != PORTABLE_THREADS:
        return f"torch computes with {threads} threads, not {PORTABLE_THREADS}"
    return None


def describe_numerics(numerics: Numerics, device: torch.device) -> str:
    """Describe what decides the last bits of results on this device, as text that is equal where they are.

    Versions of libraries are not part of it.
    """
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    if numerics == "portable" and find_difference() is None:
        return "portable"
    settings = [f"{name}={os.environ[name]}" for name in PORTABLE_ENVIRONMENT if name in os.environ]
    threads = f"{torch.get_num_threads()} threads"
    return ", ".join([*_cpu_model(), torch.backends.cpu.get_cpu_capability(), threads, *settings])


def _cpu_model() -> list[str]:
    """Name the model of this machine's CPU: its architecture, and what Linux says of it."""
    fields: dict[str, str] = {}
    file = Path("/proc/cpuinfo")
    if file.exists():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    return [platform.machine(), *(f"{name} {fields[name]}" for name in CPU_FIELDS if name in fields)]
