"""The training loop: arrays in, the best weights by validation and the learning curves out."""

import hashlib
import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from tqdm import tqdm

from brain_tumor import augment, resuming
from brain_tumor.augment import Augmentation
from brain_tumor.calibration import Head
from brain_tumor.classifier import Classifier
from brain_tumor.errors import UserError
from brain_tumor.frozen import Shortened, Trained, choose_trained, compute, cut, train_mode
from brain_tumor.metadata import Name
from brain_tumor.optimization import Loss, Mix, OptimizerParams, Schedule
from brain_tumor.params import Block
from brain_tumor.resuming import Epoch, State
from brain_tumor.rows import Rows
from brain_tumor.runtime import Runtime
from brain_tumor.validation import evaluate, predicted, to_input

log = logging.getLogger(__name__)
SAVE_SHARE = 0.03  # of the time of training that may go into keeping its state
READ_EVERY = 10  # steps between two looks at the loss, which wait for the device


class TrainParams(Block):
    """`recipes.<name>.train`.

    Attributes:
        trained: `all`, `head` or the number of last blocks to train beside the head. Without augmentation what
            is frozen is computed once.
        batch_size: of all processes together.
        select: the epoch whose weights are kept, by validation loss or accuracy (the earliest of equals).
        patience: epochs without a better one after which training ends; none: it goes on to `epochs`.
        ema: decay of the exponential moving average of the weights, which is then what validation sees and
            what is kept; none: the weights themselves.
        metadata: clinical columns that the model takes beside the image.
        compile: run the network through torch.compile.
    """

    trained: Trained
    head: Head
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    optimizer: OptimizerParams
    schedule: Schedule
    loss: Loss
    select: Literal["loss", "accuracy"]
    patience: int | None = Field(None, ge=1)
    ema: float | None = Field(None, gt=0, lt=1)
    augment: tuple[Augmentation, ...]
    mix: Mix = Mix()
    metadata: tuple[Name, ...] = ()
    compile: bool = False
    seed: int


class _Batch(NamedTuple):
    """A part of a batch on its device: network input, metadata, targets, and their rows."""

    x: Tensor
    metadata: Tensor
    targets: Tensor
    rows: Tensor


