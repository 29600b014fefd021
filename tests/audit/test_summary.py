"""Counts and log of an audit."""

import logging

import pytest

from audit_samples import audit_files, sample_audit
from brain_tumor.audit.summary import log_summary, summarize_audit
from brain_tumor.audit.transforms import apply_transform
from heads import head, png


def test_summarize_audit_sample_files_all_counts() -> None:
    assert summarize_audit(*sample_audit()) == {
        "images": 14,
        "distinct_files": 13,
        "distinct_pixels": 9,
        "unique_images": 9,
        "groups": 8,
        "largest_group": 5,
        "groups_of_several_classes": 1,
        "label_conflicts": 1,
        "patients": 1,
        "series": 0,
        "images_of_known_patients": 2,
        "labels_other_than_in_source": 0,
        "unreadable": 2,
        "blank": 1,
        "quality_warnings": 1,
        "links": {
            "exact": 1, "pixels": 2, "near": 0, "mirrored": 1, "rotated": 1, "patient": 1, "series": 0, "adjacent": 0,
            "rejected": 0,
        },
        "links_across_patients": dict.fromkeys(
            ("exact", "pixels", "near", "mirrored", "rotated", "patient", "series", "adjacent"), 0
        ),
        "images_with_siblings": 2,
        "siblings_linked_by_content": 0,
        "published_test": 6,
        "leaked_exact": 1,
        "leaked_pixels": 2,
        "leaked_duplicates": 4,
        "leaked_group": 5,
        "leaked_transformed_only": 2,
    }  # fmt: skip


def test_summarize_audit_counts_links_across_and_within_patients() -> None:
    files = [("1.png", png(head(1)), "x", "", "p"), ("2.png", png(apply_transform(head(1), 4)), "x", "", "q")]
    counts = summarize_audit(*audit_files(files))
    assert counts["links_across_patients"]["mirrored"] == 1
    assert counts["patients"] == 2
    files = [(name, content, label, split, "p") for name, content, label, split, _ in files]
    counts = summarize_audit(*audit_files(files))
    assert (counts["images_with_siblings"], counts["siblings_linked_by_content"]) == (2, 2)


def test_summarize_audit_no_readable_image_nothing_leaks() -> None:
    table, links = audit_files([("a.png", b"", "x", "train", ""), ("b.png", b"text", "x", "test", "")])
    counts = summarize_audit(table, links)
    assert counts["unreadable"] == 2
    assert (counts["leaked_exact"], counts["leaked_pixels"], counts["leaked_group"]) == (0, 0, 0)


def test_log_summary_sample_files_problems_and_leaks_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    table, links = sample_audit()
    with caplog.at_level(logging.INFO):
        log_summary("sample", table, summarize_audit(table, links))
    assert caplog.messages[-2:] == [
        "sample: 14 images, 9 unique, 8 groups",
        "4 of 6 test images have a duplicate in training (2 only mirrored or rotated), 5 an image of their group",
    ]
    assert "train/text.jpg: unreadable: not an image file" in caplog.messages
    assert "train/noise.png: does not look like a head (no dark background around a head)" in caplog.messages
    assert len(caplog.messages) == 6
