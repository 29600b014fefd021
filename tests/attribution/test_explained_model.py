"""Maps of a recipe's images, each computed once."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from brain_tumor.attribution import explained_model
from brain_tumor.attribution.cases import ExplainParams
from brain_tumor.attribution.explained_model import ExplainedModel, MapCache
from brain_tumor.attribution.methods import Attributions, Method
from brain_tumor.core.types import Gray, Ints
from brain_tumor.models.classifier import Classifier
from explained import make_vit
from nets import CPU, make_config

IMAGES = np.random.default_rng(0).integers(0, 255, (5, 32, 32)).astype(np.uint8)


def make_explained(model: Classifier, method: Method) -> ExplainedModel:
    params = ExplainParams(methods=(method,), layer="last", num_cases=1, seed=0)
    return ExplainedModel(model, make_config(), params, CPU)


def make_cache(method: Method, monkeypatch: pytest.MonkeyPatch) -> tuple[MapCache, list[int]]:
    """A cache, and a list to which each computation adds its number of images."""
    counts: list[int] = []

    def explain(
        self: ExplainedModel, methods: Sequence[Method], images: Gray, targets: Ints
    ) -> dict[Method, Attributions]:
        counts.append(len(images))
        maps = images.astype(np.float32) + targets[:, None, None]
        return {
            method: Attributions(maps, targets / 10 if method == "integrated-gradients" else None) for method in methods
        }

    monkeypatch.setattr(explained_model.ExplainedModel, "explain", explain)
    return MapCache(make_explained(Classifier(make_config()), method), IMAGES), counts


def explain(cache: MapCache, method: Method, rows: list[int], targets: list[int]) -> Attributions:
    return cache.explain([method], np.array(rows, np.int64), np.array(targets, np.int64))[method]


def test_map_cache_computes_each_map_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, counts = make_cache("integrated-gradients", monkeypatch)
    first = explain(cache, "integrated-gradients", [3, 1], [0, 2])
    second = explain(cache, "integrated-gradients", [1, 4, 1, 1], [2, 2, 0, 2])
    assert counts == [2, 2], "row 4 and row 1 for another class are new"
    np.testing.assert_array_equal(first.maps, IMAGES[[3, 1]] + np.array([0, 2], np.float32)[:, None, None])
    expected = IMAGES[[1, 4, 1, 1]] + np.array([2, 2, 0, 2], np.float32)[:, None, None]
    np.testing.assert_array_equal(second.maps, expected)
    assert second.convergence_delta is not None
    assert second.convergence_delta.tolist() == [0.2, 0.2, 0, 0.2]


def test_map_cache_class_agnostic_method_shares_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, counts = make_cache("attention-rollout", monkeypatch)
    first = explain(cache, "attention-rollout", [0, 1], [0, 0])
    second = explain(cache, "attention-rollout", [0, 1], [1, 2])
    assert counts == [2]
    np.testing.assert_array_equal(first.maps, second.maps)
    assert first.convergence_delta is None


def test_map_cache_without_rows_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, counts = make_cache("grad-cam", monkeypatch)
    assert explain(cache, "grad-cam", [], []).maps.shape == (0, 32, 32)
    assert counts == []


def test_map_cache_first_request_equals_the_uncached_maps() -> None:
    model, images = make_vit()
    explained, targets = make_explained(model, "attention-relevance"), np.array([2, 0, 1])
    cached = explain(MapCache(explained, images.numpy()), "attention-relevance", [0, 1, 2], [2, 0, 1])
    np.testing.assert_array_equal(cached.maps, explained.compute_maps(images.numpy(), targets)["attention-relevance"])


def test_predict_proba_gives_probabilities() -> None:
    torch.manual_seed(0)
    model = Classifier(make_config()).eval()
    probabilities = make_explained(model, "grad-cam").predict_proba(IMAGES)
    assert probabilities.shape == (5, 3)
    assert probabilities.sum(1) == pytest.approx(np.ones(5))
