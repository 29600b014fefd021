"""Near-duplicate detection: candidates by compact descriptors, screened by estimates, verified by aligned pixels."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from brain_tumor.audit.candidates import CandidatePairs, compute_spectra, find_candidates
from brain_tumor.audit.comparison import (
    ADJACENT_CORRELATION,
    DUPLICATE_CORRELATION,
    Pair,
    View,
    best_correlation,
)
from brain_tumor.audit.screening import MIN_ESTIMATE, estimate_correlations, reduce_thumbnails
from brain_tumor.audit.transforms import TRANSFORMS
from brain_tumor.core.types import Gray, Ints, Masks
from brain_tumor.parallel import ordered_map

MIN_LISTED_CORRELATION = 0.80  # pairs from here to ADJACENT_CORRELATION are listed as rejected
NUM_NEIGHBORS = (4, 8, 8, 8)  # looked up for each image, by pass
NUM_BATCHES = 16  # of each pass; pairs that an earlier batch joined are skipped


class PixelLink(NamedTuple):
    """A pair of similar images: row numbers and evidence, see `find_near_duplicates`."""

    first: int
    second: int
    transform: str
    distance: float
    correlation: float
    kind: str


def find_near_duplicates(frames: Gray, heads: Gray, title: str) -> pd.DataFrame:
    """Link images that show the same slice or adjacent ones.

    An image may have more duplicates than neighbors are looked up, and its duplicates then fall into several classes
    at first. So one image of each duplicate class enters the next pass, until a pass joins nothing.

    Args:
        frames, heads: (N, THUMBNAIL_SIDE, THUMBNAIL_SIDE) uint8, the thumbnails; may be memory-mapped. Their order
            decides between equal pairs: sort them by content, so that file names do not matter.
        title: title of the progress bars.

    Returns:
        One row per aligned pair that correlates at least MIN_LISTED_CORRELATION: first, second (row numbers),
        transform (of TRANSFORMS: turns the second image into the first), distance (of descriptors, 0 to 2),
        correlation (-1 to 1) and kind: `duplicate`, `adjacent` or `rejected`. Pairs within one duplicate class are
        compared only as far as needed to join them.
    """
    if len(frames) < 2:
        return pd.DataFrame(columns=PixelLink._fields)
    spectra = [compute_spectra(thumbnails) for thumbnails in (frames, heads)]
    search = _PairSearch(frames, heads)
    for number, neighbors in enumerate(NUM_NEIGHBORS):
        rows = _pick_representatives(search.component, number)
        pairs = find_candidates([part[rows] for part in spectra], neighbors)
        pairs = pairs._replace(first=rows[pairs.first], second=rows[pairs.second])
        search.compare(pairs, f"{title}: pairs, pass {number + 1}")
        if len(np.unique(search.component)) == len(rows):
            break
    return _drop_links_within_duplicates(pd.DataFrame(search.links, columns=PixelLink._fields), search.component)


class _PairSearch:
    """Comparison of pairs by pixels.

    Attributes:
        component: (N,) the duplicate class of each image.
        links: the pairs that correlate at least MIN_LISTED_CORRELATION, in the order of comparison.
    """

    def __init__(self, frames: Gray, heads: Gray) -> None:
        self._correlate = partial(best_correlation, (frames, heads))
        self._reduced = [reduce_thumbnails(images) for images in (frames, heads)]
        self._count = len(frames)
        self._seen = np.empty(0, np.int64)  # pairs of earlier calls of `compare`, as first * N + second
        self.component = np.arange(self._count, dtype=np.int64)
        self.links: list[PixelLink] = []

    def compare(self, pairs: CandidatePairs, title: str) -> None:
        """Compare candidates in batches, best first, and update the duplicate classes after each batch."""
        keys = pairs.first * self._count + pairs.second
        pairs = self._screen(pairs, are_new=~np.isin(keys, self._seen) & self._are_separate(pairs))
        bar = tqdm(total=len(pairs.first), desc=title, unit="pair", mininterval=1.0)
        for batch in np.array_split(np.argsort(-pairs.score, kind="stable"), NUM_BATCHES):
            part = pairs.select(batch)
            self._compare_batch(part.select(np.flatnonzero(part.views.any((1, 2)) & self._are_separate(part))))
            bar.update(len(batch))
        bar.close()
        self._seen = np.concatenate([self._seen, keys])

    def _screen(self, pairs: CandidatePairs, are_new: Masks) -> CandidatePairs:
        """Select the views of new pairs that are worth an alignment, by closer estimates; other pairs have none."""
        rows, views = np.flatnonzero(are_new), np.zeros_like(pairs.views)
        new = pairs.select(rows)
        estimates = estimate_correlations(self._reduced, new.first, new.second, new.views > 0)
        views[rows] = np.where(estimates >= MIN_ESTIMATE, estimates, 0)
        return pairs._replace(views=views)

    def _are_separate(self, pairs: CandidatePairs) -> Masks:
        """Return which pairs are not in one duplicate class."""
        separate: Masks = self.component[pairs.first] != self.component[pairs.second]
        return separate

    def _compare_batch(self, pairs: CandidatePairs) -> None:
        numbers = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
        items = [Pair(*rows, _list_views(views)) for rows, views in zip(numbers, pairs.views, strict=True)]
        results = ordered_map(self._correlate, items)
        for (first, second, _), distance, (correlation, transform) in zip(
            items, pairs.distance.tolist(), results, strict=True
        ):
            if correlation >= MIN_LISTED_CORRELATION:
                kind = _classify_correlation(correlation)
                self.links.append(PixelLink(first, second, TRANSFORMS[transform], distance, correlation, kind))
        duplicates = np.array([link[:2] for link in self.links if link.kind == "duplicate"], np.int64)
        self.component = find_components(duplicates.reshape(-1, 2), self._count)


def _list_views(estimates: NDArray[np.float32]) -> list[View]:
    """Return the views with an estimate (kinds, 8) above 0, the highest first."""
    views = [View(float(estimates[kind, number]), int(kind), int(number)) for kind, number in np.argwhere(estimates)]
    return sorted(views, key=lambda view: -view.estimate)


def _classify_correlation(correlation: float) -> str:
    if correlation >= DUPLICATE_CORRELATION:
        return "duplicate"
    return "adjacent" if correlation >= ADJACENT_CORRELATION else "rejected"


def _pick_representatives(component: Ints, number: int) -> Ints:
    """Pick one row of each component, another one in each pass: some duplicates are of lower quality than others."""
    order = np.argsort(component, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(component[order]) > 0])
    sizes = np.diff(np.r_[starts, len(order)])
    rows: Ints = order[starts + number % sizes]
    return rows


def _drop_links_within_duplicates(links: pd.DataFrame, component: Ints) -> pd.DataFrame:
    """Drop weaker links (adjacent, rejected) between images that stronger ones put into one duplicate class."""
    within = component[links["first"].to_numpy(int)] == component[links["second"].to_numpy(int)]
    result: pd.DataFrame = links[(links["kind"] == "duplicate") | ~within]
    return result.reset_index(drop=True)


def find_components(links: Ints, count: int) -> Ints:
    """Number the connected components of `count` rows under (L, 2) links."""
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