def train(
    model: Classifier,
    training: Rows,
    validation: Rows,
    class_weights: Sequence[float],
    params: TrainParams,
    runtime: Runtime,
    scratch: Path,
) -> State:
    """Train `model` in place; it ends with the weights of the selected epoch.

    Every random draw of an epoch comes from the seed and the epoch's number, so that a run resumed from
    `scratch` (a file rewritten between epochs, as often as costs little) gives the same bytes as an undisturbed one.

    Raises:
        UserError: a loss that is not finite, not enough memory, or parameters that contradict each other.
    """
    if params.batch_size < runtime.world:
        raise UserError(f"train.batch_size is {params.batch_size}, less than there are processes")
    choose_trained(model, params.trained)
    model.to(runtime.device).to(memory_format=torch.channels_last)
    net: nn.Module = model
    with TemporaryDirectory(dir=_made(scratch.parent), prefix="frozen-") as folder:
        changing = params.augment or params.mix.used
        parts = None if params.trained == "all" or changing else cut(model, params.trained)
        if parts is not None:
            net = Shortened(model, parts.end)
            training, validation = (
                rows._replace(images=compute(parts.start, model, rows.images, runtime.device, Path(folder) / name))
                for rows, name in ((training, "training"), (validation, "validation"))
            )
        training, validation = (_placed(rows, runtime.device) for rows in (training, validation))
        try:
            state = _Run(net, training, validation, class_weights, params, runtime).go_on(scratch)
        except (torch.cuda.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if type(error) is RuntimeError and "can't allocate memory" not in str(error):
                raise
            at_once = runtime.device_batch or params.batch_size // runtime.world
            raise UserError(
                f"not enough memory for {at_once} images at once: set DEVICE_BATCH in the environment to a smaller "
                "number, which gathers the batch from several parts, or lower train.batch_size"
            ) from None
    net.load_state_dict(state.best_weights)
    return state


class _Run:
    """A network in training, with all that goes with it."""

    def __init__(
        self,
        net: nn.Module,
        training: Rows,
        validation: Rows,
        class_weights: Sequence[float],
        params: TrainParams,
        runtime: Runtime,
    ) -> None:
        self.net, self.training, self.validation, self.params, self.runtime = net, training, validation, params, runtime
        self.weights = torch.tensor(class_weights, device=runtime.device)
        # Known here too, so that nothing waits for the device.
        self.known_targets, self.known_weights = training.targets.cpu(), torch.tensor(class_weights)
        self.optimizer = params.optimizer.build(net.parameters())
        self.ema = ModelEmaV3(net, params.ema, use_warmup=True) if params.ema else None
        self.steps = max(1, len(training.targets) // params.batch_size)

    def go_on(self, scratch: Path) -> State:
        """Train from the first epoch, or from where `scratch` says, to the last."""
        parts: dict[str, Any] = {"net": self.net, "optimizer": self.optimizer} | ({"ema": self.ema} if self.ema else {})
        state = resuming.restore(self.runtime.of_first(resuming.load(scratch)), parts)
        self.prepared = self.runtime.prepare(self.net, self.optimizer, self.params.compile)
        saved_at, cost = -math.inf, 0.0
        while len(state.history) < self.params.epochs and not self._waited_enough(state):
            line = self._epoch(state.history)
            state.history.append(line)
            state = self._select(state)
            if self.runtime.rank == 0:
                words = "epoch %d: loss %.4f, validation loss %.4f, accuracy %.4f"
                log.info(words, line.epoch, line.train_loss, line.validation_loss, line.validation_accuracy)
                begin = time.monotonic()
                # Short epochs of a large model are not worth a file of their own, each.
                if cost <= SAVE_SHARE * (begin - saved_at):
                    resuming.save(scratch, state, parts)
                    saved_at = time.monotonic()
                    cost = saved_at - begin
        return state

    def _epoch(self, history: Sequence[Epoch]) -> Epoch:
        params, runtime, epoch = self.params, self.runtime, len(history)
        net, optimizer = self.prepared
        # Dropout, stochastic depth and mixing draw from the global generator, all else from one of its own.
        torch.manual_seed(_seed(params.seed, f"global {runtime.rank}", epoch))
        generator = torch.Generator().manual_seed(_seed(params.seed, "epoch", epoch))
        train_mode(self.net)
        order = torch.randperm(len(self.training.targets), generator=generator)
        # Rows that do not fill a last batch are left for another epoch's order.
        batches = order[: self.steps * params.batch_size].split(params.batch_size)
        sums = torch.zeros(2, device=runtime.device)  # loss, images that were right
        weights = 0.0
        latest: list[tuple[int, Tensor, Tensor]] = []
        bar = tqdm(batches, f"epoch {epoch + 1}/{params.epochs}", unit="step", mininterval=2, leave=False)
        bar.disable = bar.disable or runtime.rank > 0
        begin, losses = time.perf_counter(), [line.validation_loss for line in history]
        for step, batch in enumerate(bar):
            scale = params.schedule.scale(epoch + (step + 1) / self.steps, params.epochs, losses)
            for group in optimizer.param_groups:
                group["lr"] = lr = params.optimizer.lr * scale
            weight = params.loss.weight(self.known_targets[batch], params.head, self.known_weights)
            parts = list(self._parts(batch, generator))
            for number, part in enumerate(parts):
                with runtime.apart(net) if number + 1 < len(parts) else nullcontext():
                    logits = net(part.x, part.metadata)
                    loss = params.loss.total(logits, part.targets, params.head, self.weights)
                    # Processes average their gradients; together they are to give that of the batch's mean loss.
                    runtime.backward(loss * (runtime.world / weight))
                right = (predicted(logits, params.head) == _hard(part.targets)).sum()
                sums += torch.stack([loss.detach(), right.to(loss.dtype)])
                latest.append((step, part.rows, loss.detach()))
            weights += weight
            if params.optimizer.clip:
                runtime.clip(net, optimizer, params.optimizer.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if self.ema:
                self.ema.update(self.net, epoch * self.steps + step)
            if step % READ_EVERY == READ_EVERY - 1 or step + 1 == self.steps:
                _require_finite(latest, epoch, lr)
                latest.clear()
                speed = (step + 1) * params.batch_size / (time.perf_counter() - begin)
                mean = float(sums[0]) * runtime.world / weights
                bar.set_postfix_str(f"loss {mean:.4f}, {speed:.0f} images/s", refresh=False)
        total, correct = runtime.total(sums).tolist()
        tested = self.ema.module if self.ema else self.net
        found = evaluate(tested, self.validation, params.loss, params.head, runtime, self.weights)
        return Epoch(epoch + 1, lr, total / weights, correct / sum(map(len, batches)), *found)

    def _parts(self, batch: Tensor, generator: torch.Generator) -> Iterator[_Batch]:
        """This process's share of a batch, in parts that its device takes at once."""
        params, runtime, rows = self.params, self.runtime, self.training
        size = torch.Size([len(batch), 1, *rows.images.shape[1:]])
        # Drawn for the whole batch: who computes which image changes nothing.
        drawn = augment.draw(params.augment, size, generator)
        for mine in torch.arange(len(batch))[runtime.rank :: runtime.world].split(runtime.device_batch or len(batch)):
            chosen = batch[mine].to(rows.images.device)
            x, targets = to_input(rows.images[chosen], runtime.device), rows.targets[chosen].to(runtime.device)
            if params.augment:
                x = augment.augment(x, params.augment, drawn, mine).contiguous(memory_format=torch.channels_last)
            x, targets = params.mix(x, targets, len(self.weights))
            yield _Batch(x, rows.metadata[chosen].to(runtime.device), targets, chosen)

    def _score(self, line: Epoch) -> float:
        return -line.validation_loss if self.params.select == "loss" else line.validation_accuracy

    def _select(self, state: State) -> State:
        last = len(state.history) - 1
        if last and self._score(state.history[last]) <= self._score(state.history[state.best]):
            return state
        kept = self.ema.module if self.ema else self.net
        return State(state.history, last, {k: v.detach().cpu().clone() for k, v in kept.state_dict().items()})

    def _waited_enough(self, state: State) -> bool:
        patience = self.params.patience
        return patience is not None and len(state.history) - 1 - state.best >= patience


def _placed(rows: Rows, device: torch.device) -> Rows:
    """Rows on the device, if they take less than a quarter of what is free there."""
    if device.type == "cpu" or rows.images.nbytes > torch.cuda.mem_get_info(device)[0] / 4:
        return rows
    return Rows(*(part.to(device) for part in rows))


def _hard(targets: Tensor) -> Tensor:
    """Class numbers; of mixed images that of the larger share."""
    return targets if targets.ndim == 1 else targets.argmax(-1)


def _require_finite(latest: Sequence[tuple[int, Tensor, Tensor]], epoch: int, lr: float) -> None:
    finite = torch.stack([loss for _, _, loss in latest]).isfinite().tolist()
    for (step, rows, _), fine in zip(latest, finite, strict=True):
        if not fine:
            raise UserError(
                f"the loss is not finite in epoch {epoch + 1}, step {step + 1} (learning rate {lr:.3g}, training rows "
                f"{rows.tolist()}): lower train.optimizer.lr, add warm-up, or set train.optimizer.clip"
            )


def _seed(seed: int, purpose: str, epoch: int) -> int:
    digest = hashlib.sha256(f"{seed} {purpose} {epoch}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
