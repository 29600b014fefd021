"""The state of a training run, on disk after every epoch: what a run that was killed goes on from."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from brain_tumor.errors import UserError
from brain_tumor.outputs import remove

log = logging.getLogger(__name__)


class Epoch(NamedTuple):
    """One line of the learning curves."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float


class State(NamedTuple):
    """What a run is after an epoch: the curves, the best epoch (from 0) and its weights."""

    history: list[Epoch]
    best: int
    best_weights: dict[str, Tensor]


class Stateful(Protocol):
    """A network, an optimizer or the like."""

    def state_dict(self) -> dict[str, Any]:
        """All that it is."""

    def load_state_dict(self, state: Mapping[str, Any], /) -> Any:
        """Become what was saved."""


def save(place: Path, state: State, parts: Mapping[str, Stateful]) -> None:
    """Replace the file at `place` in one step: it is never half written."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(".partial")
    content = {"history": [tuple(line) for line in state.history], "best": state.best, "weights": state.best_weights}
    try:
        torch.save(content | {name: part.state_dict() for name, part in parts.items()}, draft)
    except (OSError, RuntimeError) as error:  # torch turns a full disk into a RuntimeError
        remove(draft)
        raise UserError(
            f"{place} cannot be written ({str(error).splitlines()[0]}): make room on its disk and run again; training "
            "goes on after the last epoch that was saved"
        ) from None
    draft.replace(place)


def load(place: Path) -> dict[str, Any] | None:
    """Read what was saved; None if there is nothing, or, with a word in the log, nothing usable."""
    if not place.exists():
        return None
    try:
        saved: dict[str, Any] = torch.load(place, map_location="cpu", weights_only=True)
        saved["history"] = [Epoch(*line) for line in saved["history"]]
    except Exception as error:  # a damaged scratch file may fail in any way
        log.warning("%s cannot be read (%s): training starts anew", place, error)
        return None
    return saved


def restore(saved: dict[str, Any] | None, parts: Mapping[str, Stateful]) -> State:
    """Bring the parts to the saved state; an empty state if nothing was saved."""
    if saved is None:
        return State([], 0, {})
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    log.info("going on after epoch %d of an interrupted run", len(saved["history"]))
    return State(saved["history"], saved["best"], saved["weights"])
