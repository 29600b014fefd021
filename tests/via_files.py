"""Annotation files of the VGG Image Annotator (VIA) for one image."""

from typing import Any

from heads import head, png

SQUARE = {"name": "polygon", "all_points_x": [2, 5, 5, 2], "all_points_y": [1, 1, 3, 3]}
DISK = {"name": "circle", "cx": 40, "cy": 30, "r": 4}
CONTENT = png(head(1))


def make_via(**files: list[dict[str, Any]]) -> dict[str, Any]:
    """Make an annotation file as VIA 2 exports it: shapes by name of a file with CONTENT, `y1` being y1.png."""
    return {
        f"{name}.png{len(CONTENT)}": {
            "filename": f"{name}.png",
            "size": len(CONTENT),
            "regions": [{"shape_attributes": attributes, "region_attributes": {}} for attributes in shapes],
            "file_attributes": {},
        }
        for name, shapes in files.items()
    }
