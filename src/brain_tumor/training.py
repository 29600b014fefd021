"""The training loop: a memory-mapped array in, the best weights by validation and the learning curves out."""

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from timm.models import group_parameters
from torch import Tensor, nn
from tqdm import tqdm

from brain_tumor.augment import Augmentation, augment
from brain_tumor.classifier import Classifier, Head, to_unit
from brain_tumor.errors import UserError
from brain_tumor.optimization import Loss, OptimizerParams, Schedule
from brain_tumor.params import Block

log = logging.getLogger(__name__)


class TrainParams(Block):
    """`recipes.<name>.train`.

    `trained`: `all`, `head` (on features computed once) or the number of last blocks to train beside the
    head. `select`: the epoch whose weights are kept, by validation loss or accuracy (the earliest of equals).
    """

    trained: Literal["all", "head"] | Annotated[int, Field(ge=1)]
    head: Head
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    optimizer: OptimizerParams
    schedule: Schedule
    loss: Loss
    select: Literal["loss", "accuracy"]
    augment: tuple[Augmentation, ...]
    seed: int


class Rows(NamedTuple):
    """Images (N, H, W) uint8 and class numbers (N,) int64."""

    images: Tensor
    targets: Tensor


class Epoch(NamedTuple):
    """One line of the learning curves."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float


class State(NamedTuple):
    """What a run is after an epoch: enough to go on, or to finish."""

    history: list[Epoch]
    best: int
    best_weights: dict[str, Tensor]


def train(
    model: Classifier,
    training: Rows,
    validation: Rows,
    class_weights: Sequence[float],
    params: TrainParams,
    device: torch.device,
    scratch: Path,
) -> State:
    """Train `model` in place; it ends with the weights of the selected epoch.

    Every random draw of an epoch comes from the seed and the epoch's number, so that a run resumed from
    `scratch` (a file rewritten after every epoch) gives the same bytes as an undisturbed one.

    Raises:
        UserError: a loss that is not finite, or parameters that contradict each other.
    """
    _choose_trained(model, params)
    weights = torch.tensor(class_weights, device=device)
    model.to(device).to(memory_format=torch.channels_last)
    net: nn.Module = model
    if params.trained == "head":
        if params.augment:
            raise UserError("train.trained: head works on features computed once and allows no augmentation")
        training, validation = (_features(model, rows, device) for rows in (training, validation))
        backbone: Any = model.backbone
        net = backbone.get_classifier()
    optimizer = params.optimizer.build(net.parameters())
    state = _resume(scratch, net, optimizer)
    steps = max(1, len(training.targets) // params.batch_size)
    for epoch in range(len(state.history), params.epochs):
        # Dropout and stochastic depth draw from the global generator, all else from one of its own.
        torch.manual_seed(_seed(params.seed, "global", epoch))
        generator = torch.Generator().manual_seed(_seed(params.seed, "epoch", epoch))
        net.train()
        _keep_frozen_norms(net)
        order = torch.randperm(len(training.targets), generator=generator)
        batches = _batches(training, order, params, steps, device, generator)
        total_loss, correct, seen = torch.zeros((), device=device), torch.zeros((), device=device), 0
        bar = tqdm(batches, f"epoch {epoch + 1}/{params.epochs}", steps, unit="step", mininterval=2, leave=False)
        start = time.perf_counter()
        for step, (x, y) in enumerate(bar):
            lr = params.optimizer.lr * params.schedule.scale(epoch + (step + 1) / steps, params.epochs)
            for group in optimizer.param_groups:
                group["lr"] = lr
            logits = net(x)
            loss = params.loss(logits, y, params.head, weights)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            seen += len(y)
            total_loss += loss.detach() * len(y)
            correct += (_predicted(logits, params.head) == y).sum()
            if step % 10 == 9 or step + 1 == steps:
                # Reading the loss waits for the device: every tenth step is often enough.
                _require_finite(float(total_loss), epoch, step, x, lr)
                speed = seen / (time.perf_counter() - start)
                bar.set_postfix_str(f"loss {float(total_loss) / seen:.4f}, {speed:.0f} images/s", refresh=False)
        validation_loss, validation_accuracy = evaluate(net, validation, params, device, weights)
        line = Epoch(
            epoch + 1, lr, float(total_loss) / seen, float(correct) / seen, validation_loss, validation_accuracy
        )
        state.history.append(line)
        state = _select(state, net, params)
        log.info("epoch %d: loss %.4f, validation loss %.4f, accuracy %.4f", line.epoch, *line[2:3], *line[4:])
        _save(scratch, state, net, optimizer)
    net.load_state_dict(state.best_weights)
    return state


@torch.inference_mode()
def evaluate(
    net: nn.Module, rows: Rows, params: TrainParams, device: torch.device, weights: Tensor
) -> tuple[float, float]:
    """Return mean loss and accuracy over rows, in evaluation mode, without augmentation."""
    net.eval()
    parts = zip(rows.images.split(64), rows.targets.split(64), strict=True)
    pairs = [(net(_input(images, device)), y.to(device)) for images, y in parts]
    logits, y = torch.cat([logits for logits, _ in pairs]), torch.cat([y for _, y in pairs])
    loss = params.loss(logits, y, params.head, weights)
    return float(loss), float((_predicted(logits, params.head) == y).float().mean())


def _batches(
    rows: Rows, order: Tensor, params: TrainParams, steps: int, device: torch.device, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    # Rows that do not fill a last batch are left for another epoch's order.
    for batch in order[: steps * params.batch_size].split(params.batch_size):
        x = _input(rows.images[batch], device)
        if params.augment:
            x = augment(x, params.augment, generator).contiguous(memory_format=torch.channels_last)
        yield x, rows.targets[batch].to(device)


def _input(images: Tensor, device: torch.device) -> Tensor:
    """Images as the network takes them; features, which are float already, as they are."""
    return to_unit(images, device) if images.dtype == torch.uint8 else images.to(device)


def _predicted(logits: Tensor, head: Head) -> Tensor:
    return logits.argmax(-1) if head == "softmax" else (logits.squeeze(-1) < 0).long()


@torch.inference_mode()
def _features(model: Classifier, rows: Rows, device: torch.device) -> Rows:
    """What the head sees of each image: (N, features) float32."""
    model.eval()
    backbone: Any = model.backbone
    found = []
    for images in tqdm(rows.images.split(64), "features", unit="batch", mininterval=2):
        x = model.normalize(to_unit(images, device))
        found.append(backbone.forward_head(backbone.forward_features(x), pre_logits=True).cpu())
    return Rows(torch.cat(found).clone(), rows.targets)


def _choose_trained(model: Classifier, params: TrainParams) -> None:
    if params.trained == "all":
        return
    backbone: Any = model.backbone
    trained = {id(parameter) for parameter in backbone.get_classifier().parameters()}
    if isinstance(params.trained, int):
        groups = list(group_parameters(backbone, backbone.group_matcher(coarse=False)).values())
        # timm's last group is the head with what belongs to it; the blocks stand before it.
        names = {name for group in groups[-1 - params.trained :] for name in group}
        trained |= {id(parameter) for name, parameter in backbone.named_parameters() if name in names}
    for parameter in backbone.parameters():
        parameter.requires_grad_(id(parameter) in trained)


def _keep_frozen_norms(net: nn.Module) -> None:
    """Batch norms whose parameters are frozen keep their statistics too."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and not any(p.requires_grad for p in module.parameters()):
            module.eval()


