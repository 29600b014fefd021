"""Fingerprints of what decides results: networks in training and prediction, and the libraries around them.

Inputs are integers from NumPy's generator, which are the same everywhere, scaled to floats. What the C library, NumPy,
SciPy and scikit-learn compute is rounded as the pipeline rounds it before it is written: the last bits of their
functions and of OpenBLAS depend on the CPU.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import faiss
import numpy as np
import pandas as pd
import scipy.ndimage
import timm
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.fft import dctn
from skimage.feature import hog
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from torch.nn import functional

from brain_tumor.attribution.methods import Method, compute_attributions
from brain_tumor.audit.alignment import aligned_correlation
from brain_tumor.audit.candidates import compute_spectra, find_candidates
from brain_tumor.audit.opencv import opencv_in_one_thread
from brain_tumor.audit.screening import estimate_correlations, reduce_thumbnails
from brain_tumor.audit.thumbnails import make_thumbnails
from brain_tumor.audit.transforms import apply_transform
from brain_tumor.core.types import Gray
from brain_tumor.evaluation.baselines import extract_features, predict_baselines
from brain_tumor.export.onnx_export import export_onnx, quantize_int8
from brain_tumor.export.onnx_model import OnnxModel
from brain_tumor.export.out_of_distribution import fit_reference
from brain_tumor.models.calibration import fit_temperature
from brain_tumor.models.classifier import Classifier, ModelConfig, to_unit
from brain_tumor.plotting.style import save_figure
from brain_tumor.preprocessing.operations import PreprocessParams, preprocess
from brain_tumor.sources.phantom.generator import generate_patient
from brain_tumor.training.augmentation import apply_augmentations, sample_augmentations
from brain_tumor.training.recipe import TrainParams

CPU = torch.device("cpu")
DIGITS = 16
DECIMALS = 6  # of results that are written
NUM_STEPS = 3
# The quickstart's network, image and batch size; a ResNet and a ViT at sizes that take seconds.
NETWORKS = {"tf_efficientnet_lite0": (160, 16), "resnet50": (128, 8), "vit_tiny_patch16_224": (224, 8)}


def compute_fingerprints(params: TrainParams) -> dict[str, str]:
    """Compute all fingerprints by name.

    Args:
        params: training parameters of the recipe whose loss, optimizer and augmentation are used.
    """
    rounded = ((name, round_values(value)) for name, value in (*python_math(), *numpy_functions(), *baselines()))
    groups: list[Iterable[tuple[str, Any]]] = [rounded, image_functions()]
    groups += [torch_functions(), exported_models(), drawing(), phantom()]
    groups += [train(name, size, batch, params) for name, (size, batch) in NETWORKS.items()]
    return {name: hash_value(value) for group in groups for name, value in group}


def hash_value(value: Any) -> str:
    """Hash bytes, an array or a tensor, or a sequence of these."""
    if isinstance(value, Tensor):
        value = value.detach().contiguous().numpy()
    if isinstance(value, list | tuple):
        content = "".join(hash_value(each) for each in value).encode()
    else:
        content = value if isinstance(value, bytes) else np.ascontiguousarray(value).tobytes()
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def round_values(value: Any) -> Any:
    """Round an array of floats, or each one of a sequence; -0 becomes 0."""
    if isinstance(value, list | tuple):
        return [round_values(each) for each in value]
    return np.asarray(value, np.float64).round(DECIMALS) + 0.0


def make_floats(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Make float32 values between -2 and 2."""
    integers = np.random.default_rng(seed).integers(-(2**15), 2**15, shape)
    return (integers / 2**14).astype(np.float32)


def make_tensor(*shape: int, seed: int = 0) -> Tensor:
    """Make a float32 tensor of values between -2 and 2."""
    return torch.from_numpy(make_floats(*shape, seed=seed))


def make_images(count: int, size: int) -> Gray:
    """Make (N, S, S) uint8 images: noisy discs of different brightness."""
    rng = np.random.default_rng(count * size)
    distance = np.hypot(*np.indices((size, size)) - size / 2)
    disc = np.where(distance < 0.4 * size, 90, 5)
    return np.stack([disc + rng.integers(0, 40 + 10 * (n % 4), (size, size)) for n in range(count)]).astype(np.uint8)


