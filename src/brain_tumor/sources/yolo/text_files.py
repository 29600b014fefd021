"""The text files of a YOLO data set: data.yaml with the names of the classes, and the boxes of one image."""

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.files import normalize_name
from brain_tumor.datasets.readers.labels_from_boxes import CategoryBox

MAX_BRACKETS = 1000  # of data.yaml: parsing nested ones takes time in proportion to the square of their number
NUM_BOX_FIELDS = 5  # class, center x, center y, width, height
MIN_POLYGON_FIELDS = 7  # class and three corners
# Boxes partly outside the image are clipped, but numbers this far from 0 to 1 are no fractions of width and height.
MIN_FRACTION, MAX_FRACTION = -1.0, 2.0


def parse_names(content: bytes, source: str) -> dict[int, str]:
    """Return the normalized name of each class by its number.

    Args:
        content: YAML with `names`, a list or a mapping of numbers to names. It is read as YAML 1.2: `no` and `yes` are
            text.
        source: name of the file in messages.

    Raises:
        UserError: not YAML, no such names, or a data set of key points, whose lines cannot be told from polygons.
    """
    try:
        text = content.decode("utf-8-sig")
        if text.count("[") + text.count("{") > MAX_BRACKETS:
            raise ValueError(f"more than {MAX_BRACKETS:,} brackets")
        document = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{source} is not valid YAML: {problem}") from None
    fields = document if isinstance(document, dict) else {}
    if "kpt_shape" in fields:
        raise UserError(f"{source} describes key points (`kpt_shape`): export the data set with boxes or polygons")
    names = fields.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise UserError(f"{source} has no `names` of classes, such as `names: [glioma, meningioma]`")
    for number, name in names.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise UserError(f"{source}: the keys of `names` must be the numbers of the classes, from 0")
        if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
            raise UserError(f"{source}: the name of class {number} is not text: put it into quotes")
    return {number: normalize_name(str(name)) for number, name in names.items()}


def parse_boxes(content: bytes, source: str, names: dict[int, str]) -> list[CategoryBox]:
    """Return the boxes of an image in fractions of its width and height.

    A line is `class x y width height` with the center of a box, or `class x1 y1 x2 y2 x3 y3 …` with the corners of a
    polygon, of which the bounding box is returned. Empty lines are passed over.

    Args:
        content: text, UTF-8.
        source: name of the file in messages.
        names: names of the classes.

    Raises:
        UserError: a line that is neither, or of an unknown class, or with coordinates that are far from 0 to 1, such as
            pixels; the message has its number.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{source} is not text in UTF-8") from None
    return [
        _parse_line(line.split(), f"{source}, line {number}", names)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _parse_line(fields: list[str], line: str, names: dict[int, str]) -> CategoryBox:
    is_polygon = len(fields) >= MIN_POLYGON_FIELDS and len(fields) % 2 == 1
    if len(fields) != NUM_BOX_FIELDS and not is_polygon:
        raise UserError(
            f"{line}: {len(fields)} fields; a box has {NUM_BOX_FIELDS} (class x y width height), a polygon an odd "
            f"number from {MIN_POLYGON_FIELDS}"
        )
    try:
        category, *numbers = map(float, fields)
    except ValueError:
        raise UserError(f"{line}: not all fields are numbers") from None
    name = names.get(int(category)) if category.is_integer() else None
    if name is None:
        raise UserError(f"{line}: class {fields[0][:20]} is not in `names` (0 to {max(names)})")
    if any(number < MIN_FRACTION or number > MAX_FRACTION for number in numbers):
        raise UserError(f"{line}: coordinates must be fractions of width and height, from 0 to 1, not pixels")
    if not is_polygon:
        x, y, width, height = numbers
        return CategoryBox(name, x - width / 2, y - height / 2, width, height)
    xs, ys = numbers[::2], numbers[1::2]
    # One corner that is not a number makes the sum, and with it the box, not a number.
    left, top = min(xs) + 0 * sum(xs), min(ys) + 0 * sum(ys)
    return CategoryBox(name, left, top, max(xs) - left, max(ys) - top)
