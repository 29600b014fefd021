"""Decoding MetaImage and NRRD files."""

import sys

import numpy as np
import pytest

from brain_tumor.imaging.itk import decode_itk
from clinical_files import make_body, make_itk


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_decode_itk_values_and_spacing_are_in_ras_orientation(suffix: str) -> None:
    volume = decode_itk(make_itk(make_body(), suffix))
    assert np.array_equal(volume.values, make_body())
    assert (volume.spacing, volume.warnings) == ((1.0, 2.0, 3.0), ())


def test_decode_itk_image_of_two_axes_is_one_slice() -> None:
    volume = decode_itk(make_itk(make_body()[:, :, 9], ".mha"))
    assert np.array_equal(volume.values, make_body()[:, :, 9:10])


def test_decode_itk_first_of_several_volumes_is_read_with_a_warning() -> None:
    several = np.stack([make_body(), make_body() + 1], 3)
    volume = decode_itk(make_itk(several, ".mha"))
    assert volume.values.shape == make_body().shape
    assert sorted(volume.values.ravel()) == sorted(make_body().ravel())
    assert volume.warnings == ("contains 2 volumes: only the first one is read",)


@pytest.mark.parametrize(
    "content",
    [
        b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = /etc/passwd\n",
        b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: /etc/passwd\n",
        b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndatafile: /etc/passwd\n",
    ],
)
def test_decode_itk_voxels_in_another_file_are_rejected(content: bytes) -> None:
    with pytest.raises(ValueError, match="names another file with the voxels"):
        decode_itk(content)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_decode_itk_truncated_file_is_an_error(suffix: str) -> None:
    with pytest.raises(ValueError, match="a broken file"):
        decode_itk(make_itk(make_body(), suffix)[:-900])


def test_decode_itk_too_many_voxels_are_rejected_before_decoding() -> None:
    content = (
        b"ObjectType = Image\nNDims = 3\nDimSize = 9999 9999 9999\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )
    with pytest.raises(ValueError, match="is not that of a volume"):
        decode_itk(content)


def test_decode_itk_without_the_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(ValueError, match="pip install SimpleITK"):
        decode_itk(b"NRRD0004\n")
