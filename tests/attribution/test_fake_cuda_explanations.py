"""Explanations, predictions and the export on a CUDA device without values: no tensor of the CPU meets one of it."""

from collections.abc import Callable, Iterator
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch

from brain_tumor.attribution import checks, methods
from brain_tumor.attribution.cases import ExplainParams
from brain_tumor.attribution.explained_model import ExplainedModel, MapCache
from brain_tumor.attribution.faithfulness import deletion_curves, insertion_curves
from brain_tumor.attribution.methods import Method
from brain_tumor.attribution.randomization import cascading_randomization
from brain_tumor.core.types import Floats
from brain_tumor.export.onnx_export import EndToEndModel
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.predict import predict_logits
from fake_cuda import CUDA, fake_cuda
from nets import CPU, make_config, make_model, make_samples

METHODS: tuple[Method, ...] = get_args(Method)
IMAGES = make_samples(3).images
PIXELS, CLASSES = IMAGES.numpy(), np.array([0, 1, 1])


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Deterministic algorithms, as in the stages, and short loops of the methods and checks."""
    monkeypatch.setattr(methods, "IG_STEPS", 2)
    monkeypatch.setattr(methods, "OCCLUSION_GRID", 2)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def make_explained(
    architecture: str = "resnet10t", head: str = "softmax", layer: str = "last", method: Method = "grad-cam"
) -> ExplainedModel:
    """Make a model of two classes on the device."""
    config = make_config(architecture, 2, head)
    model = make_model(architecture=architecture, classes=2, head=head).eval().to(CUDA)
    params = ExplainParams.model_validate({"methods": (method,), "layer": layer, "num_cases": 1, "seed": 0})
    return ExplainedModel(model, config, params, CUDA)


@pytest.mark.parametrize("layer", ["last", "fine"])
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize(
    ("method", "architecture"),
    [
        *((method, "test_vit" if method.startswith("attention") else "resnet10t") for method in METHODS),
        ("grad-cam", "test_vit"),
        ("grad-cam++", "tf_efficientnet_lite0"),
    ],
)
def test_explain_on_cuda(method: Method, architecture: str, head: str, layer: str) -> None:
    with fake_cuda():
        cache = MapCache(make_explained(architecture, head, layer), PIXELS)
        result = cache.explain([method], np.arange(3), CLASSES)[method]
    np.testing.assert_array_equal(result.maps, np.ones(PIXELS.shape))  # all that is read from the device is 1
    assert (result.convergence_delta is not None) == (method == "integrated-gradients")


@pytest.mark.parametrize("method", METHODS)
def test_checks_of_maps_on_cuda(method: Method) -> None:
    """The checks that run the model again."""
    rows = pd.DataFrame({"row": range(3), "label": ["class0", "class1", "class1"], "group": ["a", "b", "c"]})
    with fake_cuda():
        architecture = "test_vit" if method.startswith("attention") else "resnet10t"
        cache = MapCache(make_explained(architecture, method=method), PIXELS)
        explanations = checks.explain_predicted_classes(cache, rows)
        table = checks.measure_stability(cache.explained_model, explanations)
    assert {"mirrored", "shifted", "noisy"} == set(table.loc[table["map"] == method, "metric"])
    assert ("another class" in explanations.controls) == (method != "attention-rollout")


@pytest.mark.parametrize("metric", [deletion_curves, insertion_curves])
def test_removal_of_pixels_on_cuda(metric: Callable[..., Floats]) -> None:
    with fake_cuda():
        result = metric(make_explained().predict_proba, PIXELS, PIXELS / 255, CLASSES, 0)
    assert len(result) == 3


def test_cascading_randomization_on_cuda() -> None:
    """Each copy is on the device, and can be explained there."""
    with fake_cuda():
        explained = make_explained()
        copies = [copy for _, copy in cascading_randomization(explained.model, explained.config, 0)]
        maps = [explained._replace(model=copy).compute_maps(PIXELS, CLASSES)["grad-cam"] for copy in copies]
    assert {tensor.device for copy in copies for tensor in copy.state_dict().values()} == {CUDA}
    assert {array.shape for array in maps} == {PIXELS.shape}


@pytest.mark.parametrize(("head", "expected"), [("softmax", 0.5), ("sigmoid", torch.tensor(1.0).sigmoid())])
def test_predict_probabilities_on_cuda(head: str, expected: float) -> None:
    """All logits that are read from the device are 1."""
    with fake_cuda():
        result = make_explained(head=head).predict_proba(PIXELS)
    np.testing.assert_allclose(result[:, 0], expected, rtol=1e-6)


def test_predict_logits_on_cuda_without_metadata_fills_them_in() -> None:
    columns = ({"name": "age", "mean": 50.0, "sd": 10.0},)
    config = make_config().model_validate(make_config().model_dump() | {"metadata": columns})
    with fake_cuda():
        logits = predict_logits(Classifier(config).to(CUDA), IMAGES, CUDA)
    assert (logits.device, logits.shape) == (CPU, (3, 3))


def test_export_on_cuda_model_returns_to_the_cpu() -> None:
    with fake_cuda():
        explained = make_explained()
        explained.predict_proba(PIXELS)
        exported = EndToEndModel(explained.model.cpu(), explained.config)
    assert {(type(tensor.data), tensor.device) for tensor in exported.state_dict().values()} == {(torch.Tensor, CPU)}
    assert exported(IMAGES).shape == (3, 2)


def test_explain_on_cuda_refuses_mixed_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: pixels that stay on the CPU."""
    monkeypatch.setattr(methods, "to_unit", lambda images, _: images[:, None] / 255)
    with fake_cuda(), pytest.raises(RuntimeError, match="device"):
        make_explained().compute_maps(PIXELS, CLASSES)
