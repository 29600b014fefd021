"""How the images of one set are related to those of another: the surest kind, the evidence, and the way there."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from brain_tumor.audit.groups import GROUPING_KINDS, IDENTITY_KINDS
from brain_tumor.core.types import Masks

COLUMNS = ["path", "kind", "other", "transform", "distance", "correlation", "through"]


ARROW = " → "  # between the paths of `through`


class _Link(NamedTuple):
    other: int
    kind: str
    transform: str
    distance: float
    correlation: float


def relate_images(table: pd.DataFrame, links: pd.DataFrame, subjects: Masks, others: Masks) -> pd.DataFrame:
    """Find for each image of one set the surest relation to an image of another set.

    An image is related by a kind if links of this kind or surer ones lead to it from the other set, directly or through
    further images. Unreadable and blank images are related to none by their content.

    Args:
        table, links: see `audit.audit_images`.
        subjects, others: (N,) masks of the rows of `table` in either set.

    Returns:
        A row for each related subject, in the order of `table`: path, kind (of GROUPING_KINDS), other (path of the
        nearest image of the other set), transform, distance and correlation of the link between the two, and through:
        the paths of the images in between, from the subject on, with ARROW between them. Where there are images in
        between, distance is the largest and correlation the smallest of the links on the way, and transform is ''. Both
        numbers are NaN where the way has only links by patient or series.
    """
    rows = pd.Series(np.arange(len(table)), table["path"])
    usable = (table["problem"] == "").to_numpy()
    paths, result = table["path"].tolist(), {}
    neighbors: list[list[_Link]] = [[] for _ in paths]
    remaining = set(np.flatnonzero(subjects).tolist())
    for kind in GROUPING_KINDS:
        for first, second, transform, distance, correlation in _select_kind(links, kind):
            one, other = int(rows[first]), int(rows[second])
            if kind in IDENTITY_KINDS or (usable[one] and usable[other]):
                neighbors[one].append(_Link(other, kind, transform, distance, correlation))
                neighbors[other].append(_Link(one, kind, transform, distance, correlation))
        came_from = _search(neighbors, np.flatnonzero(others).tolist())
        for row in sorted(remaining & came_from.keys()):
            result[row] = (paths[row], kind, *_trace(row, came_from, paths))
        remaining -= came_from.keys()
    return pd.DataFrame([result[row] for row in sorted(result)], columns=COLUMNS)


def _select_kind(links: pd.DataFrame, kind: str) -> Iterable[tuple[str, str, str, float, float]]:
    chosen = links.loc[links["kind"] == kind, ["first", "second", "transform", "distance", "correlation"]]
    rows: Iterable[tuple[str, str, str, float, float]] = chosen.itertuples(index=False, name=None)
    return rows


def _search(neighbors: list[list[_Link]], starts: Iterable[int]) -> dict[int, tuple[int, _Link] | None]:
    """Search from the starts along all links; return each row that is reached, with the row before it, if any."""
    came_from: dict[int, tuple[int, _Link] | None] = dict.fromkeys(starts)
    queue = deque(came_from)
    while queue:
        row = queue.popleft()
        for link in neighbors[row]:
            if link.other not in came_from:
                came_from[link.other] = (row, link)
                queue.append(link.other)
    return came_from


def _trace(
    row: int, came_from: dict[int, tuple[int, _Link] | None], paths: list[str]
) -> tuple[str, str, float, float, str]:
    """Return other, transform, distance, correlation and through of a subject."""
    way: list[int] = []
    links: list[_Link] = []
    while (step := came_from[row]) is not None:
        row, link = step
        # Links by patient lead from each image of a patient to the next: those in between say nothing.
        if links and link.kind in IDENTITY_KINDS and link.kind == links[-1].kind:
            way.pop()
            links.pop()
        way.append(row)
        links.append(link)
    transform = links[0].transform if len(links) == 1 else ""
    distances, correlations = [link.distance for link in links], [link.correlation for link in links]
    return (
        paths[way[-1]],
        transform,
        float(np.fmax.reduce(distances)),
        float(np.fmin.reduce(correlations)),
        ARROW.join(paths[number] for number in way[:-1]),
    )
