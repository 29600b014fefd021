"""The eight transforms of an image form a group."""

import numpy as np
import pytest

from brain_tumor.audit.transforms import TRANSFORMS, apply_transform, dihedral_tables

CORNERS = np.arange(4, dtype=np.uint8).reshape(2, 2)


def test_dihedral_tables_satisfy_the_group_axioms() -> None:
    composed, inverse = dihedral_tables()
    assert sorted(inverse) == list(range(8))
    for a in range(8):
        assert composed[a, inverse[a]] == composed[inverse[a], a] == 0
        for b in range(8):
            for c in range(8):
                assert composed[composed[a, b], c] == composed[a, composed[b, c]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", CORNERS),
        ("rotate-90", np.rot90(CORNERS)),
        ("left-right", np.fliplr(CORNERS)),
        ("up-down", np.flipud(CORNERS)),
        ("diagonal", CORNERS.T[::-1, ::-1]),
        ("antidiagonal", CORNERS.T),
    ],
)
def test_apply_transform_by_name_moves_corners(name: str, expected: np.ndarray) -> None:
    assert np.array_equal(apply_transform(CORNERS, TRANSFORMS.index(name)), expected)
