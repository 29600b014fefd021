"""Metrics of a small evaluation, for tests of pages and tables that show results."""

import pandas as pd

from brain_tumor.core.subsets import CLEAN, LEAK_TYPES, MODEL, PUBLISHED
from brain_tumor.reporting.results import Results

COLUMNS = ["model", "reference", "subset", "attribute", "attribute_value", "class", "metric", "n", "value"]


def make_results(leaks: tuple[int, ...], clean_count: int, published: float = 0.9, clean: float = 0.8) -> Results:
    """Make results on 20 test images.

    Args:
        leaks: number of test images by type of leakage; the last types may be left out.
        clean_count: number of clean test images.
        published: accuracy on all test images.
        clean: accuracy on the clean ones, and on each type of leakage.
    """
    lines: list[tuple[object, ...]] = [(MODEL, "", PUBLISHED, "", "", "", "accuracy", 20, published)]
    if clean_count:
        lines.append((MODEL, "", CLEAN, "", "", "", "accuracy", clean_count, clean))
    lines += [
        (MODEL, "", PUBLISHED, "leak", leak, "", "accuracy", count, clean)
        for leak, count in zip(LEAK_TYPES, leaks, strict=False)
        if count
    ]
    lines += [
        (MODEL, "", PUBLISHED, "", "", "<b>", "recall", 20, 0.7),
        (MODEL, "", CLEAN, "", "", "", "calibration_error", 20, 0.1),
        (MODEL, "", PUBLISHED, "plane", "axial", "", "accuracy", 7, 0.6),
    ]
    for model, reference, value in (("forest", "", 0.65), ("svm", "", 0.55), (MODEL, "forest", 0.15)):
        lines += [(model, reference, subset, "", "", "", "accuracy", 20, value) for subset in (PUBLISHED, CLEAN)]
    table = pd.DataFrame(lines, columns=COLUMNS)
    return Results(table.assign(reference_subset="", low=0.5, high=0.99))
