"""What a reader did to images, counted for the log."""

import logging
from collections import defaultdict

from brain_tumor.datasets.skipped import readable_path

log = logging.getLogger(__name__)


class ImageCounts:
    """How often something happened to a box or an image, and in which image first."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = defaultdict(int)
        self._first: dict[str, str] = {}

    def add(self, description: str, path: str, count: int = 1) -> None:
        """Count something that happened `count` times in the image at `path`."""
        if count:
            self._counts[description] += count
            self._first.setdefault(description, readable_path(path))

    def log_all(self, source: str) -> None:
        """Log each description with its count and its first image."""
        for description, count in self._counts.items():
            log.info("%s: %s: %d (first: %s)", source, description, count, self._first[description])
