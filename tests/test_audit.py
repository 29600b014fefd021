"""What the audit finds, and that neither names nor order of files change it."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from heads import head, png
from hypothesis import given, settings
from hypothesis import strategies as st

from brain_tumor.audit import _turns, audit, summary
from brain_tumor.copies import TRANSFORMS, turn
from brain_tumor.errors import UserError
from brain_tumor.gallery import choose_examples
from brain_tumor.leakage import leaks

File = tuple[str, bytes, str, str, str]

# name, content, label, published split, patient
FILES: list[File] = [
    ("train/a.png", png(head(1)), "x", "train", ""),
    ("test/a copy.png", png(head(1)), "x", "test", ""),
    ("test/a again.png", png(head(1), level=0), "x", "test", ""),
    ("train/a color.png", png(head(1), mode="RGB"), "y", "train", ""),
    ("test/a mirrored.png", png(turn(head(1), 4)), "x", "test", ""),
    ("train/b rotated.png", png(turn(head(6), 3)), "x", "train", ""),
    ("test/b.png", png(head(6)), "x", "test", ""),
    ("train/p1.png", png(head(2)), "x", "train", "p"),
    ("test/p2.png", png(head(3)), "x", "test", "p"),
    ("test/alone.png", png(head(4)), "y", "test", ""),
    ("train/broken.png", png(head(5))[:50], "y", "train", ""),
    ("train/text.jpg", b"not an image", "y", "train", ""),
    ("train/flat.png", png(np.full((5, 5), 7, np.uint8)), "y", "train", ""),
    ("train/noise.png", png(np.random.default_rng(0).integers(0, 255, (90, 90)).astype(np.uint8)), "y", "train", ""),
]


class Contents(dict[str, bytes]):
    """Bytes by path, as a reader that can be sent to other processes."""

    def __call__(self, path: str) -> bytes:
        return self[path]


def run(files: list[File]) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = [(n, lab, s, p, "", "", hashlib.sha256(c).hexdigest()) for n, c, lab, s, p in files]
    index = pd.DataFrame(rows, columns=["path", "label", "split", "patient", "mask", "plane", "sha256"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKERS", "1")
        return audit(index, Contents({name: content for name, content, *_ in files}), "test")


TABLE, LINKS = run(FILES)


def test_copies_patients_conflicts_and_broken_files_are_found() -> None:
    found = TABLE.set_index("path")
    assert found["copies"].iloc[:5].nunique() == 1
    assert found["copies"].iloc[5:7].nunique() == 1
    assert found["copies"].nunique() == 9
    group = found["group"]
    assert group["train/p1.png"] == group["test/p2.png"]
    assert group.nunique() == 8
    kinds = ["exact", "exact", "pixels", "pixels", "mirrored", "rotated", "rotated", "patient", "patient"]
    assert found["kind"].tolist() == kinds + [""] * 5
    assert found["conflict"].tolist() == [True] * 5 + [False] * 9
    assert found["problem"]["train/broken.png"].startswith("unreadable")
    assert found["problem"]["train/text.jpg"] == "unreadable: not an image file"
    assert found["problem"]["train/flat.png"].startswith("blank")
    assert found["doubt"]["train/noise.png"] == "no dark ground around a head"
    assert (found["doubt"] != "").sum() == 1


def test_every_link_has_its_evidence() -> None:
    assert LINKS["kind"].value_counts().to_dict() == {
        "exact": 1, "pixels": 2, "patient": 1, "mirrored": 1, "rotated": 1,
    }  # fmt: skip
    paths = set(TABLE["path"])
    assert set(LINKS["first"]) | set(LINKS["second"]) <= paths
    compared = LINKS[LINKS["kind"].isin(["mirrored", "rotated"])]
    assert (compared["correlation"] > 0.96).all()
    assert (compared["distance"] < 0.1).all()
    assert (LINKS.loc[LINKS["kind"] == "exact", "correlation"] == 1).all()
    assert LINKS.loc[LINKS["kind"] == "patient", "correlation"].isna().all()


def test_orientation_says_how_to_turn_each_copy_like_the_first() -> None:
    files = [(f"{k}.png", png(turn(head(1), k)), "x", "", "") for k in range(8)]
    found, _ = run(files)
    assert found["copies"].nunique() == 1
    numbers = [TRANSFORMS.index(name) for name in found["orientation"]]
    turned = [turn(turn(head(1), k), number) for k, number in zip(range(8), numbers, strict=True)]
    assert all(np.array_equal(image, turned[0]) for image in turned)
    first = found.sort_values("sha256").iloc[0]
    assert first["orientation"] == "none"


def test_turns_are_a_group() -> None:
    then, back = _turns()
    assert sorted(back) == list(range(8))
    for a in range(8):
        assert then[a, back[a]] == then[back[a], a] == 0
        for b in range(8):
            for c in range(8):
                assert then[then[a, b], c] == then[a, then[b, c]]


def test_a_copy_under_another_encoding_joins_the_patient_s_group() -> None:
    found, _ = run(
        [
            ("1.png", png(head(1)), "x", "", "p"),
            ("2.png", png(head(2)), "x", "", "p"),
            ("copy of 1.png", png(head(1), mode="RGB"), "x", "", ""),
            ("copy of 2.png", png(turn(head(2), 6)), "x", "", "q"),
            ("3.png", png(head(3)), "x", "", "q"),
            ("other.png", png(head(4)), "x", "", ""),
        ]
    )
    assert found["group"].nunique() == 2
    assert found["group"][:5].nunique() == 1
    assert found["copies"].nunique() == 4


def test_counts() -> None:
    assert summary(TABLE, LINKS) == {
        "images": 14,
        "distinct_files": 13,
        "distinct_pixels": 9,
        "distinct_images": 9,
        "groups": 8,
        "largest_group": 5,
        "groups_of_several_classes": 1,
        "label_conflicts": 1,
        "patients": 1,
        "unreadable": 2,
        "blank": 1,
        "doubtful": 1,
        "links": {
            "exact": 1, "pixels": 2, "near": 0, "mirrored": 1, "rotated": 1, "patient": 1, "adjacent": 0, "refused": 0,
        },
        "links_across_patients": dict.fromkeys(
            ("exact", "pixels", "near", "mirrored", "rotated", "patient", "adjacent"), 0
        ),
        "images_with_siblings": 2,
        "siblings_tied_by_content": 0,
        "published_test": 6,
        "leaked_exact": 1,
        "leaked_pixels": 2,
        "leaked_copies": 4,
        "leaked_group": 5,
        "leaked_mirrored_only": 2,
    }  # fmt: skip


def test_leaks_say_what_of_a_test_image_was_seen() -> None:
    found = TABLE[TABLE["split"] == "test"]
    said = leaks(found, TABLE[TABLE["split"] == "train"])
    assert dict(zip(found["path"], said, strict=True)) == {
        "test/a copy.png": "copy",
        "test/a again.png": "copy",
        "test/a mirrored.png": "mirrored",
        "test/b.png": "mirrored",
        "test/p2.png": "related",
        "test/alone.png": "",
    }


def test_links_across_patients_measure_the_audit() -> None:
    files = [("1.png", png(head(1)), "x", "", "p"), ("2.png", png(turn(head(1), 4)), "x", "", "q")]
    counts = summary(*run(files))
    assert counts["links_across_patients"]["mirrored"] == 1
    assert counts["patients"] == 2
    counts = summary(*run([(name, content, label, split, "p") for name, content, label, split, _ in files]))
    assert (counts["images_with_siblings"], counts["siblings_tied_by_content"]) == (2, 2)


def test_an_image_without_a_label_contradicts_nothing() -> None:
    found, links = run([("1.png", png(head(1)), "", "", ""), ("2.png", png(head(1)), "x", "", "")])
    assert not found["conflict"].any()
    assert summary(found, links)["groups_of_several_classes"] == 0


def test_a_path_listed_twice_is_an_error() -> None:
    with pytest.raises(UserError, match=r"1\.png is listed twice"):
        run([("1.png", png(head(1)), "", "", "")] * 2)


@settings(max_examples=8)
@given(st.permutations(range(len(FILES))))
def test_order_and_names_of_files_do_not_matter(order: list[int]) -> None:
    moved, links = run([(f"{n}.png", *FILES[i][1:]) for n, i in enumerate(order)])
    columns = ["copies", "orientation", "group", "kind", "conflict", "problem", "doubt"]
    pd.testing.assert_frame_equal(moved[columns], TABLE.loc[order, columns].reset_index(drop=True))
    assert summary(moved, links) == summary(TABLE, LINKS)


def test_a_data_set_without_any_readable_image() -> None:
    found, links = run([("a.png", b"", "x", "train", ""), ("b.png", b"text", "x", "test", "")])
    counts = summary(found, links)
    assert counts["unreadable"] == 2
    assert (counts["leaked_exact"], counts["leaked_pixels"], counts["leaked_group"]) == (0, 0, 0)


def test_unfit_files_that_are_alike_are_no_copies() -> None:
    flat = png(np.zeros((9, 9), np.uint8))
    files = [
        (f"{split}/{n}", content, split, split, "")
        for split in ("train", "test")
        for n, content in enumerate((flat, b""))
    ]
    found, links = run(files)
    assert found["group"].nunique() == found["copies"].nunique() == 4
    counts = summary(found, links)
    assert counts["label_conflicts"] == counts["leaked_exact"] == counts["leaked_group"] == 0
    assert counts["links"]["exact"] == 2


def test_gallery_goes_from_conflicts_to_what_was_refused() -> None:
    rows = choose_examples(TABLE, LINKS, 3)
    titles = [row[0].caption.split(",")[0] for row in rows]
    assert titles == [
        "other label on a copy", "same bytes", "same pixels", "mirrored copy", "rotated copy",
        "weakest copies accepted",
    ]  # fmt: skip
    labels = TABLE.set_index("path")["label"]
    assert all(labels[example.first] != labels[example.second] for example in rows[0])
    assert rows[3][0].caption.startswith("mirrored copy, left-right")
    assert all(1 <= len(row) <= 3 for row in rows)


def test_gallery_takes_any_file_name_and_shows_nothing_unreadable() -> None:
    files = [("a|b.png", png(head(1)), "x", "", ""), ("c.png", png(head(1)), "x", "", "")]
    files += [(f"{n}.png", b"", "x", "", "") for n in range(2)] + [
        (f"{n}.jpg", b"no image", "y", "", "") for n in range(2)
    ]
    (row,) = choose_examples(*run(files), 5)
    assert [(example.first, example.second) for example in row] == [("a|b.png", "c.png")]


def test_two_processes_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from brain_tumor.folders import FolderFiles, index_images

    for name, content, *_ in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    found = []
    for workers in ("1", "2"):
        monkeypatch.setenv("WORKERS", workers)
        found.append(audit(index_images(FolderFiles(tmp_path)), FolderFiles(tmp_path).read, "test"))
    for one, other in zip(*found, strict=True):
        pd.testing.assert_frame_equal(one, other)
