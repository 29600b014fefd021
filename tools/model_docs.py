"""Markdown documentation of parameter models: their docstrings, and tables of their keys."""

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python

Model = type[BaseModel]
Schema = Mapping[str, Any]
TYPES = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean", "null": "`null`"}
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
DISCRIMINATORS = ("op", "kind")  # keys whose value selects a model among several
LINE_LENGTH = 120
MAX_LEVEL = 5  # of headings
MAX_DEFAULT_LENGTH = 40  # characters in a table cell; longer defaults are listed below the table


class Row(NamedTuple):
    """A row of a table of keys, in Markdown."""

    key: str
    type: str
    default: str
    allowed: str
    meaning: str


class Section(NamedTuple):
    """The section of a model.

    Attributes:
        key: of the block in params.yaml.
        variant: discriminator and value that select the model among several of the same key; or empty.
    """

    key: str
    variant: tuple[str, str] | tuple[()] = ()

    @property
    def heading(self) -> str:
        """The heading, without its level."""
        return f"`{self.key}`" + (f", {self.variant[0]} `{self.variant[1]}`" if self.variant else "")

    @property
    def link(self) -> str:
        """A link to the section, by GitHub's rules for anchors."""
        text = self.variant[1] if self.variant else self.key.rpartition(".")[2]
        return f"[`{text}`](#{re.sub(r'[^a-z0-9 _-]', '', self.heading.lower()).replace(' ', '-')})"


