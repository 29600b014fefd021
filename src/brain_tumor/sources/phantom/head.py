"""The head around the brain, built of ellipsoids and tubes: outer skin, face, skull base, neck, vessels.

Positions are in mm in MNI space (x to the right, y to the front, z up). They were set by eye according to atlases of
cross-sectional anatomy. Each shape off the midline represents a pair, one on each side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brain_tumor.core.types import Floats

MAX_DISTANCE_MM = 8.0
"""Distances are computed up to this many mm from a shape; nothing is rendered farther outside."""

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Ball:
    """An ellipsoid with semi-axes along the coordinate axes."""

    center: Point
    radii: Point

    def bounds(self) -> tuple[Floats, Floats]:
        center, radii = np.array(self.center), np.array(self.radii)
        return center - radii, center + radii

    def distance(self, points: Floats) -> Floats:
        """Approximate signed distance in mm, negative inside: (3, ...) -> (...)."""
        offset = [points[axis] - self.center[axis] for axis in range(3)]
        near = np.sqrt(sum((offset[axis] / self.radii[axis]) ** 2 for axis in range(3)))
        slope = np.sqrt(sum((offset[axis] / self.radii[axis] ** 2) ** 2 for axis in range(3)))
        return np.asarray(near * (near - 1) / np.maximum(slope, 1e-6))


@dataclass(frozen=True)
class Tube:
    """A straight tube with hemispherical ends."""

    start: Point
    end: Point
    radius: float

    def bounds(self) -> tuple[Floats, Floats]:
        ends = np.array([self.start, self.end])
        return ends.min(0) - self.radius, ends.max(0) + self.radius

    def distance(self, points: Floats) -> Floats:
        """Signed distance in mm, negative inside: (3, ...) -> (...)."""
        along = [end - start for start, end in zip(self.start, self.end, strict=True)]
        offset = [points[axis] - self.start[axis] for axis in range(3)]
        fraction = sum(offset[axis] * along[axis] for axis in range(3)) / sum(step**2 for step in along)
        fraction = np.clip(fraction, 0, 1)
        gap = np.sqrt(sum((offset[axis] - fraction * along[axis]) ** 2 for axis in range(3)))
        return np.asarray(gap - self.radius)


Shape = Ball | Tube

SKIN: Sequence[Shape] = (
    Ball((0, 40, -66), (58, 52, 54)),  # face
    Ball((0, 46, -104), (46, 42, 26)),  # jaw
    Tube((0, 84, -32), (0, 101, -58), 9),  # nose
    Tube((0, -32, -60), (0, -34, -240), 55),  # neck
    Ball((40, -6, -66), (32, 42, 34)),  # angle of the jaw
    Ball((76, -20, -38), (10, 13, 26)),  # ears
)

FAT: Sequence[Shape] = (
    Ball((30, 46, -37), (16, 27, 16)),  # orbit
    Ball((44, 54, -76), (7, 14, 13)),  # cheek
    Ball((25, 6, -84), (5, 9, 20)),  # parapharyngeal space
    Ball((53, -8, -80), (6, 11, 17)),  # parotid gland
    Ball((0, -84, -110), (9, 5, 40)),  # nape
    Ball((58, 28, -30), (5, 14, 14)),  # temporal fossa
)

CORTEX: Sequence[Shape] = (
    Tube((0, -28, -72), (0, -30, -240), 11),  # spine
    Ball((26, -28, -72), (18, 8, 7)),  # first vertebra
    Ball((34, -24, -46), (22, 9, 9)),  # petrous bone
    Ball((0, 54, -80), (24, 26, 3.5)),  # palate
    Ball((0, 68, -89), (25, 18, 8)),  # teeth
    Tube((46, 4, -66), (45, 10, -104), 5.5),  # jaw
    Tube((45, 10, -104), (10, 78, -116), 6.5),
    Tube((10, 78, -116), (0, 80, -116), 7),
    Ball((44, 62, -58), (9, 7, 6)),  # cheekbone
    Tube((45, 57, -58), (64, 12, -52), 3),
)

MARROW: Sequence[Shape] = (
    Tube((0, -25, -74), (0, -25, -88), 4.5),  # dens
    *(Ball((0, -29, -98 - 17 * row), (11, 8.5, 7)) for row in range(7)),  # vertebral bodies
    *(Ball((0, -70, -98 - 17 * row), (3, 12, 4.5)) for row in range(7)),  # spinous processes
    Ball((26, -28, -72), (15, 5, 4.5)),
    Tube((46, 4, -70), (45, 10, -104), 3),
    Tube((45, 10, -104), (10, 78, -116), 4),
    Ball((44, 62, -58), (6, 4.5, 4)),
)

MUSCLE: Sequence[Shape] = (
    Tube((27, 44, -36), (9, 12, -26), 2.2),  # optic nerve
    Tube((19, 54, -36), (14, 26, -33), 2),  # eye muscles
    Tube((44, 52, -36), (22, 24, -34), 2),
    Tube((31, 54, -23), (19, 25, -30), 2),
    Tube((31, 54, -49), (19, 25, -37), 2),
    Ball((32, 68, -36), (4.5, 2.2, 4.5)),  # lens
    Ball((0, 44, -98), (20, 30, 14)),  # tongue
    Ball((50, 26, -84), (8, 16, 22)),  # masseter
)

FLUID: Sequence[Shape] = (
    Ball((32, 57.5, -36), (12.2, 12.2, 12.2)),  # eyeball
    Tube((0, -46, -68), (0, -49, -240), 9),  # spinal canal
)

CORD: Sequence[Shape] = (Tube((0, -45.5, -64), (0, -48.5, -240), 5.2),)

AIR: Sequence[Shape] = (
    Ball((9, 73, -18), (8, 4.5, 10)),  # frontal sinus
    *(Ball((6.3, y, z), (4.8, radius, 8)) for y, z, radius in ((33, -41, 5), (44, -38, 6.5), (57, -39, 7))),  # ethmoid
    Ball((7, 20, -46), (6.2, 12, 8)),  # sphenoid sinus
    Ball((27, 50, -63), (12, 15, 14)),  # maxillary sinus
    Ball((3.6, 62, -60), (2.2, 28, 15)),  # nasal cavity
    Ball((12, 58, -74), (2, 24, 3.5)),
    Tube((0, 14, -68), (0, 2, -84), 7),  # pharynx
    Tube((0, 2, -84), (0, 0, -128), 5),
    Tube((0, 2, -132), (0, -4, -240), 8),  # windpipe
    Tube((56, -20, -44), (80, -20, -42), 2.6),  # ear canal
    *(Ball((x, y, -50), (3.4, 4, 7)) for x, y in ((48, -36), (55, -32), (52, -43), (58, -40))),  # mastoid
)

CLIVUS: Sequence[Shape] = (Tube((0, 0, -46), (0, -21, -66), 5.5), Ball((0, -4, -39), (8, 2, 5)))

GLAND: Sequence[Shape] = (
    Ball((0, 5, -33), (6.5, 4.5, 3.3)),  # pituitary gland
    Tube((0, 4, -29), (0, 1, -21), 1.2),  # its stalk
)

VEIN: Sequence[Shape] = (
    Ball((11, 4, -34), (4, 9, 6)),  # cavernous sinus
    Tube((0, -104, -6), (52, -76, -24), 3.6),  # transverse sinus
    Tube((52, -76, -24), (60, -46, -36), 3.6),
    Tube((60, -46, -36), (42, -34, -58), 3.6),  # sigmoid sinus
    Tube((30, -16, -66), (32, -8, -240), 5.5),  # jugular vein
)

FLOW: Sequence[Shape] = (
    Tube((12, 8, -34), (12, -4, -36), 2.3),  # internal carotid artery, without signal
    Tube((12, 10, -34), (11, 6, -26), 2.2),
    Tube((24, -4, -66), (26, 4, -240), 2.8),
    Tube((0, -10, -32), (0, -20, -54), 1.6),  # basilar artery
)

TISSUES = {
    "fat": FAT,
    "cortex": CORTEX,
    "marrow": MARROW,
    "muscle": MUSCLE,
    "fluid": FLUID,
    "cord": CORD,
    "air": AIR,
    "clivus": CLIVUS,
    "gland": GLAND,
    "vein": VEIN,
    "flow": FLOW,
}
"""Shapes of each tissue outside the brain."""


def add_mirror_images(shapes: Sequence[Shape]) -> list[Shape]:
    """Add the mirror image of each shape that is not on the midline."""

    def mirror(point: Point) -> Point:
        return -point[0], point[1], point[2]

    pairs: list[Shape] = []
    for shape in shapes:
        pairs.append(shape)
        if isinstance(shape, Ball) and shape.center[0]:
            pairs.append(Ball(mirror(shape.center), shape.radii))
        elif isinstance(shape, Tube) and (shape.start[0] or shape.end[0]):
            pairs.append(Tube(mirror(shape.start), mirror(shape.end), shape.radius))
    return pairs


def compute_distance(shapes: Sequence[Shape], axes: Sequence[Floats]) -> Floats:
    """Compute the signed distance to the nearest of the shapes on a grid.

    Args:
        axes: the x, y and z positions of the grid in mm, (X,), (Y,) and (Z,).

    Returns:
        (X, Y, Z) in mm, negative inside, at most MAX_DISTANCE_MM.
    """
    distance = np.full([len(axis) for axis in axes], MAX_DISTANCE_MM)
    for shape in add_mirror_images(shapes):
        low, high = shape.bounds()
        window = tuple(
            slice(*np.searchsorted(axis, (low[i] - MAX_DISTANCE_MM, high[i] + MAX_DISTANCE_MM)))
            for i, axis in enumerate(axes)
        )
        points = np.stack(np.meshgrid(*(axis[cut] for axis, cut in zip(axes, window, strict=True)), indexing="ij"))
        distance[window] = np.minimum(distance[window], shape.distance(points))
    return distance
