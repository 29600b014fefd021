"""Heat maps of single images, for predictions from files and for the app."""

from typing import get_args

import numpy as np
import torch

from brain_tumor.attribution.methods import Method, compute_attributions, normalize_maps
from brain_tumor.core.errors import UserError
from brain_tumor.core.types import Gray, Maps
from brain_tumor.inference.torch_model import TorchModel

METHODS: tuple[Method, ...] = get_args(Method)


def find_method(name: str) -> Method:
    """Return the attribution method of this name.

    Raises:
        UserError: there is no such method.
    """
    for method in METHODS:
        if method == name:
            return method
    raise UserError(f"--method {name} is not one of {', '.join(METHODS)}")


def compute_heat_map(model: TorchModel, image: Gray, label: str, method: Method) -> Maps:
    """Compute the heat map (S, S), 0 to 1, of one class for a preprocessed image (S, S).

    Raises:
        UserError: the method is not defined for this network, or its values are not finite.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(image)[None])
    target = torch.tensor([model.description.classes.index(label)])
    maps = compute_attributions([method], model.classifier, pixels, target, "fine", model.device)[method].maps
    heat: Maps = normalize_maps(maps)[0]
    return heat
