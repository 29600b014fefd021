"""Sizes of images from their headers."""

import io

from PIL import Image

from boxed_folders import make_png
from brain_tumor.imaging.image_size import read_size
from clinical_files import RAMP, make_dicom


def test_read_size_is_upright_and_none_for_other_content() -> None:
    image, sideways, buffer = Image.new("L", (30, 20)), Image.Exif(), io.BytesIO()
    sideways[0x0112] = 6
    image.save(buffer, "JPEG", exif=sideways)
    assert read_size(buffer.getvalue()) == (20, 30)
    assert read_size(make_png(30, 20)) == (30, 20)
    assert read_size(b"text") is None
    assert read_size(make_dicom(RAMP)) is None