def python_math() -> Iterator[tuple[str, Any]]:
    """Functions of the C library."""
    values = make_floats(2000).astype(float).tolist()
    for function in (math.exp, math.sin, math.cos, math.tanh, math.atan, math.erf):
        yield f"C library: {function.__name__}", np.array([function(value) for value in values])
    for function in (math.log, math.log2, math.sqrt, math.lgamma):
        yield f"C library: {function.__name__}", np.array([function(abs(value) + 0.1) for value in values])
    yield "C library: pow", np.array([abs(value) ** 2.3 for value in values])


def numpy_functions() -> Iterator[tuple[str, Any]]:
    """NumPy's vector code and matrix products in double precision."""
    values = make_floats(5003).astype(np.float64)
    positive = np.abs(values) + 0.1
    functions: tuple[np.ufunc, ...] = (np.exp, np.sin, np.cos, np.tanh, np.arctan, np.cbrt, np.expm1)
    for function in functions:
        yield f"NumPy: {function.__name__}", function(values)
    functions = (np.log, np.log2, np.log10, np.log1p, np.sqrt)
    for function in functions:
        yield f"NumPy: {function.__name__}", function(positive)
    yield "NumPy: power, hypot, arctan2", [positive**2.3, np.hypot(values, positive), np.arctan2(values, positive)]
    yield "NumPy: sum, mean, std", [values.sum(), values.mean(), values.std(), values.cumsum()]
    yield "NumPy: percentile, sort", [np.percentile(values, [5, 50, 95]), np.sort(values)]
    first, second = make_floats(120, 300).astype(np.float64), make_floats(300, 90, seed=1).astype(np.float64)
    yield (
        "NumPy: matrix and dot product, einsum",
        [first @ second, first[0] @ first[1], np.einsum("ij,kj", first, first)],
    )
    square = first[:, :120] + 300 * np.eye(120)
    yield "NumPy: solve", np.linalg.solve(square, first[:, 0])
    yield "NumPy: lstsq", np.linalg.lstsq(first.T, second[:, 0], rcond=None)[0]
    rng = np.random.default_rng(0)
    yield "NumPy: random normal", rng.normal(size=1001)
    yield "NumPy: random gamma, permutation", [rng.gamma(2.0, size=101), rng.permutation(1001)]
    frame = pd.DataFrame({"key": np.arange(5003) % 7, "value": make_floats(5003).astype(float)})
    yield "pandas: group means", frame.groupby("key")["value"].agg(["mean", "std", "median"]).to_numpy()


def image_functions() -> Iterator[tuple[str, Any]]:
    """The operations of the preprocessing, and what audit and explanations take from image libraries."""
    images = make_images(8, 200)
    resize = {"op": "resize", "size": 96, "mode": "pad"}
    for operation in (
        {"op": "crop-head", "method": "otsu"}, {"op": "crop-head", "method": "extreme-points"},
        {"op": "clahe"}, {"op": "denoise", "method": "median"}, {"op": "denoise", "method": "bilateral"},
    ):  # fmt: skip
        operations = PreprocessParams.model_validate({"operations": (operation, resize)}).operations
        name = f"preprocess: {' '.join(operation.values())}"
        yield name, np.stack([preprocess(image, operations).image for image in images])
    image, floats = images[0], images[0].astype(np.float32) / 255
    yield "OpenCV: resize uint8", [cv2.resize(image, (61, 61), interpolation=mode) for mode in range(5)]
    yield "OpenCV: blur", [cv2.GaussianBlur(floats, (0, 0), 2.0), cv2.GaussianBlur(image, (5, 5), 0)]
    yield "OpenCV: warp", cv2.warpAffine(floats, np.array([[0.9, 0.1, 3.0], [-0.1, 0.9, 5.0]]), (200, 200))
    yield "SciPy: gaussian_filter", scipy.ndimage.gaussian_filter(floats, 1.7)
    yield "SciPy: zoom, map_coordinates", scipy.ndimage.zoom(floats, 0.37, order=3)
    yield "SciPy: distance transform", scipy.ndimage.distance_transform_edt(image > 50)
    yield "SciPy: dctn", dctn(floats, norm="ortho")
    yield "scikit-image: hog", hog(image, pixels_per_cell=(16, 16), cells_per_block=(2, 2))
    yield "scikit-image: ssim", structural_similarity(floats, scipy.ndimage.shift(floats, 2), data_range=1.0)
    index = faiss.IndexFlatL2(63)  # of whole numbers, as the audit's descriptors are
    descriptors = np.rint(make_floats(500, 63) * 60)
    index.add(descriptors)
    yield "faiss: distances", list(index.search(descriptors[:50], 9))
    thumbnails = [make_thumbnails(image).frame for image in make_images(6, 220)]
    candidates = find_candidates([compute_spectra(np.stack(thumbnails))], 3)
    yield "audit: candidates", [candidates.first, candidates.second, candidates.score, candidates.views > 0]
    pairs = [(one, other) for one in range(6) for other in range(one)]
    with opencv_in_one_thread(vector_code=False):
        yield "audit: alignment", np.array([align(thumbnails[one], thumbnails[other]) for one, other in pairs])
    first, second = np.array(pairs, np.int64).T
    reduced = [reduce_thumbnails(np.stack(thumbnails))]
    yield "audit: screening", estimate_correlations(reduced, first, second, np.ones((len(pairs), 1, 8), bool))


