"""The data randomization test on networks without training."""

import numpy as np
import pandas as pd
import pytest
import torch

from brain_tumor.attribution.cases import ExplainParams
from brain_tumor.attribution.explained_model import ExplainedModel
from brain_tumor.models.classifier import Classifier
from brain_tumor.studies.permuted_labels import compare_maps, measure_memorization, permute_labels
from nets import CPU, make_config

IMAGES = np.random.default_rng(0).integers(0, 255, (12, 32, 32)).astype(np.uint8)
TARGETS = np.zeros(12, np.int64)


def make_explained(seed: int) -> ExplainedModel:
    torch.manual_seed(seed)
    params = ExplainParams(methods=("grad-cam++",), layer="last", num_cases=1, rounds=100, seed=0)
    return ExplainedModel(Classifier(make_config()).eval(), make_config(), params, CPU)


def make_rows(labels: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"row": range(len(labels)), "label": labels, "group": [str(k) for k in range(len(labels))]})


def test_permute_labels_keeps_rows_and_label_counts() -> None:
    rows = make_rows(list("abc") * 20)
    permuted = permute_labels(rows, 0)
    assert permuted["row"].tolist() == rows["row"].tolist()
    assert permuted["label"].value_counts().to_dict() == rows["label"].value_counts().to_dict()
    assert (permuted["label"] != rows["label"]).any()
    assert permuted["label"].tolist() == permute_labels(rows, 0)["label"].tolist()
    assert permuted["label"].tolist() != permute_labels(rows, 1)["label"].tolist()


def test_measure_memorization_compares_with_largest_class() -> None:
    explained = make_explained(0)
    labels = ["abc"[k] for k in explained.predict_proba(IMAGES).argmax(1)]
    majority = max(labels.count(label) for label in labels) / 12
    result = measure_memorization(explained, IMAGES, make_rows(labels))
    assert result["accuracy_on_permuted_labels"] == 1
    assert result["majority"] == pytest.approx(majority)
    assert result["learned"] == (majority < 0.75), "the interval of 12 of 12 begins at 0.757"
    wrong = ["abc"["bca".index(label)] for label in labels]
    assert measure_memorization(explained, IMAGES, make_rows(wrong))["learned"] is False


def test_compare_maps_same_model_is_unchanged() -> None:
    explained, rows = make_explained(0), make_rows(list("abc") * 4)
    same = compare_maps("grad-cam++", explained, explained, IMAGES, TARGETS, rows)
    assert (same["rank_correlation"], same["ssim"], same["unchanged"]) == (pytest.approx(1), pytest.approx(1), True)
    other = compare_maps("grad-cam++", explained, make_explained(1), IMAGES, TARGETS, rows)
    value, low, high = other["interval"]["rank_correlation"]
    assert value == other["rank_correlation"] < 0.9
    assert low <= value <= high
    assert other["unchanged"] == (low >= 0.5)


def test_compare_maps_empty_maps_have_no_rank_correlation() -> None:
    explained, rows = make_explained(0), make_rows(list("abc") * 4)
    constant = make_explained(1)
    with torch.no_grad():
        constant.model.backbone.get_classifier().weight.zero_()
    result = compare_maps("grad-cam++", explained, constant, IMAGES, TARGETS, rows)
    assert "rank_correlation" not in result
    assert result["unchanged"] is False
