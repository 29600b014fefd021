"""Healthy tissue: its type at each point of a patient's head, and its brightness on the patient's scan."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from brain_tumor.core.types import Floats, Masks
from brain_tumor.sources.phantom.anatomy import load_anatomy
from brain_tumor.sources.phantom.volumes import Volume, blend, smoothstep

EDGE_HALF_WIDTH_MM = 0.7
"""Half the width in mm of the transition from one tissue to the next."""


@dataclass(frozen=True)
class Contrast:
    """Brightness of the tissues on a contrast-enhanced T1 scan; 0 is black, about 1 the brightest fat.

    Attributes:
        grain: relative deviation of the fine texture.
        skull: scales the thickness of the bone.
        scalp: depth of the fat under the skin in mm.
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
    def sample(cls, rng: np.random.Generator) -> Self:
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
    """Properties of the tissue at n points.

    Attributes:
        points: (3, n) positions in the template in mm, before a tumor displaces the brain.
        t1: (n,) template intensity, 0 to 1.
        white: (n,) probability of white matter, 0 to 1.
        parenchyma: (n,) fraction of brain tissue, 0 to 1.
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
    def interpolate(cls, points: Floats, brain_points: Floats, texture: Volume) -> Self:
        """Interpolate the healthy head.

        Args:
            points: (3, n) in mm in the template, for everything except the brain itself.
            brain_points: (3, n) the same points, after displacement by folds and tumors, for the brain.
            texture: noise of unit deviation and 1 mm voxels.
        """
        head = load_anatomy()
        t1, brain = head.t1.interpolate(brain_points) / 255, head.brain.interpolate(points)
        return cls(
            points=points,
            t1=t1,
            white=head.white.interpolate(brain_points) / 255,
            # A tumor displaces the brain up to the bone, not through it.
            parenchyma=smoothstep(t1, 0.04, 0.3) * (1 - smoothstep(brain, 0.5, 2.5)),
            brain=brain,
            skin=head.skin.interpolate(points),
            fine=texture.interpolate(points / 1.3),
            coarse=texture.interpolate(points / 4.5 + 31.0),
        )

    def __getitem__(self, mask: Masks) -> Self:
        """Return the tissue at the points that the mask (n,) selects."""
        return type(self)(*(getattr(self, field.name)[..., mask] for field in fields(self)))


def render_healthy(tissue: Tissue, contrast: Contrast, texture: Volume) -> Floats:
    """Compute the brightness (n,) of the head without a tumor."""
    levels = [contrast.csf * 0.8, contrast.csf, contrast.gray, contrast.white, contrast.white * 1.04]
    image = np.interp(tissue.t1, [0.0, 0.34, 0.66, 0.88, 1.0], levels)
    image *= 1 + contrast.grain * (tissue.fine + 0.3 * tissue.coarse)
    bare = tissue.parenchyma < 1
    surroundings = _render_surroundings(tissue[bare], contrast, texture)
    image[bare] = blend(surroundings, image[bare], tissue.parenchyma[bare])
    return image * _compute_coverage(tissue.skin)


def _compute_coverage(distance: Floats) -> Floats:
    """Compute the fraction (n,) of each point inside a shape from the signed distance to the shape."""
    return 1 - smoothstep(distance, -EDGE_HALF_WIDTH_MM, EDGE_HALF_WIDTH_MM)


def _render_surroundings(tissue: Tissue, contrast: Contrast, texture: Volume) -> Floats:
    """Compute the brightness (n,) of everything except the brain, from the deepest layer upwards."""
    shapes = {name: volume.interpolate(tissue.points) for name, volume in load_anatomy().tissues.items()}
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
    image = _render_muscles(tissue, contrast, texture)
    for name, level in under_the_skull.items():
        image = blend(image, level, _compute_coverage(shapes[name]))
    image = _add_skull(image, tissue, contrast)
    for name, level in over_the_skull.items():
        image = blend(image, level, _compute_coverage(shapes[name]))
    return _add_sagittal_sinus(image, tissue, contrast)


def _render_muscles(tissue: Tissue, contrast: Contrast, texture: Volume) -> Floats:
    """Render muscles of face and neck: bundles along the body's axis with fat between them, under fat and skin."""
    stretch = np.array([[6.5], [6.5], [22.0]])
    bundles = texture.interpolate(tissue.points / stretch)
    image = contrast.muscle * (1 + 0.05 * tissue.fine + 0.1 * tissue.coarse + 0.1 * bundles)
    image = blend(image, contrast.fat * 0.8, 0.65 * np.exp(-((bundles / 0.16) ** 2)))
    scalp = smoothstep(tissue.skin + contrast.scalp + 0.6 * tissue.coarse, -1.2, 1.2)
    image = blend(image, contrast.fat * (0.92 + 0.08 * tissue.coarse), scalp)
    return blend(image, contrast.muscle * 1.2, smoothstep(tissue.skin, -2.6, -1.2))


def _add_skull(image: Floats, tissue: Tissue, contrast: Contrast) -> Floats:
    """Add fluid, inner table, marrow and outer table around the brain; the skull base is thinner than the vault."""
    thickness = contrast.skull * np.interp(tissue.points[2], [-34, -4], [0.5, 1.0])
    depth = tissue.brain / thickness + 0.35 * tissue.coarse
    marrow = contrast.marrow * np.exp(-(((depth - 5.9) / 1.4) ** 2)) * (0.85 + 0.3 * tissue.coarse)
    image = blend(image, 0.05 + np.clip(marrow, 0, None), 1 - smoothstep(depth, 8.2, 9.4))
    return blend(image, contrast.csf * (1 + 0.1 * tissue.coarse), 1 - smoothstep(depth, 1.8, 3.0))


def _add_sagittal_sinus(image: Floats, tissue: Tissue, contrast: Contrast) -> Floats:
    """Add the large vein along the top of the midline, filled with contrast agent."""
    x, y, z = tissue.points
    high = smoothstep(z - 0.5 * np.clip(y + 20, 0, None), -10, 15)
    opacity = np.exp(-((x / 4.0) ** 2) - ((tissue.brain - 1.2) / 2.4) ** 2) * high
    return blend(image, contrast.vein, opacity)
