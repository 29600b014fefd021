"""Shapes drawn by hand, as masks and boxes."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heads import head, png
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from brain_tumor.archive import RawImage
from brain_tumor.errors import UserError
from brain_tumor.images import read_gray
from brain_tumor.regions import Drawn, Shape, bounds, filled
from brain_tumor.zips import Layout, read_images

SQUARE = {"name": "polygon", "all_points_x": [2, 5, 5, 2], "all_points_y": [1, 1, 3, 3]}
DISK = {"name": "circle", "cx": 40, "cy": 30, "r": 4}
CONTENT = png(head(1))


def shape(values: dict[str, Any]) -> Shape:
    found: Shape = TypeAdapter(Shape).validate_python(values)
    return found


def via(**files: list[dict[str, Any]]) -> dict[str, Any]:
    """An annotation file as VIA 2 exports it; `y1` stands for y1.png."""
    return {
        f"{name}.png{len(CONTENT)}": {
            "filename": f"{name}.png",
            "size": len(CONTENT),
            "regions": [{"shape_attributes": attributes, "region_attributes": {}} for attributes in shapes],
            "file_attributes": {},
        }
        for name, shapes in files.items()
    }


def drawn(content: Any, *paths: str, image: bytes = CONTENT) -> list[RawImage]:
    found = Drawn(json.dumps(content).encode(), "a.zip: via.json")
    return list(found.add_to(RawImage(path, image, "tumor") for path in paths))


def test_a_box_reaches_the_outermost_pixels() -> None:
    mask = np.zeros((5, 8), bool)
    mask[0, 7] = mask[4, 2] = True
    assert bounds(mask) == "2 0 6 5"


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
        ({"name": "circle", "cx": 0, "cy": 0, "r": 2}, "0 0 3 3", 8),  # what lies outside is cut off
        ({"name": "circle", "cx": -50, "cy": 0, "r": 2}, "", 0),
    ],
)
def test_shapes_cover_what_was_drawn(values: dict[str, Any], box: str, area: int) -> None:
    mask = filled(shape(values), (60, 80))
    assert bounds(mask) == box
    assert mask.sum() == pytest.approx(area, rel=0.15)


def test_masks_and_boxes_reach_the_images_of_those_names() -> None:
    with_two, with_none = drawn(via(y1=[SQUARE, DISK], y2=[]), "yes/y1.png", "no/no1.png")
    mask = read_gray(with_two.mask or b"")
    assert mask.shape == read_gray(CONTENT).shape
    assert set(np.unique(mask)) == {0, 255}
    assert mask[2, 3] == mask[30, 40] == 255
    assert mask[20, 20] == 0
    assert with_two.box == "2 1 4 3;36 26 9 9"
    assert (with_none.mask, with_none.box) == (None, "")


def test_older_files_and_projects_of_the_annotator_are_read_too() -> None:
    (image,) = drawn({"_via_settings": {}, "_via_img_metadata": via(y1=[SQUARE])}, "y1.png")
    assert image.box == "2 1 4 3"
    first = {"y1.png-1": {"filename": "y1.png", "size": -1, "regions": {"0": {"shape_attributes": SQUARE}}}}
    assert drawn(first, "y1.png")[0].box == "2 1 4 3"


def test_another_file_of_the_same_name_gets_no_mask(caplog: pytest.LogCaptureFixture) -> None:
    (image,) = drawn(via(y1=[SQUARE], y2=[SQUARE]), "y1.png", image=png(head(2)))
    assert image.mask is None
    assert "y1.png left without a mask: not the file that was drawn on" in caplog.text
    assert "1 of 2 files with shapes are not among the images (y2.png" in caplog.text


def test_points_and_shapes_outside_cover_nothing(caplog: pytest.LogCaptureFixture) -> None:
    outside = DISK | {"cx": -500}
    (image,) = drawn(via(y1=[{"name": "point", "cx": 3, "cy": 4}, {}, SQUARE, outside]), "y1.png")
    assert image.box == "2 1 4 3"
    assert not caplog.text
    (image,) = drawn(via(y1=[outside]), "y1.png")
    assert (image.mask, image.box) == (None, "")
    assert "y1.png left without a mask" in caplog.text


def test_an_image_that_cannot_be_read_stays_as_it_is() -> None:
    broken = CONTENT[:50].ljust(len(CONTENT), b"?")
    assert drawn(via(y1=[SQUARE]), "y1.png", image=broken) == [RawImage("y1.png", broken, "tumor")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "is no annotation file of VIA"),
        ({"x": {"regions": []}}, "x.filename: Field required"),
        (via(y1=[{"name": "star"}]), "y1.png.*is no annotation file|is no annotation file of VIA: y1.png"),
        (via(y1=[SQUARE | {"all_points_y": [1]}]), "as many x as y"),
        (via(y1=[DISK | {"r": 1e9}]), "less than or equal to 100000"),
        (via(y1=[SQUARE]) | {"again": via(y1=[DISK])[f"y1.png{len(CONTENT)}"]}, "several entries for y1.png"),
    ],
)
def test_what_is_no_annotation_file_is_named(content: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        drawn(content, "y1.png")
    assert str(caught.value).startswith("a.zip: via.json")


def test_a_name_that_two_images_have_is_an_error() -> None:
    with pytest.raises(UserError, match=r"y1.png may be a/y1.png or b/y1.png"):
        drawn(via(y1=[SQUARE]), "a/y1.png", "b/y1.png")


def test_a_layout_names_the_annotation_file(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("yes/y1.png", CONTENT)
        archive.writestr("parts/TRAIN/y1.png", CONTENT)
        archive.writestr("parts/all.json", json.dumps(via(y1=[DISK])))
    layout = Layout(path="{label}/{file}", labels={"yes": "tumor"}, drawn="parts/all.json")
    (image,) = read_images(path, layout)
    assert (image.path, image.box) == ("yes/y1.png", "36 26 9 9")
    with pytest.raises(UserError, match=r"holds no all.json, which `drawn` names"):
        list(read_images(path, layout.model_copy(update={"drawn": "all.json"})))


numbers = st.floats(-200, 200)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8))
def test_any_polygon_stays_within_its_corners(corners: list[tuple[float, float]]) -> None:
    x, y = zip(*corners, strict=True)
    mask = filled(shape({"name": "polygon", "all_points_x": x, "all_points_y": y}), (50, 70))
    rows, columns = np.nonzero(mask)
    for found, given_values in ((columns, x), (rows, y)):
        if len(found):
            assert round(min(given_values)) <= found.min()
            assert found.max() <= round(max(given_values))
