"""What the audit finds, and that neither names nor order of files change it."""

import hashlib
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from brain_tumor.audit import audit, connect, example_pairs, inspect, summary


def png(seed: int, mode: str = "L", level: int = 6) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 10)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


# name, content, label, published split, patient
FILES = [
    ("train/a.png", png(1), "x", "train", ""),
    ("test/a copy.png", png(1), "x", "test", ""),
    ("test/a again.png", png(1, level=0), "x", "test", ""),
    ("train/a color.png", png(1, "RGB"), "y", "train", ""),
    ("train/p1.png", png(2), "x", "train", "p"),
    ("test/p2.png", png(3), "x", "test", "p"),
    ("test/alone.png", png(4), "y", "test", ""),
    ("train/broken.png", png(5)[:50], "y", "train", ""),
    ("train/text.jpg", b"not an image", "y", "train", ""),
    ("train/flat.png", b"", "y", "train", ""),
]
flat = io.BytesIO()
Image.new("L", (5, 5), 7).save(flat, "PNG")
FILES[-1] = (FILES[-1][0], flat.getvalue(), *FILES[-1][2:])


def table(files: list[tuple[str, bytes, str, str, str]]) -> pd.DataFrame:
    rows = [(n, lab, s, p, "", "", hashlib.sha256(c).hexdigest()) for n, c, lab, s, p in files]
    index = pd.DataFrame(rows, columns=["path", "label", "split", "patient", "mask", "plane", "sha256"])
    return audit(index, [inspect(content) for _, content, *_ in files])


AS_LISTED = table(FILES)


def test_copies_patients_conflicts_and_broken_files_are_found() -> None:
    found = table(FILES).set_index("path")
    group = found["group"]
    assert group[[name for name, *_ in FILES[:4]]].nunique() == 1
    assert group["train/p1.png"] == group["test/p2.png"]
    assert group.nunique() == 6
    assert found["copy"].tolist() == ["exact", "exact", "pixels", "pixels", "", "", "", "", "", ""]
    assert found["conflict"].tolist() == [True] * 4 + [False] * 6
    assert found["problem"]["train/broken.png"].startswith("unreadable")
    assert found["problem"]["train/text.jpg"] == "unreadable: not an image file"
    assert found["problem"]["train/flat.png"].startswith("blank")


def test_a_copy_under_another_encoding_joins_the_patient_s_group() -> None:
    found = table(
        [
            ("1.png", png(1), "x", "", "p"),
            ("2.png", png(2), "x", "", "p"),
            ("copy of 1.png", png(1, "RGB"), "x", "", ""),
            ("copy of 2.png", png(2, level=0), "x", "", "q"),
            ("3.png", png(3), "x", "", "q"),
            ("other.png", png(4), "x", "", ""),
        ]
    )
    assert found["group"].nunique() == 2
    assert found["group"][:5].nunique() == 1


def test_counts() -> None:
    assert summary(table(FILES)) == {
        "images": 10,
        "distinct_files": 9,
        "distinct_images": 5,
        "groups": 6,
        "patients": 1,
        "unreadable": 2,
        "blank": 1,
        "label_conflicts": 1,
        "published_test": 4,
        "leaked_exact": 1,
        "leaked_pixels": 2,
        "leaked_group": 3,
    }


@given(st.permutations(range(len(FILES))))
def test_order_and_names_of_files_do_not_matter(order: list[int]) -> None:
    moved = table([(f"{n}.png", *FILES[i][1:]) for n, i in enumerate(order)])
    columns = ["group", "copy", "conflict", "problem"]
    pd.testing.assert_frame_equal(moved[columns], AS_LISTED.loc[order, columns].reset_index(drop=True))
    assert summary(moved) == summary(AS_LISTED)


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=12, max_size=12), min_size=1, max_size=3))
def test_connect_joins_what_shares_a_key_and_no_more(keys: list[list[int | None]]) -> None:
    found = connect([pd.Series(key, dtype="Int64") for key in keys], 12)
    naive = list(range(12))
    for _ in range(12):
        for key in keys:
            for i in range(12):
                for j in range(12):
                    if key[i] is not None and key[i] == key[j]:
                        naive[i] = naive[j] = min(naive[i], naive[j])
    assert [[a == b for b in naive] for a in naive] == (found[:, None] == found[None]).tolist()


@pytest.mark.parametrize("most", [1, 5])
def test_gallery_shows_conflicts_first(most: int) -> None:
    pairs = example_pairs(table(FILES), most)
    assert len(pairs) == 1
    first, second, what = pairs[0]
    assert {first, second} <= {name for name, *_ in FILES[:4]}
    assert what == "same pixels, other label (same pixels)"


def test_gallery_goes_from_worse_to_better() -> None:
    copies = [
        ("conflict 1", png(1), "x", "train", ""),
        ("conflict 2", png(1), "y", "train", ""),
        ("leak 1", png(2), "x", "train", ""),
        ("leak 2", png(2), "x", "train", ""),
        ("leak 3", png(2, "RGB"), "x", "test", ""),
        ("copy 1", png(3), "x", "train", ""),
        ("copy 2", png(3), "x", "train", ""),
        ("alone", png(4), "x", "train", ""),
    ]
    expected = [
        ("conflict 1", "conflict 2", "same pixels, other label (same bytes)"),
        ("leak 1", "leak 3", "in training and test (same pixels)"),
        ("copy 1", "copy 2", "copy (same bytes)"),
    ]
    for order in (copies, copies[::-1]):
        for most in (3, 1):
            assert example_pairs(table(order), most) == expected[:most]


def test_gallery_takes_any_file_name() -> None:
    found = example_pairs(table([("a|b.png", png(1), "x", "", ""), ("c.png", png(1), "x", "", "")]), 5)
    assert found == [("a|b.png", "c.png", "copy (same bytes)")]


def test_gallery_shows_no_unreadable_files() -> None:
    empty = [(f"{n}.png", b"", "x", "", "") for n in range(2)]
    text = [(f"{n}.jpg", b"not an image", "y", "", "") for n in range(2)]
    assert example_pairs(table(empty + text), 5) == []


def test_different_unreadable_files_are_no_leak() -> None:
    found = summary(table([("a.png", b"", "x", "train", ""), ("b.png", b"text", "x", "test", "")]))
    assert (found["leaked_exact"], found["leaked_pixels"], found["leaked_group"]) == (0, 0, 0)
