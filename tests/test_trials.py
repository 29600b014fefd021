"""Planted lesions: what a lesion looks like is the class, its place is random. Here it is known what must come out."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from nets import card

from brain_tumor import localization, sanity, trials
from brain_tumor.attribution import Method
from brain_tumor.classifier import Classifier, to_unit
from brain_tumor.explain import ExplainParams
from brain_tumor.trials import Subject

SIDE = 48
CPU = torch.device("cpu")
Planted = tuple[np.ndarray, np.ndarray, np.ndarray, pd.DataFrame]  # images, classes, masks, rows
METHODS: tuple[Method, ...] = ("grad-cam", "integrated-gradients", "occlusion")


def lesions(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Textured images (N, 48, 48) with a filled or a hollow square somewhere, their classes, and masks."""
    random = np.random.default_rng(seed)
    images = localization.blurred_noise(np.zeros((count, SIDE, SIDE), np.uint8), random)
    images = 60 + 60 * images / images.max((1, 2), keepdims=True) + random.normal(0, 5, images.shape)
    masks = np.zeros(images.shape, bool)
    classes = np.arange(count) % 2
    for image, mask, label in zip(images, masks, classes, strict=True):
        top, left = random.integers(4, SIDE - 18, 2)
        mask[top : top + 14, left : left + 14] = True
        image[mask] += 90
        if label:
            image[top + 3 : top + 11, left + 3 : left + 11] -= 140
    return images.clip(0, 255).astype(np.uint8), classes, masks


@pytest.fixture(scope="module")
def subject() -> Subject:
    torch.manual_seed(0)
    described = card(classes=2)
    model = Classifier(described)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    images, classes, _ = lesions(512, 1)
    x, truth = to_unit(torch.from_numpy(images), CPU), torch.from_numpy(classes)
    for step in range(60):
        part = torch.arange(step * 32, step * 32 + 32) % len(x)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[part]), truth[part]).backward()
        optimizer.step()
    params = ExplainParams(methods=METHODS, layer="fine", cases=1, rounds=200, seed=0)
    return Subject(model.eval(), described, params, CPU)


@pytest.fixture(scope="module")
def planted() -> Planted:
    images, classes, masks = lesions(12, 2)
    rows = pd.DataFrame({"label": [str(label) for label in classes], "group": [str(k) for k in range(12)]})
    return images, classes, masks, rows


@pytest.fixture(scope="module")
def maps(subject: Subject, planted: Planted) -> dict[str, np.ndarray]:
    """Each method's maps for the true classes."""
    images, classes, *_ = planted
    return {str(method): subject.explain(method, images, classes).maps for method in METHODS}


def value(table: pd.DataFrame, name: str, figure: str) -> float:
    (found,) = table.loc[(table["map"] == name) & (table["figure"] == figure) & (table["class"] == ""), "value"]
    return float(found)


def test_methods_find_planted_lesions_better_than_maps_that_do_not_ask(
    subject: Subject, planted: Planted, maps: dict[str, np.ndarray]
) -> None:
    images, classes, masks, rows = planted
    assert (subject.ask(images).argmax(1) == classes).mean() > 0.9, "the net has learned its lesson"
    others = localization.baselines(images, lesions(512, 1)[2].mean(0).astype(np.float32), 0)
    del others["intensity"], others["edges"]  # a bright square gives itself away here
    found = trials.against_masks(maps, others, masks, rows, subject.params)
    for method in METHODS:
        assert value(found, method, "relevance_inside_over_mean training mask") > 0.02, method
        least = 0.05 if method == "grad-cam" else 0.4  # a cell of Grad-CAM's map is larger than a lesion
        assert value(found, method, "pointing_over_mean training mask") > least, method
    assert set(found["class"]) == {"", "0", "1"}
    assert (found["low"] <= found["value"] + 1e-9).all()
    assert (found["value"] <= found["high"] + 1e-9).all()


