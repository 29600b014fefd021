"""The healthy head, which is deformed for each patient: the MNI152 brain in a skull, with scalp and face."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import nibabel as nib
import numpy as np
from scipy import ndimage as ndi

from brain_tumor.core.types import Floats, Gray, Masks
from brain_tumor.sources.phantom.head import MAX_DISTANCE_MM, SKIN, TISSUES, compute_distance
from brain_tumor.sources.phantom.volumes import Volume, norm, sample_noise, smooth_union

BRAIN_ORIGIN = np.array([-98.0, -134.0, -72.0])
"""MNI position in mm of the first voxel of the template, whose voxels are 1 mm."""

SELLA = np.array([0.0, 5.0, -33.0])
"""Center of the pituitary gland, in mm in MNI space."""

CORNERS = np.array([-100.0, -136.0, -152.0]), np.array([100.0, 122.0, 104.0])
GRID_SPACING_MM = 2.0
SCALP_AND_SKULL_MM = 14.0


@dataclass(frozen=True)
class Anatomy:
    """Volumes of the healthy head in MNI space; distances are signed, in mm, negative inside.

    Attributes:
        t1: T1 intensity of the brain, sharpened, 0 to 255, 0 outside it.
        white: probability of white matter, 0 to 255.
        brain: distance to the brain's hull, which spans the sulci.
        skin: distance to the outer surface of the head.
        tissues: distance to each tissue in `brain_tumor.sources.phantom.head.TISSUES`.
        deep: (3, n) points in white matter, where gliomas grow.
        surface: (3, n) points under the dura of the hemispheres, falx included, where meningiomas grow.
        base: (3, n) points under the dura of the skull base and the posterior fossa.
        texture: noise of unit deviation and 1 mm voxels, for the grain of all tissues.
    """

    t1: Volume
    white: Volume
    brain: Volume
    skin: Volume
    tissues: dict[str, Volume]
    deep: Floats
    surface: Floats
    base: Floats
    texture: Volume


@cache
def load_anatomy() -> Anatomy:
    """Load the template that nilearn contains and build the head around it; cached, about two seconds."""
    t1, white = _load_template("t1"), _load_template("wm")
    axes = [np.arange(low, high, GRID_SPACING_MM) for low, high in zip(*CORNERS, strict=True)]
    tissue = _resample_to_grid(t1, axes) > 0
    hull = ndi.binary_closing(tissue, ndi.generate_binary_structure(3, 1), iterations=6)
    brain = _signed_distance(ndi.binary_fill_holes(hull))
    skin = smooth_union(brain - SCALP_AND_SKULL_MM, compute_distance(SKIN, axes), MAX_DISTANCE_MM)
    deep, surface, base = _find_sites(axes, tissue, brain, _resample_to_grid(white, axes))
    return Anatomy(
        t1=Volume(_sharpen(t1), BRAIN_ORIGIN, 1.0, "constant"),
        white=Volume(white, BRAIN_ORIGIN, 1.0, "constant"),
        brain=_make_volume(brain),
        skin=_make_volume(_signed_distance(skin < 0)),
        tissues={name: _crop_to_near(compute_distance(shapes, axes)) for name, shapes in TISSUES.items()},
        deep=deep,
        surface=surface,
        base=base,
        texture=sample_noise(np.random.default_rng(7), size=96, correlation=1.0, spacing=1.0, deviation=1.0),
    )


def _load_template(kind: str) -> Gray:
    """Read one of nilearn's MNI152 2009a volumes, 197 × 233 × 189 voxels of 1 mm."""
    name = f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    with as_file(files("nilearn") / "datasets" / "data" / name) as path:
        return np.asarray(nib.Nifti1Image.from_filename(path).dataobj, dtype=np.uint8)


def _sharpen(t1: Gray) -> Gray:
    """Sharpen the brain: the template is blurred, since it is the average of 152 brains."""
    values, inside = t1.astype(np.float32), (t1 > 0).astype(np.float32)
    weight = np.maximum(ndi.gaussian_filter(inside, 1.6), np.float32(1e-3))
    detail = values - ndi.gaussian_filter(values, 1.6) / weight
    return np.rint(np.clip(values + np.float32(0.9) * detail, 0, 255) * inside).astype(np.uint8)


def _resample_to_grid(template: Gray, axes: list[Floats]) -> Gray:
    """Resample the template to a coarser grid, nearest neighbor, 0 outside."""
    resampled = np.zeros([len(axis) for axis in axes], np.uint8)
    voxels = [(axis - low).astype(int) for axis, low in zip(axes, BRAIN_ORIGIN, strict=True)]
    valid = [(v >= 0) & (v < size) for v, size in zip(voxels, template.shape, strict=True)]
    resampled[np.ix_(*valid)] = template[np.ix_(*(v[ok] for v, ok in zip(voxels, valid, strict=True)))]
    return resampled


def _signed_distance(mask: Masks) -> Floats:
    """Compute the signed distance to the edge of a mask on the grid, smoothed to hide the steps between voxels."""
    outside, inside = ndi.distance_transform_edt(~mask), ndi.distance_transform_edt(mask)
    return ndi.gaussian_filter(GRID_SPACING_MM * (np.asarray(outside) - np.asarray(inside)), 1.2)


def _make_volume(distance: Floats) -> Volume:
    return Volume(distance.astype(np.float32), CORNERS[0], GRID_SPACING_MM)


def _crop_to_near(distance: Floats) -> Volume:
    """Crop a distance field to where distances are below MAX_DISTANCE_MM, so that fewer voxels are interpolated."""
    window = ndi.find_objects((distance < MAX_DISTANCE_MM).astype(np.uint8))[0]
    origin = CORNERS[0] + GRID_SPACING_MM * np.array([part.start for part in window])
    return Volume(distance[window].astype(np.float32), origin, GRID_SPACING_MM, "constant", MAX_DISTANCE_MM)


def _find_sites(axes: list[Floats], tissue: Masks, brain: Floats, white: Gray) -> tuple[Floats, Floats, Floats]:
    """Find the points where tumors may start: deep white matter, convexity and falx, skull base; (3, n) each, in mm."""
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    depth = GRID_SPACING_MM * np.asarray(ndi.distance_transform_edt(tissue))
    rim = (depth > 0) & (depth < 2.5) & (np.abs(brain) < 4)
    falx = (depth > 6) & (np.abs(x) < 3) & (z > 30) & (np.abs(y + 10) < 60)
    convexity = (rim & (np.abs(x) > 12) & (z > -15)) | falx
    base = rim & (z <= -15) & (z > -56) & (y > -75)

    def points(mask: Masks) -> Floats:
        return np.stack([axis[index] for axis, index in zip(axes, np.nonzero(mask), strict=True)])

    return points((white > 215) & (depth > 8) & (z > -40)), points(convexity), points(base)


def inward_normal(point: Floats) -> Floats:
    """Return the unit vector (3,) that points from a point (3,) near the surface of the brain to its inside."""
    steps = np.eye(3) * 6.0
    brain = load_anatomy().brain
    slope = brain.interpolate(point[:, None] - steps) - brain.interpolate(point[:, None] + steps)
    return slope / np.maximum(norm(slope), 1e-9)
