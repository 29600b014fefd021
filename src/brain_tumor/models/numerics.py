"""What decides the last bits of a network's results on the CPU, and how to make them the same on all x86-64 CPUs.

The same network gives other bits with other instructions (AVX2, AVX-512), with another number of threads (sums are
split by threads), with other block sizes of oneDNN (chosen by cache sizes, mostly with AVX-512), and in MKL's matrix
products on CPUs of another vendor. docs/reproducibility.md says how this was found and checked.
"""

import hashlib
import logging
import math
import os
import platform
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.nn.grad import conv2d_weight

from brain_tumor.core.errors import UserError

Numerics = Literal["portable", "native"]
log = logging.getLogger(__name__)

PORTABLE_THREADS = 2
# Read by ATen, oneDNN and MKL on their first computation. AVX2 is in all x86-64 CPUs since 2015. MKL computes by vendor
# in all modes but COMPATIBLE; it does the matrix products of linear layers, which take little time in CNNs.
PORTABLE_ENVIRONMENT = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}
# Of a convolution's gradient and a matrix product, which differ with other instructions, threads or modes.
PORTABLE_HASH = "5c1c63d370e1de04"
SETTINGS = ("ATEN_", "ONEDNN_", "DNNL_", "MKL_", "CUBLAS_")  # beginnings of variables that decide bits
CPU_FIELDS = ("vendor_id", "cpu family", "model", "model name")  # of /proc/cpuinfo


def set_portable() -> None:
    """Make torch compute the same bits on every x86-64 CPU with AVX2; call it before the first computation.

    Where that cannot be, on a CPU of another kind or after a computation with other settings, a warning is logged.

    Raises:
        UserError: see `set_threads`.
    """
    os.environ.update(PORTABLE_ENVIRONMENT)
    set_threads(PORTABLE_THREADS)
    if reason := find_difference():
        log.warning("numerics: portable: %s; results may differ from those of other machines in the last bits", reason)


def set_threads(count: int) -> None:
    """Set the number of threads of torch.

    Raises:
        UserError: OpenMP would give fewer threads; torch would wait for the others forever.
    """
    limit = os.environ.get("OMP_THREAD_LIMIT", "").strip()
    if limit.isdigit() and 0 < int(limit) < count:
        raise UserError(f"OMP_THREAD_LIMIT={limit}, but torch computes with {count} threads: unset it")
    if os.environ.get("OMP_DYNAMIC", "").strip().lower() in ("true", "1"):
        raise UserError("OMP_DYNAMIC is set: torch needs a fixed number of threads: unset it")
    if os.environ.get("OMP_MAX_ACTIVE_LEVELS", "").strip() == "0":
        raise UserError("OMP_MAX_ACTIVE_LEVELS=0: torch needs one level of threads: unset it")
    torch.set_num_threads(count)


def find_difference() -> str | None:
    """Say why this process does not compute the portable bits; None if it does."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"this machine is {platform.system()} on {platform.machine()}, not Linux on x86_64"
    if (capability := torch.backends.cpu.get_cpu_capability()) != "AVX2":
        return f"torch computes with the instructions {capability}, not AVX2"
    if (threads := torch.get_num_threads()) != PORTABLE_THREADS:
        return f"torch computes with {threads} threads, not {PORTABLE_THREADS}"
    if compute_hash() != PORTABLE_HASH:
        return "a convolution or a matrix product gives other bits, as after a computation with other settings"
    return None


@torch.no_grad()
def compute_hash() -> str:
    """Hash the results of oneDNN and MKL on fixed values."""

    def values(*shape: int) -> Tensor:
        count = math.prod(shape)
        return ((torch.arange(count) * 7919 % 1009).float() / 1009 - 0.5).view(shape)

    x, gradient = (values(4, n, 30, 30).contiguous(memory_format=torch.channels_last) for n in (24, 40))
    results = [conv2d_weight(x, (40, 24, 3, 3), gradient, padding=1), linear(values(130, 250), values(70, 250))]
    content = b"".join(result.contiguous().numpy().tobytes() for result in results)
    return hashlib.sha256(content).hexdigest()[:16]


def describe_numerics(numerics: Numerics, device: torch.device) -> str:
    """Describe what decides the last bits of results on this device, as text that is equal where they are.

    Versions of libraries are not part of it.
    """
    settings = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(SETTINGS)]
    if device.type == "cuda":
        return ", ".join([torch.cuda.get_device_name(device), f"CUDA {torch.version.cuda}", *settings])
    if numerics == "portable" and find_difference() is None:
        return "portable"
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