def _select(state: State, net: nn.Module, params: TrainParams) -> State:
    def score(line: Epoch) -> float:
        return -line.validation_loss if params.select == "loss" else line.validation_accuracy

    last = len(state.history) - 1
    if last and score(state.history[last]) <= score(state.history[state.best]):
        return state
    return State(state.history, last, {k: v.detach().cpu().clone() for k, v in net.state_dict().items()})


def _require_finite(total: float, epoch: int, step: int, x: Tensor, lr: float) -> None:
    if total != total or abs(total) == float("inf"):
        raise UserError(
            f"the loss is not finite in epoch {epoch + 1}, step {step + 1} (learning rate {lr:.3g}, inputs from "
            f"{float(x.min()):.3g} to {float(x.max()):.3g}): lower train.optimizer.lr or add warm-up"
        )


def _seed(seed: int, purpose: str, epoch: int) -> int:
    digest = hashlib.sha256(f"{seed} {purpose} {epoch}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def _save(scratch: Path, state: State, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    scratch.parent.mkdir(parents=True, exist_ok=True)
    draft = scratch.with_suffix(".partial")
    content = {
        "history": [tuple(line) for line in state.history],
        "best": state.best,
        "best_weights": state.best_weights,
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(content, draft)
    draft.replace(scratch)


def _resume(scratch: Path, net: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    if not scratch.exists():
        return State([], 0, {})
    try:
        saved = torch.load(scratch, map_location="cpu", weights_only=True)
        state = State([Epoch(*line) for line in saved["history"]], saved["best"], saved["best_weights"])
        net.load_state_dict(saved["net"])
        optimizer.load_state_dict(saved["optimizer"])
    except Exception as error:  # a damaged scratch file may fail in any way
        log.warning("%s cannot be read (%s): training starts anew", scratch, error)
        return State([], 0, {})
    log.info("going on after epoch %d of an interrupted run", len(state.history))
    return state
