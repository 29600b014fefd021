"""Read DVC's lock files quickly, with the types that DVC itself reads."""

import re
from typing import Any

import yaml

# Unquoted scalars that are not strings, as DVC writes them (YAML 1.2), and their first characters. PyYAML's default
# is YAML 1.1: it also converts `yes`, `012` and `12:30`, and reads `1e-05` as a string.
SCALARS = {
    "null": (r"~|null|", "~n"),
    "bool": (r"true|false", "tf"),
    "int": (r"-?(0|[1-9][0-9]*)", "-0123456789"),
    "float": (r"-?[0-9]+\.[0-9]*([eE][-+]?[0-9]+)?|-?[0-9]+[eE][-+]?[0-9]+", "-0123456789"),
}


class LockLoader(yaml.CSafeLoader):
    """PyYAML's C parser, ten times as fast as ruamel.yaml's, for the subset of YAML 1.2 that DVC writes."""


LockLoader.yaml_implicit_resolvers = {}  # instead of those of YAML 1.1
for _name, (_pattern, _first) in SCALARS.items():
    _keys = ["", *_first] if _name == "null" else list(_first)
    LockLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^({_pattern})$"), _keys)


def parse_lock(text: str) -> Any:
    """Parse the content of a `dvc.lock`.

    Raises:
        yaml.YAMLError: the text is not valid YAML.
    """
    return yaml.load(text, Loader=LockLoader)
