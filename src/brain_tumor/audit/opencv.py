"""Settings of OpenCV during an audit."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def opencv_in_one_thread(vector_code: bool = True) -> Iterator[None]:
    """Let OpenCV compute in one thread, since images are processed in parallel anyway.

    Args:
        vector_code: allow the vector instructions of the processor, on which the last bits of some results depend.
    """
    num_threads, optimized = cv2.getNumThreads(), cv2.useOptimized()
    cv2.setNumThreads(1)
    cv2.setUseOptimized(optimized and vector_code)
    try:
        yield
    finally:
        cv2.setNumThreads(num_threads)
        cv2.setUseOptimized(optimized)
