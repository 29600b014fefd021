"""Loading the images of a data set by its name in params.yaml."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.registry import ExpectedContent, load_images
from brain_tumor.datasets.skipped import SkippedFiles


def write_params(folder: Path, source: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(f"datasets:\n  mine:\n    source: {source}\n")
    return path


def test_load_images_unknown_kind_is_an_error(tmp_path: Path) -> None:
    params = write_params(tmp_path, "{kind: zip}")
    message = r"datasets\.mine\.source\.kind is 'zip' \(valid kinds: archive, figshare, folder, .*, yolo\)"
    with pytest.raises(UserError, match=message):
        load_images(params, "mine", tmp_path, SkippedFiles())


def test_load_images_unknown_data_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="datasets has no key 'mime': did you mean 'mine'"):
        load_images(write_params(tmp_path, "{kind: folder}"), "mime", tmp_path, SkippedFiles())


def test_load_images_invalid_source_parameter_is_an_error(tmp_path: Path) -> None:
    params = write_params(tmp_path, "{kind: folder, path: x, table: t.csv, speed: 3}")
    with pytest.raises(UserError, match=r"unknown key datasets\.mine\.source\.speed"):
        load_images(params, "mine", tmp_path, SkippedFiles())


def test_load_images_come_from_the_source(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(b"1")
    (tmp_path / "images" / "t.csv").write_text("path,label\n1.png,x\n")
    params = write_params(tmp_path, f"{{kind: folder, path: {tmp_path / 'images'}, table: t.csv}}")
    assert list(load_images(params, "mine", tmp_path, SkippedFiles())) == [RawImage("1.png", b"1", "x")]


@pytest.mark.parametrize("fingerprint", ["abc", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_expected_content_fingerprint_is_a_digest_or_empty(fingerprint: str) -> None:
    with pytest.raises(ValidationError, match="must be the 64 hexadecimal digits"):
        ExpectedContent(counts={}, fingerprint=fingerprint)
    for valid in ("", "0" * 64):
        assert ExpectedContent(counts={}, fingerprint=valid).fingerprint == valid