def test_relevance_changes_with_the_class(subject: Subject, planted: Planted, maps: dict[str, np.ndarray]) -> None:
    images, classes, *_ = planted
    for method in METHODS:
        other = subject.explain(method, images, 1 - classes).maps
        assert np.nanmean(sanity.rank_correlation(maps[method], other)) < 0.5, method


def test_the_checks_find_that_the_model_uses_the_lesion_and_that_maps_ask_it(
    subject: Subject, planted: Planted
) -> None:
    images, _, _, rows = planted
    one = subject._replace(params=subject.params.model_copy(update={"methods": ("grad-cam",)}))
    asked = trials.ask(one, images, rows)
    removed, curves = trials.removal(one, asked)
    assert value(removed, "grad-cam", "road") > 0.1
    assert value(removed, "grad-cam", "insertion_over_random order") > 0.1
    assert abs(value(removed, "random order", "road")) < 0.1
    assert list(curves) == ["deletion", "insertion"]
    assert list(curves["deletion"]) == ["random order", "blurred random", "center", "grad-cam"]
    changed, likeness = trials.randomization(one, asked)
    assert value(changed, "grad-cam", "untrained") == list(likeness["grad-cam"].values())[-1].value
    assert value(changed, "grad-cam", "untrained_ssim") < 0.5
    still = trials.small_changes(one, asked)
    assert 0 <= value(still, "grad-cam", "infidelity") < 1
    assert value(still, "grad-cam", "max_sensitivity") > 0
    assert value(still, "grad-cam", "noisy") > 0.3
    for other in ("random order", "center"):
        over = value(removed, "grad-cam", "road") - value(removed, other, "road")
        assert value(removed, "grad-cam", f"road_over_{other}") == pytest.approx(over)
    again = [trials.removal(one, asked)[0], trials.randomization(one, asked)[0], trials.small_changes(one, asked)]
    pd.testing.assert_frame_equal(pd.concat(again), pd.concat([removed, changed, still]))


def test_a_model_whose_maps_are_all_empty_is_measured_as_far_as_it_goes(subject: Subject, planted: Planted) -> None:
    images, _, _, rows = planted
    params = subject.params.model_copy(update={"methods": ("grad-cam",)})
    flat = copy.deepcopy(subject.model)
    with torch.no_grad():
        flat.backbone.get_classifier().weight.zero_()
    one = subject._replace(model=flat, params=params)
    asked = trials.ask(one, images[:4], rows[:4])
    assert not asked.maps["grad-cam"].any()
    table, likeness = trials.randomization(one, asked)
    assert table["figure"].str.startswith("untrained_ssim").all()
    assert all(np.isnan(span.value) and span.n == 0 for span in likeness["grad-cam"].values())
    assert set(trials.small_changes(one, asked)["figure"]) == set()


def test_accuracy_without_the_head_and_with_the_head_alone(subject: Subject, planted: Planted) -> None:
    """Everything that the net knows is in the lesion: taken for the head, it is enough, and nothing is left without."""
    images, classes, masks, rows = planted
    found = trials.blanked(subject, images, masks, classes, rows)
    assert value(found, "the model", "accuracy") > 0.9
    assert value(found, "the model", "accuracy_without_head") < 0.8
    change = value(found, "the model", "accuracy_head_alone") - value(found, "the model", "accuracy")
    assert value(found, "the model", "change_of_accuracy_head_alone") == pytest.approx(change)


def test_relevance_on_areas_is_set_against_their_size(subject: Subject, planted: Planted) -> None:
    images, _, _, rows = planted
    inside = np.zeros(images.shape, bool)
    inside[:, 8:-8, 8:-8] = True
    found = trials.on_areas({"flat": np.ones(images.shape, np.float32)}, images, inside, rows, subject.params)
    for area in ("outside_head", "borders", "corners"):
        assert value(found, "flat", area) == pytest.approx(value(found, "flat", f"area_{area}"))
        assert value(found, "flat", f"excess_{area}") == pytest.approx(0, abs=1e-9)
