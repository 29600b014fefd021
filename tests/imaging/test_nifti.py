"""Decoding NIfTI volumes and taking slices from them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from brain_tumor.imaging import nifti
from brain_tumor.imaging.nifti import (
    AXES,
    choose_positions,
    decode_nifti,
    parse_plane,
    take_slices,
    to_display_orientation,
)
from clinical_files import make_body, make_nifti

PLANES = st.sampled_from(sorted(AXES))


@pytest.mark.parametrize("compress", [False, True])
def test_decode_nifti_values_are_unchanged(compress: bool) -> None:
    values = decode_nifti(make_nifti(make_body(), compress=compress))
    assert values.dtype == np.float64
    assert np.array_equal(values, make_body())


def test_decode_nifti_axes_are_reordered_to_ras() -> None:
    turned = np.ascontiguousarray(make_body()[::-1].transpose(2, 0, 1))
    affine = np.array([[0, -1, 0, 19], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    assert np.array_equal(decode_nifti(make_nifti(turned, affine)), make_body())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (make_nifti(np.zeros((2, 3, 4, 5), np.int16)), r"the shape \(2, 3, 4, 5\) is not that of a volume"),
        (make_nifti(np.zeros((3, 4), np.int16)), r"the shape \(3, 4\) is not that of a volume"),
        (make_nifti(np.ones((4, 4, 4), np.complex64)), "complex64, which are not gray levels"),
        (make_nifti(make_body(), compress=True)[:-20], "corrupted gzip data"),
    ],
)
def test_decode_nifti_unusable_file_is_an_error(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_nifti(content)


def test_decode_nifti_too_many_voxels_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nifti, "MAX_VOXELS", make_body().size - 1)
    with pytest.raises(ValueError, match="is not that of a volume of at most 13,439 voxels"):
        decode_nifti(make_nifti(make_body()))


def test_decode_nifti_gzip_bomb_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nifti, "MAX_VOXELS", 10)
    bomb = make_nifti(np.zeros((100, 100, 200), np.int16), compress=True)
    with pytest.raises(ValueError, match="decompresses to more than the largest volume allowed"):
        decode_nifti(bomb)


@pytest.mark.parametrize(("plane", "shape"), [("axial", (24, 20)), ("coronal", (28, 20)), ("sagittal", (28, 24))])
def test_take_slices_are_upright(plane: Any, shape: tuple[int, int]) -> None:
    slices = take_slices(make_body().astype(float), plane, 3)
    assert len(slices) == 3
    gray = slices[1].gray.astype(int)
    assert gray.shape == shape
    assert slices[1].gray.dtype == np.uint8
    center = gray[shape[0] // 2, shape[1] // 2]
    assert gray[shape[0] // 2 - 5, shape[1] // 2] > center, "anterior or superior is up"
    assert gray[shape[0] // 2, shape[1] // 2 - 4] > center, "the patient's right, or the face, is at the left"


def test_take_slices_are_scaled_by_the_percentiles_of_the_volume() -> None:
    values = np.arange(8000.0).reshape(20, 20, 20)
    slices = {item.position: item.gray for item in take_slices(values, "sagittal", 20)}
    low, high = np.percentile(values, (0.5, 99.8))
    expected = np.rint(255 * (np.clip(values, low, high) - low) / (high - low))
    for position, gray in slices.items():
        assert np.array_equal(gray, to_display_orientation(expected, 0, position))


def test_take_slices_with_a_mask_are_taken_where_it_is_large() -> None:
    mask = np.zeros(make_body().shape, bool)
    mask[8:12, 8:14, 9:13] = True
    mask[9, 9, 14] = True
    slices = take_slices(make_body().astype(float), "axial", 9, mask)
    assert [item.position for item in slices] == [9, 10, 11, 12]
    for item in slices:
        assert item.mask is not None
        assert item.mask.sum() == 24


def test_take_slices_empty_mask_is_kept_and_the_head_counts() -> None:
    values = make_body().astype(float)
    empty = take_slices(values, "axial", 5, np.zeros(values.shape, bool))
    assert [item.position for item in empty] == [item.position for item in take_slices(values, "axial", 5)]
    assert all(item.mask is not None and not item.mask.any() for item in empty)


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.full((4, 4, 4), np.nan), "not finite"), (np.zeros((1, 8000, 8001)), "slices of 64,008,000 pixels")],
)
def test_take_slices_unusable_volume_is_an_error(values: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        take_slices(values, "sagittal", 5)


@given(seed=st.integers(0, 999), plane=PLANES, count=st.integers(1, 12), density=st.floats(0, 1))
def test_choose_positions_distinct_with_half_maximum_area(seed: int, plane: Any, count: int, density: float) -> None:
    foreground = np.random.default_rng(seed).random((5, 7, 9)) < density
    positions = choose_positions(foreground, plane, count)
    assert 1 <= len(positions) <= count
    assert (np.diff(positions) > 0).all()
    area = np.moveaxis(foreground, AXES[plane], 0).sum((1, 2))
    assert (2 * area[positions] >= area.max()).all()


@given(shape=st.tuples(*[st.integers(1, 5)] * 3), plane=PLANES, data=st.data())
def test_to_display_orientation_last_corner_is_top_left(
    shape: tuple[int, int, int], plane: Any, data: st.DataObject
) -> None:
    volume, axis = np.arange(np.prod(shape)).reshape(shape), AXES[plane]
    position = data.draw(st.integers(0, shape[axis] - 1))
    result, section = to_display_orientation(volume, axis, position), np.take(volume, position, axis)
    assert result.shape == section.shape[::-1]
    assert set(result.ravel()) == set(section.ravel())
    assert result[0, 0] == section[-1, -1]
    assert result[-1, 0] == section[-1, 0]


@pytest.mark.parametrize("plane", AXES)
def test_parse_plane_name_is_returned(plane: str) -> None:
    assert parse_plane(plane) == plane


@pytest.mark.parametrize("name", ["", "Axial", "oblique"])
def test_parse_plane_other_name_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=f"plane '{name}' is not one of sagittal, coronal, axial"):
        parse_plane(name)
