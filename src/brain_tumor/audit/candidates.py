"""Candidate pairs of near-duplicates: nearest neighbors by a compact descriptor that ignores rotation and mirroring."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import dctn

from brain_tumor.audit.transforms import TRANSFORMS
from brain_tumor.core.types import Gray, Ints
from brain_tumor.parallel import num_workers

Spectra = NDArray[np.float32]

MIN_CANDIDATE_CORRELATION = 0.85  # of low frequencies: pairs below are not compared by pixels
TRANSFORM_TOLERANCE = 0.03  # views this close to the best one are tried too: heads are nearly symmetric
MAX_EXACT_SEARCH = 20_000  # images up to which the nearest-neighbor search is exhaustive
SPECTRUM_SIDE = 12  # coefficients along each axis of a spectrum
DESCRIPTOR_SIDE = 8  # coefficients along each axis that the descriptor uses
DESCRIPTOR_LEVELS = 127  # descriptors are rounded to whole numbers from 0 to this
CHUNK_IMAGES = 2048
HNSW_LINKS, HNSW_BUILD_DEPTH, HNSW_SEARCH_DEPTH = 16, 64, 128  # M, efConstruction and efSearch of the index


class CandidatePairs(NamedTuple):
    """Pairs to compare by pixels.

    Attributes:
        first, second: (P,) row numbers of both images.
        distance: (P,) float32, distance of their descriptors, 0 to 2.
        score: (P,) float32, the best correlation of their low frequencies over all views, -1 to 1.
        views: (P, kinds, 8) float32, estimated correlations of the views to try, by kind of thumbnail (frame, head) and
            transform; 0 for other views.
    """

    first: Ints
    second: Ints
    distance: NDArray[np.float32]
    score: NDArray[np.float32]
    views: NDArray[np.float32]

    def select(self, index: NDArray[Any]) -> "CandidatePairs":
        """Return the pairs at some positions, or under a mask."""
        return CandidatePairs(*(values[index] for values in self))


def compute_spectra(images: Gray) -> Spectra:
    """Compute low-frequency cosine coefficients (N, SPECTRUM_SIDE, SPECTRUM_SIDE) without the mean, at norm 1."""
    parts = []
    for start in range(0, len(images), CHUNK_IMAGES):
        chunk = images[start : start + CHUNK_IMAGES].astype(np.float64)
        values = dctn(chunk, axes=(1, 2), norm="ortho", workers=num_workers())[:, :SPECTRUM_SIDE, :SPECTRUM_SIDE]
        values[:, 0, 0] = 0
        parts.append((values / (np.linalg.norm(values, axis=(1, 2), keepdims=True) + 1e-6)).astype(np.float32))
    return np.concatenate(parts)


def transform_spectra(spectra: Spectra, transform: int) -> Spectra:
    """Compute the spectra of the transformed images: a rotation by 90° is a transposition and a mirror."""
    odd = np.where(np.arange(SPECTRUM_SIDE) % 2, -1, 1).astype(np.float32)
    for _ in range(transform % 4):
        spectra = spectra.transpose(0, 2, 1) * odd[:, None]
    return spectra * odd if transform >= 4 else spectra


def compute_descriptors(spectra: Spectra) -> NDArray[np.float32]:
    """Compute descriptors (N, 63) that are the same for all eight transforms of an image.

    Mirroring changes signs in a cosine spectrum, and the diagonal mirror transposes it. Absolute values, with each
    coefficient and its transposed one sorted, are invariant to both. Frequencies are weighted by their square root,
    since low ones hardly distinguish heads. Values are whole numbers, so that distances are exact on any machine.
    """
    u, v = np.mgrid[:DESCRIPTOR_SIDE, :DESCRIPTOR_SIDE]
    values = np.abs(spectra[:, :DESCRIPTOR_SIDE, :DESCRIPTOR_SIDE]) * np.hypot(u, v) ** 0.5
    flipped = values.transpose(0, 2, 1)
    above = u > v
    parts = [np.maximum(values, flipped)[:, above], np.minimum(values, flipped)[:, above], values[:, u == v][:, 1:]]
    descriptors = np.concatenate(parts, 1)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True) + 1e-6
    result: NDArray[np.float32] = np.rint(descriptors * DESCRIPTOR_LEVELS).astype(np.float32)
    return result


def find_candidates(spectra: Sequence[Spectra], neighbors: int) -> CandidatePairs:
    """Find pairs of nearest neighbors whose low frequencies correlate under some transform.

    Args:
        spectra: spectra of frames and of heads; a pair that is near by either is a candidate.
        neighbors: number of neighbors looked up for each image.
    """
    pairs = pd.concat([_nearest_neighbors(compute_descriptors(part), neighbors) for part in spectra])
    pairs = pairs.groupby(["first", "second"], sort=True)["distance"].min().reset_index()
    first, second = pairs["first"].to_numpy(np.int64), pairs["second"].to_numpy(np.int64)
    distance = pairs["distance"].to_numpy(np.float32)
    scores = _correlate_spectra(spectra, first, second)
    score = scores.max((1, 2))
    views = np.where(scores >= (score - TRANSFORM_TOLERANCE)[:, None, None], scores, np.float32(0))
    candidates = CandidatePairs(first, second, distance, np.round(score, 4), views)
    return candidates.select(score >= MIN_CANDIDATE_CORRELATION)


def _correlate_spectra(spectra: Sequence[Spectra], first: Ints, second: Ints) -> NDArray[np.float32]:
    """Correlate the low frequencies of pairs: (P, kinds of thumbnails, 8 transforms of the second image)."""
    scores = np.empty((len(first), len(spectra), len(TRANSFORMS)), np.float32)
    for kind, part in enumerate(spectra):
        flat = part.reshape(len(part), -1)
        for transform in range(len(TRANSFORMS)):
            transformed = transform_spectra(part, transform).reshape(len(part), -1)
            for start in range(0, len(first), CHUNK_IMAGES):
                rows = slice(start, start + CHUNK_IMAGES)
                scores[rows, kind, transform] = np.einsum("ij,ij->i", flat[first[rows]], transformed[second[rows]])
    return scores


def _nearest_neighbors(descriptors: NDArray[np.float32], neighbors: int) -> pd.DataFrame:
    """Find the nearest neighbors of each row, as pairs first < second with their distance (0 to 2)."""
    count, size = descriptors.shape
    index: Any
    if count <= MAX_EXACT_SEARCH:
        index = faiss.IndexFlatL2(size)
        index.add(descriptors)
    else:
        index = faiss.IndexHNSWFlat(size, HNSW_LINKS)
        index.hnsw.efConstruction, index.hnsw.efSearch = HNSW_BUILD_DEPTH, HNSW_SEARCH_DEPTH
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # several threads would build a different graph each time
        index.add(descriptors)
        faiss.omp_set_num_threads(threads)
    squared, nearest = index.search(descriptors, min(neighbors + 1, count))
    table = pd.DataFrame(
        {"one": np.repeat(np.arange(count), nearest.shape[1]), "other": nearest.ravel(), "squared": squared.ravel()}
    )
    table = table[(table["one"] != table["other"]) & (table["other"] >= 0)]
    first, second = table[["one", "other"]].min(axis=1), table[["one", "other"]].max(axis=1)
    distance = np.sqrt(table["squared"].clip(lower=0)) / DESCRIPTOR_LEVELS
    return pd.DataFrame({"first": first, "second": second, "distance": distance})
