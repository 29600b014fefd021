"""The files of a source that are not images of the data set: each with the reason, none in silence."""

import logging
from collections import defaultdict

import pandas as pd

log = logging.getLogger(__name__)
COLUMNS = ["path", "reason"]
MAX_NAMED = 3  # files of one reason that the log names


class SkippedFiles:
    """Collects the files that a source leaves out, and why."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def add(self, path: str, reason: str) -> None:
        """Note one file.

        Args:
            path: path in the source, `/` between folders.
            reason: what it is or why it is left out, such as "a text file"; equal reasons are counted together.
        """
        self._reasons[path] = reason

    def reason(self, path: str) -> str:
        """Return why a file is left out, '' if it is not."""
        return self._reasons.get(path, "")

    def update(self, others: "SkippedFiles", prefix: str = "") -> None:
        """Add all files of another collection, with `prefix` before their paths."""
        for path, reason in others._reasons.items():
            self.add(prefix + path, reason)

    def table(self) -> pd.DataFrame:
        """Return the files with the columns path and reason, sorted by path."""
        rows = [(readable_path(path), reason) for path, reason in sorted(self._reasons.items())]
        return pd.DataFrame(rows, columns=COLUMNS, dtype=str)

    def by_reason(self) -> list[tuple[str, list[str]]]:
        """Return each reason with the sorted paths of its files; the most frequent reason comes first."""
        paths: defaultdict[str, list[str]] = defaultdict(list)
        for path, reason in sorted(self._reasons.items()):
            paths[reason].append(path)
        return sorted(paths.items(), key=lambda item: (-len(item[1]), item[0]))

    def log_summary(self, source: str) -> None:
        """Log the number of files for each reason, and name the first ones."""
        for reason, paths in self.by_reason():
            names = ", ".join(map(readable_path, paths[:MAX_NAMED])) + (", …" if len(paths) > MAX_NAMED else "")
            log.warning("%s: not an image of this data set: %d × %s (%s)", source, len(paths), reason, names)


def readable_path(path: str) -> str:
    """Return a path with control characters and bytes that are not UTF-8 escaped, for logs and tables."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in path)
