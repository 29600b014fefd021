"""Loss and accuracy of a training epoch."""

import torch
from lightning_fabric import Fabric
from torch import Tensor

from brain_tumor.core.errors import UserError
from brain_tumor.training.validate import sum_over_processes


class EpochMeter:
    """Sums of an epoch, on the device: only reading them makes the host wait for it.

    Attributes:
        sums: (2,) loss and number of correct predictions of this process.
        normalizer: divisor of the loss of all processes.
        num_images: number of images of all processes.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.sums = torch.zeros(2, device=fabric.device)
        self.normalizer, self.num_images = 0.0, 0
        self._pending_losses: list[tuple[int, Tensor, Tensor]] = []

    def add_micro_batch(self, step: int, rows: Tensor, loss_sum: Tensor, num_correct: Tensor) -> None:
        """Add the loss of a micro-batch, given the step of the epoch and its rows in the training set."""
        self.sums += torch.stack([loss_sum, num_correct.to(loss_sum.dtype)])
        self._pending_losses.append((step, rows, loss_sum))

    def add_batch(self, num_images: int, normalizer: float) -> None:
        """Count the images of a batch of all processes."""
        self.num_images += num_images
        self.normalizer += normalizer

    def require_finite(self, epoch: int, lr: float) -> None:
        """Check the losses since the last call.

        Raises:
            UserError: a loss that is not finite; it names the training rows.
        """
        is_finite = torch.stack([loss for _, _, loss in self._pending_losses]).isfinite().tolist()
        for (step, rows, _), finite in zip(self._pending_losses, is_finite, strict=True):
            if not finite:
                raise UserError(
                    f"the loss is not finite in epoch {epoch + 1}, step {step + 1} (learning rate {lr:.3g}, training "
                    f"rows {rows.tolist()}): lower train.optimizer.lr, add warm-up, or set train.optimizer.clip"
                )
        self._pending_losses.clear()

    def running_loss(self) -> float:
        """Estimate the mean loss so far from the images of this process."""
        return float(self.sums[0]) * self.fabric.world_size / self.normalizer

    def compute(self) -> tuple[float, float]:
        """Compute the mean loss and the accuracy over all processes."""
        loss_sum, num_correct = sum_over_processes(self.sums, self.fabric).tolist()
        return loss_sum / self.normalizer, num_correct / self.num_images
