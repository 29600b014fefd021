"""Synthetic duplicates, and the audit's recall and precision on them."""

import numpy as np
import pandas as pd
import pytest

from brain_tumor.audit.inspection import inspect_image
from brain_tumor.audit.transforms import TRANSFORMS, apply_transform
from brain_tumor.imaging.decode import decode_gray
from brain_tumor.studies.synthetic_duplicates import (
    ALTERATIONS,
    MAX_ORIGINALS,
    choose_originals,
    detect_duplicates,
    detection_rates,
    make_duplicate,
    transform_for_index,
)
from heads import head, png


def make_links(*links: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(links, columns=["first", "second", "kind"], dtype=str)


def test_choose_originals_one_of_linked_images_and_no_unusable_ones() -> None:
    table = pd.DataFrame(
        {
            "path": list("abcdefgh"),
            "sha256": list("87654321"),
            "problem": ["", "", "", "blank: all pixels are equal", "", "", "", ""],
        }
    )
    links = make_links(
        ("a", "b", "near"), ("b", "c", "adjacent"), ("c", "e", "series"), ("e", "f", "rejected"),
        ("f", "g", "patient"), ("d", "h", "exact"),
    )  # fmt: skip
    assert choose_originals(table, links) == ["h", "g", "f", "e", "c"]
    assert choose_originals(table, make_links()) == ["h", "g", "f", "e", "c", "b", "a"]


def test_choose_originals_many_images_are_limited_at_even_steps() -> None:
    count = 2 * MAX_ORIGINALS
    names = [f"{n:04d}" for n in range(count)]
    table = pd.DataFrame({"path": names, "sha256": names, "problem": ""})
    paths = choose_originals(table, make_links())
    assert len(paths) == MAX_ORIGINALS
    assert (paths[0], paths[-1]) == (names[0], names[-1])
    assert set(np.diff([int(path) for path in paths])) <= {2, 3}


def test_transform_for_index_all_transforms_are_equally_frequent() -> None:
    assert sorted(transform_for_index(n) for n in range(16)) == sorted([*range(8)] * 2)


def test_make_duplicate_transform_only_is_the_transformed_image() -> None:
    for index in range(8):
        duplicate = decode_gray(make_duplicate(head(1), "transform only", index))
        assert np.array_equal(duplicate, apply_transform(head(1), index))


@pytest.mark.parametrize("alteration", [name for name in ALTERATIONS if name != "transform only"])
def test_make_duplicate_alteration_is_deterministic(alteration: str) -> None:
    files = [make_duplicate(head(1, 224), alteration, index) for index in (8, 8, 16)]
    assert files[0] == files[1]
    assert (files[0] == files[2]) == (alteration in ("inverted", "JPEG quality 20"))  # these have no random numbers
    duplicate = decode_gray(files[0])
    assert duplicate.shape != head(1, 224).shape or (duplicate != head(1, 224)).any()


def test_detection_rates_count_wrong_and_missing_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "1")
    originals = [inspect_image(png(head(seed))) for seed in range(3)]
    # The second duplicate shows another original, the third one none of them.
    images = [apply_transform(head(0), 1), apply_transform(head(0), 2), head(9)]
    detections = detect_duplicates(originals, [inspect_image(png(image)) for image in images], 1)
    assert detections["transform"].tolist() == ["rotate-90", "rotate-180", "rotate-270"]
    assert detections["is_detected"].tolist() == [True, False, False]
    assert detections["num_joined"].tolist() == [2, 2, 0]
    assert detections["num_correct"].tolist() == [1, 0, 0]
    rates = detection_rates(detections, "transform", TRANSFORMS[1:4])
    assert list(rates) == ["attribute", "attribute_value", "synthetic", "recall", "precision"]
    assert rates.to_numpy().tolist() == [
        ["transform", "rotate-90", 1, 1.0, 0.5],
        ["transform", "rotate-180", 1, 0.0, 0.0],
        ["transform", "rotate-270", 1, 0.0, 1.0],
    ]
