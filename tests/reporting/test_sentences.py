"""Sentences about the metrics of a recipe."""

import pytest

from brain_tumor.reporting.sentences import best_baseline, headline_text
from example_results import make_results


@pytest.mark.parametrize(
    ("leaks", "clean_count", "expected"),
    [
        (
            (0, 0, 0),
            20,
            "None of the 20 test images is of a patient in training or validation; accuracy 0.900.",
        ),
        (
            (5, 0, 0),
            15,
            "Of 20 test images, 5 have a duplicate in the training or validation images. Accuracy on all test images: "
            "0.900; on the 15 clean ones: 0.800.",
        ),
        (
            (4, 3, 2),
            11,
            "Of 20 test images, 7 have a duplicate in the training or validation images (3 of them mirrored or "
            "rotated) and 2 more have an adjacent slice or another slice of the same patient there. Accuracy on all "
            "test images: 0.900; on the 11 clean ones: 0.800.",
        ),
        (
            (0, 0, 20),
            0,
            "Of 20 test images, 20 have an adjacent slice or another slice of the same patient there. "
            "Accuracy on all test images: 0.900. No image is known to be of a patient without images in training: "
            "there is no clean figure.",
        ),
        (
            (12, 0, 0, 8),
            0,
            "Of 20 test images, 12 have a duplicate in the training or validation images and the patients of 8 others "
            "are not known. Accuracy on all test images: 0.900. No image is known to be of a patient without images "
            "in training: there is no clean figure.",
        ),
        (
            (0, 0, 0, 20),
            0,
            "No related image of the 20 test images was found in training or validation, but their patients are not "
            "known: there is no clean figure. Accuracy 0.900.",
        ),
    ],
)
def test_headline_text_counts_leaking_images(leaks: tuple[int, ...], clean_count: int, expected: str) -> None:
    assert headline_text(make_results(leaks, clean_count)) == expected


def test_best_baseline_is_the_most_accurate_one() -> None:
    assert best_baseline(make_results((0, 0, 0), 20)) == "forest: 0.650 (0.500–0.990)"
