"""Heat maps against answers by hand, and the rule that chooses the cases."""

from typing import Any, cast, get_args

import numpy as np
import pandas as pd
import pytest
import torch
from nets import card
from torch import nn
from torchvision.transforms.functional import gaussian_blur

from brain_tumor.attribution import Method, explain
from brain_tumor.classifier import Classifier, to_unit
from brain_tumor.errors import UserError
from brain_tumor.explain import ExplainParams, choose_cases, draw, normalize, tabulate
from brain_tumor.layers import attention_weights, spatial_layer

CPU = torch.device("cpu")
METHODS = get_args(Method)
torch.set_num_threads(1)  # nets this small lose more by waiting for each other than they gain


def grad_cam(model: Classifier, images: torch.Tensor, targets: torch.Tensor, layer: Any, device: torch.device) -> Any:
    return explain("grad-cam", model, images, targets, layer, device).maps


class TwoMaps(nn.Module):
    """A net whose Grad-CAM is known: two maps (the image, and one minus it), pooled, then weighed."""

    feature_info = ({"reduction": 1, "module": "maps"},)

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 2, 1)
        self.maps.weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
        self.maps.bias = nn.Parameter(torch.tensor([0.0, 1.0]))
        self.head = nn.Linear(2, 2, bias=False)
        self.head.weight.data = torch.tensor([[3.0, 0.0], [0.0, 2.0]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.head(self.maps(x).mean((2, 3))))


def two_maps() -> Classifier:
    model = Classifier(card(classes=2))
    model.mean, model.std = torch.zeros(1), torch.ones(1)
    model.backbone = TwoMaps()
    return model.eval()


def test_grad_cam_by_hand() -> None:
    """Class 0 is the mean of the image times 3: its map is the image times the pooled gradient, 3 / (H·W)."""
    image = torch.zeros(1, 8, 8, dtype=torch.uint8)
    image[0, 2, 5] = 255
    images, targets = image.repeat(2, 1, 1), torch.tensor([0, 1])
    first, second = grad_cam(two_maps(), images, targets, "last", CPU)
    expected = (image[0] / 255).numpy()
    np.testing.assert_allclose(first, 3 / 64 * expected, atol=1e-7)
    np.testing.assert_allclose(second, 2 / 64 * (1 - expected), atol=1e-7)


def one_bright_pixel() -> torch.Tensor:
    image = torch.zeros(1, 8, 8, dtype=torch.uint8)
    image[0, 2, 5] = 255
    return image


def test_grad_cam_plus_plus_by_hand() -> None:
    """Equation 19 with one gradient g = 3/64 everywhere: alpha is 1 / (2 + g · ΣA), and ΣA is 1."""
    found = explain("grad-cam++", two_maps(), one_bright_pixel(), torch.tensor([0]), "last", CPU).maps[0]
    expected = (one_bright_pixel()[0] / 255).numpy() * 3 / (2 + 3 / 64)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_grad_cam_plus_plus_of_a_flat_score_is_empty() -> None:
    model = two_maps()
    model.backbone.head.weight.data[:] = 0
    assert not explain("grad-cam++", model, one_bright_pixel(), torch.tensor([0]), "last", CPU).maps.any()


def test_integrated_gradients_by_hand() -> None:
    """A linear score: the gradient times the way from each baseline, and nothing missing from their sum."""
    found = explain("integrated-gradients", two_maps(), one_bright_pixel(), torch.tensor([0]), "last", CPU)
    image = (one_bright_pixel() / 255)[:, None]
    blurred = gaussian_blur(image, [3, 3], [0.5, 0.5])
    expected = (3 / 64 * (image + image - blurred) / 2).clamp_min(0)[0, 0].numpy()
    np.testing.assert_allclose(found.maps[0], expected, atol=1e-6)
    assert found.missed is not None
    assert found.missed.max() < 1e-3


def vit() -> tuple[Classifier, torch.Tensor]:
    torch.manual_seed(0)
    model = Classifier(card("vit_tiny_patch16_224")).eval()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.1)  # as built, its attention is the same everywhere
    return model, torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8)


def test_attention_is_seen_and_the_model_is_as_before() -> None:
    model, images = vit()
    x = to_unit(images, CPU)
    before = model(x)
    fused = [module.fused_attn for module in model.modules() if hasattr(module, "fused_attn")]
    with attention_weights(model) as layers:
        inside = model(x)
    assert len(layers) == 12
    assert layers[0].shape == (3, 3, 5, 5)
    torch.testing.assert_close(layers[0].sum(-1), torch.ones(3, 3, 5))
    torch.testing.assert_close(inside, before, rtol=1e-5, atol=1e-5)
    assert [module.fused_attn for module in model.modules() if hasattr(module, "fused_attn")] == fused
    assert torch.equal(model(x), before)


