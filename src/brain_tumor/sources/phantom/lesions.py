"""The three tumor types: their location, shape and appearance on a contrast-enhanced T1 scan.

All sizes are radii or distances in mm. The appearance follows textbook descriptions: gliomas are irregular, spread
along white matter, and enhance in a ring around a necrotic core or hardly at all; meningiomas grow from the dura on a
broad base and enhance evenly; pituitary adenomas fill the sella and grow upwards. The radii give masks of the size of
real ones: the median of 2,363 masks of figshare's tumors is 1.9 % of the image for gliomas, 1.5 % for meningiomas and
0.7 % for pituitary tumors.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from brain_tumor.core.types import Floats
from brain_tumor.sources.phantom.anatomy import SELLA, inward_normal, load_anatomy
from brain_tumor.sources.phantom.head import Ball
from brain_tumor.sources.phantom.tissue import Contrast, Tissue
from brain_tumor.sources.phantom.volumes import (
    Volume,
    blend,
    broadcast_vector,
    norm,
    sample_noise,
    smooth_union,
    smoothstep,
)


@dataclass(frozen=True)
class Lesion:
    """A tumor that consists of lobes with an irregular surface.

    Attributes:
        center: (3,) in mm in the template.
        radius: half of its typical width in mm.
        lobes: ellipsoids whose smooth union is the tumor, relative to the center.
        bumps: noise over the distance from the center, unit deviation.
        roughness: height of the bumps as a fraction of the radius.
        push: fraction of its volume that displaces the brain instead of replacing it, 0 to 1.
        uptake: brightness of enhancing tumor relative to white matter.
        edema: reach in mm of the swelling along white matter; 0 for none.
    """

    center: Floats
    radius: float
    lobes: tuple[Ball, ...]
    bumps: Volume
    roughness: float
    push: float
    uptake: float
    edema: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Self:
        raise NotImplementedError

    def undo_displacement(self, points: Floats) -> Floats:
        """Return where the tissue at the points (3, n) was before the tumor displaced it outwards: (3, n) in mm."""
        offset = points - broadcast_vector(self.center, points)
        beyond = norm(offset) - self.radius
        pull = 0.45 * self.push * np.exp(-np.clip(beyond, 0, None) / (0.7 * self.radius))
        return points - pull * offset

    def distance(self, tissue: Tissue) -> Floats:
        """Compute the signed distance (n,) to the surface of the tumor in mm, negative inside."""
        offset = tissue.points - broadcast_vector(self.center, tissue.points)
        distance = self.lobes[0].distance(offset)
        for lobe in self.lobes[1:]:
            distance = smooth_union(distance, lobe.distance(offset), 0.5 * self.radius)
        return distance - self.roughness * self.radius * np.tanh(self.bumps.interpolate(offset))

    def coverage(self, tissue: Tissue, distance: Floats) -> Floats:
        """Compute the fraction (n,) of tumor at each point, 0 to 1."""
        return 1 - smoothstep(distance, -0.9, 0.9)

    def brightness(self, tissue: Tissue, contrast: Contrast, distance: Floats) -> Floats:
        """Compute the brightness (n,) of the tumor."""
        raise NotImplementedError

    def paint(self, image: Floats, tissue: Tissue, contrast: Contrast) -> tuple[Floats, Floats]:
        """Paint the tumor onto the healthy image: brightness (n,) and fraction of tumor (n,), edema not included."""
        offset = tissue.points - broadcast_vector(self.center, tissue.points)
        near = norm(offset) < 2.4 * self.radius + self.edema
        result, coverage, tissue = image.copy(), np.zeros_like(image), tissue[near]
        distance = self.distance(tissue)
        coverage[near] = self.coverage(tissue, distance)
        surroundings = self.render_surroundings(image[near], tissue, contrast, distance)
        result[near] = blend(surroundings, self.brightness(tissue, contrast, distance), coverage[near])
        return result, coverage

    def render_surroundings(self, image: Floats, tissue: Tissue, contrast: Contrast, distance: Floats) -> Floats:
        """Render the image (n,) around the tumor: white matter with edema is darker, in a finger-like pattern."""
        if not self.edema:
            return image
        reach = self.edema * (1 + 0.4 * np.tanh(tissue.coarse)) * (0.25 + 0.9 * tissue.white)
        edema = (1 - smoothstep(distance / reach, 0.2, 1.0)) * smoothstep(tissue.white, 0.3, 0.75) * tissue.parenchyma
        return blend(image, 0.6 * contrast.gray + 0.4 * contrast.csf, 0.75 * edema)


@dataclass(frozen=True)
class Glioma(Lesion):
    """An infiltrating tumor of the white matter.

    Attributes:
        wall: thickness in mm of the enhancing ring; None for a low-grade glioma, which hardly enhances.
        core: brightness of the core from 0, fluid, to 1, gray matter.
        spread: how much farther it extends along white matter than through gray, as a fraction of the radius.
    """

    wall: float | None
    core: float
    spread: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Self:
        radius = rng.uniform(13.5, 33)
        high_grade = rng.random() < 0.75
        lobes = [_sample_lobe(rng, radius, rng.uniform(0.65, 0.95), 0.15)]
        lobes += [_sample_lobe(rng, radius, rng.uniform(0.35, 0.65), 0.5) for _ in range(rng.integers(1, 4))]
        return cls(
            center=_choose_site(rng, load_anatomy().deep),
            radius=radius,
            lobes=tuple(lobes),
            bumps=_sample_bumps(rng, radius, fine=0.7),
            roughness=rng.uniform(0.2, 0.36),
            push=rng.uniform(0.3, 0.6),
            uptake=rng.uniform(1.1, 1.6),
            edema=rng.uniform(6, 18) if high_grade else rng.uniform(2, 5),
            wall=rng.uniform(1.8, 5.5) + (6 if rng.random() < 0.15 else 0) if high_grade else None,
            core=rng.uniform(0.05, 0.6),
            spread=rng.uniform(0.12, 0.3),
        )

    def distance(self, tissue: Tissue) -> Floats:
        return super().distance(tissue) - self.spread * self.radius * (tissue.white - 0.6)

    def coverage(self, tissue: Tissue, distance: Floats) -> Floats:
        softness = 1.2 if self.wall else 0.16 * self.radius
        coverage = 1 - smoothstep(distance + 0.3 * tissue.fine, -softness, softness)
        return coverage * smoothstep(-tissue.brain, -1.5, 0.5) * (0.35 + 0.65 * tissue.parenchyma)

    def brightness(self, tissue: Tissue, contrast: Contrast, distance: Floats) -> Floats:
        mottle = 1 + 0.16 * tissue.coarse + 0.05 * tissue.fine
        core = (contrast.csf + self.core * (contrast.gray - contrast.csf)) * mottle
        if self.wall is None:
            faint = smoothstep(tissue.coarse, 1.0, 2.0) * (contrast.white * self.uptake - core)
            return np.asarray(0.55 * core + 0.4 * contrast.gray + 0.3 * faint)
        bump = self.bumps.interpolate(tissue.points - broadcast_vector(self.center, tissue.points))
        wall = self.wall * (1 + 0.6 * np.tanh(bump + 0.5 * tissue.coarse))
        ring = smoothstep(distance + 0.7 * tissue.fine, -wall - 1.6, -wall + 1.0)
        patchy = 1 - 0.45 * smoothstep(tissue.coarse - 0.6 * bump, 0.4, 1.8)
        bright = contrast.white * self.uptake * (1 + 0.06 * tissue.fine + 0.08 * tissue.coarse)
        return blend(core, bright, ring * patchy)


@dataclass(frozen=True)
class Meningioma(Lesion):
    """A tumor of the dura, outside the brain.

    Attributes:
        root: (3,) where it is attached to the dura, in mm in the template.
        tail: length of the dural tail as a fraction of the radius.
        side: +1 or -1 if it grows from the falx to that side, else 0.
        blotches: relative deviation of its brightness over about 5 mm.
    """

    root: Floats
    tail: float
    side: float
    blotches: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Self:
        root = _choose_site(rng, load_anatomy().base if rng.random() < 0.4 else load_anatomy().surface)
        side = float(rng.choice([-1.0, 1.0])) if abs(root[0]) < 3 else 0.0
        normal = np.array([side, 0.0, 0.0]) if side else inward_normal(root)
        radius = rng.uniform(13, 31)
        lobes = [_sample_lobe(rng, radius, rng.uniform(0.85, 1.0), 0.05)]
        lobes += [_sample_lobe(rng, radius, rng.uniform(0.4, 0.6), 0.45) for _ in range(rng.integers(0, 3))]
        return cls(
            center=root + normal * radius * rng.uniform(0.1, 0.5),
            radius=radius,
            lobes=tuple(lobes),
            bumps=_sample_bumps(rng, radius, fine=0.3),
            roughness=rng.uniform(0.05, 0.15),
            push=rng.uniform(0.75, 1.0),
            uptake=rng.uniform(0.95, 1.4),
            edema=rng.uniform(4, 13) if rng.random() < 0.45 else 0.0,
            root=root,
            tail=rng.uniform(1.1, 1.7),
            side=side,
            blotches=rng.uniform(0.02, 0.1),
        )

    def distance(self, tissue: Tissue) -> Floats:
        distance = super().distance(tissue)
        if self.side:  # the falx is a wall
            distance = np.maximum(distance, 0.6 - self.side * tissue.points[0])
        return distance

    def coverage(self, tissue: Tissue, distance: Floats) -> Floats:
        return super().coverage(tissue, distance) * (1 - smoothstep(tissue.brain, 1.4, 2.8))

    def brightness(self, tissue: Tissue, contrast: Contrast, distance: Floats) -> Floats:
        bright = contrast.white * self.uptake
        return bright * (1 + self.blotches * tissue.coarse + contrast.grain * tissue.fine)

    def render_surroundings(self, image: Floats, tissue: Tissue, contrast: Contrast, distance: Floats) -> Floats:
        image = super().render_surroundings(image, tissue, contrast, distance)
        cleft = np.exp(-(((distance - 1.5) / 0.8) ** 2)) * smoothstep(-tissue.brain, -1, 2)
        image = blend(image, contrast.csf, 0.65 * cleft)
        offset = tissue.points - broadcast_vector(self.root, tissue.points)
        along = norm(offset) / self.radius
        dura = np.exp(-(((tissue.brain - 1.2) / 0.9) ** 2)) * (1 - smoothstep(along, 0.7, self.tail))
        return blend(image, contrast.white * self.uptake * 0.95, 0.9 * dura)


@dataclass(frozen=True)
class Pituitary(Lesion):
    """An adenoma of the pituitary gland.

    Attributes:
        cyst: radius of a dark center as a fraction of the radius, often 0.
    """

    cyst: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Self:
        radius = rng.uniform(8, 19)
        large = radius > 9
        width, lean = rng.uniform(0.85, 1.15), rng.normal(0, 0.12)
        lobes = [Ball((0, 0, -0.15 * radius), (radius * width, 0.85 * radius, 0.8 * radius))]
        if large:  # constricted by the diaphragm of the sella, it has the shape of a snowman
            upper = radius * rng.uniform(0.5, 0.85)
            lobes.append(Ball((lean * radius, 0, 0.75 * radius), (upper, 0.9 * upper, upper)))
        if large and rng.random() < 0.35:  # into the cavernous sinus
            side = float(rng.choice([-0.8, 0.8]))
            lobes.append(Ball((side * radius, 0, 0), (0.5 * radius, 0.5 * radius, 0.45 * radius)))
        return cls(
            center=SELLA + rng.normal(0, 1.2, 3) + np.array([0, 0, 0.2 * radius]),
            radius=radius,
            lobes=tuple(lobes),
            bumps=_sample_bumps(rng, radius, fine=0.4),
            roughness=rng.uniform(0.06, 0.16),
            push=0.8,
            uptake=rng.uniform(0.7, 1.3),
            edema=0.0,
            cyst=rng.uniform(0.3, 0.6) if rng.random() < 0.25 else 0.0,
        )

    def brightness(self, tissue: Tissue, contrast: Contrast, distance: Floats) -> Floats:
        solid = contrast.white * self.uptake * (1 + 0.08 * tissue.coarse + contrast.grain * tissue.fine)
        if not self.cyst:
            return solid
        edge = (self.cyst - 1) * self.radius
        hollow = 1 - smoothstep(distance + 0.8 * tissue.coarse, edge - 1, edge + 1)
        return blend(solid, 1.5 * contrast.csf, hollow)


LESIONS: dict[str, type[Lesion]] = {"glioma": Glioma, "meningioma": Meningioma, "pituitary": Pituitary}


def _choose_site(rng: np.random.Generator, sites: Floats) -> Floats:
    return sites[:, rng.integers(sites.shape[1])]


def _sample_lobe(rng: np.random.Generator, radius: float, size: float, scatter: float) -> Ball:
    """Sample an ellipsoid of about `size` radii, about `scatter` radii off the center."""
    x, y, z = rng.normal(0, scatter * radius, 3)
    a, b, c = radius * size * rng.uniform(0.8, 1.25, 3)
    return Ball((x, y, z), (a, b, c))


def _sample_bumps(rng: np.random.Generator, radius: float, fine: float) -> Volume:
    """Sample noise that is correlated over half a radius, plus finer noise of deviation `fine`."""
    coarse = sample_noise(rng, size=32, correlation=3.0, spacing=radius / 6, deviation=1.0)
    detail = sample_noise(rng, size=32, correlation=1.3, spacing=radius / 6, deviation=fine)
    return Volume(coarse.data + detail.data, coarse.origin, coarse.spacing, coarse.beyond)
