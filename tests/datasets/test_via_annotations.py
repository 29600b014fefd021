"""Shapes of the VGG Image Annotator as masks and boxes."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.layout import Layout
from brain_tumor.datasets.readers.via_annotations import Shape, ViaAnnotations, add_shapes, fill_shape
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.boxes import bounding_box, format_boxes
from brain_tumor.imaging.decode import decode_gray
from heads import head, png
from layout_reading import read_images
from via_files import CONTENT, DISK, SQUARE, make_via

NUMBERS = st.floats(-200, 200)


def parse_shape(values: dict[str, Any]) -> Shape:
    shape: Shape = TypeAdapter(Shape).validate_python(values)
    return shape


def annotate(content: Any, *paths: str, image: bytes = CONTENT) -> list[RawImage]:
    annotations = ViaAnnotations(json.dumps(content).encode(), "a.zip: via.json")
    return list(annotations.add_to(RawImage(path, image, "tumor") for path in paths))


@pytest.mark.parametrize(
    ("values", "box", "area"),
    [
        (SQUARE, "2 1 4 3", 12),
        ({"name": "polyline", "all_points_x": [2, 5, 5, 2], "all_points_y": [1, 1, 3, 3]}, "2 1 4 3", 12),
        ({"name": "rect", "x": 2, "y": 1, "width": 4, "height": 3}, "2 1 4 3", 12),
        (DISK, "36 26 9 9", 64),
        ({"name": "ellipse", "cx": 40, "cy": 30, "rx": 10, "ry": 3}, "30 27 21 7", 115),
        ({"name": "ellipse", "cx": 40, "cy": 30, "rx": 10, "ry": 3, "theta": np.pi / 2}, "37 20 7 21", 115),
        ({"name": "polygon", "all_points_x": [9], "all_points_y": [9]}, "9 9 1 1", 1),
        ({"name": "circle", "cx": 0, "cy": 0, "r": 2}, "0 0 3 3", 8),  # the part outside the image is cut off
        ({"name": "circle", "cx": -50, "cy": 0, "r": 2}, "", 0),
    ],
)
def test_fill_shape_any_shape_has_box_and_area(values: dict[str, Any], box: str, area: int) -> None:
    mask = fill_shape(parse_shape(values), (60, 80))
    assert format_boxes(filter(None, [bounding_box(mask)])) == box
    assert mask.sum() == pytest.approx(area, rel=0.15)


def test_add_to_images_with_annotated_names_have_masks_and_boxes() -> None:
    with_two, with_none = annotate(make_via(y1=[SQUARE, DISK], y2=[]), "yes/y1.png", "no/no1.png")
    mask = decode_gray(with_two.mask or b"")
    assert mask.shape == decode_gray(CONTENT).shape
    assert set(np.unique(mask)) == {0, 255}
    assert mask[2, 3] == mask[30, 40] == 255
    assert mask[20, 20] == 0
    assert with_two.box == "2 1 4 3;36 26 9 9"
    assert (with_none.mask, with_none.box) == (None, "")


def test_add_shapes_boxes_are_sorted_by_number() -> None:
    disks = [parse_shape({"name": "circle", "cx": x, "cy": 30, "r": 1}) for x in (40, 10, 6)]
    assert add_shapes(RawImage("y1.png", CONTENT, "tumor"), disks).box == "5 29 3 3;9 29 3 3;39 29 3 3"


def test_via_annotations_version_1_and_project_files_are_read() -> None:
    (image,) = annotate({"_via_settings": {}, "_via_img_metadata": make_via(y1=[SQUARE])}, "y1.png")
    assert image.box == "2 1 4 3"
    first = {"y1.png-1": {"filename": "y1.png", "size": -1, "regions": {"0": {"shape_attributes": SQUARE}}}}
    assert annotate(first, "y1.png")[0].box == "2 1 4 3"


def test_add_to_other_file_of_the_same_name_has_no_mask(caplog: pytest.LogCaptureFixture) -> None:
    (image,) = annotate(make_via(y1=[SQUARE], y2=[SQUARE]), "y1.png", image=png(head(2)))
    assert image.mask is None
    assert "no mask for y1.png: not the annotated file" in caplog.text
    assert "1 of 2 files with shapes are not among the images (y2.png" in caplog.text


def test_add_to_points_and_shapes_outside_the_image_add_no_mask(caplog: pytest.LogCaptureFixture) -> None:
    outside = DISK | {"cx": -500}
    (image,) = annotate(make_via(y1=[{"name": "point", "cx": 3, "cy": 4}, {}, SQUARE, outside]), "y1.png")
    assert image.box == "2 1 4 3"
    assert not caplog.text
    (image,) = annotate(make_via(y1=[outside]), "y1.png")
    assert (image.mask, image.box) == (None, "")
    assert "no mask for y1.png" in caplog.text


def test_add_to_unreadable_image_is_unchanged() -> None:
    broken = CONTENT[:50].ljust(len(CONTENT), b"?")
    assert annotate(make_via(y1=[SQUARE]), "y1.png", image=broken) == [RawImage("y1.png", broken, "tumor")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is not an annotation file of VIA"),
        ({"x": {"regions": []}}, "x.filename: Field required"),
        (make_via(y1=[{"name": "star"}]), "is not an annotation file of VIA: y1.png"),
        (make_via(y1=[SQUARE | {"all_points_y": [1]}]), "all_points_x and all_points_y differ in length"),
        (make_via(y1=[DISK | {"r": 1e9}]), "less than or equal to 100000"),
        (
            make_via(y1=[SQUARE]) | {"again": make_via(y1=[DISK])[f"y1.png{len(CONTENT)}"]},
            "ambiguous annotations: several entries for y1.png",
        ),
    ],
)
def test_via_annotations_invalid_file_error_names_the_file(content: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        annotate(content, "y1.png")
    assert str(caught.value).startswith("a.zip: via.json")


def test_add_to_two_images_with_the_same_name_are_an_error() -> None:
    with pytest.raises(UserError, match=r"y1.png may be a/y1.png or b/y1.png"):
        annotate(make_via(y1=[SQUARE]), "a/y1.png", "b/y1.png")


def test_read_images_layout_names_the_annotation_file(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("yes/y1.png", CONTENT)
        archive.writestr("parts/TRAIN/y1.png", CONTENT)
        archive.writestr("parts/all.json", json.dumps(make_via(y1=[DISK])))
    layout = Layout(path="{label}/{file}", labels={"yes": "tumor"}, annotations="parts/all.json")
    skipped = SkippedFiles()
    (image,) = read_images(path, layout, skipped)
    assert (image.path, image.box) == ("yes/y1.png", "36 26 9 9")
    assert dict(skipped.table().to_numpy().tolist()) == {
        "parts/TRAIN/y1.png": "the path does not match {label}/{file}", "parts/all.json": "the annotation file"
    }  # fmt: skip
    with pytest.raises(UserError, match=r"does not contain all.json, which `annotations` names"):
        list(read_images(path, layout.model_copy(update={"annotations": "all.json"}), skipped))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=8))
def test_fill_shape_any_polygon_is_inside_its_corners(corners: list[tuple[float, float]]) -> None:
    x, y = zip(*corners, strict=True)
    mask = fill_shape(parse_shape({"name": "polygon", "all_points_x": x, "all_points_y": y}), (50, 70))
    rows, columns = np.nonzero(mask)
    for pixels, coordinates in ((columns, x), (rows, y)):
        if len(pixels):
            assert round(min(coordinates)) <= pixels.min()
            assert pixels.max() <= round(max(coordinates))
