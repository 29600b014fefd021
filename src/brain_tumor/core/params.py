"""Reading params.yaml: a block of the file becomes a frozen, strictly validated object, or a clear error."""

import difflib
import functools
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from brain_tumor.core.errors import UserError

T = TypeVar("T")


class Block(BaseModel):
    """Base class of all parameter blocks: unknown keys and wrong types are errors, values cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def read_params(file: Path, key: str, schema: type[T]) -> T:
    """Read and validate one block of a YAML file.

    Args:
        file: read as YAML 1.2, as DVC does; YAML 1.1 would turn `no` into False and `2e-05` into text.
        key: path of the block in the file, joined by dots, such as "recipes.edge.train".
        schema: type that the block must have.

    Raises:
        UserError: the file or the key is missing, or a value does not fit the schema. For an unknown key the message
            suggests the most similar valid one.
    """
    block: Any = _load_yaml(file)
    parents: list[str] = []
    for part in key.split("."):
        if not isinstance(block, dict) or part not in block:
            valid_keys = list(block) if isinstance(block, dict) else []
            raise UserError(f"{file}: {describe_path(parents)} has no key '{part}'{_suggest_key(part, valid_keys)}")
        parents.append(part)
        block = block[part]
    try:
        # Converted to JSON first: there, a YAML list may fill a tuple, and everything else is still strict.
        return TypeAdapter(schema).validate_json(json.dumps(block, default=str))
    except ValidationError as error:
        raise UserError(_describe_errors(file, key, error, schema)) from None


def describe_path(keys: list[str]) -> str:
    """Return keys joined by dots, "the top level" if there are none."""
    return ".".join(keys) or "the top level"


def _load_yaml(file: Path) -> Any:
    try:
        return _parse_yaml(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file} is missing: run from the root of the repository") from None
    except YAMLError as error:
        raise UserError(f"{file} is not valid YAML: {error}") from None


@functools.lru_cache(maxsize=4)
def _parse_yaml(text: str) -> Any:
    """Parse YAML 1.2; a stage reads several blocks, and the file is parsed again only if its text has changed."""
    return YAML(typ="safe", pure=True).load(text)


def _describe_errors(file: Path, key: str, error: ValidationError, schema: Any) -> str:
    lines = []
    for details in error.errors(include_url=False):
        path = ".".join([key, *map(str, details["loc"])])
        if details["type"] == "extra_forbidden":
            unknown_key = str(details["loc"][-1])
            lines.append(f"{file}: unknown key {path}{_suggest_key(unknown_key, sorted(_field_names(schema)))}")
        else:
            lines.append(f"{file}: {path}: {details['msg']} (got {details['input']!r})")
    return "\n".join(lines)


def _field_names(schema: Any) -> set[str]:
    """Return the field names of a block and of all blocks inside it."""
    json_schema = TypeAdapter(schema).json_schema()
    blocks = [json_schema, *json_schema.get("$defs", {}).values()]
    return {name for block in blocks for name in block.get("properties", {})}


def _suggest_key(key: str, valid_keys: list[str]) -> str:
    similar = difflib.get_close_matches(key, list(map(str, valid_keys)), n=1, cutoff=0.5)
    return (
        f": did you mean '{similar[0]}'?" if similar else f" (valid keys: {', '.join(map(str, valid_keys)) or 'none'})"
    )
