"""The one rule that turns values of any range into gray levels, where a file states none."""

import numpy as np
from PIL import Image

from brain_tumor.core.types import Floats, Gray, Masks

PERCENTILES = (0.5, 99.8)
MIN_BACKGROUND_FRACTION = 0.2  # of the values: share of the most frequent value from which it is the background
MIN_PADDING_GAP = 0.1  # between padding and the next value, as a fraction of the range of the others
MAX_PADDING_LEVELS = 3  # different values of padding
MAX_OUTLIER_FRACTION = 0.1  # of the values that may be far above all others
MIN_LEVELS = 16  # different values of an image that is not only text or a mask
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


def scale_by_percentiles(values: Floats, padding: Masks | None = None, background: Masks | None = None) -> Floats:
    """Scale values of any range to 0 to 1: the 0.5th percentile becomes 0 and the 99.8th becomes 1.

    Padding takes no part in the percentiles and becomes 0: that of the argument or, without it, of `find_padding`.
    Background counts as the smallest value: that of the argument, values that are not finite and, where there are
    negative values, a value that a fifth of all have (a z-scored head on 0). A few values that are far above all
    others, such as burned-in text, are lowered to these, see `lower_outliers`.

    Args:
        values: array of any shape.
        padding: of the same shape, True for values that are known to be padding.
        background: of the same shape, True for values that are known to be background.

    Raises:
        ValueError: no finite value is left.
    """
    is_finite = np.isfinite(values)
    background = ~is_finite if background is None else background | ~is_finite
    padding = find_padding(values) if padding is None else padding & is_finite
    inside = values[~(background | padding)]
    if not inside.size:
        raise ValueError("all values are padding or not finite")
    if inside.min() < 0:
        levels, counts = np.unique(inside, return_counts=True)
        most = int(counts.argmax())
        if most > 0 and counts[most] >= MIN_BACKGROUND_FRACTION * values.size:
            background |= values == levels[most]
            inside = values[~(background | padding)]
    filled = np.where(background, inside.min(), values) if background.any() else values
    if not padding.any():
        return scale_to_unit(clip_percentiles(lower_outliers(filled)))
    kept = lower_outliers(filled[~padding])
    darkest, brightest = np.percentile(kept, PERCENTILES)
    scaled = ((filled - darkest) / max(brightest - darkest, 1e-9)).clip(0, 1)
    return np.where(padding, 0.0, scaled)


def find_padding(values: Floats) -> Masks:
    """Find padding: negative smallest values that are far below all others, such as -32768 around a scan.

    Above them there are at least MIN_LEVELS different values.

    Args:
        values: array of any shape; values that are not finite are not padding.

    Returns:
        Of the same shape, True for padding.
    """
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() >= 0:
        return np.zeros(values.shape, np.bool_)
    levels = np.unique(finite)
    for number in range(1, min(MAX_PADDING_LEVELS, len(levels) - MIN_LEVELS) + 1):
        last, gap, others = levels[number - 1], levels[number] - levels[number - 1], levels[-1] - levels[number]
        if last >= 0:
            break
        if gap > MIN_PADDING_GAP * others:
            padding: Masks = values <= last
            return padding
    return np.zeros(values.shape, np.bool_)


def lower_outliers(values: Floats) -> Floats:
    """Lower a few values that are far above all others to the largest of these.

    They are at most MAX_OUTLIER_FRACTION of the values, with a gap below them of more than half of the whole range and
    at least MIN_LEVELS different values below the gap: a hot pixel, burned-in text, or padding with a large value.

    Args:
        values: array of any shape, all finite.
    """
    # A gap of more than half of the range contains a whole quarter of it.
    if not values.size or np.histogram(values, 4)[0].all():
        return values
    levels = np.unique(values)
    if len(levels) <= MIN_LEVELS:
        return values
    last = int(np.diff(levels).argmax())  # the last level below the widest gap
    is_wide = levels[last + 1] - levels[last] > (levels[-1] - levels[0]) / 2
    if not is_wide or last + 1 < MIN_LEVELS or (values > levels[last]).mean() > MAX_OUTLIER_FRACTION:
        return values
    lowered: Floats = np.minimum(values, levels[last])
    return lowered


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
