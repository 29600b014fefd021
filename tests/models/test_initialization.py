"""Random weights as torchvision draws them, and that timm's EfficientNet-B0 is the same network."""

import math

import pytest
import torch
from torch import nn
from torchvision.models import efficientnet_b0

from brain_tumor.core.errors import UserError
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.initialization import initialize_like_torchvision
from nets import make_config

CONFIG = make_config("efficientnet_b0", classes=4, mean=(0.485, 0.456, 0.406))


def author_model() -> nn.Module:
    """Make torchvision's model with a new linear layer for four classes, as the notebook of `efficientnet` does."""
    model: nn.Module = efficientnet_b0(weights=None)
    model.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 4))
    return model


def test_efficientnet_b0_of_timm_computes_as_that_of_torchvision() -> None:
    torch.manual_seed(0)
    theirs = author_model()
    ours = Classifier(CONFIG).backbone
    state = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(state)
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-4, atol=1e-5)


def test_initialize_like_torchvision_weights_have_the_spread_of_torchvision() -> None:
    torch.manual_seed(0)
    ours = Classifier(CONFIG, init="torchvision").backbone.state_dict()
    theirs = author_model().state_dict()
    for (name, one), other in zip(ours.items(), theirs.values(), strict=True):
        if one.numel() >= 256:
            assert float(one.std()) == pytest.approx(float(other.std()), rel=0.25, abs=1e-9), name
    timm = Classifier(CONFIG).backbone.state_dict()
    assert timm["classifier.weight"].std() > 15 * ours["classifier.weight"].std()


def test_initialize_like_torchvision_first_loss_is_that_of_equal_probabilities() -> None:
    """With timm's initial weights it is 2.0 to 3.9."""
    torch.manual_seed(0)
    x, targets = torch.rand(32, 1, 64, 64), torch.arange(32) % 4
    for seed in range(3):
        torch.manual_seed(seed)
        model = Classifier(CONFIG, init="torchvision").train()
        loss = nn.functional.cross_entropy(model(x), targets).detach()
        assert float(loss) == pytest.approx(math.log(4), abs=0.1)


def test_initialize_like_torchvision_is_drawn_from_the_seed() -> None:
    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
        initialize_like_torchvision(net)
        return nn.utils.parameters_to_vector(net.parameters())

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_classifier_regularization_reaches_the_network() -> None:
    model = Classifier(CONFIG, regularization={"drop_rate": 0.2, "drop_path_rate": 0.2}).backbone
    rates = [module.drop_prob for module in model.modules() if hasattr(module, "drop_prob")]
    # As in torchvision, block k of 16 is skipped with the probability 0.2 · k / 16; the first is never.
    assert rates == pytest.approx([0.2 * block / 16 for block in range(1, 16)])
    assert model.drop_rate == 0.2
    assert not [module for module in Classifier(CONFIG).modules() if hasattr(module, "drop_prob")]
    with pytest.raises(UserError, match="does not have all of drop_path_rate"):
        Classifier(make_config("mobilenetv1_100"), regularization={"drop_path_rates": 0.1})
