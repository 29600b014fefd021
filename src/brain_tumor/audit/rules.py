"""The rules of a gate: what test images must not have in common with training images."""

from typing import NamedTuple


class Rule(NamedTuple):
    """A rule.

    Attributes:
        id: identifier in tables, JSON and JUnit files; it never changes.
        title: what breaks it.
    """

    id: str
    title: str


# By kind of link, the surest first.
LEAKS = {
    "exact": Rule("leak-exact", "a test image has the same bytes as a training image"),
    "pixels": Rule("leak-pixels", "a test image has the same pixels as a training image"),
    "near": Rule("leak-near", "a test image is a training image, re-encoded, rescaled or otherwise changed"),
    "mirrored": Rule("leak-mirrored", "a test image is a mirrored training image"),
    "rotated": Rule("leak-rotated", "a test image is a rotated training image"),
    "patient": Rule("leak-patient", "a test image is of a patient who has training images"),
    "series": Rule("leak-series", "a test image is of a series that has training images"),
    "adjacent": Rule("leak-adjacent", "a test image is a slice near a training image"),
}
UNREADABLE = Rule("unreadable", "an image cannot be read, and was compared with nothing")
RULES = (*LEAKS.values(), UNREADABLE)
