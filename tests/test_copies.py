"""The search for copies: what it rests on, and that turns of an image neither hide nor confuse it."""

import numpy as np
import pytest
from heads import head
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor import copies
from brain_tumor.copies import (
    COPY,
    TRANSFORMS,
    _turn_spectrum,
    aligned_correlation,
    components,
    correlation,
    descriptor,
    find_links,
    spectrum,
    turn,
)
from brain_tumor.images import read_gray
from brain_tumor.planting import ALTERATIONS, plant, turn_of
from brain_tumor.thumbnails import thumbnails


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "1")


def small(seed: int) -> copies.Gray:
    return thumbnails(head(seed)).head


def links_of(images: list[copies.Gray]) -> list[tuple[int, int, str, str]]:
    made = [thumbnails(image) for image in images]
    found = find_links(np.stack([t.frame for t in made]), np.stack([t.head for t in made]), "test")
    found = found[found["kind"] != "refused"]
    return sorted(zip(found["first"], found["second"], found["kind"], found["transform"], strict=True))


@pytest.mark.parametrize("k", range(8))
def test_turning_a_spectrum_is_the_spectrum_of_the_turned_image(k: int) -> None:
    image = small(1)[None]
    np.testing.assert_allclose(_turn_spectrum(spectrum(image), k), spectrum(turn(image, k)), atol=1e-6)


@given(st.integers(0, 999), st.integers(0, 7))
def test_descriptors_are_blind_to_turns_and_to_brightness(seed: int, k: int) -> None:
    image = small(seed)
    brighter = (turn(image, k) * 0.5 + 20).round().astype(np.uint8)
    one, other = descriptor(spectrum(np.stack([image, brighter])))
    assert np.abs(one - other).max() <= 2  # of 127: rounding


def test_the_transform_says_how_to_turn_the_second_image() -> None:
    for k, name in enumerate(TRANSFORMS):
        ((_, _, kind, transform),) = links_of([turn(head(3), k), head(3)])
        assert (kind, transform) == ("copy", name)


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_altered_and_turned_copies_are_found_and_nothing_else(alteration: str) -> None:
    originals = [head(seed, 224) for seed in range(16)]
    planted = [
        read_gray(plant(image, alteration, turn_of(n)[0], np.random.default_rng(n)))
        for n, image in enumerate(originals)
    ]
    found = {(first, second) for first, second, *_ in links_of(originals + planted)}
    expected = {(n, n + 16) for n in range(16)}
    assert found <= expected
    assert len(found) >= (15 if alteration == "several at once" else 16)


def test_more_copies_than_neighbors_are_one_class() -> None:
    random = np.random.default_rng(0)
    many = [(head(5) * random.uniform(0.7, 1)).astype(np.uint8) for _ in range(40)]
    found = links_of([*many, *(head(seed) for seed in range(10, 20))])
    classes = components(np.array([link[:2] for link in found]), 50)
    assert len(set(classes[:40])) == 1
    assert len(set(classes)) == 11


def test_the_index_finds_what_the_exhaustive_search_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [head(seed) for seed in range(30)] + [turn(head(seed), seed % 8) for seed in range(0, 30, 3)]
    exact = links_of(images)
    monkeypatch.setattr(copies, "EXACT_SEARCH", 0)
    assert links_of(images) == exact
    assert len(exact) == 10


def test_dark_borders_prove_nothing() -> None:
    """Two heads in wide black margins agree in most pixels, and are no copies."""
    one, other = (np.pad(small(seed), 96) for seed in (1, 2))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.7
    assert aligned_correlation(small(1), small(2)) < 0.8
    assert links_of([one, other]) == []


@pytest.mark.parametrize("value", [0, 180, 255])
@pytest.mark.parametrize("width", [4, 20])
def test_the_same_border_on_all_joins_nothing(value: int, width: int) -> None:
    assert links_of([np.pad(head(seed, 224), width, constant_values=value) for seed in range(24)]) == []


def test_fewer_than_two_images_have_no_links() -> None:
    for count in (0, 1):
        images = np.zeros((count, 64, 64), np.uint8)
        assert find_links(images, images, "test").empty


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20))
def test_components_join_what_is_linked_and_no_more(links: list[tuple[int, int]]) -> None:
    found = components(np.array(links, np.int64).reshape(-1, 2), 12)
    naive = list(range(12))
    for _ in range(12):
        for one, other in links:
            naive[one] = naive[other] = min(naive[one], naive[other])
    assert [[a == b for b in naive] for a in naive] == (found[:, None] == found[None]).tolist()


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=2, max_size=50))
def test_correlation_equals_that_of_numpy(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs, np.uint8).T
    if min(one.std(), other.std()) == 0:
        assert correlation(one, other) == 0
    else:
        assert correlation(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-9)


def test_an_image_agrees_with_itself() -> None:
    assert aligned_correlation(small(1), small(1)) == 1
    assert COPY < 1
