"""Validation loss and accuracy, by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from brain_tumor.models.samples import Samples
from brain_tumor.training.optim import Loss
from brain_tumor.training.validate import predict_labels, to_input, validate
from nets import CPU, FABRIC


class MetadataAsLogits(nn.Module):
    """A net whose logits are the metadata, whatever the image."""

    def forward(self, x: Tensor, metadata: Tensor) -> Tensor:
        assert not self.training
        assert x.shape[1:] == (1, 2, 2)
        return metadata


def make_samples(logits: list[list[float]], targets: list[int]) -> Samples:
    images = torch.zeros(len(targets), 2, 2, dtype=torch.uint8)
    return Samples(images, torch.tensor(targets), torch.tensor(logits))


def test_validate_softmax_loss_and_accuracy() -> None:
    # Probabilities 3/4 and 1/4; the classes 0, 1 and 0 have 3/4, 1/4 and 1/4 of them.
    three = math.log(3)
    samples = make_samples([[three, 0.0], [three, 0.0], [0.0, three]], [0, 1, 0])
    loss, accuracy = validate(MetadataAsLogits(), samples, Loss(), "softmax", torch.ones(2), FABRIC)
    assert loss == pytest.approx((math.log(4 / 3) + 2 * math.log(4)) / 3)
    assert accuracy == 1 / 3


def test_validate_balanced_loss_is_weighted_by_class() -> None:
    three = math.log(3)
    samples = make_samples([[three, 0.0], [three, 0.0]], [0, 1])
    weights = torch.tensor([0.5, 1.5])
    loss, accuracy = validate(MetadataAsLogits(), samples, Loss(balance=True), "softmax", weights, FABRIC)
    assert loss == pytest.approx((0.5 * math.log(4 / 3) + 1.5 * math.log(4)) / 2)
    assert accuracy == 1 / 2


def test_validate_sigmoid_logit_is_of_the_first_class() -> None:
    samples = make_samples([[math.log(3)], [-math.log(3)]], [0, 0])
    loss, accuracy = validate(MetadataAsLogits(), samples, Loss(), "sigmoid", torch.ones(2), FABRIC)
    assert loss == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    assert accuracy == 1 / 2


def test_validate_more_rows_than_a_batch_are_all_counted() -> None:
    count = 150
    samples = make_samples([[1.0, 0.0]] * count, [0] * 100 + [1] * 50)
    loss, accuracy = validate(MetadataAsLogits(), samples, Loss(), "softmax", torch.ones(2), FABRIC)
    first = math.log(1 + math.exp(-1))
    assert loss == pytest.approx((100 * first + 50 * (first + 1)) / count)
    assert accuracy == 100 / count


def test_predict_labels_softmax_and_sigmoid() -> None:
    assert predict_labels(torch.tensor([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0]]), "softmax").tolist() == [1, 0]
    assert predict_labels(torch.tensor([[0.1], [-0.1], [0.0]]), "sigmoid").tolist() == [0, 1, 0]


def test_to_input_scales_images_and_keeps_features() -> None:
    images = torch.tensor([[[0, 255], [51, 102]]], dtype=torch.uint8)
    torch.testing.assert_close(to_input(images, CPU), torch.tensor([[[[0.0, 1.0], [0.2, 0.4]]]]))
    features = torch.tensor([[7.0, -1.0]])
    assert to_input(features, CPU).equal(features)
