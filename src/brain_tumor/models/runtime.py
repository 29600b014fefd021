"""Device, precision, processes and determinism of torch, set by environment variables.

DEVICE            `cpu` or `cuda` (default: a GPU if there is one; the CPU for recipes with `numerics: portable`)
THREADS           CPU threads (default: all cores); without effect on recipes with `numerics: portable`
MICRO_BATCH_SIZE  images per forward pass of a device; larger batches are accumulated (default: the whole batch)
DEVICES, NODES    processes per machine and machines that train together, one GPU each (default: 1); torchrun and
                  SLURM set this themselves; otherwise NODE_RANK, MASTER_ADDR and MASTER_PORT are needed with NODES
"""

import ctypes
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import torch

from brain_tumor.core.errors import UserError
from brain_tumor.models import numerics as cpu_numerics
from brain_tumor.models.numerics import Numerics

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)

# Numbers of glibc's mallopt(3), and the bytes by which its heap grows.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
HEAP_GROWTH_BYTES = 256 * 2**20


def setup_device(numerics: Numerics = "native") -> torch.device:
    """Set torch up for deterministic algorithms without TF32, and return the device.

    Args:
        numerics: `portable` for the same bits on every x86-64 CPU; to be set before the first computation.

    Raises:
        UserError: an invalid environment variable, or a GPU that is not available.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    default = "cuda" if numerics == "native" and torch.cuda.is_available() else "cpu"
    name = os.environ.get("DEVICE") or default
    if name not in ("cpu", "cuda"):
        raise UserError(f"DEVICE={name}: it may be cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("DEVICE=cuda, but torch finds no CUDA GPU: unset DEVICE to use the CPU")
    device = torch.device(name)
    if device.type == "cpu":
        _keep_freed_memory()
        _set_cpu_numerics(numerics)
        capability = torch.backends.cpu.get_cpu_capability()
        log.info("computing on the CPU, %d threads, %s, numerics: %s", torch.get_num_threads(), capability, numerics)
    else:
        log.info("computing on %s", torch.cuda.get_device_name(device))
        if numerics == "portable":
            log.warning("numerics: portable is for the CPU: on a GPU, results differ from those of other machines")
    return device


def launch_fabric(numerics: Numerics = "native") -> "Fabric":
    """Start the processes that the environment describes, and return Fabric of this one; only rank 0 may write."""
    from lightning_fabric import Fabric  # takes a second, and only training needs it

    device = setup_device(numerics)
    nodes, devices = _world_layout()
    precision: Any = _precision(device)
    strategy = "ddp" if nodes * devices > 1 else "auto"
    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=device.type, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision
    )  # fmt: skip
    fabric.launch()
    if fabric.world_size > 1:
        if device.type == "cpu":
            _set_cpu_numerics(numerics)  # the start of several processes sets another number of threads
        log.info("process %d of %d", fabric.global_rank + 1, fabric.world_size)
    return fabric


def micro_batch_size(share: int) -> int:
    """Return the number of images per forward pass, given a process's `share` of a batch."""
    return min(share, env_int("MICRO_BATCH_SIZE", 0) or share)


def env_int(variable: str, default: int) -> int:
    """Read a whole number, 0 or more, from an environment variable; unset or empty means `default`.

    Raises:
        UserError: it is not a whole number.
    """
    text = os.environ.get(variable) or str(default)
    if not text.isdigit():
        raise UserError(f"{variable}={text}: it must be a whole number")
    return int(text)


def _set_cpu_numerics(numerics: Numerics) -> None:
    if numerics == "portable":
        cpu_numerics.set_portable()
    else:
        cpu_numerics.set_threads(env_int("THREADS", 0) or torch.get_num_threads())


def _world_layout() -> tuple[int, int]:
    """Return the number of machines, and of processes on each."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        local = env_int("LOCAL_WORLD_SIZE", 1)
        return env_int("WORLD_SIZE", 1) // local, local
    if "SLURM_NTASKS_PER_NODE" in os.environ:
        return env_int("SLURM_NNODES", 1), env_int("SLURM_NTASKS_PER_NODE", 1)
    return env_int("NODES", 1), env_int("DEVICES", 1)


def _precision(device: torch.device) -> str:
    if device.type == "cpu":
        # bf16 is partly emulated, and slower, even on CPUs that have instructions for it.
        log.info("precision: float32, which is fastest on the CPU")
        return "32-true"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        log.info("precision: bfloat16 autocast, which this GPU has in hardware")
        return "bf16-mixed"
    log.info("precision: float16 autocast with loss scaling, as this GPU has no bfloat16")
    return "16-mixed"


def _keep_freed_memory() -> None:
    """Make glibc keep large freed blocks.

    Returning the memory of each activation to the system and faulting it in again takes nearly half of a training
    step on the CPU. Other C libraries have no such setting and are left unchanged.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
        mallopt(M_TOP_PAD, HEAP_GROWTH_BYTES)