def test_rollout_against_the_formula_and_the_same_for_every_class() -> None:
    model, images = vit()
    with attention_weights(model) as layers, torch.no_grad():
        model(to_unit(images, CPU))
    for n in range(3):
        rolled = np.eye(5)
        for weights in layers:
            mixed = 0.5 * weights[n].mean(0).double().numpy() + 0.5 * np.eye(5)
            rolled = (mixed / mixed.sum(1, keepdims=True)) @ rolled
        assert rolled.sum(1) == pytest.approx(np.ones(5))
        found = explain("attention-rollout", model, images[n : n + 1], torch.tensor([0]), "last", CPU).maps[0]
        assert [found[i, j] for i in (0, -1) for j in (0, -1)] == pytest.approx(rolled[0, 1:], rel=1e-4)
    one, other = (explain("attention-rollout", model, images, torch.full((3,), k), "last", CPU).maps for k in (0, 1))
    np.testing.assert_array_equal(one, other)


def test_relevance_against_the_formula_and_different_by_class() -> None:
    model, images = vit()
    for n in range(2):
        with attention_weights(model) as layers:
            score = model(to_unit(images[n : n + 1], CPU))[0, 1]
        related = np.eye(5)
        for weights, gradient in zip(layers, torch.autograd.grad(score, layers), strict=True):
            change = np.maximum(weights[0].detach().double().numpy() * gradient[0].double().numpy(), 0).mean(0)
            related = related + change @ related
        found = explain("attention-relevance", model, images[n : n + 1], torch.tensor([1]), "last", CPU).maps[0]
        assert [found[i, j] for i in (0, -1) for j in (0, -1)] == pytest.approx(related[0, 1:], rel=1e-3)
    one, other = (explain("attention-relevance", model, images, torch.full((3,), k), "last", CPU).maps for k in (0, 1))
    assert np.abs(one - other).max() > 0


@pytest.mark.parametrize("method", ["attention-rollout", "attention-relevance"])
def test_a_net_without_attention_says_so(method: Method) -> None:
    with pytest.raises(UserError, match="has no attention over patches"):
        explain(method, two_maps(), one_bright_pixel(), torch.tensor([0]), "last", CPU)


@pytest.mark.parametrize("architecture", ["resnet10t", "tf_efficientnet_lite0", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "integrated-gradients", "occlusion"])
def test_methods_work_on_every_kind_of_net(architecture: str, method: Method) -> None:
    torch.manual_seed(0)
    model = Classifier(card(architecture)).eval()
    images = torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8)
    found = explain(method, model, images, torch.tensor([0, 1, 2]), "fine", CPU)
    assert found.maps.shape == (3, 32, 32)
    assert found.maps.min() >= 0
    np.testing.assert_array_equal(found.maps, explain(method, model, images, torch.tensor([0, 1, 2]), "fine", CPU).maps)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("layer", ["last", "fine"])
