"""Decoding NIfTI-1, NIfTI-2 and Analyze files."""

import gzip
import io
from typing import Any

import nibabel
import numpy as np
import pytest

from brain_tumor.imaging import gzip_data, volumes
from brain_tumor.imaging.nifti import NO_ORIENTATION, decode_nifti, join_nifti_pair
from clinical_files import make_body, make_nifti


@pytest.mark.parametrize("compress", [False, True])
def test_decode_nifti_values_are_unchanged(compress: bool) -> None:
    volume = decode_nifti(make_nifti(make_body(), compress=compress))
    assert volume.values.dtype == np.float64
    assert np.array_equal(volume.values, make_body())
    assert (volume.spacing, volume.warnings) == ((1.0, 1.0, 1.0), ())


def test_decode_nifti_axes_are_reordered_to_ras() -> None:
    turned = np.ascontiguousarray(make_body()[::-1].transpose(2, 0, 1))
    affine = np.array([[0, -1, 0, 19], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    assert np.array_equal(decode_nifti(make_nifti(turned, affine)).values, make_body())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (make_nifti(np.zeros((3,), np.int16)), r"the shape \(3,\) is not that of a volume"),
        (make_nifti(np.ones((4, 4, 4), np.complex64)), "complex64, whose voxels are not gray levels"),
        (make_nifti(make_body(), compress=True)[:-20], "corrupted gzip data"),
    ],
)
def test_decode_nifti_unusable_file_is_an_error(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_nifti(content)


def test_decode_nifti_too_many_voxels_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "MAX_VOXELS", make_body().size - 1)
    with pytest.raises(ValueError, match="is not that of a volume of at most 13,439 voxels"):
        decode_nifti(make_nifti(make_body()))


def test_decode_nifti_gzip_bomb_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip_data, "MAX_DECOMPRESSED_BYTES", 2**20)
    bomb = make_nifti(np.zeros((100, 100, 200), np.int16), compress=True)
    with pytest.raises(ValueError, match="decompresses to more than the largest volume allowed"):
        decode_nifti(bomb)


def test_decode_nifti_turned_axes_take_their_spacing_along() -> None:
    turned = np.ascontiguousarray(make_body()[::-1].transpose(2, 0, 1))
    affine = np.array([[0, -2, 0, 19], [0, 0, 3, 0], [5, 0, 0, 0], [0, 0, 0, 1.0]])
    assert decode_nifti(make_nifti(turned, affine)).spacing == (2.0, 3.0, 5.0)


@pytest.mark.parametrize("axes", [(1,), (1, 1), (1, 1, 1)])
def test_decode_nifti_axes_of_length_1_are_dropped(axes: tuple[int, ...]) -> None:
    volume = decode_nifti(make_nifti(make_body().reshape(*make_body().shape, *axes)))
    assert np.array_equal(volume.values, make_body())
    assert volume.warnings == ()


def test_decode_nifti_first_of_several_volumes_is_read_with_a_warning() -> None:
    volume = decode_nifti(make_nifti(np.stack([make_body(), make_body() + 1, make_body() + 2], 3)))
    assert np.array_equal(volume.values, make_body())
    assert volume.warnings == ("contains 3 volumes: only the first one is read",)


def test_decode_nifti_image_of_two_axes_is_one_slice() -> None:
    assert decode_nifti(make_nifti(make_body()[:, :, 9])).values.shape == (20, 24, 1)


def test_decode_nifti_second_version_is_read_like_the_first() -> None:
    content = nibabel.Nifti2Image(make_body(), np.eye(4)).to_bytes()
    assert content[4:8] == b"n+2\0"
    assert np.array_equal(decode_nifti(content).values, make_body())


def test_decode_nifti_without_orientation_warns() -> None:
    image = nibabel.Nifti1Image(make_body(), None)
    assert decode_nifti(image.to_bytes()).warnings == (NO_ORIENTATION,)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair, nibabel.Spm2AnalyzeImage])
@pytest.mark.parametrize("compress", [False, True])
def test_join_nifti_pair_voxels_are_those_of_the_pair(kind: Any, compress: bool) -> None:
    files = kind.make_file_map({})
    for file in files.values():
        file.fileobj = io.BytesIO()
    image = kind(make_body(), np.diag([-1.0, 1, 1, 1]) if kind is nibabel.Spm2AnalyzeImage else np.eye(4))
    image.to_file_map(files)
    header, voxels = (files[name].fileobj.getvalue() for name in ("header", "image"))
    joined = join_nifti_pair(*((gzip.compress(part) if compress else part) for part in (header, voxels)))
    values = decode_nifti(joined).values
    assert values.shape == make_body().shape
    assert sorted(values.ravel()) == sorted(make_body().ravel())
    if kind is not nibabel.Spm2AnalyzeImage:
        assert np.array_equal(values, make_body())


def test_join_nifti_pair_short_header_is_an_error() -> None:
    with pytest.raises(ValueError, match="100 bytes that are not a header of 348 or 540 bytes"):
        join_nifti_pair(bytes(100), bytes(10))
