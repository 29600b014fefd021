"""Whether the images fit on a GPU, from numbers as CUDA reports them; no GPU is needed."""

import pytest
import torch

from brain_tumor.training.device_memory import fits_on_device, move_if_fits
from nets import make_samples

GB = 10**9


@pytest.mark.parametrize(
    ("num_bytes", "free", "peak", "reserved", "expected"),
    [
        (10 * GB, 70 * GB, 10 * GB, 10 * GB, True),
        (67 * GB, 70 * GB, 10 * GB, 10 * GB, False),  # would leave less than 5 % free
        (30 * GB, 70 * GB, 60 * GB, 10 * GB, False),  # training has needed 60 GB before
        (15 * GB, 70 * GB, 60 * GB, 10 * GB, True),
        (10 * GB, 12 * GB, 5 * GB, 5 * GB, False),  # other programs take the rest
    ],
)
def test_fits_on_device_counts_the_peak(num_bytes: int, free: int, peak: int, reserved: int, expected: bool) -> None:
    assert fits_on_device(num_bytes, free, 80 * GB, peak, reserved) is expected


def test_move_if_fits_leaves_samples_on_the_cpu() -> None:
    train_set, val_set = make_samples(4), make_samples(2)
    moved = move_if_fits(train_set, val_set, torch.device("cpu"))
    assert moved[0] is train_set
    assert moved[1] is val_set
