"""Near-duplicate detection: which altered and transformed images are linked, and which are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.audit import candidates
from brain_tumor.audit.alignment import aligned_correlation
from brain_tumor.audit.comparison import ADJACENT_CORRELATION, DUPLICATE_CORRELATION
from brain_tumor.audit.near_duplicates import MIN_LISTED_CORRELATION, find_components, find_near_duplicates
from brain_tumor.audit.thumbnails import make_thumbnails
from brain_tumor.audit.transforms import TRANSFORMS, apply_transform
from brain_tumor.core.types import Gray
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.studies.synthetic_duplicates import ALTERATIONS, make_duplicate
from heads import head


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "1")


def find_links(images: list[Gray]) -> list[tuple[int, int, str, str]]:
    """Find the links that join images: first, second, kind and transform."""
    thumbnails = [make_thumbnails(image) for image in images]
    links = find_near_duplicates(
        np.stack([pair.frame for pair in thumbnails]), np.stack([pair.head for pair in thumbnails]), "test"
    )
    links = links[links["kind"] != "rejected"]
    return sorted(zip(links["first"], links["second"], links["kind"], links["transform"], strict=True))


def test_find_near_duplicates_transform_maps_second_to_first() -> None:
    for k, name in enumerate(TRANSFORMS):
        ((_, _, kind, transform),) = find_links([apply_transform(head(3), k), head(3)])
        assert (kind, transform) == ("duplicate", name)


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_find_near_duplicates_links_synthetic_duplicates_only(alteration: str) -> None:
    originals = [head(seed, 224) for seed in range(16)]
    duplicates = [decode_gray(make_duplicate(image, alteration, n)) for n, image in enumerate(originals)]
    links = {(first, second) for first, second, *_ in find_links(originals + duplicates)}
    expected = {(n, n + 16) for n in range(16)}
    assert links <= expected
    assert len(links) >= {"combined": 15, "rotated 5–15°": 14, "windowed": 4, "inverted": 0}.get(alteration, 16)


def test_find_near_duplicates_large_class_is_not_divided() -> None:
    random = np.random.default_rng(0)
    duplicates = [(head(5) * random.uniform(0.7, 1)).astype(np.uint8) for _ in range(40)]
    links = find_links([*duplicates, *(head(seed) for seed in range(10, 20))])
    classes = find_components(np.array([link[:2] for link in links]), 50)
    assert len(set(classes[:40])) == 1
    assert len(set(classes)) == 11


def test_find_near_duplicates_approximate_equals_exhaustive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = [head(seed) for seed in range(30)] + [apply_transform(head(seed), seed % 8) for seed in range(0, 30, 3)]
    exact = find_links(images)
    monkeypatch.setattr(candidates, "MAX_EXACT_SEARCH", 0)
    assert find_links(images) == exact
    assert len(exact) == 10


def test_find_near_duplicates_wide_dark_borders_link_nothing() -> None:
    """Two heads in wide black margins agree in most pixels, but are not duplicates."""
    thumbnails = [make_thumbnails(head(seed)).head for seed in (1, 2)]
    one, other = (np.pad(thumbnail, 96) for thumbnail in thumbnails)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.7
    assert aligned_correlation(*thumbnails) < 0.8
    assert find_links([one, other]) == []


@pytest.mark.parametrize("value", [0, 180, 255])
@pytest.mark.parametrize("width", [4, 20])
def test_find_near_duplicates_common_border_links_nothing(value: int, width: int) -> None:
    assert find_links([np.pad(head(seed, 224), width, constant_values=value) for seed in range(24)]) == []


@pytest.mark.parametrize("count", [0, 1])
def test_find_near_duplicates_fewer_than_two_images_is_empty(count: int) -> None:
    images = np.zeros((count, 64, 64), np.uint8)
    links = find_near_duplicates(images, images, "test")
    assert links.empty
    assert list(links) == ["first", "second", "transform", "distance", "correlation", "kind"]


def test_find_near_duplicates_pairs_are_above_threshold() -> None:
    random = np.random.default_rng(0)
    images = [head(seed % 8) for seed in range(24)]
    images = [np.clip(image + random.normal(0, 3 * n, image.shape), 0, 255) for n, image in enumerate(images)]
    thumbnails = [make_thumbnails(image.astype(np.uint8)) for image in images]
    links = find_near_duplicates(
        np.stack([pair.frame for pair in thumbnails]), np.stack([pair.head for pair in thumbnails]), "test"
    )
    lowest = links.groupby("kind")["correlation"].min()
    highest = links.groupby("kind")["correlation"].max()
    assert set(lowest.index) == {"duplicate", "adjacent", "rejected"}
    assert lowest["duplicate"] >= DUPLICATE_CORRELATION > highest["adjacent"]
    assert lowest["adjacent"] >= ADJACENT_CORRELATION > highest["rejected"]
    assert lowest["rejected"] >= MIN_LISTED_CORRELATION


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20))
def test_find_components_random_links_equal_a_naive_search(links: list[tuple[int, int]]) -> None:
    component = find_components(np.array(links, np.int64).reshape(-1, 2), 12)
    naive = list(range(12))
    for _ in range(12):
        for one, other in links:
            naive[one] = naive[other] = min(naive[one], naive[other])
    assert [[a == b for b in naive] for a in naive] == (component[:, None] == component[None]).tolist()
