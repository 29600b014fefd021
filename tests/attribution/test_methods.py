"""Attribution methods on networks whose maps can be computed by hand or by the paper's formula."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn
from torchvision.transforms.functional import gaussian_blur

from brain_tumor.attribution.layers import spatial_layer
from brain_tumor.attribution.methods import Method, compute_attributions, normalize_maps
from brain_tumor.core.errors import UserError
from brain_tumor.models.classifier import Classifier, to_unit
from explained import attribute_on_cpu, compute_maps, make_bright_pixel, make_two_maps
from nets import CPU, make_config

METHODS = get_args(Method)
torch.set_num_threads(1)  # for networks this small, synchronization costs more than it gains


def test_grad_cam_equals_the_map_by_hand() -> None:
    """Class 0 is the mean of the image times 3: its map is the image times the pooled gradient, 3 / (H·W)."""
    image = make_bright_pixel()
    first, second = compute_maps("grad-cam", make_two_maps(), image.repeat(2, 1, 1), [0, 1])
    expected = (image[0] / 255).numpy()
    np.testing.assert_allclose(first, 3 / 64 * expected, atol=1e-7)
    np.testing.assert_allclose(second, 2 / 64 * (1 - expected), atol=1e-7)


def test_grad_cam_plus_plus_equals_the_map_by_hand() -> None:
    """Equation 19 with one gradient g = 3/64 everywhere: alpha is 1 / (2 + g · ΣA), and ΣA is 1."""
    result = compute_maps("grad-cam++", make_two_maps(), make_bright_pixel(), [0])[0]
    expected = (make_bright_pixel()[0] / 255).numpy() * 3 / (2 + 3 / 64)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_grad_cam_plus_plus_constant_score_gives_empty_map() -> None:
    model = make_two_maps()
    model.backbone.head.weight.data[:] = 0
    assert not compute_maps("grad-cam++", model, make_bright_pixel(), [0]).any()


def test_integrated_gradients_linear_score_equals_the_map_by_hand() -> None:
    """A linear score: the gradient times the path from each baseline, with a convergence delta of 0."""
    result = attribute_on_cpu("integrated-gradients", make_two_maps(), make_bright_pixel(), [0])
    image = (make_bright_pixel() / 255)[:, None]
    blurred = gaussian_blur(image, [3, 3], [0.5, 0.5])
    expected = (3 / 64 * (image + image - blurred) / 2).clamp_min(0)[0, 0].numpy()
    np.testing.assert_allclose(result.maps[0], expected, atol=1e-6)
    assert result.convergence_delta is not None
    assert result.convergence_delta.max() < 1e-3


def test_integrated_gradients_equals_a_sum_of_many_steps() -> None:
    torch.manual_seed(0)
    model = Classifier(make_config("vit_tiny_patch16_224")).eval()
    image = torch.randint(0, 255, (1, 32, 32), dtype=torch.uint8)
    x = to_unit(image, CPU)
    maps = []
    for baseline in (torch.zeros_like(x), gaussian_blur(x, [9, 9], [1.5, 1.5])):
        total = torch.zeros_like(x)
        for steps in torch.arange(500).split(50):
            fractions = ((steps + 0.5) / 500)[:, None, None, None]
            points = (baseline + fractions * (x - baseline)).requires_grad_()
            total += torch.autograd.grad(model(points)[:, 2].sum(), points)[0].sum(0)
        maps.append(((x - baseline) * total / 500)[0, 0])
    expected = torch.stack(maps).mean(0).clamp_min(0).numpy()
    result = attribute_on_cpu("integrated-gradients", model, image, [2])
    assert np.abs(result.maps[0] - expected).max() < 0.01 * expected.max()
    assert result.convergence_delta is not None
    assert result.convergence_delta[0] < 0.02


def test_occlusion_equals_the_map_by_hand() -> None:
    """Class 0 falls by 3/64 of the covered pixels; each pixel gets the mean over the windows that cover it."""
    result = compute_maps("occlusion", make_two_maps(), make_bright_pixel(), [0])[0]
    windows = [(y, x) for y in range(7) for x in range(7)]  # windows of two pixels, steps of one
    total, count = np.zeros((8, 8)), np.zeros((8, 8))
    for y, x in windows:
        total[y : y + 2, x : x + 2] += 3 / 64 * (y <= 2 < y + 2 and x <= 5 < x + 2)
        count[y : y + 2, x : x + 2] += 1
    np.testing.assert_allclose(result, total / count, atol=1e-6)


def test_occlusion_equals_a_loop_over_windows() -> None:
    torch.manual_seed(0)
    model = Classifier(make_config()).eval()
    image = torch.randint(0, 255, (1, 35, 35), dtype=torch.uint8)
    result = compute_maps("occlusion", model, image, [1])[0]
    total, count = np.zeros((35, 35)), np.zeros((35, 35))
    with torch.no_grad():
        score = model(to_unit(image, CPU))[0, 1]
        for top in range(0, 32, 2):
            for left in range(0, 32, 2):
                occluded = image.clone()
                occluded[0, top : top + 5, left : left + 5] = 0
                total[top : top + 5, left : left + 5] += float(score - model(to_unit(occluded, CPU))[0, 1])
                count[top : top + 5, left : left + 5] += 1
    np.testing.assert_allclose(result, np.maximum(total / count, 0), atol=1e-5)


@pytest.mark.parametrize("architecture", ["resnet10t", "tf_efficientnet_lite0", "vit_tiny_patch16_224"])
@pytest.mark.parametrize(
    "method", ["grad-cam", "grad-cam++", "layer-cam", "hires-cam", "integrated-gradients", "occlusion"]
)
def test_methods_run_on_every_kind_of_network(architecture: str, method: Method) -> None:
    torch.manual_seed(0)
    model = Classifier(make_config(architecture)).eval()
    images = torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8)
    maps = compute_maps(method, model, images, [0, 1, 2], "fine")
    assert maps.shape == (3, 32, 32)
    assert maps.min() >= 0
    np.testing.assert_array_equal(maps, compute_maps(method, model, images, [0, 1, 2], "fine"))
    assert all(parameter.grad is None for parameter in model.parameters())


def capture_activations(model: Classifier, images: torch.Tensor, targets: torch.Tensor, layer: Any) -> Any:
    """The output of the CAM layer, and the gradient of the target scores with respect to it."""
    outputs = []
    with spatial_layer(model, layer) as module:
        handle = module.register_forward_hook(lambda *args: outputs.append(args[-1]))
        scores = model(to_unit(images, CPU))
        handle.remove()
    (gradients,) = torch.autograd.grad(scores.gather(1, targets.view(-1, 1)).sum(), outputs[0])
    return outputs[0], gradients


@pytest.mark.parametrize("layer", ["last", "fine"])
def test_grad_cam_equals_the_formula_on_a_real_network(layer: Any) -> None:
    torch.manual_seed(0)
    model = Classifier(make_config()).eval()
    images = torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8)
    targets = torch.tensor([0, 1, 2])
    result = compute_maps("grad-cam", model, images, targets, layer)
    activations, gradients = capture_activations(model, images, targets, layer)
    cam = (gradients.mean((2, 3), keepdim=True) * activations).sum(1, keepdim=True).relu()
    cam = nn.functional.interpolate(cam, [32, 32], mode="bilinear", align_corners=False)[:, 0]
    np.testing.assert_allclose(result, cam.detach().numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("architecture", ["resnet10t", "tf_efficientnet_lite0"])
def test_grad_cam_plus_plus_equals_the_formula_on_a_real_network(architecture: str) -> None:
    """Equation 19 in loops: for activations of 0 or more, as in the paper, and for others."""
    torch.manual_seed(0)
    model = Classifier(make_config(architecture)).eval()
    images, targets = torch.randint(0, 255, (2, 96, 96), dtype=torch.uint8), torch.tensor([0, 1])
    result = compute_maps("grad-cam++", model, images, targets)
    all_activations, all_gradients = capture_activations(model, images, targets, "last")
    for n in range(2):
        activations, gradients = all_activations[n].detach().double().numpy(), all_gradients[n].double().numpy()
        cam = np.zeros(activations.shape[1:])
        for channel, slope in zip(activations, gradients, strict=True):
            weight, total = 0.0, channel.clip(0).sum()
            for y, x in np.ndindex(*channel.shape):
                denominator = 2 * slope[y, x] ** 2 + total * slope[y, x] ** 3
                alpha = slope[y, x] ** 2 / denominator if denominator else 0.0
                if slope[y, x] > 0:
                    assert 0 < alpha <= 0.5
                    weight += alpha * slope[y, x]
            cam += weight * channel
        expected = torch.from_numpy(np.maximum(cam, 0))[None, None].float()
        expected = nn.functional.interpolate(expected, [96, 96], mode="bilinear", align_corners=False)[0, 0]
        np.testing.assert_allclose(result[n], expected.numpy(), rtol=1e-3, atol=1e-6 * float(expected.max()))


@pytest.mark.parametrize("layer", ["last", "fine"])
def test_layer_cam_and_hires_cam_equal_the_formula_on_a_real_network(layer: Any) -> None:
    """Jiang et al. 2021 and Draelos and Carin 2020, pixel by pixel."""
    torch.manual_seed(0)
    model = Classifier(make_config()).eval()
    images, targets = torch.randint(0, 255, (2, 96, 96), dtype=torch.uint8), torch.tensor([0, 1])
    activations, gradients = (values.detach().numpy() for values in capture_activations(model, images, targets, layer))
    methods: list[Method] = ["layer-cam", "hires-cam"]
    result = compute_attributions(methods, model, images, targets, layer, CPU)
    for method in methods:
        expected = np.zeros((2, *activations.shape[2:]))
        for n, y, x in np.ndindex(*expected.shape):
            products = [
                max(slope, 0) * value if method == "layer-cam" else slope * value
                for value, slope in zip(activations[n, :, y, x], gradients[n, :, y, x], strict=True)
            ]
            expected[n, y, x] = max(sum(products), 0)
        enlarged = nn.functional.interpolate(
            torch.from_numpy(expected)[:, None].float(), [96, 96], mode="bilinear", align_corners=False
        )
        scale = float(enlarged.max())
        np.testing.assert_allclose(result[method].maps, enlarged[:, 0].numpy(), rtol=1e-3, atol=1e-6 * scale)


@pytest.mark.parametrize("architecture", ["resnet10t", "tf_efficientnet_lite0"])
def test_grad_cam_equals_captum(architecture: str) -> None:
    torch.manual_seed(0)
    model = Classifier(make_config(architecture)).eval()
    images, targets = torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8), torch.tensor([0, 1, 2])
    with spatial_layer(model, "fine") as module:
        cam = LayerGradCam(model, module).attribute(to_unit(images, CPU), targets, relu_attributions=True)
    expected = nn.functional.interpolate(cam, [64, 64], mode="bilinear", align_corners=False)[:, 0].detach().numpy()
    result = compute_maps("grad-cam", model, images, targets, "fine")
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6 * float(expected.max()))


def test_compute_attributions_of_several_methods_equals_each_alone() -> None:
    torch.manual_seed(0)
    model = Classifier(make_config()).eval()
    images, targets = torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8), torch.tensor([0, 1, 2])
    methods: list[Method] = ["hires-cam", "integrated-gradients", "grad-cam"]
    together = compute_attributions(methods, model, images, targets, "fine", CPU)
    assert list(together) == methods
    for method in methods:
        np.testing.assert_array_equal(together[method].maps, compute_maps(method, model, images, targets, "fine"))


def test_compute_attributions_corrupted_weights_raise_error() -> None:
    model = make_two_maps()
    model.backbone.head.weight.data[:] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        compute_maps("grad-cam", model, torch.ones(1, 4, 4, dtype=torch.uint8), [0])


def test_normalize_maps_empty_map_stays_empty() -> None:
    maps = np.stack([np.zeros((2, 2)), np.array([[0, 2], [1, 4]])]).astype(np.float32)
    assert normalize_maps(maps).tolist() == [[[0, 0], [0, 0]], [[0, 0.5], [0.25, 1]]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", METHODS)
def test_maps_on_gpu_and_cpu_agree(method: Method) -> None:
    torch.manual_seed(0)
    model = Classifier(make_config("vit_tiny_patch16_224")).eval()
    images, targets = torch.randint(0, 255, (4, 32, 32), dtype=torch.uint8), torch.arange(4) % 3
    on_cpu = compute_maps(method, model, images, targets, "fine")
    device = torch.device("cuda")
    on_gpu = compute_attributions([method], model.to(device), images, targets, "fine", device)[method].maps
    assert np.abs(on_gpu - on_cpu).max() <= 1e-3 * np.abs(on_cpu).max()
