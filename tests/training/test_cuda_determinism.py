"""The operations of this code on CUDA against torch's lists of those that are not deterministic there."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from ruamel.yaml import YAML

from brain_tumor.attribution import methods
from brain_tumor.attribution.methods import Method, compute_attributions
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.samples import Samples
from brain_tumor.training.trainer import Trainer
from fake_cuda import CUDA, FakeCudaFabric, fake_cuda
from nets import make_config, make_params, make_samples

ROOT = Path(__file__).parents[2]
PARAMS: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
AUGMENTATIONS = ({"op": "flip"}, {"op": "affine"}, {"op": "intensity"}, {"op": "noise", "sd": 0.1}, {"op": "erase"})
# Runs of a training step by name: architecture, head, other parameters.
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    **{str(b["architecture"]): (b["architecture"], "softmax", {}) for b in PARAMS["backbones"].values()},
    "mixup": ("resnet10t", "softmax", {"augment": AUGMENTATIONS, "mix": {"mixup": 0.4}, "loss": {"balance": True}}),
    "cutmix": ("test_vit", "sigmoid", {"mix": {"cutmix": 1.0}, "loss": {"balance": True, "label_smoothing": 0.1}}),
    "sgd": ("resnet10t", "sigmoid", {"ema": 0.9, "optimizer": {"kind": "sgd", "lr": 0.1, "clip": 1.0}}),
}
METHODS: dict[str, tuple[Method, ...]] = {
    "test_vit": get_args(Method),
    "resnet10t": ("grad-cam", "grad-cam++", "integrated-gradients"),
}
# Entries of torch's two lists, as operations of CUDA: those that raise, and those that have a deterministic variant.
RAISING: dict[str, tuple[str, ...]] = {
    "torch.nn.AvgPool3d": ("avg_pool3d_backward",),
    "torch.nn.AdaptiveAvgPool2d": ("_adaptive_avg_pool2d_backward",),
    "torch.nn.AdaptiveAvgPool3d": ("_adaptive_avg_pool3d_backward",),
    "torch.nn.AdaptiveMaxPool2d": ("adaptive_max_pool2d_backward",),
    "torch.nn.FractionalMaxPool2d": ("fractional_max_pool2d_backward",),
    "torch.nn.FractionalMaxPool3d": ("fractional_max_pool3d_backward",),
    "torch.nn.MaxUnpool1d": ("max_unpool2d",),
    "torch.nn.MaxUnpool2d": ("max_unpool2d",),
    "torch.nn.MaxUnpool3d": ("max_unpool3d",),
    "torch.nn.functional.interpolate": (
        *(f"upsample_{kind}_backward" for kind in ("linear1d", "bilinear2d", "bicubic2d", "trilinear3d")),
        *(f"_upsample_{kind}_aa_backward" for kind in ("bilinear2d", "bicubic2d")),
    ),
    "torch.nn.ReflectionPad1d": ("reflection_pad1d_backward",),
    "torch.nn.ReflectionPad2d": ("reflection_pad2d_backward",),
    "torch.nn.ReflectionPad3d": ("reflection_pad3d_backward",),
    "torch.nn.NLLLoss": ("nll_loss_forward", "nll_loss_backward", "nll_loss2d_forward", "nll_loss2d_backward"),
    "torch.nn.CTCLoss": ("_ctc_loss_backward", "_cudnn_ctc_loss"),
    "torch.nn.EmbeddingBag": ("_embedding_bag_backward", "_embedding_bag_dense_backward"),
    "torch.Tensor.put_": ("put", "put_"),
    "torch.histc": ("histc",),
    "torch.bincount": ("bincount",),
    "torch.median": ("median", "nanmedian"),
    "torch.nn.functional.grid_sample": (
        *(f"grid_sampler_{n}d_backward" for n in (2, 3)),
        "cudnn_grid_sampler_backward",
    ),
    "torch.Tensor.scatter_reduce": ("scatter_reduce", "scatter_reduce_"),
    # Only on devices of Apple, or for quantized tensors.
    **dict.fromkeys(
        (
            *("torch.Tensor.index_put", "torch.Tensor.index_reduce", "torch.kthvalue", "torch.nn.Embedding"),
            *("torch.nn.MaxPool2d", "torch.nn.MaxPool3d", "torch.Tensor.resize_"),
        ),
        (),
    ),
}
VARIANTS: dict[str, tuple[str, ...]] = {
    **{f"torch.nn.Conv{n}d": ("convolution", "convolution_backward") for n in (1, 2, 3)},
    **{f"torch.nn.ConvTranspose{n}d": ("convolution", "convolution_backward") for n in (1, 2, 3)},
    **{f"torch.nn.ReplicationPad{n}d": (f"replication_pad{n}d_backward",) for n in (1, 2, 3)},
    "torch.bmm": (),  # with sparse tensors
    "torch.cumsum": ("cumsum", "cumsum_"),
    "torch.Tensor.__getitem__": (),  # on the CPU
    "torch.Tensor.index_put": ("index_put", "index_put_", "_index_put_impl_"),
    "torch.Tensor.put_": (),  # on the CPU
    "torch.Tensor.scatter_add_": ("scatter_add", "scatter_add_"),
    "torch.gather": ("gather",),
    "torch.index_add": ("index_add", "index_add_"),
    "torch.index_select": ("index_select",),
    "torch.repeat_interleave": ("repeat_interleave",),
    "torch.Tensor.index_copy": ("index_copy", "index_copy_"),
    "torch.Tensor.scatter": ("scatter.src", "scatter_.src"),
    "torch.Tensor.scatter_reduce": ("scatter_reduce", "scatter_reduce_"),
    "torch.nn.MaxPool3d": ("max_pool3d_with_indices_backward",),
    "torch.nn.Embedding": ("embedding_dense_backward",),
}


def parse_torch_list(heading: str) -> set[str]:
    """Return the functions and modules in a list of torch's documentation, given words of its heading."""
    text = str(torch.use_deterministic_algorithms.__doc__).partition(heading)[2].partition("``mode=True``:")[2]
    return set(
        re.findall(r":(?:class|func):`(torch\.[\w.]+)`", re.split(r"\n    The following|\n    In addition", text)[0])
    )


