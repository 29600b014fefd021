"""Training only the end of a network: what is frozen, and what of it need be computed only once."""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.lib.format import open_memmap
from pydantic import Field
from timm.models import get_notrace_functions, get_notrace_modules, group_parameters
from torch import Tensor, fx, nn
from torchvision.models.feature_extraction import NodePathTracer
from tqdm import tqdm

from brain_tumor.classifier import Classifier, to_unit

log = logging.getLogger(__name__)

# `all`, `head`, or the number of last blocks to train beside the head.
Trained = Literal["all", "head"] | Annotated[int, Field(ge=1)]


def choose_trained(model: Classifier, trained: Trained) -> None:
    """Freeze the backbone's parameters but those of `trained`."""
    backbone: Any = model.backbone
    parameters = dict(backbone.named_parameters())
    chosen = {id(parameter) for parameter in backbone.get_classifier().parameters()}
    if isinstance(trained, int):
        groups = list(group_parameters(backbone, backbone.group_matcher(coarse=False)).values())
        # timm's last group is the head with what belongs to it; the blocks stand before it.
        chosen |= {id(parameters[name]) for group in groups[-1 - trained :] for name in group if name in parameters}
    for parameter in parameters.values():
        parameter.requires_grad_(trained == "all" or id(parameter) in chosen)


def train_mode(net: nn.Module) -> None:
    """Training mode for the parts that are trained; frozen ones keep their statistics and drop nothing."""
    net.eval()
    for module in net.modules():
        trained = [parameter.requires_grad for parameter in module.parameters()]
        module.training = module.training or any(trained)
        # Dropout and the like have no parameters: they go with the module they stand in.
        for child in module.children() if trained and all(trained) else ():
            if not list(child.parameters()):
                child.train()


class Shortened(nn.Module):
    """The trained end of a classifier, which takes what the frozen part makes of an image."""

    def __init__(self, model: Classifier, end: nn.Module) -> None:
        super().__init__()
        self.end, self.metadata = end, model.metadata

    def forward(self, x: Tensor, metadata: Tensor) -> Tensor:
        """Outputs of the frozen part and (N, M) metadata → logits."""
        logits: Tensor = self.metadata(self.end(x), metadata)
        return logits


class Cut(NamedTuple):
    """A network in two: the frozen part up to a value, and what follows in training and in evaluation mode."""

    start: nn.Module
    end: nn.Module


class _BothModes(nn.Module):
    """Tracing fixes what depends on the mode, so that each mode has a graph of its own, over the same weights."""

    def __init__(self, training: nn.Module, evaluation: nn.Module) -> None:
        super().__init__()
        self.in_training, self.in_evaluation = training, evaluation

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = (self.in_training if self.training else self.in_evaluation)(x)
        return result


def cut(model: Classifier, trained: Trained) -> Cut | None:
    """Cut the backbone before what is trained; None, with a word in the log, where it cannot be cut at one value."""
    backbone: Any = model.backbone
    if trained == "head":
        return Cut(_Features(backbone), backbone.get_classifier())
    try:
        (_, in_training), (start, in_evaluation) = (_split(backbone, _trace(backbone, mode)) for mode in (True, False))
    except Exception as error:  # tracing fails in as many ways as there are networks
        log.info("%s cannot be cut (%s): its frozen part is computed anew each step", type(backbone).__name__, error)
        return None
    finally:
        backbone.eval()
    return Cut(start, _BothModes(in_training, in_evaluation))


def compute(start: nn.Module, model: Classifier, images: Tensor, device: torch.device, place: Path) -> Tensor:
    """What the frozen part makes of (N, H, W) images: (N, …) float32, on disk at `place`."""
    start.eval()
    made, values = 0, np.empty(0, np.float32)
    for batch in tqdm(images.split(64), "frozen part", unit="batch", mininterval=2):
        with torch.inference_mode():
            found = start(model.normalize(to_unit(batch, device))).float().cpu().numpy()
        if made == 0:
            values = open_memmap(place, "w+", np.float32, (len(images), *found.shape[1:]))
        values[made : made + len(found)] = found
        made += len(found)
    return torch.from_numpy(values)


class _Features(nn.Module):
    """Everything of a timm model but its classifier."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.backbone.forward_head(self.backbone.forward_features(x), pre_logits=True)
        return features


def _trace(backbone: nn.Module, training: bool) -> fx.Graph:
    backbone.eval()
    if training:
        train_mode(backbone)
    leaves = list(get_notrace_modules())
    tracer = NodePathTracer(leaf_modules=leaves, autowrap_functions=tuple(get_notrace_functions()))
    graph: fx.Graph = tracer.trace(backbone)
    return graph


def _split(backbone: nn.Module, graph: fx.Graph) -> tuple[fx.GraphModule, fx.GraphModule]:
    """The graph before and after the last place where one value is all that what is trained depends on."""
    nodes = list(graph.nodes)
    # Arguments that have a default keep it.
    options = [node for node in nodes if node.op == "placeholder" and node.args]
    first = next(n for n, node in enumerate(nodes) if _is_trained(backbone, node))
    for place in range(first, 0, -1):
        later = nodes[place:]
        crossing = {value for node in later for value in node.all_input_nodes} - {*later, *options}
        if len(crossing) == 1:
            break
    else:
        raise ValueError("no place where one value is all that passes")
    (value,) = crossing
    parts, copies = (fx.Graph(), fx.Graph()), dict[fx.Node, fx.Node]()
    for node in nodes[:place]:
        copies[node] = parts[0].node_copy(node, copies.__getitem__)
    parts[0].output(copies[value])
    copies[value] = parts[1].placeholder("x")
    for node in (*options, *later):
        copies[node] = parts[1].node_copy(node, copies.__getitem__)
    made = fx.GraphModule(backbone, parts[0]), fx.GraphModule(backbone, parts[1])
    for part in made:
        part.graph.eliminate_dead_code()
        part.recompile()
    return made


def _is_trained(backbone: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return any(parameter.requires_grad for parameter in backbone.get_submodule(str(node.target)).parameters())
    if node.op != "get_attr":
        return False
    owner, _, name = str(node.target).rpartition(".")
    return bool(getattr(getattr(backbone.get_submodule(owner), name), "requires_grad", False))
