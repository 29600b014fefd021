"""Heat maps against answers by hand, and the rule that chooses the cases."""

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from test_training import card
from torch import nn

from brain_tumor.classifier import Classifier, to_unit
from brain_tumor.errors import UserError
from brain_tumor.explain import ExplainParams, choose_cases, grad_cam, normalize, spatial_layer

CPU = torch.device("cpu")
torch.set_num_threads(1)  # nets this small lose more by waiting for each other than they gain


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
    table = pd.DataFrame({"row": range(8), "label": list("aaaabbbb"), "predicted": list("aaabbbaa")})
    table["p_a"] = [0.9, 0.8, 0.7, 0.4, 0.1, 0.2, 0.6, 0.95]
    table["p_b"] = 1 - table["p_a"]
    chosen = choose_cases(table, "ab", ExplainParams(methods=("grad-cam",), layer="last", cases=1, seed=0))
    assert chosen["kind"].tolist() == ["right", "wrong", "right", "wrong"]
    assert chosen["label"].tolist() == ["a", "a", "b", "b"]
    assert chosen["row"].tolist()[3] == 7, "the most certain of the wrong ones"
    again = choose_cases(table.iloc[::1], "ab", ExplainParams(methods=("grad-cam",), layer="last", cases=1, seed=0))
    pd.testing.assert_frame_equal(chosen, again)
