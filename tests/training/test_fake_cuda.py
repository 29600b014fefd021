"""Training on a CUDA device without values: no tensor of the CPU meets one of the device, forward or backward."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from brain_tumor.models.classifier import Classifier
from brain_tumor.models.clinical_features import encode_columns, fit_columns
from brain_tumor.training import trainer
from brain_tumor.training.augmentation import apply_augmentations, sample_augmentations
from brain_tumor.training.checkpoint import TrainState
from brain_tumor.training.trainer import Trainer, train
from brain_tumor.training.validate import validate
from fake_cuda import CUDA, FakeCudaFabric, fake_cuda
from nets import CPU, EQUAL_WEIGHTS, make_config, make_model, make_params, make_samples
from python_autograd import run_backward

AUGMENTATIONS: tuple[dict[str, Any], ...] = (
    {"op": "flip"},
    {"op": "affine", "degrees": 10.0, "scale": 0.1, "shift": 0.05},
    {"op": "intensity", "gain": 0.15, "offset": 0.05, "gamma": 0.15},
    {"op": "noise", "sd": 0.05},
    {"op": "erase"},
)
WEIGHTED: dict[str, Any] = {"balance": True, "label_smoothing": 0.1}
CASES: dict[str, dict[str, Any]] = {
    "vit": {"architecture": "test_vit", "augment": AUGMENTATIONS},
    "efficientnet": {"architecture": "tf_efficientnet_lite0", "augment": AUGMENTATIONS},
    "float32": {"precision": "32-true"},
    "float16": {"precision": "16-mixed"},
    "weighted sigmoid": {"head": "sigmoid", "loss": WEIGHTED},
    "mixup": {"mix": {"mixup": 0.4}, "augment": AUGMENTATIONS, "ema": 0.9},
    "cutmix": {"mix": {"cutmix": 1.0}, "loss": WEIGHTED},
    "cutmix sigmoid": {"head": "sigmoid", "mix": {"cutmix": 1.0}, "loss": WEIGHTED},
    "metadata": {"metadata": ("age",), "loss": WEIGHTED},
    "last block": {"trainable": 1},
    "head": {"trainable": "head", "augment": ()},  # with cached features
    "head sigmoid": {"trainable": "head", "augment": (), "head": "sigmoid", "metadata": ("age",)},
    **{kind: {"optimizer": {"kind": kind, "lr": 0.01, "clip": 1.0}} for kind in ("adam", "adamw", "sgd")},
}


class RecordingTrainer(Trainer):
    """A trainer that records where the images of each step are."""

    devices: list[torch.device]

    def train_step(self, *args: Any) -> None:
        self.devices.append(self.train_set.images.device)
        super().train_step(*args)


def train_on_cuda(
    folder: Path, architecture: str = "resnet10t", precision: str = "bf16-mixed", epochs: int = 2, **changes: Any
) -> tuple[Classifier, TrainState]:
    """Train and validate, one step an epoch, and write checkpoints, which a later call resumes.

    Images are in the main memory in the first epoch of a call; they fit on the device, and are there in later ones.
    """
    classes, head = (2, "sigmoid") if changes.get("head") == "sigmoid" else (3, "softmax")
    table = pd.DataFrame({"age": ["40", "60", "", "50"]})
    columns = fit_columns(table, changes.get("metadata", ()))
    samples = make_samples(4, classes)._replace(metadata=encode_columns(table, columns))
    params = make_params(epochs=epochs, batch_size=4, **changes)
    model = Classifier(make_config(architecture, classes, head).model_copy(update={"metadata": columns}))
    RecordingTrainer.devices = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "Trainer", RecordingTrainer)
        fabric = FakeCudaFabric(precision)
        state = train(model, samples, samples, EQUAL_WEIGHTS[:classes], params, fabric, folder / "s.pt")
    return model, state


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_train_on_cuda(tmp_path: Path, case: dict[str, Any]) -> None:
    with fake_cuda() as cuda:
        model, state = train_on_cuda(tmp_path, **case)
    assert RecordingTrainer.devices == [CPU, CUDA]
    assert {tensor.device for tensor in model.state_dict().values()} == {CUDA}
    assert {tensor.device for tensor in state.best_weights.values()} == {CPU}
    assert any(name.startswith("aten._fused_") for name in cuda.operations)  # the optimizer's step


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_train_on_cuda_float16_clips(tmp_path: Path, kind: str) -> None:
    with fake_cuda():
        _, state = train_on_cuda(tmp_path, precision="16-mixed", optimizer={"kind": kind, "lr": 0.01, "clip": 1.0})
    assert len(state.history) == 2


def test_train_on_cuda_resumes(tmp_path: Path) -> None:
    with fake_cuda():
        train_on_cuda(tmp_path, epochs=1, ema=0.9)
        _, state = train_on_cuda(tmp_path, epochs=3, ema=0.9)
    assert [row.epoch for row in state.history] == [1, 2, 3]
    assert RecordingTrainer.devices == [CPU, CUDA]


@pytest.mark.parametrize("block", AUGMENTATIONS, ids=lambda block: str(block["op"]))
def test_apply_augmentations_on_cuda(block: dict[str, Any]) -> None:
    operations, x = make_params(augment=(block,)).augment, torch.zeros(4, 1, 32, 32)
    sampled = sample_augmentations(operations, x.shape, torch.Generator().manual_seed(0))
    with fake_cuda():
        result = apply_augmentations(x.to(CUDA), operations, sampled, torch.tensor([1, 3, 0, 2]))
        assert (result.device, result.shape) == (CUDA, x.shape)


@pytest.mark.parametrize(("head", "classes"), [("softmax", 3), ("sigmoid", 2)])
@pytest.mark.parametrize("images_device", [CPU, CUDA], ids=str)
def test_validate_on_cuda(head: Any, classes: int, images_device: torch.device) -> None:
    loss = make_params(loss=WEIGHTED).loss
    with fake_cuda():
        samples = make_samples(70, classes)  # more than a batch
        samples = type(samples)(*(values.to(images_device) for values in samples))
        model, weights = make_model(classes=classes, head=head).to(CUDA), torch.ones(classes, device=CUDA)
        result = validate(model, samples, loss, head, weights, FakeCudaFabric())
    assert result == (1 / 70, 1 / 70)  # whatever is read from the device is 1


class CpuGradient(torch.autograd.Function):
    """A function whose gradient is on the CPU by mistake."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return torch.ones(2, 2)


