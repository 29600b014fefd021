"""The one line that says what an audit found."""

import cv2
import numpy as np
import pytest

from audit_samples import File, audit_files, sample_audit
from brain_tumor.audit.findings import count_duplicates, count_other_labels, describe_findings
from brain_tumor.audit.summary import summarize_audit
from brain_tumor.audit.transforms import apply_transform
from heads import head, png


def describe(files: list[File], skipped: int = 0) -> str:
    table, links = audit_files(files)
    return describe_findings(table, links, summarize_audit(table, links), skipped)


def copies(*labels: str) -> list[File]:
    return [(f"{number}.png", png(head(1)), label, "", "") for number, label in enumerate(labels)]


def test_describe_findings_sample_files_every_kind() -> None:
    table, links = sample_audit()
    assert describe_findings(table, links, summarize_audit(table, links), 2) == (
        "1 copy, 2 with the same pixels, 1 mirrored, 1 rotated, 1 under another label, 4 test images with a duplicate "
        "in training, 1 test image with a related one in training, 2 unreadable, 1 blank, 1 not like a slice of a "
        "head, 2 files left out"
    )


def test_describe_findings_copies_mirrored_and_other_labels() -> None:
    files = copies("a", "a", "a", "a")
    files += [(f"{n} {m}.png", png(image), "ab"[m], "", "") for n in (2, 3) for m, image in enumerate([head(n)] * 2)]
    assert describe(files) == "5 copies, 2 under another label"
    files = [*copies("a"), ("mirrored.png", png(apply_transform(head(1), 4)), "b", "", "")]
    assert describe(files, 1) == "1 mirrored, 1 under another label, 1 file left out"


def test_describe_findings_distinct_images_no_duplicates() -> None:
    files: list[File] = [(f"{number}.png", png(head(number)), "a", "", "") for number in range(4)]
    assert describe(files) == "no duplicates among 4 images"
    assert describe(files[:1]) == "no duplicates among 1 image"
    assert describe([*files, ("5.png", b"", "a", "", "")]) == "no duplicates among 5 images, 1 unreadable"


def test_count_duplicates_counts_add_up_to_images_less_unique_images() -> None:
    table, links = sample_audit()
    counts = count_duplicates(table, links)
    assert counts == {"exact": 1, "pixels": 2, "near": 0, "mirrored": 1, "rotated": 1}
    assert sum(counts.values()) == len(table) - table["duplicate_id"].nunique()


def test_count_duplicates_image_tied_by_two_kinds_counts_once_by_the_surest() -> None:
    smaller = np.asarray(cv2.resize(head(1), (90, 83), interpolation=cv2.INTER_AREA), np.uint8)
    contents = [png(head(1)), png(head(1)), png(smaller), png(smaller, level=0)]
    counts = count_duplicates(*audit_files([(f"{n}.png", content, "a", "", "") for n, content in enumerate(contents)]))
    assert counts == {"exact": 1, "pixels": 1, "near": 1, "mirrored": 0, "rotated": 0}


def test_count_duplicates_unusable_files_are_not_duplicates() -> None:
    flat = png(np.zeros((9, 9), np.uint8))
    counts = count_duplicates(
        *audit_files([(f"{n}", content, "a", "", "") for n, content in enumerate((flat, flat, b"", b""))])
    )
    assert set(counts.values()) == {0}


@pytest.mark.parametrize(
    ("labels", "count"), [("aaab", 1), ("aabb", 2), ("abc", 2), ("aaa", 0), (("a", "", ""), 0), (("a", "", "b"), 1)]
)
def test_count_other_labels_minority_of_duplicates(labels: tuple[str, ...], count: int) -> None:
    assert count_other_labels(audit_files(copies(*labels))[0]) == count
