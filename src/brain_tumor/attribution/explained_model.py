"""A model together with its explanation parameters, and its maps of a recipe's images, each computed once."""

from typing import NamedTuple

import numpy as np
import torch

from brain_tumor.attribution.cases import ExplainParams
from brain_tumor.attribution.methods import CLASS_AGNOSTIC, Attributions, Method, compute_attributions
from brain_tumor.core.types import Floats, Gray, Ints, Maps
from brain_tumor.models.classifier import Classifier, ModelConfig
from brain_tumor.models.predict import predict_probabilities

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

    def explain(self, method: Method, images: Gray, targets: Ints) -> Attributions:
        """Compute the maps of images (N, H, W) for one class each, targets (N,)."""
        pixels, classes = torch.from_numpy(images), torch.from_numpy(targets)
        return compute_attributions(method, self.model, pixels, classes, self.params.layer, self.device)

    def compute_maps(self, method: Method, images: Gray, targets: Ints) -> Maps:
        """Compute the maps (N, H, W) of images for one class each, without the convergence delta."""
        return self.explain(method, images, targets).maps


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
        self._maps: dict[tuple[Method, int, int], Maps] = {}
        self._deltas: dict[tuple[Method, int, int], float] = {}

    def explain(self, method: Method, rows: Ints, targets: Ints) -> Attributions:
        """Return the maps of some rows for one class each.

        Args:
            rows: (N,) positions in `images`.
            targets: (N,) class numbers.
        """
        classes = np.full_like(targets, ANY_CLASS) if method in CLASS_AGNOSTIC else targets
        keys = [(method, int(row), int(label)) for row, label in zip(rows, classes, strict=True)]
        first = {key: k for k, key in reversed(list(enumerate(keys)))}  # first position of each distinct key
        missing = [k for k, key in enumerate(keys) if first[key] == k and key not in self._maps]
        if missing:
            result = self.explained_model.explain(method, self.images[rows[missing]], targets[missing])
            new_keys = [keys[k] for k in missing]
            self._maps |= zip(new_keys, result.maps, strict=True)
            if result.convergence_delta is not None:
                self._deltas |= zip(new_keys, result.convergence_delta.tolist(), strict=True)
        if not keys:
            return Attributions(np.zeros((0, *self.images.shape[1:]), np.float32))
        deltas = np.array([self._deltas[key] for key in keys]) if keys[0] in self._deltas else None
        return Attributions(np.stack([self._maps[key] for key in keys]), deltas)
