"""Finding images that show the same slice: candidates by compact descriptors, proof on aligned pixels."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import cv2
import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from brain_tumor.parallel import ordered_map
from brain_tumor.thumbnails import SIDE, foreground

Gray = NDArray[np.uint8]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

# What a link rests on. Correlations are those of aligned pixels inside the heads, so that dark borders,
# which all images share, prove nothing.
COPY = 0.97
ADJACENT = 0.93
REPORTED = 0.80  # refused pairs down to here are listed
OUTLIERS = 0.05  # share of pixels left out of a comparison: letters, arrows, what a border cuts off
NEIGHBORS = (4, 8, 8, 8)  # looked up for each image, by pass
PROMISING = 0.85  # a pair whose low frequencies correlate less is not looked at closely
RIVALS = 0.03  # views of a pair this close to the best are tried too: heads are nearly symmetric
EXACT_SEARCH = 20_000  # images up to which the nearest-neighbor search is exhaustive
COEFFICIENTS = 12  # of a row of the spectrum; the descriptor takes the first 8
CHUNK = 2048

# How the second image of a pair must be turned to show what the first does. Number k: rotated k % 4 times by
# 90° counterclockwise, then, from 4 on, mirrored left–right.
TRANSFORMS = ("none", "rotate-90", "rotate-180", "rotate-270", "left-right", "diagonal", "up-down", "antidiagonal")


class Pairs(NamedTuple):
    """Candidates: row numbers (P,) of both sides, descriptor distance, and the views to try (P, 2, 8) bool."""

    first: Ints
    second: Ints
    distance: Floats
    score: Floats
    views: NDArray[np.bool_]


def turn(image: Gray, transform: int) -> Gray:
    """Apply a transform, by its number, to the last two axes."""
    turned = np.rot90(image, transform % 4, (-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if transform >= 4 else turned)


def find_links(frames: Gray, heads: Gray, title: str) -> pd.DataFrame:
    """Link images that show the same slice or adjacent ones.

    Args:
        frames, heads: (N, SIDE, SIDE) uint8, the thumbnails; may be memory-mapped. The order of the images
            decides between links of equal worth, so give them in the order of their contents.

    Returns:
        One row a pair that was looked at closely and correlates above REPORTED: first, second (row numbers),
        transform (of TRANSFORMS), distance (of descriptors, 0 to 2), correlation (-1 to 1) and kind: `copy`,
        `adjacent` or `refused`. Pairs already joined by better copies are not looked at again.
    """
    columns = ["first", "second", "transform", "distance", "correlation", "kind"]
    if len(frames) < 2:
        return pd.DataFrame(columns=columns)
    spectra = [spectrum(part) for part in (frames, heads)]
    look = partial(_look, frames, heads)
    component = np.arange(len(frames), dtype=np.int64)
    known = np.empty(0, np.int64)  # pairs that were looked at
    found: list[tuple[int, int, str, float, float, str]] = []
    # A slice with more copies than neighbors are looked up falls into several classes at first: one image of
    # each class goes on to the next pass, until a pass joins nothing.
    for number, neighbors in enumerate(NEIGHBORS, start=1):
        rows = _one_of_each(component, number - 1)
        pairs = candidates([part[rows] for part in spectra], neighbors)
        bar = tqdm(total=len(pairs.first), desc=f"{title}: pairs, pass {number}", unit="pair", mininterval=1.0)
        # Best pairs first, a part at a time: what is joined already needs no further proof.
        for batch in np.array_split(np.argsort(-pairs.score, kind="stable"), 16):
            first, second = rows[pairs.first[batch]], rows[pairs.second[batch]]
            apart = (component[first] != component[second]) & ~np.isin(first * len(frames) + second, known)
            items = list(zip(first[apart].tolist(), second[apart].tolist(), pairs.views[batch[apart]], strict=True))
            seen = ordered_map(look, items)
            for p, (one, other, _), (agreement, transform) in zip(batch[apart], items, seen, strict=True):
                if agreement >= REPORTED:
                    kind = "copy" if agreement >= COPY else "adjacent" if agreement >= ADJACENT else "refused"
                    found.append((one, other, TRANSFORMS[transform], float(pairs.distance[p]), agreement, kind))
            copies = np.array([row[:2] for row in found if row[-1] == "copy"], np.int64).reshape(-1, 2)
            component = components(copies, len(frames))
            known = np.concatenate([known, (first * len(frames) + second)[apart]])
            bar.update(len(batch))
        bar.close()
        if len(np.unique(component)) == len(rows):
            break
    table = pd.DataFrame(found, columns=columns)
    inside = component[table["first"].to_numpy(int)] == component[table["second"].to_numpy(int)]
    kept: pd.DataFrame = table[(table["kind"] == "copy") | ~inside]
    return kept.reset_index(drop=True)


def _one_of_each(component: Ints, turn: int) -> Ints:
    """One row of each component, another one at each turn: some copies are poorer than others."""
    order = np.argsort(component, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(component[order]) > 0])
    sizes = np.diff(np.r_[starts, len(order)])
    chosen: Ints = order[starts + turn % sizes]
    return chosen


def components(links: Ints, count: int) -> Ints:
    """Number the connected components of `count` rows under (L, 2) links."""
    graph = coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def spectrum(images: Gray) -> Floats:
    """Low-frequency cosine coefficients (N, COEFFICIENTS, COEFFICIENTS) without the mean, at norm 1."""
    parts = []
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK].astype(np.float64)
        values = dctn(chunk, axes=(1, 2), norm="ortho")[:, :COEFFICIENTS, :COEFFICIENTS]
        values[:, 0, 0] = 0
        parts.append((values / (np.linalg.norm(values, axis=(1, 2), keepdims=True) + 1e-6)).astype(np.float32))
    return np.concatenate(parts)


def descriptor(spectra: Floats) -> Floats:
    """Compact descriptors (N, 63) that are the same for all eight turns of an image.

    Mirroring changes signs in a cosine spectrum, and the diagonal mirror transposes it: absolute values,
    with each coefficient and its transposed one sorted, stay. Frequencies are weighted by their root, since
    low ones tell heads apart poorly. Values are whole numbers, so that distances are exact on any machine.
    """
    size = 8
    u, v = np.mgrid[:size, :size]
    values = np.abs(spectra[:, :size, :size]) * np.hypot(u, v) ** 0.5
    flipped = values.transpose(0, 2, 1)
    above = u > v
    parts = [np.maximum(values, flipped)[:, above], np.minimum(values, flipped)[:, above], values[:, u == v][:, 1:]]
    joined = np.concatenate(parts, 1)
    joined /= np.linalg.norm(joined, axis=1, keepdims=True) + 1e-6
    result: Floats = np.rint(joined * 127).astype(np.float32)
    return result


def candidates(spectra: Sequence[Floats], neighbors: int) -> Pairs:
    """Pairs of nearest neighbors by frame or by head, with the views under which they may agree."""
    pairs = pd.concat([_neighbors(descriptor(part), neighbors) for part in spectra])
    pairs = pairs.groupby(["first", "second"], sort=True)["distance"].min().reset_index()
    first, second = pairs["first"].to_numpy(np.int64), pairs["second"].to_numpy(np.int64)
    distance = pairs["distance"].to_numpy(np.float32)
    scores = np.empty((len(first), len(spectra), len(TRANSFORMS)), np.float32)
    for kind, part in enumerate(spectra):
        flat = part.reshape(len(part), -1)
        for transform in range(len(TRANSFORMS)):
            turned = _turn_spectrum(part, transform).reshape(len(part), -1)
            for s in range(0, len(first), CHUNK):
                rows = slice(s, s + CHUNK)
                scores[rows, kind, transform] = np.einsum("ij,ij->i", flat[first[rows]], turned[second[rows]])
    score = scores.max((1, 2))
    keep = score >= PROMISING
    views = scores >= (score - RIVALS)[:, None, None]
    return Pairs(first[keep], second[keep], distance[keep], np.round(score[keep], 4), views[keep])


def _turn_spectrum(spectra: Floats, transform: int) -> Floats:
    """The spectrum of the turned image: rotation by 90° is a transposition and a mirror."""
    odd = np.where(np.arange(COEFFICIENTS) % 2, -1, 1).astype(np.float32)
    for _ in range(transform % 4):
        spectra = spectra.transpose(0, 2, 1) * odd[:, None]
    return spectra * odd if transform >= 4 else spectra


def _neighbors(descriptors: Floats, neighbors: int) -> pd.DataFrame:
    """The nearest neighbors of each row as pairs first < second with their distance."""
    count, size = descriptors.shape
    index: Any
    if count <= EXACT_SEARCH:
        index = faiss.IndexFlatL2(size)
        index.add(descriptors)
    else:
        index = faiss.IndexHNSWFlat(size, 16)
        index.hnsw.efConstruction, index.hnsw.efSearch = 64, 128
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # several threads would build another graph each time
        index.add(descriptors)
        faiss.omp_set_num_threads(threads)
    squared, found = index.search(descriptors, min(neighbors + 1, count))
    table = pd.DataFrame(
        {"one": np.repeat(np.arange(count), found.shape[1]), "other": found.ravel(), "squared": squared.ravel()}
    )
    table = table[(table["one"] != table["other"]) & (table["other"] >= 0)]
    first, second = table[["one", "other"]].min(axis=1), table[["one", "other"]].max(axis=1)
    distance = np.sqrt(table["squared"].clip(lower=0)) / 127
    return pd.DataFrame({"first": first, "second": second, "distance": distance})


def _look(frames: Gray, heads: Gray, item: tuple[int, int, NDArray[np.bool_]]) -> tuple[float, int]:
    """The best correlation of a pair over the views to try, and its transform."""
    cv2.setNumThreads(1)
    first, second, views = item
    best = (-1.0, 0)
    for transform, kind in np.argwhere(views.T):
        images = (frames, heads)[kind]
        found = aligned_correlation(images[first], turn(images[second], int(transform)))
        best = max(best, (found, -int(transform)))
    return best[0], -best[1]


def aligned_correlation(one: Gray, other: Gray) -> float:
    """Correlation of two thumbnails inside their heads, once `other` is brought onto `one` (affine, ECC).

    Source of the alignment: Evangelidis and Psarakis 2008, as OpenCV has it. The correlation is taken from
    sums of whole numbers, and rounded to 4 digits.
    """
    warp = np.eye(2, 3, dtype=np.float32)
    try:
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 5e-4)
        warp = np.asarray(cv2.findTransformECC(one, other, warp, cv2.MOTION_AFFINE, criteria)[1], np.float32)
    except cv2.error:  # images that do not converge are none that agree
        return -1.0
    if abs(np.linalg.det(warp[:, :2]) - 1) > 0.5:
        return -1.0
    flags = cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(other, warp, (SIDE, SIDE), flags=flags | cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.full_like(other, 255), warp, (SIDE, SIDE), flags=flags | cv2.INTER_NEAREST) > 0
    one, moved = (np.asarray(cv2.GaussianBlur(image, (3, 3), 0.7), np.uint8) for image in (one, moved))
    where = inside & ((one > foreground(one)) | (moved > foreground(moved)))
    if where.sum() < 0.1 * where.size:
        return -1.0
    kept = ~outliers(one[where], moved[where])
    return round(correlation(one[where][kept], moved[where][kept]), 4)


def outliers(one: Gray, other: Gray) -> NDArray[np.bool_]:
    """The pixels, a share OUTLIERS of them, where `other` is least what it is elsewhere for that level of `one`."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    spread = (a * a).sum()
    error = np.abs(b - a * ((a * b).sum() / spread if spread else 0.0))
    far: NDArray[np.bool_] = error > np.quantile(error, 1 - OUTLIERS)
    return far


def correlation(one: Gray, other: Gray) -> float:
    """Pearson correlation of two (N,) uint8 arrays, exact up to its last step; 0 if one is constant."""
    a, b = one.astype(np.int64), other.astype(np.int64)
    n = len(a)
    product = int(n * (a * b).sum() - a.sum() * b.sum())
    spreads = [int(n * (x * x).sum() - x.sum() ** 2) for x in (a, b)]
    return product / (spreads[0] ** 0.5 * spreads[1] ** 0.5) if min(spreads) > 0 else 0.0
