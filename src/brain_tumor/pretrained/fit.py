"""Whether a file of weights fits an architecture: timm leaves every parameter that the file lacks at random values."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from timm import create_model
from timm.models import get_pretrained_cfg
from torch import nn

from brain_tumor.core.errors import UserError

GRAY = 1  # channels: the stem is adapted, as for most recipes
MAX_SHOWN = 3  # names in a message


def require_fit(path: Path, architecture: str) -> None:
    """Load a safetensors file into an architecture as training does: with another head, and a stem for gray images.

    Raises:
        UserError: parameters outside the head that the file lacks, or that have another shape in it.
    """
    config: Any = get_pretrained_cfg(architecture)
    classes = 2 if config.num_classes != 2 else 3  # a head as in the file would be loaded with it
    with _record_missing() as missing:
        try:
            model: Any = create_model(
                architecture,
                pretrained=True,
                pretrained_cfg_overlay={"file": str(path)},
                num_classes=classes,
                in_chans=GRAY,
            )
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
            details = " ".join(str(error).split())
            raise UserError(f"{path.name} does not fit timm's {architecture}: {_shorten(details)}") from None
    heads = config.classifier or ()
    heads = (heads,) if isinstance(heads, str) else heads
    body = [name for name in model.state_dict() if not name.startswith(tuple(f"{head}." for head in heads))]
    lacking = [name for name in body if name in missing]
    if lacking:
        raise UserError(
            f"{path.name} does not fit timm's {architecture}: it lacks {len(lacking)} of the {len(body)} tensors "
            f"outside the head ({_list_names(lacking)}), which would stay random. Its names must be those of timm, "
            "without a prefix"
        )


@contextmanager
def _record_missing() -> Iterator[set[str]]:
    """Collect the names that `load_state_dict` reports as missing; timm only logs them."""
    missing: set[str] = set()
    load = nn.Module.load_state_dict

    def record(module: nn.Module, *args: Any, **options: Any) -> Any:
        result = load(module, *args, **options)
        missing.update(result.missing_keys)
        return result

    module_class: Any = nn.Module
    module_class.load_state_dict = record
    try:
        yield missing
    finally:
        module_class.load_state_dict = load


def _list_names(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_SHOWN]) + (", …" if len(names) > MAX_SHOWN else "")


def _shorten(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:300]}…"
