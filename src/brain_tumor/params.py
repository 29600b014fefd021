"""Parameters enter here, once: a block of the YAML file becomes a frozen, strict object or a clear error."""

import difflib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from brain_tumor.errors import UserError

T = TypeVar("T")


class Block(BaseModel):
    """Base of every parameter block: unknown keys and wrong types are errors, values cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def read(file: Path, address: str, kind: type[T]) -> T:
    """Return the block at `address` (keys joined by dots) of `file`, validated as `kind`.

    The file is read as YAML 1.2, as DVC does: YAML 1.1 would turn `no` into False and `2e-05` into text.

    Raises:
        UserError: the file or the key is missing, or a value does not fit; names the nearest known key.
    """
    block: Any = _load(file)
    seen: list[str] = []
    for key in address.split("."):
        if not isinstance(block, dict) or key not in block:
            known = list(block) if isinstance(block, dict) else []
            raise UserError(f"{file}: {_at(seen)} has no key '{key}'{_nearest(key, known)}")
        seen.append(key)
        block = block[key]
    try:
        # By way of JSON, so that a YAML list may fill a tuple while all else stays strict.
        return TypeAdapter(kind).validate_json(json.dumps(block, default=str))
    except ValidationError as error:
        raise UserError(_explain(file, address, error, kind)) from None


def _load(file: Path) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file} is missing: run from the root of the repository") from None
    except YAMLError as error:
        raise UserError(f"{file} is not valid YAML: {error}") from None


def _explain(file: Path, address: str, error: ValidationError, kind: Any) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        place = ".".join([address, *map(str, problem["loc"])])
        if problem["type"] == "extra_forbidden":
            key = str(problem["loc"][-1])
            lines.append(f"{file}: unknown key {place}{_nearest(key, sorted(_fields(kind)))}")
        else:
            lines.append(f"{file}: {place}: {problem['msg']} (found {problem['input']!r})")
    return "\n".join(lines)


def _fields(kind: Any) -> set[str]:
    """All field names of a block and the blocks inside it."""
    schema = TypeAdapter(kind).json_schema()
    blocks = [schema, *schema.get("$defs", {}).values()]
    return {name for block in blocks for name in block.get("properties", {})}


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, list(map(str, known)), n=1, cutoff=0.5)
    return f": did you mean '{close[0]}'?" if close else f" (known: {', '.join(map(str, known)) or 'none'})"


def _at(seen: list[str]) -> str:
    return ".".join(seen) or "the top level"
