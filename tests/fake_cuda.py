"""A CUDA device without a GPU: its tensors have a shape, a type and a device, but no values.

It is built on torch's FakeTensorMode, which knows the result of each operation and raises where tensors of two devices
meet. Code under test runs to its end, backward pass included. Whatever it reads from the device is 1.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from torch import Generator, Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from python_autograd import run_backward

aten: Any = torch.ops.aten
REAL_SAVE = torch.save
GPU_BYTES = 10**9
CUDA = torch.device("cuda", 0)
# Operations that FakeTensorMode lets pass with an input on the CPU, and CUDA does not.
INDEXING, JOINING = (aten.index, aten.index_put, aten.index_put_), (aten.cat, aten.stack, aten._fused_sgd_)


class OneFakeMode(FakeTensorMode):
    """FakeTensorMode that is not copied with its tensors: copied weights belong to the same device."""

    def __deepcopy__(self, _: Any) -> Self:
        return self


class FakeCuda(TorchDispatchMode):
    """Runs operations on `cuda` tensors without values, and those on CPU tensors as usual.

    Attributes:
        operations: names of the operations on the device so far, as `aten.add.Tensor`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fake_mode = OneFakeMode()
        self.operations: set[str] = set()

    def __enter__(self) -> Self:
        self.fake_mode.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        self.fake_mode.__exit__(*exception)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation."""
        kwargs = kwargs or {}
        inputs = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor | Generator)]
        if not any(isinstance(value, FakeTensor) for value in inputs) and not is_cuda(kwargs.get("device")):
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        if torch.is_inference_mode_enabled() and func.namespace == "aten":
            with self:  # in this mode, torch passes on operations that consist of others
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        self.operations.add(str(func))
        on_cpu = [value for value in inputs if not is_cuda(value.device)]
        if on_cpu:
            require_cuda_inputs(func, args, on_cpu)
        if func is aten._local_scalar_dense.default:  # item() and tolist()
            return args[0].dtype == torch.bool or 1
        if func is aten._fused_sgd_.default:  # unknown to FakeTensorMode; it only changes its arguments
            return None
        if func is aten.copy_.default and not is_cuda(args[0].device):
            with unset_fake_temporarily():
                return args[0].fill_(1)
        if on_cpu:
            args, kwargs = tree_map_only(Tensor, self.fake_mode.from_tensor, (args, kwargs))
        result = func(*args, **kwargs)
        if isinstance(result, FakeTensor) and not is_cuda(result.device):
            with unset_fake_temporarily():
                return torch.ones(result.shape, dtype=result.dtype)
        return result


def is_cuda(device: Any) -> bool:
    """Return whether an argument `device` of torch names a CUDA device."""
    return device is not None and torch.device(device).type == "cuda"


def require_cuda_inputs(func: Any, args: Sequence[Any], on_cpu: Sequence[Any]) -> None:
    """Refuse inputs on the CPU that CUDA refuses and FakeTensorMode does not.

    Raises:
        RuntimeError: such an input.
    """
    if any(isinstance(value, Generator) for value in on_cpu):
        raise RuntimeError(f"{func}: Expected a 'cuda' device type for generator but found 'cpu'")
    if func.overloadpacket in JOINING:
        raise RuntimeError(f"{func}: Expected all tensors to be on the same device")
    if func.overloadpacket in INDEXING and not is_cuda(args[0].device):
        raise RuntimeError(f"{func}: indices should be either on cpu or on the same device as the indexed tensor (cpu)")


def replace_tensors(module: nn.Module, convert: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """Convert parameters and buffers, as Module.to does, which cannot do so with tensors that have no values."""
    for child in module.modules():
        for name, parameter in child._parameters.items():
            if parameter is not None:
                child._parameters[name] = nn.Parameter(convert(parameter.detach()), parameter.requires_grad)
        for name, buffer in child._buffers.items():
            child._buffers[name] = None if buffer is None else convert(buffer)
    return module


def save_on_cpu(content: Any, path: Path) -> None:
    """Save tensors of the device as their copies on the CPU."""
    REAL_SAVE(tree_map_only(FakeTensor, Tensor.cpu, content), path)


class FakeGenerator(Generator):
    """A random generator on the CPU, also where one on the device is asked for."""

    def __new__(cls, device: Any = "cpu") -> Self:
        return super().__new__(cls)


REPLACEMENTS: dict[str, Any] = {
    "torch.autograd._engine_run_backward": run_backward,
    "torch.nn.Module._apply": replace_tensors,
    "torch.save": save_on_cpu,
    "torch.Generator": FakeGenerator,
    "torch.cuda.mem_get_info": lambda _: (GPU_BYTES, GPU_BYTES),  # free, total
    "torch.cuda.is_bf16_supported": lambda *_: True,
    "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
}


@contextmanager
def fake_cuda() -> Iterator[FakeCuda]:
    """Provide the device `cuda` inside the context."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
        for name, replacement in REPLACEMENTS.items():
            stack.enter_context(patch(name, replacement))
        yield stack.enter_context(FakeCuda())


class FakeCudaFabric(Fabric):
    """Fabric of one process on the fake device; to be made inside `fake_cuda()`."""

    def __init__(self, precision: Any = "bf16-mixed") -> None:
        """Choose the precision: 32-true, bf16-mixed or 16-mixed."""
        plugin = Precision() if precision == "32-true" else MixedPrecision(precision, "cuda")
        super().__init__(accelerator="cpu", devices=1, plugins=plugin)

    @property
    def device(self) -> torch.device:
        """The fake device."""
        return CUDA

    def setup(self, module: nn.Module, *optimizers: Any, **options: Any) -> Any:
        """Wrap a network that is on the device already."""
        return super().setup(module, *optimizers, move_to_device=False)
