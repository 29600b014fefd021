"""Access to layers and attention of a network, and the attribution methods on attention."""

import numpy as np
import pytest
import torch

from brain_tumor.attribution.layers import Layer, attention_weights, spatial_layer
from brain_tumor.attribution.methods import Method
from brain_tumor.core.errors import UserError
from brain_tumor.models.classifier import Classifier, to_unit
from explained import compute_maps, make_bright_pixel, make_two_maps, make_vit
from nets import CPU, make_config


def test_attention_weights_are_captured_and_model_is_unchanged() -> None:
    model, images = make_vit()
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


def test_attention_rollout_equals_the_formula_and_is_class_agnostic() -> None:
    model, images = make_vit()
    with attention_weights(model) as layers, torch.no_grad():
        model(to_unit(images, CPU))
    for n in range(3):
        rollout = np.eye(5)
        for weights in layers:
            mixed = 0.5 * weights[n].mean(0).double().numpy() + 0.5 * np.eye(5)
            rollout = (mixed / mixed.sum(1, keepdims=True)) @ rollout
        assert rollout.sum(1) == pytest.approx(np.ones(5))
        result = compute_maps("attention-rollout", model, images[n : n + 1], [0])[0]
        assert [result[i, j] for i in (0, -1) for j in (0, -1)] == pytest.approx(rollout[0, 1:], rel=1e-4)
    first, second = (compute_maps("attention-rollout", model, images, [k] * 3) for k in (0, 1))
    np.testing.assert_array_equal(first, second)


def test_attention_relevance_equals_formula_by_class() -> None:
    model, images = make_vit()
    for n in range(2):
        with attention_weights(model) as layers:
            score = model(to_unit(images[n : n + 1], CPU))[0, 1]
        relevance = np.eye(5)
        for weights, gradient in zip(layers, torch.autograd.grad(score, layers), strict=True):
            change = np.maximum(weights[0].detach().double().numpy() * gradient[0].double().numpy(), 0).mean(0)
            relevance = relevance + change @ relevance
        result = compute_maps("attention-relevance", model, images[n : n + 1], [1])[0]
        assert [result[i, j] for i in (0, -1) for j in (0, -1)] == pytest.approx(relevance[0, 1:], rel=1e-3)
    first, second = (compute_maps("attention-relevance", model, images, [k] * 3) for k in (0, 1))
    assert np.abs(first - second).max() > 0


@pytest.mark.parametrize("method", ["attention-rollout", "attention-relevance"])
def test_attention_methods_network_without_attention_raises_error(method: Method) -> None:
    with pytest.raises(UserError, match="has no attention over patches"):
        compute_maps(method, make_two_maps(), make_bright_pixel(), [0])


def test_spatial_layer_fine_has_smaller_cells() -> None:
    model = Classifier(make_config("tf_efficientnet_lite0"))

    def map_side(layer: Layer) -> int:
        sides = []
        with spatial_layer(model, layer) as module:
            handle = module.register_forward_hook(lambda *args: sides.append(args[-1].shape[-1]))
            model(torch.zeros(1, 1, 64, 64))
            handle.remove()
        return int(sides[0])

    assert (map_side("last"), map_side("fine")) == (2, 4)


def test_spatial_layer_vision_transformer_gives_a_map() -> None:
    torch.manual_seed(0)
    model = Classifier(make_config("vit_tiny_patch16_224")).eval()
    images = torch.randint(0, 255, (2, 32, 32), dtype=torch.uint8)
    before = model(to_unit(images, CPU))
    names = [name for name, _ in model.named_modules()]
    assert compute_maps("grad-cam", model, images, [0, 1]).shape == (2, 32, 32)
    assert [name for name, _ in model.named_modules()] == names
    assert torch.equal(model(to_unit(images, CPU)), before)
    with spatial_layer(model, "last") as module:
        shapes = []
        handle = module.register_forward_hook(lambda *args: shapes.append(args[-1].shape))
        inside = model(to_unit(images, CPU))
        handle.remove()
    assert torch.equal(inside, before)
    assert shapes == [(2, 192, 2, 2)]