class Page:
    """A page of Markdown. Each model has one section, where it is first used."""

    def __init__(self, introduction: str) -> None:
        self._parts = [introduction]
        self._sections: dict[str, Section] = {}  # by name of the model

    def render(self) -> str:
        """Return the text of the page."""
        return "\n".join(self._parts)

    def add_heading(self, level: int, text: str) -> None:
        """Add a heading."""
        self._parts.append(f"{'#' * level} {text}\n")

    def add_text(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(textwrap.fill(text, LINE_LENGTH, break_long_words=False, break_on_hyphens=False) + "\n")

    def add_table(self, rows: Sequence[Row]) -> None:
        """Add a table of keys."""
        lines = ["| key | type | default | allowed | meaning |", "|---|---|---|---|---|"]
        for row in rows:
            cells = (cell.replace("|", r"\|") for cell in (f"`{row.key}`", *row[1:]))
            lines.append(f"| {' | '.join(cells)} |")
        self._parts.append("\n".join(lines) + "\n")

    def add_model(self, level: int, section: Section, model: Model) -> None:
        """Add the section of a model, and sections of the models inside it."""
        self.add_heading(level, section.heading)
        overview, meanings = parse_docstring(model)
        for paragraph in filter(None, remove_key(overview, section.key).split("\n\n")):
            self.add_text(" ".join(paragraph.split()))
        new = self._name_sections(section.key, model)
        rows, long_defaults = [], {}
        for key, field in TypeAdapter(model).json_schema().get("properties", {}).items():
            default = read_default(model, key)
            if len(default) > MAX_DEFAULT_LENGTH:
                long_defaults[key], default = field["default"], "below"
            meaning = meanings.get(key) or default_meaning(key, field, overview)
            rows.append(Row(key, self._format_type(field), default, format_limits(field), meaning))
        self.add_table(sorted(rows, key=lambda row: row.key not in DISCRIMINATORS))
        for key, value in long_defaults.items():
            lines = "".join(f"- {json.dumps(item, ensure_ascii=False)}\n" for item in value)
            self._parts.append(f"Default of `{key}`:\n\n```yaml\n{lines}```\n")
        for inner_section, inner in new:
            self.add_model(min(level + 1, MAX_LEVEL), inner_section, inner)

    def _name_sections(self, key: str, model: Model) -> list[tuple[Section, Model]]:
        """Name the sections of the models inside a model that have none yet."""
        new = []
        for name, field in model.model_fields.items():
            models = list(find_models(field.annotation))
            for inner in models:
                if inner.__name__ not in self._sections:
                    section = Section(f"{key}.{name}", find_variant(inner) if len(models) > 1 else ())
                    self._sections[inner.__name__] = section
                    new.append((section, inner))
        return new

    def _format_type(self, field: Schema) -> str:
        """Describe the type of a field of a JSON schema."""
        if "$ref" in field:
            return self._sections[field["$ref"].rpartition("/")[2]].link
        if "const" in field or "enum" in field:
            return join_options([f"`{value or repr('')}`" for value in field.get("enum", [field.get("const")])])
        if options := field.get("anyOf", field.get("oneOf")):
            return join_options([self._format_type(option) for option in options])
        if field["type"] == "array":
            return f"list of {self._format_type(field['items'])}"
        if field["type"] == "object":
            values = field.get("additionalProperties") or next(iter(field["patternProperties"].values()))
            return f"mapping of text to {self._format_type(values)}"
        return TYPES[field["type"]]


def parse_docstring(model: Model) -> tuple[str, dict[str, str]]:
    """Split a model's docstring into the text before `Attributes:` and the meanings of the attributes.

    Inherited fields have the meanings that the parents give, unless the model gives its own.
    """
    overview, meanings = "", dict[str, str]()
    for parent in reversed([cls for cls in model.__mro__ if issubclass(cls, BaseModel) and cls is not BaseModel]):
        overview, _, attributes = inspect.cleandoc(vars(parent).get("__doc__") or "").partition("Attributes:\n")
        for entry in re.split(r"\n(?=\S)", textwrap.dedent(attributes).strip()):
            names, _, text = entry.partition(":")
            meanings |= dict.fromkeys(re.split(r",\s*", names.strip()), capitalize(" ".join(text.split())))
    return overview.strip(), meanings


def default_meaning(key: str, field: Schema, overview: str) -> str:
    """Return the meaning of a key without an entry in the docstring; empty if nothing explains it."""
    if key in DISCRIMINATORS and "const" in field:
        return "Selects this block."
    return "See above." if f"`{key}`" in overview else ""


def remove_key(overview: str, key: str) -> str:
    """Remove the key of a block from the start of its description: it is in the heading."""
    return capitalize(re.sub(rf"^`{re.escape(key)}`[.:]?\s*", "", overview))


def capitalize(text: str) -> str:
    """Make the first letter a capital, and leave the others."""
    return text[:1].upper() + text[1:]


def find_models(annotation: Any) -> Iterator[Model]:
    """Yield the models in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from find_models(argument)


def find_variant(model: Model) -> tuple[str, str]:
    """Return the discriminator of a model and its value, such as `op` and `flip`."""
    for key in DISCRIMINATORS:
        if key in model.model_fields:
            return key, get_args(model.model_fields[key].annotation)[0]
    raise ValueError(f"{model.__name__} has none of the keys {', '.join(DISCRIMINATORS)}")


def read_default(model: Model, key: str) -> str:
    """Return the formatted default of a field."""
    field = model.model_fields[key]
    if field.is_required():
        return "required"
    value = to_jsonable_python(field.get_default(call_default_factory=True))
    return "its own defaults" if isinstance(value, dict) and value else f"`{json.dumps(value, ensure_ascii=False)}`"


def format_limits(field: Schema) -> str:
    """Describe the limits of a field of a JSON schema, or of its items."""
    options = [field, *field.get("anyOf", ()), field.get("items"), field.get("additionalProperties")]
    texts = []
    for option in filter(lambda option: isinstance(option, dict), options):
        texts += [f"{sign} {option[key]:g}" for key, sign in LIMITS.items() if key in option]
        texts += [f"matches `{option['pattern']}`"] if "pattern" in option else []
        texts += ["not empty"] if any(option.get(key) for key in ("minItems", "minProperties", "minLength")) else []
    return ", ".join(dict.fromkeys(texts))


def join_options(texts: Sequence[str]) -> str:
    """Join alternatives, as in `a, b or c`."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"
