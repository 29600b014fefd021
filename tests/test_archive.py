"""The raw store: the same bytes for the same files, and a check of what a source gave."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.archive import RawArchive, RawImage, check_expected, class_counts, fingerprint, write
from brain_tumor.errors import UserError

IMAGES = [
    RawImage("b/2.png", b"two", "b", "test", "p1", "axial", b"mask"),
    RawImage("a/1.png", b"one", "a", "train"),
    RawImage("a/é 3.png", b"three", "a", "train", mask=b"mask 3"),
]
# Whatever a person might call a file: quotes, commas and non-Latin letters, but no control characters.
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)


@given(order=st.permutations(range(3)))
def test_the_bytes_do_not_depend_on_the_order(order: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("raw")
    write(folder / "one.zip", IMAGES)
    write(folder / "other.zip", [IMAGES[i] for i in order])
    assert (folder / "one.zip").read_bytes() == (folder / "other.zip").read_bytes()


def test_what_goes_in_comes_out_untouched(tmp_path: Path) -> None:
    index = write(tmp_path / "raw.zip", IMAGES)
    with RawArchive(tmp_path / "raw.zip") as raw:
        assert raw.index.equals(index)
        assert {path: raw.read(path) for path in raw.index["path"]} == {image.path: image.content for image in IMAGES}
        masks = dict(zip(raw.index["path"], raw.index["mask"], strict=True))
        assert raw.read(masks["b/2.png"]) == b"mask"
    assert index["path"].tolist() == ["a/1.png", "a/é 3.png", "b/2.png"]
    assert index["patient"].tolist() == ["", "", "p1"]


def test_fingerprint_is_blind_to_names_and_sees_contents_labels_and_splits(tmp_path: Path) -> None:
    def of(*images: RawImage) -> str:
        return fingerprint(write(tmp_path / "raw.zip", images))

    assert of(*IMAGES) == of(*(image._replace(path=f"{n}.png") for n, image in enumerate(IMAGES[::-1])))
    for change in ({"content": b"other"}, {"label": "c"}, {"split": "train"}):
        assert of(*IMAGES) != of(IMAGES[0]._replace(**change), *IMAGES[1:])


def test_names_must_differ(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="occurs twice"):
        write(tmp_path / "raw.zip", [IMAGES[0], IMAGES[0]])


def test_an_image_in_the_place_of_a_mask_is_refused_in_either_order(tmp_path: Path) -> None:
    images = [RawImage("masks/1.png", b"image", "a"), RawImage("1.png", b"one", "a", mask=b"mask")]
    for order in (images[::-1], images):
        with pytest.raises(UserError, match="occurs twice"):
            write(tmp_path / "raw.zip", order)


@given(names=st.lists(NAMES, min_size=1, max_size=4, unique=True), label=st.sampled_from(["NA", "no", "", "1", "a,b"]))
def test_names_and_labels_stay_text(names: list[str], label: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("raw") / "raw.zip"
    index = write(path, [RawImage(f"{name}.png", name.encode(), label) for name in names])
    with RawArchive(path) as raw:
        assert raw.index.equals(index)
        assert {path: raw.read(path) for path in raw.index["path"]} == {f"{name}.png": name.encode() for name in names}


def test_what_differs_from_the_expected_is_shown_with_both_sides(tmp_path: Path) -> None:
    index = write(tmp_path / "raw.zip", IMAGES)
    assert class_counts(index) == {"test/b": 1, "train/a": 2}
    check_expected(index, {}, "", "set")
    check_expected(index, class_counts(index), fingerprint(index), "set")
    with pytest.raises(UserError, match=r"expected \{'test/b': 2\}\n  found    \{'test/b': 1, 'train/a': 2\}"):
        check_expected(index, {"test/b": 2}, "", "set")
    with pytest.raises(UserError, match=f"(?s)expected fingerprint 0f.*found +{fingerprint(index)}"):
        check_expected(index, {}, "0f", "set")
