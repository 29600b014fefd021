"""Array types of the whole library; the docstring of each function states the shapes."""

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]  # gray levels, 0 to 255
Masks = NDArray[np.bool_]  # True inside
Maps = NDArray[np.float32]  # heat maps, 0 or more
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are the first ones outside
