"""The eight symmetries of a square: rotations by multiples of 90° and their mirror images."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from brain_tumor.core.types import Ints

T = TypeVar("T", bound=np.generic)

# The transform of a link turns its second image into the first. Number k: rotated k % 4 times by 90°
# counterclockwise, then, from 4 on, mirrored left–right.
TRANSFORMS = ("none", "rotate-90", "rotate-180", "rotate-270", "left-right", "diagonal", "up-down", "antidiagonal")


def apply_transform(image: NDArray[T], transform: int) -> NDArray[T]:
    """Apply a transform, by its number in TRANSFORMS, to the last two axes."""
    rotated = np.rot90(image, transform % 4, (-2, -1))
    return np.ascontiguousarray(rotated[..., ::-1] if transform >= 4 else rotated)


def dihedral_tables() -> tuple[Ints, Ints]:
    """Return the composition table and the inverses of the transforms.

    Returns:
        composed: (8, 8), at [a, b] the number of the transform that equals a followed by b.
        inverse: (8,), the number of the transform that undoes each one.
    """
    corners = np.arange(4, dtype=np.uint8).reshape(2, 2)
    numbers = {apply_transform(corners, k).tobytes(): k for k in range(8)}
    composed = np.array(
        [[numbers[apply_transform(apply_transform(corners, a), b).tobytes()] for b in range(8)] for a in range(8)]
    )
    return composed, composed.argmin(1)
