"""The checkpoint of a training run, from which an interrupted run resumes."""

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import remove

log = logging.getLogger(__name__)
MAX_CHECKPOINT_OVERHEAD = 0.03  # fraction of the training time


class EpochLog(NamedTuple):
    """One row of the learning curves; `lr` is that of the epoch's last step."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float


class TrainState(NamedTuple):
    """Progress of a run: the epochs so far, the best one of them (index into `history`) and its weights."""

    history: list[EpochLog]
    best: int
    best_weights: dict[str, Tensor]


class Stateful(Protocol):
    """A network, an optimizer or a scheduler."""

    def state_dict(self) -> dict[str, Any]:
        """Return its state."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Restore a state."""


def save_checkpoint(path: Path, state: TrainState, parts: Mapping[str, Stateful]) -> None:
    """Replace the file at `path` atomically.

    Args:
        parts: network, optimizer and so on, by name.

    Raises:
        UserError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp_path = path.with_suffix(".partial")
    content = {"history": [tuple(row) for row in state.history], "best": state.best, "weights": state.best_weights}
    try:
        torch.save(content | {name: part.state_dict() for name, part in parts.items()}, tmp_path)
    except (OSError, RuntimeError) as error:  # torch turns a full disk into a RuntimeError
        remove(tmp_path)
        raise UserError(
            f"{path} cannot be written ({str(error).splitlines()[0]}): free disk space and rerun; training resumes "
            "from the last saved epoch"
        ) from None
    tmp_path.replace(path)


class CheckpointWriter:
    """Saves a run between epochs, but no more often than `MAX_CHECKPOINT_OVERHEAD` allows."""

    def __init__(self, path: Path, parts: Mapping[str, Stateful]) -> None:
        self.path, self.parts = path, parts
        self.saved_at, self.cost_seconds = -math.inf, 0.0

    def save_if_due(self, state: TrainState) -> None:
        """Save, unless the last save took too long compared with the time since then."""
        begin = time.monotonic()
        if self.cost_seconds <= MAX_CHECKPOINT_OVERHEAD * (begin - self.saved_at):
            save_checkpoint(self.path, state, self.parts)
            self.saved_at = time.monotonic()
            self.cost_seconds = self.saved_at - begin


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint; None if there is no file, or, with a warning, if it is not usable."""
    if not path.exists():
        return None
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint["history"] = [EpochLog(*row) for row in checkpoint["history"]]
    except Exception as error:  # a corrupted file may fail in any way
        log.warning("%s cannot be read (%s): training starts from scratch", path, error)
        return None
    return checkpoint


def restore_checkpoint(checkpoint: dict[str, Any] | None, parts: Mapping[str, Stateful]) -> TrainState:
    """Restore the parts to a checkpoint and return its progress; without one, that of a run that starts."""
    if checkpoint is None:
        return TrainState([], 0, {})
    for name, part in parts.items():
        part.load_state_dict(checkpoint[name])
    log.info("resuming from epoch %d", len(checkpoint["history"]))
    return TrainState(checkpoint["history"], checkpoint["best"], checkpoint["weights"])
