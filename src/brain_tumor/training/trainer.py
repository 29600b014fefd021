"""The training loop: images and classes in, the best weights by validation and the learning curves out."""

import hashlib
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from tqdm import tqdm

from brain_tumor.core.errors import UserError
from brain_tumor.models import runtime
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.samples import Samples
from brain_tumor.training import checkpoint
from brain_tumor.training.augmentation import Sampled, apply_augmentations, sample_augmentations
from brain_tumor.training.checkpoint import EpochLog, TrainState
from brain_tumor.training.device_memory import is_out_of_memory, move_if_fits
from brain_tumor.training.frozen_features import TrainableHead, cache_features, freeze_backbone, set_train_mode
from brain_tumor.training.meter import EpochMeter
from brain_tumor.training.mixup import SampledMix, mix_images, mix_targets
from brain_tumor.training.recipe import TrainParams
from brain_tumor.training.validate import predict_labels, to_input, validate

log = logging.getLogger(__name__)
LOSS_SYNC_INTERVAL = 10  # steps between host–device syncs


class MicroBatch(NamedTuple):
    """The part of a batch that goes through the network in one pass, on its device.

    Attributes:
        x: network input.
        metadata: (M, D) clinical features.
        targets: (M,) class indices, or (M, classes) class fractions of mixed images.
        rows: (M,) indices into the training set.
    """

    x: Tensor
    metadata: Tensor
    targets: Tensor
    rows: Tensor


