"""Lock files are read with the types that DVC wrote."""

import random
from typing import Any

import pytest
from dvc.utils.serialize import dumps_yaml, loads_yaml

from dvc_lock import parse_lock
from project import ROOT

# Strings that look like numbers, Booleans, null or dates in YAML 1.1 or 1.2.
STRINGS = (
    "12345678901234567890123456789012", "00000000000000000000000000000000", "01234567012345670123456701234567",
    "08080808080808080808080808080808", "1234e567890123456789012345678901", "1e5", "12e3.dir", "0e0", "123.dir",
    "1_000", "0x12", "0o17", "0b11", "012", ".5", ".inf", "1.", "1.5e3", "-1", "+1", "12:30:45", "2026-11-27",
    "yes", "no", "on", "off", "y", "n", "~", "null", "Null", "true", "True", "FALSE", "", "=", "<<", "-", "a: b", "# a",
)  # fmt: skip
VALUES: Any = (
    0,
    1,
    -5,
    10**40,
    0.1,
    1e-05,
    1e05,
    1e20,
    2.0,
    -1e-07,
    True,
    False,
    None,
    [],
    {},
    {"yes": "no", "1e5": 2},
)


@pytest.mark.parametrize("value", [*STRINGS, *VALUES], ids=repr)
def test_parse_lock_value_that_dvc_wrote_has_its_type(value: Any) -> None:
    text = dumps_yaml({"list": [value], "value": value})
    parsed = parse_lock(text)
    assert repr(parsed) == repr({"list": [value], "value": value})
    assert parsed == loads_yaml(text)


def test_parse_lock_random_hashes_are_strings() -> None:
    rng = random.Random(0)
    hashes = ["".join(rng.choices("0123456789ee", k=32)) for _ in range(300)]
    hashes += ["".join(rng.choices("0123456789", k=32)) for _ in range(300)]
    assert parse_lock(dumps_yaml({"md5": hashes})) == {"md5": hashes}


def test_parse_lock_all_lock_files_equal_dvcs_reading() -> None:
    locks = [*ROOT.glob("dvc.lock"), *ROOT.glob("stages/**/dvc.lock")]
    assert locks
    for lock in locks:
        text = lock.read_text(encoding="utf-8")
        assert parse_lock(text) == loads_yaml(text), lock
