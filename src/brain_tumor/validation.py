"""Loss and accuracy on rows that are not trained on."""

import torch
from torch import Tensor, nn

from brain_tumor.calibration import Head
from brain_tumor.classifier import to_unit
from brain_tumor.optimization import Loss
from brain_tumor.rows import Rows
from brain_tumor.runtime import Runtime


@torch.inference_mode()
def evaluate(
    net: nn.Module, rows: Rows, loss: Loss, head: Head, runtime: Runtime, weights: Tensor
) -> tuple[float, float]:
    """Return mean loss and accuracy over rows, in evaluation mode, without augmentation; each process does a share."""
    net.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=runtime.device)  # loss, images that were right
    mine = torch.arange(len(rows.targets), device=rows.images.device)[runtime.rank :: runtime.world]
    for chosen in mine.split(64):
        y = rows.targets[chosen].to(runtime.device)
        logits = net(to_input(rows.images[chosen], runtime.device), rows.metadata[chosen].to(runtime.device))
        right = (predicted(logits, head) == y).sum()
        sums += torch.stack([loss.total(logits, y, head, weights), right.to(logits.dtype)])
    total, correct = runtime.total(sums).tolist()
    return total / loss.weight(rows.targets.cpu(), head, weights.cpu()), correct / len(rows.targets)


def to_input(images: Tensor, device: torch.device) -> Tensor:
    """Images as the network takes them; what the frozen part made of them, which is float already, as it is."""
    return to_unit(images, device) if images.dtype == torch.uint8 else images.to(device)


def predicted(logits: Tensor, head: Head) -> Tensor:
    """(N, classes) or (N, 1) logits → (N,) class numbers."""
    return logits.argmax(-1) if head == "softmax" else (logits.squeeze(-1) < 0).long()
