"""Accumulated gradients: results do not depend on the size of micro-batches, with mixup and CutMix neither."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from brain_tumor.core.errors import UserError
from brain_tumor.training import device_memory
from brain_tumor.training.trainer import MicroBatch, Trainer, train
from nets import FABRIC, make_model, make_params, make_samples

WEIGHTS = [0.5, 1.0, 2.0]
LOSS = {"balance": True, "label_smoothing": 0.1}
MIXES = [{}, {"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}]
SGD = {"kind": "sgd", "lr": 0.01}  # Adam amplifies rounding


@pytest.mark.parametrize("mix", MIXES)
def test_train_micro_batch_size_does_not_change_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mix: dict[str, float]
) -> None:
    """With layer norms, which need no batch statistics, and classes of unequal weight."""
    params = make_params(mix=mix, loss=LOSS, optimizer=SGD, epochs=2)
    results = []
    for size in ("", "3", "1"):
        monkeypatch.setenv("MICRO_BATCH_SIZE", size)
        model = make_model(architecture="test_vit")
        state = train(
            model, make_samples(24), make_samples(9, seed=1), WEIGHTS, params, FABRIC, tmp_path / f"{size}.pt"
        )
        results.append((model.state_dict(), torch.tensor(state.history)))
    for weights, history in results[1:]:
        torch.testing.assert_close(weights, results[0][0], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(history, results[0][1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mix", MIXES)
def test_load_micro_batch_any_size_gives_the_same_images_and_targets(
    monkeypatch: pytest.MonkeyPatch, mix: dict[str, float]
) -> None:
    def load(size: str) -> list[Tensor]:
        monkeypatch.setenv("MICRO_BATCH_SIZE", size)
        parts: list[MicroBatch] = []

        class RecordingTrainer(Trainer):
            def load_micro_batch(self, *args: Any) -> MicroBatch:
                parts.append(super().load_micro_batch(*args))
                return parts[-1]

        params = make_params(mix=mix, epochs=1, optimizer=SGD)
        data = make_samples(24)
        recorder = RecordingTrainer(make_model(architecture="test_vit"), data, data, WEIGHTS, params, FABRIC)
        recorder.fabric_net, recorder.fabric_optimizer = FABRIC.setup(recorder.net, recorder.optimizer)
        recorder.train_epoch(0)
        assert max(len(part.x) for part in parts) == int(size or 8)
        return [torch.cat(values) for values in zip(*parts, strict=True)]

    whole = load("")
    assert whole[2].ndim == (2 if mix else 1)
    for size in ("3", "1"):
        for values, expected in zip(load(size), whole, strict=True):
            torch.testing.assert_close(values, expected, rtol=1e-6, atol=1e-6)


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: ..."),
]


def fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(FABRIC, "backward", fail)


@pytest.mark.parametrize(("size", "images"), [("", 8), ("3", 3), ("99", 8)])
@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_train_out_of_memory_error_names_micro_batch_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, size: str, images: int
) -> None:
    monkeypatch.setenv("MICRO_BATCH_SIZE", size)
    fail_with(error, monkeypatch)
    data = make_samples(24)
    with pytest.raises(UserError, match=rf"not enough memory for {images} images per forward pass: set MICRO_BATCH_"):
        train(make_model(), data, data, WEIGHTS, make_params(), FABRIC, tmp_path / "s.pt")


def test_is_out_of_memory_error_of_torch_on_the_cpu_is_one() -> None:
    with pytest.raises(RuntimeError) as info:
        torch.empty(10**15)
    assert device_memory.is_out_of_memory(info.value)


class SubclassError(RuntimeError):
    pass


@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError("not implemented for 'Half'"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        torch.AcceleratorError("CUDA error: device-side assert triggered", 710),
        torch.distributed.DistBackendError("NCCL error: unhandled system error"),
        SubclassError("backend compiler failed: can't allocate memory"),
    ],
)
def test_train_any_other_error_is_not_reported_as_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fail_with(error, monkeypatch)
    data = make_samples(24)
    with pytest.raises(type(error)) as info:
        train(make_model(), data, data, WEIGHTS, make_params(), FABRIC, tmp_path / "s.pt")
    assert info.value is error