class Trainer:
    """Training of one network, in this process.

    `run` calls `train_epoch`, which calls `train_step` for each batch; after each epoch `validate`, `update_best` and
    `should_stop_early` follow. `net` and `optimizer` hold the state; Fabric's wrappers of them compute.
    """

    def __init__(
        self,
        net: nn.Module,
        train_set: Samples,
        val_set: Samples,
        class_weights: Sequence[float],
        params: TrainParams,
        fabric: Fabric,
    ) -> None:
        self.net, self.train_set, self.val_set, self.params, self.fabric = net, train_set, val_set, params, fabric
        self.class_weights = torch.tensor(class_weights, device=fabric.device)
        # Copies on the CPU, so that the normalizer of a batch does not wait for the device.
        self.cpu_targets, self.cpu_class_weights = train_set.targets.cpu(), torch.tensor(class_weights)
        steps, remainder = divmod(len(train_set.targets), params.batch_size)
        self.steps_per_epoch = max(1, steps + (remainder > 0 and not params.drop_last))
        self.micro_batch_size = runtime.micro_batch_size(-(-params.batch_size // fabric.world_size))
        # A fused optimizer unscales float16 gradients in its step, which is after clipping.
        has_scaler = getattr(fabric.strategy.precision, "scaler", None) is not None
        self.optimizer = params.optimizer.build(net.parameters(), fused=not (has_scaler and params.optimizer.clip))
        self.val_losses: list[float] = []  # the scheduler reads them
        self.scheduler = params.schedule.build(self.optimizer, params.epochs, self.steps_per_epoch, self.val_losses)
        self.ema = ModelEmaV3(net, params.ema, use_warmup=True) if params.ema else None

    def run(self, scratch: Path) -> TrainState:
        """Train from the first epoch, or from the checkpoint at `scratch`, to the last."""
        parts: dict[str, Any] = {"net": self.net, "optimizer": self.optimizer, "scheduler": self.scheduler}
        parts |= {"ema": self.ema} if self.ema else {}
        parts["precision"] = self.fabric.strategy.precision  # the scale of float16 losses
        state = checkpoint.restore_checkpoint(self.fabric.broadcast(checkpoint.load_checkpoint(scratch)), parts)
        self.val_losses.extend(row.validation_loss for row in state.history)
        writer = checkpoint.CheckpointWriter(scratch, parts)
        module: Any = torch.compile(self.net) if self.params.compile else self.net
        self.fabric_net, self.fabric_optimizer = self.fabric.setup(module, self.optimizer)
        first_epoch = len(state.history)
        while len(state.history) < self.params.epochs and not self.should_stop_early(state):
            epoch = len(state.history)
            train_loss, train_accuracy = self.train_epoch(epoch)
            val_loss, val_accuracy = self.validate()
            state.history.append(EpochLog(epoch + 1, self.lr, train_loss, train_accuracy, val_loss, val_accuracy))
            self.val_losses.append(val_loss)
            if epoch == first_epoch:
                self.train_set, self.val_set = move_if_fits(self.train_set, self.val_set, self.fabric.device)
            state = self.update_best(state)
            if self.fabric.global_rank == 0:
                message = "epoch %d: loss %.4f, validation loss %.4f, accuracy %.4f"
                log.info(message, epoch + 1, train_loss, val_loss, val_accuracy)
                writer.save_if_due(state)
        return state

    @property
    def lr(self) -> float:
        """Learning rate of the last step."""
        return float(self.scheduler.get_last_lr()[0])

    def train_epoch(self, epoch: int) -> tuple[float, float]:
        """Train an epoch, counted from 0; return the mean loss and the accuracy on its augmented images."""
        params, fabric = self.params, self.fabric
        # Dropout and stochastic depth use the global generator, everything else the epoch's own.
        torch.manual_seed(_derive_seed(params.seed, f"global {fabric.global_rank}", epoch))
        generator = torch.Generator().manual_seed(_derive_seed(params.seed, "epoch", epoch))
        set_train_mode(self.net)
        order = torch.randperm(len(self.cpu_targets), generator=generator)
        # With drop_last, rows that do not fill a last batch are left out of this epoch.
        batches = order[: self.steps_per_epoch * params.batch_size].split(params.batch_size)
        meter, begin = EpochMeter(fabric), time.perf_counter()
        bar = tqdm(batches, f"epoch {epoch + 1}/{params.epochs}", unit="step", mininterval=2, leave=False)
        bar.disable = bar.disable or fabric.global_rank > 0
        for step, batch in enumerate(bar):
            self.train_step(epoch, step, batch, generator, meter)
            if (step + 1) % LOSS_SYNC_INTERVAL == 0 or step + 1 == len(batches):
                meter.require_finite(epoch, self.lr)
                speed = (step + 1) * params.batch_size / (time.perf_counter() - begin)
                bar.set_postfix_str(f"loss {meter.running_loss():.4f}, {speed:.0f} images/s", refresh=False)
        return meter.compute()

    def train_step(self, epoch: int, step: int, batch: Tensor, generator: torch.Generator, meter: EpochMeter) -> None:
        """Accumulate the gradient of a batch over its micro-batches, and update the weights.

        Args:
            step: index of the step in the epoch, from 0.
            batch: (N,) training rows of all processes.
        """
        params, fabric = self.params, self.fabric
        total_steps = epoch * self.steps_per_epoch + step
        if self.scheduler.last_epoch < total_steps:  # PyTorch counts steps in `last_epoch`; a new scheduler is at 0
            self.scheduler.step()
        # Sampled for the whole batch, so that nothing depends on micro-batches and the number of processes.
        shape = torch.Size([len(batch), 1, *self.train_set.images.shape[1:]])
        augmentations = sample_augmentations(params.augment, shape, generator)
        mix = params.mix.sample(shape, generator)
        normalizer = params.loss.normalizer(self.cpu_targets[batch], params.head, self.cpu_class_weights)
        local_indices = torch.arange(len(batch))[fabric.global_rank :: fabric.world_size]
        micro_batches = local_indices.split(self.micro_batch_size)
        for index, indices in enumerate(micro_batches):
            micro = self.load_micro_batch(batch, indices, augmentations, mix)
            with fabric.no_backward_sync(self.fabric_net, enabled=index + 1 < len(micro_batches)):
                logits = self.fabric_net(micro.x, micro.metadata)
                loss_sum = params.loss.loss_sum(logits, micro.targets, params.head, self.class_weights)
                # Processes average their gradients; the average must be the gradient of the batch's mean loss.
                fabric.backward(loss_sum * (fabric.world_size / normalizer))
            num_correct = (predict_labels(logits, params.head) == hard_labels(micro.targets)).sum()
            meter.add_micro_batch(step, micro.rows, loss_sum.detach(), num_correct)
        meter.add_batch(len(batch), normalizer)
        if params.optimizer.clip:
            # A gradient that is not finite is reported by the meter, which names the step and the rows.
            fabric.clip_gradients(
                self.fabric_net, self.fabric_optimizer, max_norm=params.optimizer.clip, error_if_nonfinite=False
            )
        self.fabric_optimizer.step()
        self.fabric_optimizer.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.update(self.net, total_steps)

    def load_micro_batch(
        self, batch: Tensor, indices: Tensor, augmentations: Sequence[Sampled], mix: SampledMix | None
    ) -> MicroBatch:
        """Load, augment and mix the images at some positions of a batch."""
        data, device = self.train_set, self.fabric.device
        rows = batch[indices].to(data.images.device)
        x, targets = self._load_images(batch, indices, augmentations), data.targets[rows].to(device)
        if mix is not None:
            partners = mix.partners[indices]
            partner_targets = data.targets[batch[partners].to(data.targets.device)].to(device)
            x = mix_images(x, self._load_images(batch, partners, augmentations), mix)
            targets = mix_targets(targets, partner_targets, mix, len(self.class_weights))
        return MicroBatch(x, data.metadata[rows].to(device), targets, rows)

    def _load_images(self, batch: Tensor, indices: Tensor, augmentations: Sequence[Sampled]) -> Tensor:
        """Load the images at some positions of a batch, and augment each with the parameters of its position."""
        images = self.train_set.images
        x = to_input(images[batch[indices].to(images.device)], self.fabric.device)
        if self.params.augment:
            x = apply_augmentations(x, self.params.augment, augmentations, indices)
            x = x.contiguous(memory_format=torch.channels_last)
        return x

    def validate(self) -> tuple[float, float]:
        """Compute the loss and the accuracy on the validation set; NaN without validation rows."""
        params = self.params
        if not len(self.val_set.targets):
            return math.nan, math.nan
        return validate(self.eval_model, self.val_set, params.loss, params.head, self.class_weights, self.fabric)

    @property
    def eval_model(self) -> nn.Module:
        """The network that is validated and kept: the moving average, if there is one."""
        return self.ema.module if self.ema else self.net

    def update_best(self, state: TrainState) -> TrainState:
        """Keep the weights of the last epoch if it is better than all before, or if the last one is to be kept."""

        def score(row: EpochLog) -> float:
            values = {"loss": -row.validation_loss, "accuracy": row.validation_accuracy, "last": float(row.epoch)}
            return values[self.params.select]

        last = len(state.history) - 1
        if last and score(state.history[last]) <= score(state.history[state.best]):
            return state
        weights = {name: tensor.detach().cpu().clone() for name, tensor in self.eval_model.state_dict().items()}
        return TrainState(state.history, last, weights)

    def should_stop_early(self, state: TrainState) -> bool:
        """Return whether `patience` epochs have passed since the best one."""
        patience = self.params.patience
        return patience is not None and len(state.history) - 1 - state.best >= patience


def train(
    model: Classifier,
    train_set: Samples,
    val_set: Samples,
    class_weights: Sequence[float],
    params: TrainParams,
    fabric: Fabric,
    scratch: Path,
) -> TrainState:
    """Train `model` in place; it ends with the weights of the selected epoch.

    All random numbers of an epoch come from the seed and the number of the epoch, so that a run resumed from the
    checkpoint at `scratch` gives the same bytes as one that was not interrupted.

    Raises:
        UserError: a loss that is not finite, not enough memory, or parameters that contradict each other.
    """
    last_batch = params.batch_size if params.drop_last else len(train_set.targets) % params.batch_size
    if min(params.batch_size, last_batch or params.batch_size) < fabric.world_size:
        raise UserError(
            f"train.batch_size is {params.batch_size}, and the last batch has {last_batch} images: less than the "
            "number of processes"
        )
    if params.needs_validation and not len(val_set.targets):
        raise UserError(
            "the split has no validation rows: set split.validation, or keep the last epoch with train.select: last "
            "and a schedule other than plateau"
        )
    freeze_backbone(model, params.trainable)
    model.to(fabric.device).to(memory_format=torch.channels_last)
    net: nn.Module = model
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=scratch.parent, prefix="frozen-") as folder:
        if params.trainable == "head" and not (params.augment or params.mix.enabled):
            net = TrainableHead(model)
            train_set, val_set = (
                samples._replace(images=cache_features(model, samples.images, fabric.device, Path(folder) / name))
                for samples, name in ((train_set, "train"), (val_set, "validation"))
            )
        elif params.trainable != "all":
            log.info("the frozen part of the network is computed in every step")
        trainer = Trainer(net, train_set, val_set, class_weights, params, fabric)
        try:
            state = trainer.run(scratch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(
                f"not enough memory for {trainer.micro_batch_size} images per forward pass: set MICRO_BATCH_SIZE in "
                "the environment to a smaller number, which accumulates the gradient of a batch over several passes, "
                "or lower train.batch_size"
            ) from None
    net.load_state_dict(state.best_weights)
    return state


def hard_labels(targets: Tensor) -> Tensor:
    """Return class indices; of mixed images the class with the larger fraction."""
    return targets if targets.ndim == 1 else targets.argmax(-1)


def _derive_seed(seed: int, purpose: str, epoch: int) -> int:
    digest = hashlib.sha256(f"{seed} {purpose} {epoch}".encode()).digest()
    return int.from_bytes(digest[:7], "big")