def align(one: Gray, other: Gray) -> tuple[float, int]:
    """Return the best correlation of two thumbnails under all transforms, and the smallest number of those with it."""
    value, negative = max((aligned_correlation(one, apply_transform(other, number)), -number) for number in range(8))
    return value, -negative


def baselines() -> Iterator[tuple[str, Any]]:
    """The baselines of an evaluation: scikit-learn's nearest neighbor, forest and support vector machine."""
    images, targets = make_images(48, 64), np.arange(48) % 4
    parts = np.arange(24), np.arange(24, 32), np.arange(32, 48)
    features = make_floats(48, 5).astype(np.float64)
    results = predict_baselines(extract_features(images, features), targets, parts, 4, seed=0)
    yield from ((f"baseline: {name}", values) for name, values in results.items())


def torch_functions() -> Iterator[tuple[str, Any]]:
    """Single operations, with their gradients where training uses them."""
    x = make_tensor(8, 24, 30, 30).contiguous(memory_format=torch.channels_last)
    layers: dict[str, nn.Module] = {
        "convolution 3×3": nn.Conv2d(24, 40, 3, padding=1, bias=False),
        "convolution 3×3, stride 2": nn.Conv2d(24, 40, 3, 2, padding=1, bias=False),
        "convolution 1×1": nn.Conv2d(24, 144, 1, bias=False),
        "depthwise convolution": nn.Conv2d(24, 24, 5, padding=2, groups=24, bias=False),
        "batch norm": nn.BatchNorm2d(24),
        "layer norm": nn.LayerNorm(30),
        "linear": nn.Linear(30, 77),
        "ReLU6": nn.ReLU6(),
        "SiLU": nn.SiLU(),
        "GELU": nn.GELU(),
        "average pooling": nn.AdaptiveAvgPool2d(1),
        "max pooling": nn.MaxPool2d(3, 2, 1),
    }
    for name, layer in layers.items():
        yield f"torch: {name}", run_with_gradients(set_weights(layer), x)
    yield "torch: softmax, log_softmax", [x.softmax(1), x.log_softmax(-1), x.double().softmax(-1), x.sigmoid()]
    yield "torch: exp, log, sin, pow", [x.exp(), (x.abs() + 0.1).log(), x.sin(), x.abs() ** 2.3, x.tanh(), x.erf()]
    yield "torch: sum, mean, var, norm", [x.sum(), x.mean((0, 2)), x.var(), x.norm(), x.cumsum(-1)]
    yield "torch: matrix product", [make_tensor(130, 250) @ make_tensor(250, 70), make_tensor(9, 40, 30) @ x[0, :9]]
    yield "torch: interpolate", functional.interpolate(x, (77, 61), mode="bilinear", align_corners=False)
    query = make_tensor(2, 3, 50, 16)
    yield "torch: attention", functional.scaled_dot_product_attention(query, query * 0.5, query + 1)
    generator = torch.Generator().manual_seed(0)
    yield "torch: random numbers", [torch.randn(1001, generator=generator), torch.randperm(501, generator=generator)]
    logits = make_tensor(60, 4)
    yield "calibration: temperature", np.array([fit_temperature(logits, torch.arange(60) % 4, "softmax")])


def set_weights(module: nn.Module) -> nn.Module:
    """Set the parameters of a module to fixed values that keep activations in range."""
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            values = make_tensor(*parameter.shape, seed=number)
            fan_in = max(1, parameter[0].numel())
            parameter.copy_(values / math.sqrt(fan_in) if parameter.ndim > 1 else 1 + values / 20)
    return module


