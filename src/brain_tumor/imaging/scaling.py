"""Scaling values of any range to 0 to 1."""

import numpy as np

from brain_tumor.core.types import Floats

PERCENTILES = (0.5, 99.8)


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
