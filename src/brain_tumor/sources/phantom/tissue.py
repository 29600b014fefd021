"""Healthy tissue: what lies at each point of a patient's head, and how bright it is on the patient's scan."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from brain_tumor.sources.phantom.anatomy import anatomy
from brain_tumor.sources.phantom.volumes import Floats, Volume, blend, smoothstep

EDGE = 0.7
"""Half the width in mm of the transition from one tissue to the next."""


@dataclass(frozen=True)
class Contrast:
    """Brightness of the tissues on a contrast-enhanced T1 scan; 0 is black, about 1 the brightest fat.

    `grain` is the relative deviation of the fine texture; `skull` scales the thickness of the bone;
    `scalp` is the depth of the fat under the skin in mm.
    """

    csf: float
    gray: float
    white: float
    fat: float
    muscle: float
    marrow: float
    mucosa: float
    vein: float
    gland: float
    grain: float
    skull: float
    scalp: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        gray = rng.uniform(0.42, 0.56)
        return cls(
            csf=rng.uniform(0.09, 0.19),
            gray=gray,
            white=gray * rng.uniform(1.15, 1.5),
            fat=rng.uniform(0.65, 1.0),
            muscle=rng.uniform(0.26, 0.38),
            marrow=rng.uniform(0.25, 0.65),
            mucosa=rng.uniform(0.4, 0.8),
            vein=rng.uniform(0.45, 0.95),
            gland=rng.uniform(0.5, 0.9),
            grain=rng.uniform(0.02, 0.05),
            skull=rng.uniform(0.85, 1.2),
            scalp=rng.uniform(3.5, 6.5),
        )


@dataclass(frozen=True)
class Tissue:
    """What lies at n points.

    Attributes:
        points: (3, n) positions in the template in mm, before any tumor pushed the brain aside.
        t1: (n,) template intensity, 0 to 1.
        white: (n,) probability of white matter, 0 to 1.
        parenchyma: (n,) share of brain tissue, 0 to 1.
        brain, skin: (n,) signed distance to the brain's hull and to the skin in mm, negative inside.
        fine, coarse: (n,) noise of unit deviation, correlated over about 1 and 5 mm.
    """

    points: Floats
    t1: Floats
    white: Floats
    parenchyma: Floats
    brain: Floats
    skin: Floats
    fine: Floats
    coarse: Floats

    @classmethod
    def at(cls, points: Floats, brain_points: Floats, texture: Volume) -> Self:
        """Look up the healthy head.

        Args:
            points: (3, n) in mm in the template, for all but the brain itself.
            brain_points: (3, n) the same points where folds and tumors moved the brain to.
            texture: noise of unit deviation and 1 mm voxels.
        """
        head = anatomy()
        t1, brain = head.t1.at(brain_points) / 255, head.brain.at(points)
        return cls(
            points=points,
            t1=t1,
            white=head.white.at(brain_points) / 255,
            # A tumor pushes the brain against the bone, not through it.
            parenchyma=smoothstep(t1, 0.04, 0.3) * (1 - smoothstep(brain, 0.5, 2.5)),
            brain=brain,
            skin=head.skin.at(points),
            fine=texture.at(points / 1.3),
            coarse=texture.at(points / 4.5 + 31.0),
        )

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Self:
        """The tissue at some of the points."""
        return type(self)(*(getattr(self, field.name)[..., chosen] for field in fields(self)))


def healthy(tissue: Tissue, contrast: Contrast, texture: Volume) -> Floats:
    """Brightness (n,) of the head without a tumor."""
    levels = [contrast.csf * 0.8, contrast.csf, contrast.gray, contrast.white, contrast.white * 1.04]
    image = np.interp(tissue.t1, [0.0, 0.34, 0.66, 0.88, 1.0], levels)
    image *= 1 + contrast.grain * (tissue.fine + 0.3 * tissue.coarse)
    bare = tissue.parenchyma < 1
    surroundings = _around_the_brain(tissue[bare], contrast, texture)
    image[bare] = blend(surroundings, image[bare], tissue.parenchyma[bare])
    return image * _inside(tissue.skin)


def _inside(distance: Floats) -> Floats:
    """Share of each point that lies within a shape, from the signed distance to it."""
    return 1 - smoothstep(distance, -EDGE, EDGE)


def _around_the_brain(tissue: Tissue, contrast: Contrast, texture: Volume) -> Floats:
    """Brightness (n,) of all that is not brain, laid on from the deepest layer up."""
    shapes = {name: volume.at(tissue.points) for name, volume in anatomy().tissues.items()}
    mottle = 1 + 0.12 * tissue.coarse + 2 * contrast.grain * tissue.fine
    # The walls between the cells of the sinuses are of uneven thickness.
    shapes["air"] += 0.7 * tissue.coarse + 0.2
    shapes["mucosa"] = shapes["air"] - 1.2
    under_the_skull: dict[str, Floats | float] = {
        "fat": contrast.fat * (0.7 + 0.15 * tissue.coarse) * mottle,
        "cortex": 0.06,
        "marrow": contrast.marrow * mottle,
        "muscle": contrast.muscle * 1.1 * mottle,
    }
    over_the_skull: dict[str, Floats | float] = {
        "fluid": contrast.csf,
        "cord": contrast.gray * 1.05,
        "clivus": contrast.marrow * mottle,
        "vein": contrast.vein,
        "gland": contrast.gland,
        "mucosa": contrast.mucosa * 0.8 * mottle,
        "air": 0.02,
        "flow": 0.04,
    }
    image = _muscles(tissue, contrast, texture)
    for name, level in under_the_skull.items():
        image = blend(image, level, _inside(shapes[name]))
    image = _skull(image, tissue, contrast)
    for name, level in over_the_skull.items():
        image = blend(image, level, _inside(shapes[name]))
    return _sagittal_sinus(image, tissue, contrast)


def _muscles(tissue: Tissue, contrast: Contrast, texture: Volume) -> Floats:
    """Muscles of face and neck: bundles along the body's axis with fat between them, under fat and skin."""
    stretch = np.array([[6.5], [6.5], [22.0]])
    bundles = texture.at(tissue.points / stretch)
    image = contrast.muscle * (1 + 0.05 * tissue.fine + 0.1 * tissue.coarse + 0.1 * bundles)
    image = blend(image, contrast.fat * 0.8, 0.65 * np.exp(-((bundles / 0.16) ** 2)))
    scalp = smoothstep(tissue.skin + contrast.scalp + 0.6 * tissue.coarse, -1.2, 1.2)
    image = blend(image, contrast.fat * (0.92 + 0.08 * tissue.coarse), scalp)
    return blend(image, contrast.muscle * 1.2, smoothstep(tissue.skin, -2.6, -1.2))


def _skull(image: Floats, tissue: Tissue, contrast: Contrast) -> Floats:
    """Fluid, inner table, marrow, and outer table around the brain; the skull base is thinner than the vault."""
    thickness = contrast.skull * np.interp(tissue.points[2], [-34, -4], [0.5, 1.0])
    depth = tissue.brain / thickness + 0.35 * tissue.coarse
    marrow = contrast.marrow * np.exp(-(((depth - 5.9) / 1.4) ** 2)) * (0.85 + 0.3 * tissue.coarse)
    image = blend(image, 0.05 + np.clip(marrow, 0, None), 1 - smoothstep(depth, 8.2, 9.4))
    return blend(image, contrast.csf * (1 + 0.1 * tissue.coarse), 1 - smoothstep(depth, 1.8, 3.0))


def _sagittal_sinus(image: Floats, tissue: Tissue, contrast: Contrast) -> Floats:
    """The large vein along the top of the midline, filled with contrast agent."""
    x, y, z = tissue.points
    high = smoothstep(z - 0.5 * np.clip(y + 20, 0, None), -10, 15)
    share = np.exp(-((x / 4.0) ** 2) - ((tissue.brain - 1.2) / 2.4) ** 2) * high
    return blend(image, contrast.vein, share)