def run_with_gradients(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the output of a module, and the gradients of its input and parameters."""
    x = x.detach().clone().requires_grad_()
    output = module(x)
    output.backward(make_tensor(*output.shape, seed=9))
    gradients = [x.grad, *(parameter.grad for parameter in module.parameters())]
    return [output, *(gradient for gradient in gradients if gradient is not None)]


def train(architecture: str, size: int, batch_size: int, params: TrainParams) -> Iterator[tuple[str, Any]]:
    """Training steps of a network, with augmentation, loss and optimizer of a recipe; its prediction and heat maps."""
    torch.manual_seed(0)
    model = make_classifier(architecture, size)
    optimizer = params.optimizer.build(model.parameters())
    images, targets = torch.from_numpy(make_images(batch_size, size)), torch.arange(batch_size) % 4
    x, weights = to_unit(images, CPU), torch.ones(4)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for step in range(NUM_STEPS):
        sampled = sample_augmentations(params.augment, x.shape, generator)
        augmented = apply_augmentations(x, params.augment, sampled, torch.arange(batch_size))
        augmented = augmented.contiguous(memory_format=torch.channels_last)
        logits = model(augmented)
        loss = params.loss.loss_sum(logits, targets, params.head, weights) / batch_size
        loss.backward()
        yield f"{architecture}, step {step + 1}: augmented images", augmented
        yield f"{architecture}, step {step + 1}: logits and loss", [logits, loss]
        gradients = [(name, parameter.grad) for name, parameter in model.named_parameters()]
        for name, gradient in gradients if step == 0 else [("all", [gradient for _, gradient in gradients])]:
            yield f"{architecture}, step {step + 1}: gradient of {name}", gradient
        optimizer.step()
        optimizer.zero_grad()
        yield f"{architecture}, step {step + 1}: weights", list(model.state_dict().values())
    model.eval()
    with torch.inference_mode():
        yield f"{architecture}: prediction", model(x)
    methods: tuple[Method, ...] = ("grad-cam", "grad-cam++")
    if architecture.startswith("vit"):
        methods = ("attention-rollout", "attention-relevance")
    for method in methods:
        maps = compute_attributions([method], model, images[:2], targets[:2], "last", CPU)[method].maps
        yield f"{architecture}: {method}", maps


def make_classifier(architecture: str, size: int) -> Classifier:
    """Make an untrained classifier of four classes."""
    return Classifier(model_config(architecture, size)).to(memory_format=torch.channels_last)


def model_config(architecture: str, size: int) -> ModelConfig:
    """Make the configuration of a classifier of four classes."""
    operations = ({"op": "resize", "size": size, "mode": "pad"},)
    return ModelConfig(
        recipe="check", dataset="check", generated_data=True, classes=tuple("abcd"),
        architecture=architecture, head="softmax", mean=(0.5,) * 3, std=(0.5,) * 3, pretrained="none", data="", code={},
        versions={"timm": timm.__version__},
        preprocess=PreprocessParams.model_validate({"operations": operations}),
    )  # fmt: skip


def exported_models() -> Iterator[tuple[str, Any]]:
    """Predictions of ONNX files in float32 and int8."""
    torch.manual_seed(0)
    model, images = make_classifier("resnet10t", 64), make_images(8, 64)
    with TemporaryDirectory() as folder:
        float32, int8 = Path(folder) / "model.onnx", Path(folder) / "int8.onnx"
        export_onnx(model.eval(), model_config("resnet10t", 64), fit_reference(images, images), float32)
        quantize_int8(float32, images, int8)
        yield "ONNX Runtime: float32", OnnxModel(float32).predict_probabilities(images).round(DECIMALS)
        yield "ONNX Runtime: int8", OnnxModel(int8).predict_probabilities(images).round(DECIMALS)


def drawing() -> Iterator[tuple[str, Any]]:
    """A chart with text, curves and an image."""
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots(1, 2)
    axes[0].plot(np.arange(200), make_floats(200), label="curve ± 0.5")
    axes[0].legend(title="legend")
    axes[1].imshow(make_images(1, 64)[0], cmap="viridis")
    buffer = BytesIO()
    save_figure(figure, buffer)
    yield "matplotlib: chart", buffer.getvalue()


def phantom() -> Iterator[tuple[str, Any]]:
    """Generated images."""
    for label in ("glioma", "notumor"):
        slices = generate_patient(3, label, 1, 2026)
        yield f"phantom: {label}", [np.asarray(each.image) for each in slices]