def test_grad_cam_against_the_formula_on_a_real_net(layer: Any) -> None:
    torch.manual_seed(0)
    model = Classifier(card()).eval()
    images = torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8)
    targets = torch.tensor([0, 1, 2])
    found = grad_cam(model, images, targets, layer, CPU)
    kept: dict[str, torch.Tensor] = {}
    with spatial_layer(model, layer) as module:
        handle = module.register_forward_hook(lambda _, __, output: kept.update(a=output))
        scores = model(to_unit(images, CPU))
        handle.remove()
    (gradient,) = torch.autograd.grad(scores.gather(1, targets.view(-1, 1)).sum(), kept["a"])
    cam = (gradient.mean((2, 3), keepdim=True) * kept["a"]).sum(1, keepdim=True).relu()
    cam = nn.functional.interpolate(cam, [32, 32], mode="bilinear", align_corners=False)[:, 0]
    np.testing.assert_allclose(found, cam.detach().numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("architecture", ["resnet10t", "tf_efficientnet_lite0"])
def test_grad_cam_plus_plus_against_the_formula_pixel_by_pixel_on_a_real_net(architecture: str) -> None:
    """Equation 19 in loops: of a net whose maps are 0 or more, as the paper has it, and of one with others."""
    torch.manual_seed(0)
    model = Classifier(card(architecture)).eval()
    images, targets = torch.randint(0, 255, (2, 96, 96), dtype=torch.uint8), torch.tensor([0, 1])
    found = explain("grad-cam++", model, images, targets, "last", CPU).maps
    kept: dict[str, torch.Tensor] = {}
    with spatial_layer(model, "last") as module:
        handle = module.register_forward_hook(lambda _, __, output: kept.update(a=output))
        scores = model(to_unit(images, CPU))
        handle.remove()
    (gradients,) = torch.autograd.grad(scores.gather(1, targets.view(-1, 1)).sum(), kept["a"])
    for number in range(2):
        activations, slopes = kept["a"][number].detach().double().numpy(), gradients[number].double().numpy()
        cam = np.zeros(activations.shape[1:])
        for channel, slope in zip(activations, slopes, strict=True):
            weight, total = 0.0, channel.clip(0).sum()
            for y, x in np.ndindex(*channel.shape):
                below = 2 * slope[y, x] ** 2 + total * slope[y, x] ** 3
                alpha = slope[y, x] ** 2 / below if below else 0.0
                if slope[y, x] > 0:
                    assert 0 < alpha <= 0.5
                    weight += alpha * slope[y, x]
            cam += weight * channel
        wanted = torch.from_numpy(np.maximum(cam, 0))[None, None].float()
        wanted = nn.functional.interpolate(wanted, [96, 96], mode="bilinear", align_corners=False)[0, 0]
        np.testing.assert_allclose(found[number], wanted.numpy(), rtol=1e-3, atol=1e-6 * float(wanted.max()))


def test_fine_layer_is_finer() -> None:
    model = Classifier(card("tf_efficientnet_lite0"))
    sizes = {}
    for layer in ("last", "fine"):
        with spatial_layer(model, cast(Any, layer)) as module:
            handle = module.register_forward_hook(lambda _, __, output: sizes.update({layer: output.shape[-1]}))  # noqa: B023
            model(torch.zeros(1, 1, 64, 64))
            handle.remove()
    assert sizes == {"last": 2, "fine": 4}


def test_grad_cam_on_a_vision_transformer_is_spatial_and_leaves_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    model = Classifier(card("vit_tiny_patch16_224")).eval()
    images = torch.randint(0, 255, (2, 32, 32), dtype=torch.uint8)
    before = model(to_unit(images, CPU))
    names = [name for name, _ in model.named_modules()]
    maps = grad_cam(model, images, torch.tensor([0, 1]), "last", CPU)
    assert maps.shape == (2, 32, 32)
    assert [name for name, _ in model.named_modules()] == names
    assert torch.equal(model(to_unit(images, CPU)), before)
    with spatial_layer(model, "last") as module:
        shapes = []
        handle = module.register_forward_hook(lambda _, __, output: shapes.append(output.shape))
        inside = model(to_unit(images, CPU))
        handle.remove()
    assert torch.equal(inside, before)
    assert shapes == [(2, 192, 2, 2)]


def test_damaged_weights_are_an_error_not_an_empty_map() -> None:
    model = two_maps()
    model.backbone.head.weight.data[:] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        grad_cam(model, torch.ones(1, 4, 4, dtype=torch.uint8), torch.tensor([0]), "last", CPU)


def test_normalize_leaves_empty_maps_empty() -> None:
    maps = np.stack([np.zeros((2, 2)), np.array([[0, 2], [1, 4]])]).astype(np.float32)
    assert normalize(maps).tolist() == [[[0, 0], [0, 0]], [[0, 0.5], [0.25, 1]]]


def test_cases_are_chosen_by_rule() -> None:
    table = pd.DataFrame({"row": range(10), "label": list("aaaaabbbbb"), "predicted": list("aaabbbbaab")})
    table["p_a"] = [0.9, 0.8, 0.7, 0.4, 0.1, 0.2, 0.3, 0.6, 0.95, 0.05]
    table["p_b"] = 1 - table["p_a"]
    given = ExplainParams(methods=("grad-cam",), layer="last", cases=1, seed=0)
    chosen = choose_cases(table, "ab", given)
    assert chosen["kind"].tolist() == ["right", "wrong", "unsure"] * 2
    assert chosen["label"].tolist() == list("aaabbb")
    assert chosen["row"].tolist()[1::3] == [4, 8], "the most certain of the wrong ones"
    assert chosen["row"].tolist()[2::3] == [3, 7], "the least certain of the others, right or wrong"
    assert chosen["other"].tolist() == ["b", "a", "a", "a", "b", "b"], "the true class of a mistake, else the runner-up"
    assert chosen["row"].is_unique
    pd.testing.assert_frame_equal(chosen, choose_cases(table, "ab", given))


def test_rows_are_drawn_in_their_order_and_all_of_them_if_there_are_few() -> None:
    rows = pd.DataFrame({"row": range(9)})
    found = draw(rows, 4, 3)["row"].tolist()
    assert len(found) == 4
    assert found == sorted(found) == draw(rows, 4, 3)["row"].tolist()
    assert draw(rows, 20, 3)["row"].tolist() == list(range(9))


def test_figures_of_images_without_one_do_not_count() -> None:
    rows = pd.DataFrame({"label": list("aabb"), "group": list("wxyz")})
    params = ExplainParams(methods=("grad-cam",), layer="last", cases=1, rounds=200, seed=0)
    values = {"figure": np.array([1.0, 3.0, np.nan, 5.0]), "never": np.full(4, np.nan)}
    found = tabulate("m", values, rows, params, by_class=True)
    assert found[["class", "figure", "n", "value"]].to_numpy().tolist() == [
        ["", "figure", 3, 3.0],
        ["a", "figure", 2, 2.0],
        ["b", "figure", 1, 5.0],
    ]


def test_occlusion_by_hand() -> None:
    """Class 0 falls by 3/64 of what a window covers; each pixel gets the mean over the windows that cover it."""
    found = explain("occlusion", two_maps(), one_bright_pixel(), torch.tensor([0]), "last", CPU).maps[0]
    windows = [(y, x) for y in range(7) for x in range(7)]  # two pixels a side, one further each time
    total, count = np.zeros((8, 8)), np.zeros((8, 8))
    for y, x in windows:
        total[y : y + 2, x : x + 2] += 3 / 64 * (y <= 2 < y + 2 and x <= 5 < x + 2)
        count[y : y + 2, x : x + 2] += 1
    np.testing.assert_allclose(found, total / count, atol=1e-6)


def test_occlusion_of_a_real_net_against_a_loop() -> None:
    torch.manual_seed(0)
    model = Classifier(card()).eval()
    image = torch.randint(0, 255, (1, 35, 35), dtype=torch.uint8)
    found = explain("occlusion", model, image, torch.tensor([1]), "last", CPU).maps[0]
    total, count = np.zeros((35, 35)), np.zeros((35, 35))
    with torch.no_grad():
        whole = model(to_unit(image, CPU))[0, 1]
        for top in range(0, 32, 2):
            for left in range(0, 32, 2):
                hidden = image.clone()
                hidden[0, top : top + 5, left : left + 5] = 0
                total[top : top + 5, left : left + 5] += float(whole - model(to_unit(hidden, CPU))[0, 1])
                count[top : top + 5, left : left + 5] += 1
    np.testing.assert_allclose(found, np.maximum(total / count, 0), atol=1e-5)


def test_integrated_gradients_of_a_real_net_against_a_sum_of_many_steps() -> None:
    torch.manual_seed(0)
    model = Classifier(card("vit_tiny_patch16_224")).eval()
    image = torch.randint(0, 255, (1, 32, 32), dtype=torch.uint8)
    x = to_unit(image, CPU)
    maps = []
    for baseline in (torch.zeros_like(x), gaussian_blur(x, [9, 9], [1.5, 1.5])):
        total = torch.zeros_like(x)
        for steps in torch.arange(500).split(50):
            shares = ((steps + 0.5) / 500)[:, None, None, None]
            points = (baseline + shares * (x - baseline)).requires_grad_()
            total += torch.autograd.grad(model(points)[:, 2].sum(), points)[0].sum(0)
        maps.append(((x - baseline) * total / 500)[0, 0])
    expected = torch.stack(maps).mean(0).clamp_min(0).numpy()
    found = explain("integrated-gradients", model, image, torch.tensor([2]), "last", CPU)
    assert np.abs(found.maps[0] - expected).max() < 0.01 * expected.max()
    assert found.missed is not None
    assert found.missed[0] < 0.02


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", METHODS)
def test_maps_of_gpu_and_cpu_agree(method: Method) -> None:
    torch.manual_seed(0)
    model = Classifier(card("vit_tiny_patch16_224")).eval()
    images, targets = torch.randint(0, 255, (4, 32, 32), dtype=torch.uint8), torch.arange(4) % 3
    on_cpu = explain(method, model, images, targets, "fine", CPU).maps
    device = torch.device("cuda")
    on_gpu = explain(method, model.to(device), images, targets, "fine", device).maps
    assert np.abs(on_gpu - on_cpu).max() <= 1e-3 * np.abs(on_cpu).max()
