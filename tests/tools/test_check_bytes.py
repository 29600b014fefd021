"""The report of fingerprints that differ; `.ci/run` runs the whole check."""

import json

import torch

import byte_fingerprints
import check_bytes

NAMES = ["NumPy: exp", "net, step 1: loss", "net, step 1: weights", "net: prediction"]


def test_report_names_groups_and_the_first_difference() -> None:
    assert check_bytes.report(NAMES, NAMES[2:]).splitlines() == [
        "2 of 4 fingerprints differ from the committed ones:",
        "  NumPy: same",
        "  net: 2 differ, first: net, step 1: weights",
    ]


def test_hash_value_depends_on_every_bit() -> None:
    x = torch.ones(3, 2)
    changed = torch.nextafter(x, torch.tensor(2.0))
    assert byte_fingerprints.hash_value(x) == byte_fingerprints.hash_value(x.numpy())
    assert byte_fingerprints.hash_value(x) != byte_fingerprints.hash_value(changed)
    assert byte_fingerprints.hash_value([x, x]) != byte_fingerprints.hash_value([x, changed])


def test_fingerprints_cover_all_networks_and_libraries() -> None:
    names = json.loads(check_bytes.FILE.read_text())["fingerprints"]
    groups = {check_bytes.group_of(name) for name in names}
    assert {"C library", "NumPy", "preprocess", "OpenCV", "SciPy", "faiss", "audit", "torch", "matplotlib"} <= groups
    assert set(byte_fingerprints.NETWORKS) <= groups
