"""A model together with its explanation parameters, and its maps of a recipe's images, each computed once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from brain_tumor.attribution.cases import ExplainParams
from brain_tumor.attribution.methods import CLASS_AGNOSTIC, Attributions, Method, compute_attributions
from brain_tumor.core.types import Floats, Gray, Ints, Maps
from brain_tumor.models.classifier import Classifier, ModelConfig
from brain_tumor.models.predict import predict_probabilities

_Key = tuple[Method, int, int]  # method, row, class
ANY_CLASS = -1  # in place of a class number, for methods whose map is the same for every class


class ExplainedModel(NamedTuple):
    """A model on its device, with its configuration and the parameters of its explanations."""

    model: Classifier
    config: ModelConfig
    params: ExplainParams
    device: torch.device

    def predict_proba(self, images: Gray) -> Floats:
        """Calibrated probabilities (N, K) from images only, with all clinical features missing."""
        return predict_probabilities(self.model, self.config, images, self.device).calibrated

    def explain(self, methods: Sequence[Method], images: Gray, targets: Ints) -> dict[Method, Attributions]:
        """Compute the maps of images (N, H, W) for one class each, targets (N,), by some methods."""
        pixels, classes = torch.from_numpy(images), torch.from_numpy(targets)
        return compute_attributions(methods, self.model, pixels, classes, self.params.layer, self.device)

    def compute_maps(self, images: Gray, targets: Ints) -> dict[Method, Maps]:
        """Compute the maps (N, H, W) of images for one class each by the recipe's methods."""
        results = self.explain(self.params.methods, np.ascontiguousarray(images), targets)
        return {method: result.maps for method, result in results.items()}


class MapCache:
    """Maps of a recipe's images by one model, each computed once for each method, row and class.

    The last bits of a map depend on the images in its batch, and the batches on the order of the requests: always
    request maps in the same order. A first request for distinct rows is computed in the same batches as without a
    cache.
    """

    def __init__(self, explained_model: ExplainedModel, images: Gray) -> None:
        """Start with an empty cache.

        Args:
            images: (N, S, S), all images of the recipe, which may be memory-mapped.
        """
        self.explained_model, self.images = explained_model, images
        self._maps: dict[_Key, Maps] = {}
        self._deltas: dict[_Key, float] = {}

    def explain(self, methods: Sequence[Method], rows: Ints, targets: Ints) -> dict[Method, Attributions]:
        """Return the maps of some rows for one class each, by some methods.

        Args:
            rows: (N,) positions in `images`.
            targets: (N,) class numbers.
        """
        keys = {method: self._keys(method, rows, targets) for method in methods}
        # A row is computed for all of these methods together, since they share passes.
        is_missing = [any(keys[method][k] not in self._maps for method in methods) for k in range(len(rows))]
        first = {(row, target): k for k, (row, target) in reversed(list(enumerate(zip(rows, targets, strict=True))))}
        missing = [k for k in sorted(first.values()) if is_missing[k]]
        if missing:
            results = self.explained_model.explain(methods, self.images[rows[missing]], targets[missing])
            for method, result in results.items():
                new_keys = [keys[method][k] for k in missing]
                self._maps |= zip(new_keys, result.maps, strict=True)
                if result.convergence_delta is not None:
                    self._deltas |= zip(new_keys, result.convergence_delta.tolist(), strict=True)
        return {method: self._look_up(keys[method]) for method in methods}

    @staticmethod
    def _keys(method: Method, rows: Ints, targets: Ints) -> list[_Key]:
        classes = np.full_like(targets, ANY_CLASS) if method in CLASS_AGNOSTIC else targets
        return [(method, int(row), int(label)) for row, label in zip(rows, classes, strict=True)]

    def _look_up(self, keys: list[_Key]) -> Attributions:
        if not keys:
            return Attributions(np.zeros((0, *self.images.shape[1:]), np.float32))
        deltas = np.array([self._deltas[key] for key in keys]) if keys[0] in self._deltas else None
        return Attributions(np.stack([self._maps[key] for key in keys]), deltas)
