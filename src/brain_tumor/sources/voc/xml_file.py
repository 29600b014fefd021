"""The XML file with the boxes of one image, as Pascal VOC defines it; an XML file is untrusted input."""

from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.files import normalize_name
from brain_tumor.datasets.readers.labels_from_boxes import CategoryBox, Size, plausible_size

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class Annotation(NamedTuple):
    """Content of one XML file.

    Attributes:
        image: file name of the image as the file states it, without folders; '' if it does not.
        boxes: boxes in pixels, counted from 0; any numbers.
        size: width and height of the image in pixels as the file states them, None if it does not.
    """

    image: str
    boxes: list[CategoryBox]
    size: Size | None


def parse_annotation(content: bytes, source: str) -> Annotation | None:
    """Parse an XML file; None if it is another document than an `annotation`.

    `xmin`, `ymin`, `xmax` and `ymax` are the first and last pixels of a box, counted from 1, as Pascal VOC defines
    them. Programs that count from 0 are one pixel off; what is then outside the image is clipped by the caller.

    Args:
        content: XML without a document type, so that no entities are defined or expanded.
        source: name of the file in messages.

    Raises:
        UserError: not XML, a document type, or an object without a name or without four numbers as its box.
    """
    root = _parse_xml(content, source)
    if root.tag != "annotation":
        return None
    name = (root.findtext("filename") or "").strip().replace("\\", "/").rpartition("/")[2]
    place = f"{source} (image {name or 'without a name'})"
    boxes = [_parse_object(item, f"{place}: object {n}") for n, item in enumerate(root.iterfind("object"), start=1)]
    size = plausible_size(*(_parse_number(root.findtext(f"size/{side}")) for side in ("width", "height")))
    return Annotation(name, boxes, size)


def _parse_object(item: Element, place: str) -> CategoryBox:
    name = normalize_name(item.findtext("name") or "")
    if not name:
        raise UserError(f"{place} has no name")
    numbers = [_parse_number(item.findtext(f"bndbox/{corner}")) for corner in CORNERS]
    left, top, right, bottom = (number if number is not None else float("nan") for number in numbers)
    if None in numbers:
        raise UserError(f"{place} has no box: `bndbox` must have the numbers {', '.join(CORNERS)}")
    return CategoryBox(name, left - 1, top - 1, right - left + 1, bottom - top + 1)


def _parse_number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _parse_xml(content: bytes, source: str) -> Element:
    builder = TreeBuilder()

    def reject_document_type(*details: object) -> None:
        raise UserError(f"{source} has a document type (DOCTYPE), which could define entities: rejected")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reject_document_type
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError) as error:  # ValueError: an encoding of several bytes
        raise UserError(f"{source} is not valid XML: {error}") from None
    root: Element = builder.close()
    return root