MIX_UPS: dict[str, Callable[[Tensor], Any]] = {
    "sum": lambda x: x + torch.ones(2, 2),
    "layer": nn.Linear(2, 2),
    "loss weights": lambda x: cross_entropy(x, torch.zeros(2, dtype=torch.long, device=CUDA), torch.ones(2)),
    "targets": lambda x: cross_entropy(x, torch.zeros(2, dtype=torch.long)),
    "indices": lambda x: torch.zeros(2)[x.long()],
    "stack": lambda x: torch.stack([x.sum(), torch.tensor(1.0)]),
    "generator": lambda x: torch.rand(2, device=x.device, generator=torch.Generator()),
    "numpy": lambda x: x.numpy(),
    "gradient": lambda x: CpuGradient.apply(x.requires_grad_()).sum().backward(),
}


@pytest.mark.parametrize("mix_up", MIX_UPS.values(), ids=MIX_UPS)
def test_fake_cuda_refuses_mixed_devices(mix_up: Callable[[Tensor], Any]) -> None:
    """The control: what would fail with a GPU fails here."""
    with fake_cuda(), pytest.raises((RuntimeError, AssertionError), match=r"device|numpy|cpu instead of cuda"):
        mix_up(torch.ones(2, 2).to(CUDA))


@pytest.mark.parametrize("function", ["to_input", "apply_augmentations", "mix_targets"])
def test_train_on_cuda_refuses_mixed_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    """The same in the training loop: one of its functions returns a tensor on the CPU."""
    original = getattr(trainer, function)
    monkeypatch.setattr(trainer, function, lambda *args: original(*args).cpu())
    with fake_cuda(), pytest.raises(RuntimeError, match="device"):
        train_on_cuda(tmp_path, augment=AUGMENTATIONS, mix={"mixup": 0.4})


@pytest.mark.parametrize("architecture", ["resnet10t", "test_vit"])
def test_run_backward_equals_torch(monkeypatch: pytest.MonkeyPatch, architecture: str) -> None:
    model, x = make_model(architecture=architecture).eval(), torch.rand(2, 1, 32, 32, requires_grad=True)
    inputs = [x, *model.parameters()]
    expected = torch.autograd.grad(model(x).square().sum(), inputs)
    monkeypatch.setattr("torch.autograd._engine_run_backward", run_backward)
    torch.testing.assert_close(torch.autograd.grad(model(x).square().sum(), inputs), expected)
    model(x).square().sum().backward()
    torch.testing.assert_close(tuple(tensor.grad for tensor in inputs), expected)
