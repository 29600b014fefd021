"""Loss and accuracy of an epoch, with sums by hand."""

import pytest
import torch

from brain_tumor.core.errors import UserError
from brain_tumor.training.meter import EpochMeter
from nets import FABRIC


def test_epoch_meter_mean_loss_and_accuracy_of_all_batches() -> None:
    meter = EpochMeter(FABRIC)
    meter.add_micro_batch(0, torch.tensor([0, 1]), torch.tensor(3.0), torch.tensor(2))
    meter.add_micro_batch(0, torch.tensor([2, 3]), torch.tensor(1.5), torch.tensor(1))
    meter.add_batch(4, 4.0)
    assert meter.running_loss() == 4.5 / 4
    meter.add_micro_batch(1, torch.tensor([4]), torch.tensor(0.5), torch.tensor(0))
    meter.add_batch(1, 6.0)  # the sum of class weights, not the number of images
    assert meter.compute() == (5.0 / 10, 3 / 5)


def test_epoch_meter_loss_not_finite_names_step_and_rows() -> None:
    meter = EpochMeter(FABRIC)
    meter.add_micro_batch(0, torch.tensor([0, 1]), torch.tensor(3.0), torch.tensor(2))
    meter.require_finite(0, 0.1)
    meter.add_micro_batch(1, torch.tensor([7, 5]), torch.tensor(float("nan")), torch.tensor(0))
    message = r"not finite in epoch 3, step 2 \(learning rate 0\.1, training rows \[7, 5\]\)"
    with pytest.raises(UserError, match=message):
        meter.require_finite(2, 0.1)
