"""Where and how torch computes: device, precision, processes, determinism. From the environment, never from parameters.

DEVICE `cpu` or `cuda` (default: a GPU if there is one)
THREADS CPU threads (default: all cores)
CPU_LEVEL `avx2`: the same instructions on every x86-64 CPU since 2013, and so the same bytes from newer and older ones
DEVICE_BATCH images that a device takes at once; larger batches are gathered from several (default: the whole batch)
DEVICES, NODES processes of each machine and machines that train together, one GPU each (default: 1);
    torchrun and SLURM say so themselves, else NODE_RANK, MASTER_ADDR and MASTER_PORT go with NODES
"""

import ctypes
import logging
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from brain_tumor.errors import UserError

log = logging.getLogger(__name__)

# What torch's own kernels, oneDNN and MKL may use. They look when they first compute: before any function here runs.
CPU_LEVELS = {"avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}}
os.environ.update(CPU_LEVELS.get(os.environ.get("CPU_LEVEL", ""), {}))


def start() -> torch.device:
    """Set torch up and return the device. Deterministic algorithms are on, and TF32 is off."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    if threads := _number("THREADS", 0):
        torch.set_num_threads(threads)
    level = os.environ.get("CPU_LEVEL")
    if level and level not in CPU_LEVELS:
        raise UserError(f"CPU_LEVEL={level}: it may be {' or '.join(CPU_LEVELS)}")
    wanted = os.environ.get("DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    if wanted not in ("cpu", "cuda"):
        raise UserError(f"DEVICE={wanted}: it may be cpu or cuda")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("DEVICE=cuda, but torch sees no CUDA GPU: unset DEVICE to use the CPU")
    device = torch.device(wanted)
    if device.type == "cpu":
        _keep_freed_memory()
        words = "computing on the CPU, %d threads, %s"
        log.info(words, torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())
    else:
        log.info("computing on %s", torch.cuda.get_device_name(device))
    return device


class Runtime:
    """The processes that train together, each with its device.

    Attributes:
        device: of this process.
        rank, world: number of this process, from 0, and how many there are. Only rank 0 may write.
        device_batch: images that a device takes at once; 0 for no limit.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.device, self.rank, self.world = fabric.device, fabric.global_rank, fabric.world_size
        self.device_batch = _number("DEVICE_BATCH", 0)

    def prepare(self, net: nn.Module, optimizer: torch.optim.Optimizer, compiled: bool) -> tuple[Any, Any]:
        """Return the network and the optimizer to train with; the originals keep the weights."""
        module: Any = torch.compile(net) if compiled else net
        prepared: tuple[Any, Any] = self._fabric.setup(module, optimizer)
        return prepared

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss."""
        self._fabric.backward(loss)

    def apart(self, net: Any) -> AbstractContextManager[Any]:
        """While gradients are gathered from several parts of a batch, processes need not exchange them yet."""
        return self._fabric.no_backward_sync(net) if self.world > 1 else nullcontext()

    def clip(self, net: Any, optimizer: Any, norm: float) -> None:
        """Scale the gradient down to a norm."""
        self._fabric.clip_gradients(net, optimizer, max_norm=norm)

    def total(self, values: Tensor) -> Tensor:
        """Sum over all processes."""
        if self.world == 1:
            return values
        summed: Tensor = self._fabric.all_reduce(values, reduce_op="sum")  # type: ignore[assignment]
        return summed

    def of_first(self, value: Any) -> Any:
        """What rank 0 has, in every process."""
        return self._fabric.broadcast(value) if self.world > 1 else value


def launch() -> Runtime:
    """Start the processes that the environment asks for, and return this one's runtime."""
    device = start()
    nodes, devices = _layout()
    precision: Any = _precision(device)
    strategy = "ddp" if nodes * devices > 1 else "auto"
    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=device.type, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision
    )  # fmt: skip
    fabric.launch()
    if fabric.world_size > 1:
        log.info("process %d of %d", fabric.global_rank + 1, fabric.world_size)
    return Runtime(fabric)


def _layout() -> tuple[int, int]:
    """Machines, and processes of each."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        local = _number("LOCAL_WORLD_SIZE", 1)
        return _number("WORLD_SIZE", 1) // local, local
    if "SLURM_NTASKS_PER_NODE" in os.environ:
        return _number("SLURM_NNODES", 1), _number("SLURM_NTASKS_PER_NODE", 1)
    return _number("NODES", 1), _number("DEVICES", 1)


def _precision(device: torch.device) -> str:
    if device.type == "cpu":
        # bf16 is emulated in part even where the CPU has instructions for it, and slower.
        log.info("precision: float32, as the CPU is fastest with it")
        return "32-true"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        log.info("precision: bfloat16 autocast, which this GPU has in hardware")
        return "bf16-mixed"
    log.info("precision: float16 autocast with loss scaling, as this GPU has no bfloat16")
    return "16-mixed"


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdigit():
        raise UserError(f"{variable}={text}: it must be a whole number")
    return int(text)


def _keep_freed_memory() -> None:
    """Tell glibc to keep large freed blocks: giving each activation back and faulting it in anew costs
    nearly half of a training step on the CPU. Other C libraries have no such setting and are left alone.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, top_pad, mmap_max = -1, -2, -4
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, -1)
        mallopt(top_pad, 256 * 2**20)
