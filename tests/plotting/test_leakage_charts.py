"""Charts of leakage and of shared images."""

from io import BytesIO
from pathlib import Path

from brain_tumor.core.subsets import CLEAN, LEAK_TYPES
from brain_tumor.plotting.leakage import LEAK_STYLES, plot_accuracy_by_leak, plot_overlap_matrix

BY_LEAK = {"duplicate": (0.99, 0.98, 1.0, 499), "same_group": (0.95, 0.9, 0.98, 81), CLEAN: (0.9, 0.85, 0.94, 233)}


def test_leak_styles_cover_all_types_of_leakage() -> None:
    assert tuple(LEAK_STYLES) == (*LEAK_TYPES, CLEAN)


def test_plot_accuracy_by_leak_missing_types_are_left_out() -> None:
    charts = []
    for by_leak in (BY_LEAK, BY_LEAK, {CLEAN: BY_LEAK[CLEAN]}):
        buffer = BytesIO()
        plot_accuracy_by_leak(buffer, by_leak, "edge: 813 test images")
        charts.append(buffer.getvalue())
    assert charts[0] == charts[1] != charts[2]
    assert b"duplicate in training (n = 499): 0.990 (0.980\xe2\x80\x931.000)" in charts[0]
    assert b"(n = 499)" not in charts[2]


def test_plot_overlap_matrix_counts_of_two_data_sets_are_drawn(tmp_path: Path) -> None:
    shared = {
        "navoneel": {"images": 253, "duplicate": {"nickparvar": 117}, "same_group": {"nickparvar": 117}},
        "nickparvar": {"images": 7023, "duplicate": {"navoneel": 1329}, "same_group": {"navoneel": 1491}},
    }
    plot_overlap_matrix(tmp_path / "shared.png", shared)
    assert (tmp_path / "shared.png").stat().st_size > 5000
