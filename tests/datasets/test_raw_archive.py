"""The raw archive: the same bytes for the same files, and the check of its content."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.core.errors import UserError
from brain_tumor.core.params import read_params
from brain_tumor.datasets.raw_archive import (
    COLUMNS,
    RawArchive,
    RawImage,
    check_expected,
    class_counts,
    content_fingerprint,
    find_missing_classes,
    format_expected,
    write_archive,
)

IMAGES = [
    RawImage("b/2.png", b"two", "b", "test", "p1", "axial", b"mask"),
    RawImage("a/1.png", b"one", "a", "train"),
    RawImage("a/é 3.png", b"three", "a", "train", mask=b"mask 3"),
]
# Any file name: quotes, commas and non-Latin letters, but no control characters.
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)


@given(order=st.permutations(range(3)))
def test_write_archive_order_does_not_change_the_bytes(
    order: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("raw")
    write_archive(folder / "one.zip", IMAGES)
    write_archive(folder / "other.zip", [IMAGES[i] for i in order])
    assert (folder / "one.zip").read_bytes() == (folder / "other.zip").read_bytes()


def test_raw_archive_contents_are_unchanged(tmp_path: Path) -> None:
    index = write_archive(tmp_path / "raw.zip", IMAGES)
    with RawArchive(tmp_path / "raw.zip") as raw:
        assert raw.index.equals(index)
        assert {path: raw.read(path) for path in raw.index["path"]} == {image.path: image.content for image in IMAGES}
        masks = dict(zip(raw.index["path"], raw.index["mask"], strict=True))
        assert raw.read(masks["b/2.png"]) == b"mask"
    assert index["path"].tolist() == ["a/1.png", "a/é 3.png", "b/2.png"]
    assert index["patient"].tolist() == ["", "", "p1"]


def test_content_fingerprint_covers_contents_labels_and_splits(tmp_path: Path) -> None:
    def fingerprint(*images: RawImage) -> str:
        return content_fingerprint(write_archive(tmp_path / "raw.zip", images))

    renamed = [image._replace(path=f"{n}.png") for n, image in enumerate(IMAGES[::-1])]
    assert fingerprint(*IMAGES) == fingerprint(*renamed)
    for change in ({"content": b"other"}, {"label": "c"}, {"split": "train"}):
        assert fingerprint(*IMAGES) != fingerprint(IMAGES[0]._replace(**change), *IMAGES[1:])


def test_write_archive_duplicate_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="occurs twice"):
        write_archive(tmp_path / "raw.zip", [IMAGES[0], IMAGES[0]])


def test_write_archive_image_path_equal_to_mask_path_is_an_error(tmp_path: Path) -> None:
    images = [RawImage("masks/1.png", b"image", "a"), RawImage("1.png", b"one", "a", mask=b"mask")]
    for order in (images[::-1], images):
        with pytest.raises(UserError, match="occurs twice"):
            write_archive(tmp_path / "raw.zip", order)


@given(names=st.lists(NAMES, min_size=1, max_size=4, unique=True), label=st.sampled_from(["NA", "no", "", "1", "a,b"]))
def test_raw_archive_any_name_and_label_is_text(
    names: list[str], label: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("raw") / "raw.zip"
    index = write_archive(path, [RawImage(f"{name}.png", name.encode(), label) for name in names])
    with RawArchive(path) as raw:
        assert raw.index.equals(index)
        assert {path: raw.read(path) for path in raw.index["path"]} == {f"{name}.png": name.encode() for name in names}


def test_write_archive_optional_columns_exist_only_if_used(tmp_path: Path) -> None:
    assert list(write_archive(tmp_path / "raw.zip", IMAGES).columns) == COLUMNS
    boxed = IMAGES[0]._replace(box="1 2 3 4", age="61")
    assert list(write_archive(tmp_path / "raw.zip", [boxed, *IMAGES[1:]]).columns) == [*COLUMNS, "box", "age"]


@pytest.mark.parametrize("change", [{"path": "a\r.png"}, {"label": "\ud800"}, {"patient": "p\n1"}])
def test_write_archive_text_that_csv_changes_is_an_error(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(change))} has a control character or is not UTF-8"):
        write_archive(tmp_path / "raw.zip", [RawImage("a.png", b"x", "a")._replace(**change)])


def test_check_expected_difference_error_shows_both_sides(tmp_path: Path) -> None:
    index = write_archive(tmp_path / "raw.zip", IMAGES)
    assert class_counts(index) == {"test/b": 1, "train/a": 2}
    check_expected(index, {}, "", "set")
    check_expected(index, class_counts(index), content_fingerprint(index), "set")
    with pytest.raises(UserError, match=r"expected \{'test/b': 2\}\n  actual   \{'test/b': 1, 'train/a': 2\}"):
        check_expected(index, {"test/b": 2}, "", "set")
    with pytest.raises(
        UserError, match=f"(?s)expected fingerprint 0f\n  actual fingerprint +{content_fingerprint(index)}"
    ):
        check_expected(index, {}, "0f", "set")


def test_format_expected_can_be_pasted_into_params(tmp_path: Path) -> None:
    images = [RawImage(f"{label}/1.png", b"1", label) for label in ("yes", "no", "1", "größer: 2")]
    index = write_archive(tmp_path / "raw.zip", images)
    text = "datasets:\n  mine:\n" + format_expected(index) + "\n"
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    expected = read_params(tmp_path / "params.yaml", "datasets.mine.expected", dict[str, Any])
    assert expected == {"counts": class_counts(index), "fingerprint": content_fingerprint(index)}
    assert text.splitlines()[2] == "    expected:"


def test_find_missing_classes_class_without_an_image_in_a_split(tmp_path: Path) -> None:
    places = ["train/a", "train/b", "test/a", "/c"]
    images = [RawImage(f"{place}/1.png", b"1", place.split("/")[1], place.split("/")[0]) for place in places]
    assert find_missing_classes(write_archive(tmp_path / "1.zip", images)) == ["test/b", "test/c", "train/c"]
    assert find_missing_classes(write_archive(tmp_path / "2.zip", images[:1])) == []
    assert find_missing_classes(write_archive(tmp_path / "3.zip", images[3:])) == []
