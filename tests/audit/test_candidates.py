"""Spectra and descriptors under transforms, and the search for nearest neighbors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.audit import candidates
from brain_tumor.audit.candidates import compute_descriptors, compute_spectra, find_candidates, transform_spectra
from brain_tumor.audit.thumbnails import make_thumbnails
from brain_tumor.audit.transforms import apply_transform
from brain_tumor.core.types import Gray
from heads import head


def thumbnail(seed: int) -> Gray:
    return make_thumbnails(head(seed)).head


@pytest.mark.parametrize("k", range(8))
def test_transform_spectra_equals_spectrum_of_transformed_image(k: int) -> None:
    image = thumbnail(1)[None]
    expected = compute_spectra(apply_transform(image, k))
    np.testing.assert_allclose(transform_spectra(compute_spectra(image), k), expected, atol=1e-6)


@given(st.integers(0, 999), st.integers(0, 7))
def test_compute_descriptors_ignore_transform_and_brightness(seed: int, k: int) -> None:
    image = thumbnail(seed)
    brighter = (apply_transform(image, k) * 0.5 + 20).round().astype(np.uint8)
    one, other = compute_descriptors(compute_spectra(np.stack([image, brighter])))
    assert np.abs(one - other).max() <= 2  # of 127: rounding


def test_find_candidates_approximate_index_equals_exhaustive(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [thumbnail(seed) for seed in range(30)]
    images += [apply_transform(thumbnail(seed), seed % 8) for seed in range(0, 30, 3)]
    spectra = [compute_spectra(np.stack(images))]
    exact = find_candidates(spectra, 4)
    monkeypatch.setattr(candidates, "MAX_EXACT_SEARCH", 0)
    approximate = find_candidates(spectra, 4)
    for one, other in zip(exact, approximate, strict=True):
        np.testing.assert_array_equal(one, other)
    assert {(seed, 30 + number) for number, seed in enumerate(range(0, 30, 3))} <= set(
        zip(exact.first.tolist(), exact.second.tolist(), strict=True)
    )
