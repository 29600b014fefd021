"""Maps of a recipe's images, each computed once."""

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

    def explain(self: ExplainedModel, method: Method, images: Gray, targets: Ints) -> Attributions:
        counts.append(len(images))
        maps = images.astype(np.float32) + targets[:, None, None]
        return Attributions(maps, targets / 10 if method == "integrated-gradients" else None)

    monkeypatch.setattr(explained_model.ExplainedModel, "explain", explain)
    return MapCache(make_explained(Classifier(make_config()), method), IMAGES), counts


def test_map_cache_computes_each_map_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, counts = make_cache("integrated-gradients", monkeypatch)
    first = cache.explain("integrated-gradients", np.array([3, 1]), np.array([0, 2]))
    second = cache.explain("integrated-gradients", np.array([1, 4, 1, 1]), np.array([2, 2, 0, 2]))
    assert counts == [2, 2], "row 4 and row 1 for another class are new"
    np.testing.assert_array_equal(first.maps, IMAGES[[3, 1]] + np.array([0, 2], np.float32)[:, None, None])
    expected = IMAGES[[1, 4, 1, 1]] + np.array([2, 2, 0, 2], np.float32)[:, None, None]
    np.testing.assert_array_equal(second.maps, expected)
    assert second.convergence_delta is not None
    assert second.convergence_delta.tolist() == [0.2, 0.2, 0, 0.2]


def test_map_cache_class_agnostic_method_shares_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, counts = make_cache("attention-rollout", monkeypatch)
    first = cache.explain("attention-rollout", np.array([0, 1]), np.array([0, 0]))
    second = cache.explain("attention-rollout", np.array([0, 1]), np.array([1, 2]))
    assert counts == [2]
    np.testing.assert_array_equal(first.maps, second.maps)
    assert first.convergence_delta is None


def test_map_cache_without_rows_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, counts = make_cache("grad-cam", monkeypatch)
    assert cache.explain("grad-cam", np.zeros(0, np.int64), np.zeros(0, np.int64)).maps.shape == (0, 32, 32)
    assert counts == []


def test_map_cache_first_request_equals_the_uncached_maps() -> None:
    model, images = make_vit()
    explained, targets = make_explained(model, "attention-relevance"), np.array([2, 0, 1])
    cached = MapCache(explained, images.numpy()).explain("attention-relevance", np.arange(3), targets)
    np.testing.assert_array_equal(cached.maps, explained.compute_maps("attention-relevance", images.numpy(), targets))


def test_predict_proba_gives_probabilities() -> None:
    torch.manual_seed(0)
    model = Classifier(make_config()).eval()
    probabilities = make_explained(model, "grad-cam").predict_proba(IMAGES)
    assert probabilities.shape == (5, 3)
    assert probabilities.sum(1) == pytest.approx(np.ones(5))
