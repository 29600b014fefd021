"""Mixed precision, as on GPUs: layers compute in bfloat16; losses, validation, predictions and maps are float32."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from brain_tumor.attribution.methods import Method, compute_attributions
from brain_tumor.models.calibration import LabeledLogits, calibrate
from brain_tumor.models.predict import predict_logits, predict_probabilities
from brain_tumor.training.frozen_features import cache_features
from brain_tumor.training.optim import Loss
from brain_tumor.training.trainer import Trainer, train
from fake_cuda import CUDA, FakeCudaFabric, fake_cuda
from nets import CPU, EQUAL_WEIGHTS, make_config, make_model, make_params, make_samples

METHODS: tuple[Method, ...] = ("grad-cam", "grad-cam++", "integrated-gradients", "occlusion", "attention-relevance")
FLOAT32, BFLOAT16 = torch.float32, torch.bfloat16


@pytest.fixture
def mixed() -> Fabric:
    return Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")


def record_types(model: nn.Module) -> dict[str, set[torch.dtype]]:
    """Return a dictionary of the types of outputs by class of layer, which passes through the network will fill."""
    types: dict[str, set[torch.dtype]] = {}

    def record(module: nn.Module, _: Any, output: Tensor) -> None:
        types.setdefault(type(module).__name__, set()).add(output.dtype)

    for module in model.modules():
        module.register_forward_hook(record)
    return types


@pytest.mark.parametrize("architecture", ["resnet10t", "test_vit", "tf_efficientnet_lite0"])
def test_autocast_layers_compute_in_bfloat16(mixed: Fabric, architecture: str) -> None:
    """Convolutions and linear layers, on the CPU as on CUDA; layer norms and the sums of a ViT's blocks are float32."""
    recorded = []
    with fake_cuda():
        for device, fabric in ((CPU, mixed), (CUDA, FakeCudaFabric())):
            model = make_model(architecture=architecture).to(device)
            recorded.append(record_types(model))
            logits = fabric.setup(model)(torch.rand(2, 1, 32, 32).to(device), torch.zeros(2, 0).to(device))
            assert (logits.dtype, logits.device) == (FLOAT32, device)
    assert recorded[0] == recorded[1]
    expected = {"Conv2d": BFLOAT16, "Linear": BFLOAT16, "Classifier": BFLOAT16, "LayerNorm": FLOAT32, "Block": FLOAT32}
    assert {name: recorded[0][name] for name in expected if name in recorded[0]} == {
        name: {expected[name]} for name in expected if name in recorded[0]
    }


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_train_losses_are_float32(mixed: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: Any) -> None:
    """Logits of training are rounded to bfloat16 before the loss, those of validation are not."""
    original, seen = Loss.loss_sum, []

    def loss_sum(self: Loss, logits: Tensor, *args: Any) -> Tensor:
        result = original(self, logits, *args)
        is_rounded = torch.equal(logits, logits.bfloat16().float())
        seen.append((torch.is_inference_mode_enabled(), logits.dtype, result.dtype, is_rounded))
        return result

    monkeypatch.setattr(Loss, "loss_sum", loss_sum)
    classes = 2 if head == "sigmoid" else 3
    model, samples = make_model(classes=classes, head=head), make_samples(8, classes)
    params = make_params(epochs=1, head=head, mix={"mixup": 0.4}, ema=0.9)
    state = train(model, samples, samples, EQUAL_WEIGHTS[:classes], params, mixed, tmp_path / "s.pt")
    assert seen == [(False, FLOAT32, FLOAT32, True), (True, FLOAT32, FLOAT32, False)]
    assert {tensor.dtype for tensor in state.best_weights.values() if tensor.is_floating_point()} == {FLOAT32}


def test_train_epoch_rounds_inputs_to_bfloat16(mixed: Fabric) -> None:
    """Fabric rounds the images and clinical features of training; validation and prediction do not round them."""
    model, samples = make_model(), make_samples(8)
    types: list[torch.dtype] = []
    model.register_forward_pre_hook(lambda _, args: types.extend(value.dtype for value in args))
    trainer = Trainer(model, samples, samples, EQUAL_WEIGHTS, make_params(), mixed)
    trainer.fabric_net, trainer.fabric_optimizer = mixed.setup(model, trainer.optimizer)
    gradients: list[Any] = []
    trainer.optimizer.register_step_pre_hook(lambda *_: gradients.extend(p.grad for p in model.parameters()))
    trainer.train_epoch(0)
    state = [value for values in trainer.optimizer.state.values() for value in values.values()]
    assert {tensor.dtype for tensor in [*gradients, *state]} == {FLOAT32}
    trainer.validate()
    predict_logits(model, samples.images, CPU, samples.metadata)
    assert types == [BFLOAT16, BFLOAT16, FLOAT32, FLOAT32, FLOAT32, FLOAT32]


def test_predict_probabilities_after_autocast_equal_those_of_float32(mixed: Fabric) -> None:
    """The logits of calibration and of all later stages: a network that Fabric has wrapped gives the same."""
    images = make_samples(4).images
    expected = predict_logits(make_model(), images, CPU)
    model = make_model()
    mixed.setup(model)(torch.rand(2, 1, 32, 32), torch.zeros(2, 0))
    types = record_types(model)
    model.load_state_dict(make_model().state_dict())  # batch norms have changed
    logits = predict_logits(model, images, CPU)
    assert torch.equal(logits, expected)
    assert set.union(*types.values()) == {FLOAT32}
    assert predict_probabilities(model, make_config(), images.numpy(), CPU).calibrated.dtype == "float64"


def test_calibrate_computes_in_float64() -> None:
    logits, truth = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3
    rows, exact = LabeledLogits(logits, truth), LabeledLogits(logits.double(), truth)
    calibration = calibrate(rows, rows, "softmax")
    assert calibration == calibrate(exact, exact, "softmax")
    assert calibration.temperature != 1


def test_cache_features_are_float32(mixed: Fabric, tmp_path: Path) -> None:
    model = make_model()
    mixed.setup(model)
    types = record_types(model)
    assert cache_features(model, make_samples(4).images, CPU, tmp_path / "features.npy").dtype == FLOAT32
    assert set.union(*types.values()) == {FLOAT32}


@pytest.mark.parametrize("method", METHODS)
def test_compute_attributions_computes_in_float32(mixed: Fabric, method: Method) -> None:
    samples = make_samples(2)
    model = make_model(architecture="test_vit" if method.startswith("attention") else "resnet10t").eval()
    mixed.setup(model)
    types = record_types(model)
    result = compute_attributions([method], model, samples.images, samples.targets, "last", CPU)[method]
    assert result.maps.dtype == "float32"
    assert set.union(*types.values()) == {FLOAT32}


def test_train_float16_resumes_with_the_scale_of_the_loss(tmp_path: Path) -> None:
    def run(epochs: int) -> float:
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1)  # it doubles after each step
        fabric = Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu", scaler))
        params = make_params(epochs=epochs, optimizer={"kind": "adamw", "lr": 1e-4})
        train(make_model(), make_samples(8), make_samples(4), EQUAL_WEIGHTS, params, fabric, tmp_path / "s.pt")
        return scaler.get_scale()

    assert run(epochs=1) == 16
    assert run(epochs=2) == 32  # one more epoch of one step
