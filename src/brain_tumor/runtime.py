"""Where and how torch computes: device, threads, determinism. From the environment, never from parameters."""

import ctypes
import logging
import os
import sys

import torch

from brain_tumor.errors import UserError

log = logging.getLogger(__name__)


def start() -> torch.device:
    """Set torch up and return the device: DEVICE if set (`cpu`, `cuda`), else CUDA if there is a GPU.

    Deterministic algorithms are on. THREADS sets the number of CPU threads (default: all cores).
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    if threads := os.environ.get("THREADS"):
        torch.set_num_threads(int(threads))
    wanted = os.environ.get("DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("DEVICE=cuda, but torch sees no CUDA GPU: unset DEVICE to use the CPU")
    device = torch.device(wanted)
    if device.type == "cpu":
        _keep_freed_memory()
        log.info("computing on the CPU, %d threads", torch.get_num_threads())
    else:
        log.info("computing on %s", torch.cuda.get_device_name(device))
    return device


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
