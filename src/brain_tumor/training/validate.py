"""Loss and accuracy on rows that are not trained on."""

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from brain_tumor.models.calibration import Head
from brain_tumor.models.classifier import to_unit
from brain_tumor.models.samples import Samples
from brain_tumor.training.optim import Loss

VALIDATION_BATCH_SIZE = 64


@torch.inference_mode()
def validate(
    net: nn.Module, samples: Samples, loss: Loss, head: Head, class_weights: Tensor, fabric: Fabric
) -> tuple[float, float]:
    """Compute the mean loss and the accuracy, in evaluation mode and without augmentation.

    Each process processes a fraction of the samples; all return the same numbers.
    """
    net.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=fabric.device)  # loss, correct predictions
    local_indices = torch.arange(len(samples.targets), device=samples.images.device)
    local_indices = local_indices[fabric.global_rank :: fabric.world_size]
    for indices in local_indices.split(VALIDATION_BATCH_SIZE):
        targets = samples.targets[indices].to(fabric.device)
        x = to_input(samples.images[indices], fabric.device)
        logits = net(x, samples.metadata[indices].to(fabric.device))
        correct = (predict_labels(logits, head) == targets).sum()
        sums += torch.stack([loss.loss_sum(logits, targets, head, class_weights), correct.to(logits.dtype)])
    loss_sum, num_correct = sum_over_processes(sums, fabric).tolist()
    normalizer = loss.normalizer(samples.targets.cpu(), head, class_weights.cpu())
    return loss_sum / normalizer, num_correct / len(samples.targets)


def sum_over_processes(values: Tensor, fabric: Fabric) -> Tensor:
    """Sum a tensor over all processes."""
    result: Tensor = fabric.all_reduce(values, reduce_op="sum")  # type: ignore[assignment]
    return result


def to_input(images: Tensor, device: torch.device) -> Tensor:
    """Convert uint8 images to the network's input on the device; cached features are only moved there."""
    return to_unit(images, device) if images.dtype == torch.uint8 else images.to(device)


def predict_labels(logits: Tensor, head: Head) -> Tensor:
    """Convert (N, classes) or (N, 1) logits to (N,) class indices."""
    return logits.argmax(-1) if head == "softmax" else (logits.squeeze(-1) < 0).long()
