"""Memory of the device: whether the images fit on a GPU, and whether an error means that memory ran out."""

import logging

import torch

from brain_tumor.models.samples import Samples

log = logging.getLogger(__name__)
MIN_FREE_FRACTION = 0.05  # of a GPU's memory: stays free for what the first epoch did not need


def move_if_fits(train_set: Samples, val_set: Samples, device: torch.device) -> tuple[Samples, Samples]:
    """Move both sets to a GPU if they fit beside what training and validation have needed so far.

    To be called after an epoch, when the peak of the memory is known.
    """
    sets = (train_set, val_set)
    if device.type == "cpu":
        return sets
    free, total = torch.cuda.mem_get_info(device)
    peak, reserved = torch.cuda.max_memory_reserved(device), torch.cuda.memory_reserved(device)
    num_bytes = sum(values.nbytes for samples in sets for values in samples)
    if not fits_on_device(num_bytes, free, total, peak, reserved):
        log.info("the images stay in the main memory: %.1f GB do not fit on the GPU", num_bytes / 1e9)
        return sets
    moved = [Samples(*(values.to(device) for values in samples)) for samples in sets]
    return moved[0], moved[1]


def fits_on_device(num_bytes: int, free: int, total: int, peak: int, reserved: int) -> bool:
    """Return whether data fit on a GPU beside the peak of the computation.

    Args:
        num_bytes: size of the data.
        free, total: memory of the GPU in bytes; what this process has reserved is not free.
        peak, reserved: most bytes that this process has reserved so far, and those that it has reserved now.
    """
    return num_bytes <= free + reserved - peak - MIN_FREE_FRACTION * total


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out: of a GPU, of Python, or of torch on the CPU, which raises a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return type(error) is RuntimeError and "DefaultCPUAllocator: can't allocate memory" in str(error)
