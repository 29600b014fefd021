"""The one rule that turns values of any range into gray levels, where a file states none."""

import numpy as np
from PIL import Image

from brain_tumor.core.types import Floats, Gray, Ints, Masks

PERCENTILES = (0.5, 99.8)
MIN_BACKGROUND_FRACTION = 0.2  # of the values: share of the most frequent value from which it is the background
MIN_PADDING_FRACTION = 0.01  # of the values: share of the smallest value from which it may be padding
MIN_PADDING_GAP = 0.1  # between the smallest value and the next one, as a fraction of the range of the others
MAX_ASPECT = 16.0  # of a pixel: spacings that differ more are errors of the header
SQUARE_TOLERANCE = 0.01  # relative difference of two spacings up to which pixels count as square


def clip_percentiles(values: Floats) -> Floats:
    """Clip an array of any shape to its 0.5th and 99.8th percentile."""
    return np.clip(values, *np.percentile(values, PERCENTILES))


def scale_to_unit(values: Floats) -> Floats:
    """Scale an array of any shape linearly, so that its smallest value becomes 0 and its largest 1.

    Raises:
        ValueError: a value is not finite.
    """
    low, high = float(values.min()), float(values.max())
    if not np.isfinite((low, high)).all():
        raise ValueError("values that are not finite")
    return (values - low) / max(high - low, 1e-9)


def scale_by_percentiles(values: Floats, padding: Masks | None = None) -> Floats:
    """Scale values of any range to 0 to 1: the 0.5th percentile becomes 0 and the 99.8th becomes 1.

    Padding takes no part in the percentiles and becomes 0: that of the argument, and a smallest value that is far below
    all others. Background counts as the smallest value: values that are not finite and, where there are negative
    values, a value that a fifth of all have (a z-scored head on 0).

    Args:
        values: array of any shape.
        padding: of the same shape, True for values that are known to be padding.

    Raises:
        ValueError: no finite value is left.
    """
    background = ~np.isfinite(values)
    padding = np.zeros(values.shape, np.bool_) if padding is None else padding & ~background
    inside = values[~(background | padding)]
    if not inside.size:
        raise ValueError("all values are padding or not finite")
    if inside.min() < 0:
        levels, counts = np.unique(inside, return_counts=True)
        if _is_far_below(levels, counts):
            padding = padding | (values == levels[0])
            levels, counts = levels[1:], counts[1:]
        most = int(counts.argmax())
        if most > 0 and counts[most] >= MIN_BACKGROUND_FRACTION * values.size:
            background |= values == levels[most]
        inside = values[~(background | padding)]
    low = float(inside.min()) if inside.size else 0.0
    filled = np.where(background, low, values) if background.any() else values
    if not padding.any():
        return scale_to_unit(clip_percentiles(filled))
    darkest, brightest = np.percentile(filled[~padding], PERCENTILES)
    scaled = ((filled - darkest) / max(brightest - darkest, 1e-9)).clip(0, 1)
    return np.where(padding, 0.0, scaled)


def _is_far_below(levels: Floats, counts: Ints) -> bool:
    """Return whether the first of ascending levels is padding: frequent, and far below the second one."""
    if len(levels) < 3 or counts[0] < MIN_PADDING_FRACTION * counts.sum():
        return False
    return bool(levels[1] - levels[0] > MIN_PADDING_GAP * (levels[-1] - levels[1]))


def to_gray_levels(unit: Floats) -> Gray:
    """Convert values from 0 to 1, of any shape, to gray levels."""
    return np.rint(255 * unit).astype(np.uint8)


def make_pixels_square(image: Gray, row_spacing: float, column_spacing: float) -> Gray:
    """Enlarge an (H, W) image along one axis so that its pixels become square.

    Args:
        image: gray levels, or a mask of 0 and 255, which stays one.
        row_spacing: distance between the centers of two rows, in any unit.
        column_spacing: distance between the centers of two columns, in the same unit.

    Returns:
        The image with bicubic interpolation; unchanged if its pixels are square already.

    Raises:
        ValueError: spacings that are not positive, or differ more than MAX_ASPECT-fold.
    """
    if not (row_spacing > 0 and column_spacing > 0):
        raise ValueError(f"pixel spacings {row_spacing:g} and {column_spacing:g}, which must be positive")
    aspect = row_spacing / column_spacing
    if abs(aspect - 1) <= SQUARE_TOLERANCE:
        return image
    if not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT:
        raise ValueError(f"pixel spacings {row_spacing:g} and {column_spacing:g}, which differ too much")
    height, width = image.shape
    size = (width, round(height * aspect)) if aspect > 1 else (round(width / aspect), height)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
