"""One block of params.yaml: its value, or one line for each value that does not fit the schema."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import Field, ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import Block, read_params
from brain_tumor.recipes.names import nearest

T = TypeVar("T")
MAX_SHOWN = 60  # characters of a wrong value


class DatasetBlock(Block):
    """`datasets.<name>`; the blocks in it have schemas of their own."""

    source: dict[str, Any]
    expected: Any
    patients: str
    info: Any


class PublishedResult(Block):
    """`recipes.<name>.published`: a published result, to compare ours with."""

    accuracy: float = Field(ge=0, le=1)
    title: str
    author: str
    url: str = Field(pattern=r"^(https?://[^\s\"'<>()]+)?$")
    measured_on: str
    protocol: Literal["test", "train", "validation", "selected on test"]
    departures: tuple[str, ...]


class RecipeBlock(Block):
    """`recipes.<name>`; the blocks of stages have schemas of their own.

    A recipe may lack `export`, which no report needs.
    """

    dataset: str
    backbone: str
    primary: Literal["patients", "clean", "crossval", "test"]
    classes: tuple[str, ...]
    preprocess: Any
    split: Any
    train: Any
    evaluate: Any
    explain: Any
    export: Any = None
    published: PublishedResult | None = None


class Problem(NamedTuple):
    """What is wrong with a value, for one line of a message.

    Attributes:
        text: what the value should be.
        found: the value, '' where `text` says it all.
        hint: the nearest valid value, see `names.nearest`.
    """

    text: str
    found: str = ""
    hint: str = ""


def read_block(file: Path, key: str, schema: type[T]) -> tuple[T | None, list[str]]:
    """Read a block of a YAML file.

    Args:
        file, key, schema: see `core.params.read_params`.

    Returns:
        The block, None if it does not fit; and a line for each wrong value: its key, what it should be, what it is,
        and the nearest valid value.
    """
    try:
        return read_params(file, key, schema), []
    except UserError as error:
        # The error that `read_params` makes a message of has each value by itself.
        if not isinstance(error.__context__, ValidationError):
            return None, [str(error).removeprefix(f"{file}: ")]
        messages = str(error).removeprefix(f"{file}: ").split(f"\n{file}: ")
        data = read_params(file, key, Any)
        by_path: dict[str, list[Problem]] = {}
        for details, message in zip(error.__context__.errors(include_url=False), messages, strict=True):
            path = ".".join([key, *_find_keys(data, details["loc"], details["type"])])
            by_path.setdefault(path, []).append(_describe(details, message))
        return None, [_format_line(path, problems) for path, problems in by_path.items()]


def _find_keys(data: Any, location: tuple[int | str, ...], error_type: str) -> list[str]:
    """Return the keys on the way to a value; pydantic's names of the options of a union are left out."""
    keys: list[str] = []
    for part in location:
        is_key = isinstance(data, Mapping) and part in data
        if is_key or (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            data = data[part]
            keys.append(str(part))
    return [*keys, str(location[-1])] if error_type == "missing" else keys


def _describe(details: Any, message: str) -> Problem:
    """Describe one of pydantic's errors; `message` is that of `read_params`."""
    found, context = details["input"], details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            return Problem(f"unknown key{message.partition(str(details['loc'][-1]))[2]}")
        case "missing":
            return Problem("is missing")
        case "union_tag_not_found":
            return Problem(f"the key {context['discriminator']} is missing")
        case "union_tag_invalid":
            options, found = context["expected_tags"], context["tag"]
            return Problem(
                f"{context['discriminator']} should be {options}", repr(found), _nearest_option(found, options)
            )
        case "literal_error":
            return Problem(
                f"should be {context['expected']}", _shorten(found), _nearest_option(found, context["expected"])
            )
        case "value_error":
            return Problem(details["msg"].removeprefix("Value error, "))
        case _:
            text = details["msg"].replace("Input should", "should", 1)
            return Problem(text[:1].lower() + text[1:], _shorten(found))


def _nearest_option(found: Any, options: str) -> str:
    return nearest(found, re.findall("'([^']*)'", options)) if isinstance(found, str) else ""


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _format_line(path: str, problems: list[Problem]) -> str:
    """Format the problems of one value as one line: those of the options of a union belong together."""
    first, *others = dict.fromkeys(problem.text for problem in problems)
    text = " or ".join([first, *(other.removeprefix("should be ") for other in others)])
    found = next((f" (got {problem.found})" for problem in problems if problem.found), "")
    return f"{path}: {text}{found}{next((problem.hint for problem in problems if problem.hint), '')}"