@pytest.fixture(scope="module")
def operations() -> set[str]:
    """Operations of training and explanations on CUDA, forward and backward, as `add` and as `add.Tensor`."""
    recorded: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "IG_STEPS", 2)
        patch.setattr(methods, "OCCLUSION_GRID", 2)
        torch.use_deterministic_algorithms(True)
        for architecture, head, changes in RUNS.values():
            recorded |= record_operations(architecture, head, changes)
    names = {name.removeprefix("aten.") for name in recorded}
    return names | {name.partition(".")[0] for name in names}


def record_operations(architecture: str, head: str, changes: dict[str, Any]) -> set[str]:
    """Train for a step, validate, and explain with all methods where the network is a small one."""
    classes = 2 if head == "sigmoid" else 3
    params = make_params(**{"augment": (), **changes}, head=head, batch_size=4, epochs=1)
    with fake_cuda() as cuda:
        samples, fabric = make_samples(4, classes), FakeCudaFabric()
        with torch.device(CUDA):
            model = Classifier(make_config(architecture, classes, head))
        moved = Samples(*(values.to(CUDA) for values in samples))
        trainer = Trainer(model, moved, moved, [1.0] * classes, params, fabric)
        trainer.fabric_net, trainer.fabric_optimizer = fabric.setup(model, trainer.optimizer)
        trainer.train_epoch(0)
        trainer.validate()
        for method in METHODS.get(architecture, ()):
            compute_attributions([method], model, samples.images, samples.targets, "last", CUDA)
    return cuda.operations


@pytest.mark.parametrize(("heading", "known"), [("operations will throw", RAISING), ("operations will act", VARIANTS)])
def test_torch_list_is_known(heading: str, known: dict[str, tuple[str, ...]]) -> None:
    """A new version of torch may have other lists."""
    assert parse_torch_list(heading) == set(known)
    names = {name.partition(".")[0] for operations in known.values() for name in operations}
    assert {name for name in names if not hasattr(torch.ops.aten, name)} == set()


@pytest.mark.parametrize(("line", "known"), [("raise an error", RAISING), ("have a deterministic variant", VARIANTS)])
def test_operations_of_torch_list_are_those_of_the_documentation(
    operations: set[str], line: str, known: dict[str, tuple[str, ...]]
) -> None:
    """The page names all operations of this code that are in torch's lists."""
    (names,) = re.findall(rf"^- .* {line}: (.*)\.$", (ROOT / "docs/gpu.md").read_text(), re.MULTILINE)
    assert operations & {name for listed in known.values() for name in listed} == set(re.findall(r"`(\w+)`", names))
