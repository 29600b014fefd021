"""The source `figshare` with a loopback server and with local files."""

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.core.errors import UserError
from brain_tumor.datasets import http, registry
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.sources.figshare import images, scale_to_gray
from figshare_service import (
    ARTICLE_FILES,
    COUNT,
    FILES,
    FOLDS,
    LABELS,
    SOURCE,
    FigshareServer,
    Offline,
    make_archive,
    make_image,
    make_mask,
)
from servers import run_clean

ADVICE = ("https://doi.org/10.6084/m9.figshare.77", "DATA_ARCHIVES=")


@pytest.fixture(autouse=True)
def short_waits_and_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short and chunks small; without a server no service can be reached."""
    monkeypatch.setattr(http, "CHUNK_BYTES", 500)
    monkeypatch.setattr(http, "RETRY_WAIT_SECONDS", (0.01, 0.01))
    monkeypatch.setenv("FIGSHARE_API_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("DATA_ARCHIVES", raising=False)


def fetch(server: FigshareServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[RawImage]:
    monkeypatch.setenv("FIGSHARE_API_URL", server.url + "/")
    return list(images(SOURCE, folder, SkippedFiles()))


def decode_png(content: bytes | None) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content or b"")) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        return np.asarray(image)


def test_images_slices_are_sorted_and_have_their_metadata(offline: Offline) -> None:
    slices = offline()
    labels = [LABELS[number % 3 + 1] for number in range(1, COUNT + 1)]
    assert [image.path for image in slices] == [f"{label}/{n:04d}.png" for n, label in enumerate(labels, 1)]
    assert [image.label for image in slices] == labels
    assert [image.patient for image in slices] == ["MR000", "MR001", "MR001", "MR002", "MR002", "MR003", "MR003"]
    assert [image.fold for image in slices] == [str(fold) for fold in FOLDS]
    assert [image.box for image in slices] == [f"{n} 4 {20 - n} 6" for n in range(1, COUNT)] + [""]
    assert {image.split + image.plane + image.site for image in slices} == {""}


def test_images_pixels_and_masks_are_upright(offline: Offline) -> None:
    for number, image in enumerate(offline(), 1):
        np.testing.assert_array_equal(decode_png(image.content), scale_to_gray(make_image(number), 99.8))
        if number < COUNT:
            np.testing.assert_array_equal(decode_png(image.mask), make_mask(number) * 255)
        else:
            assert image.mask is None


def test_scale_to_gray_scale_is_linear_up_to_the_percentile() -> None:
    image = np.arange(1001, dtype=np.int16)[None]
    assert scale_to_gray(image, 100)[0, [0, 500, 1000]].tolist() == [0, 128, 255]  # 127.5 rounds to even
    assert scale_to_gray(image, 50)[0, [0, 100, 250, 500, 1000]].tolist() == [0, 51, 128, 255, 255]
    assert scale_to_gray(image + 500, 100)[0, 0] == 85  # the scale starts at 0, not at the minimum
    assert scale_to_gray(image - 500, 100)[0, [0, 500, 1000]].tolist() == [0, 128, 255]
    assert scale_to_gray(np.zeros((2, 2), np.int16), 99.8).max() == 0
    assert scale_to_gray(np.array([[-32768, 32767]], np.int16), 100).tolist() == [[0, 255]]


def test_images_percentile_is_a_parameter(offline: Offline) -> None:
    half = SOURCE.model_copy(update={"window_percentile": 50.0})
    np.testing.assert_array_equal(decode_png(offline(source=half)[0].content), scale_to_gray(make_image(1), 50))


def test_load_images_figshare_block_is_read(tmp_path: Path, offline: Offline) -> None:
    expected = offline()
    (tmp_path / "params.yaml").write_text(
        "datasets: {cheng: {source: {kind: figshare, article: 77, version: 3, "
        f"files: [{', '.join(FILES)}], window_percentile: 99.8}}}}}}"
    )
    assert list(registry.load_images(tmp_path / "params.yaml", "cheng", tmp_path, SkippedFiles())) == expected


def test_images_second_run_same_bytes_without_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: Offline
) -> None:
    with FigshareServer(ARTICLE_FILES | {"README.txt": b""}) as server:
        first = fetch(server, tmp_path, monkeypatch)
        second = fetch(server, tmp_path, monkeypatch)
        assert [server.requested_ranges(name) for name in (*FILES, "README.txt")] == [[""], [""], [""], []]
        assert not any(request.authorization for request in server.requests)
    for name, content in ARTICLE_FILES.items():
        assert (tmp_path / "figshare-77-v3" / name).read_bytes() == content
    assert first == second == offline()


def test_images_broken_connection_requests_only_the_missing_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FigshareServer(ARTICLE_FILES, cut=1000) as server:
        assert len(fetch(server, tmp_path, monkeypatch)) == COUNT
        assert server.requested_ranges(FILES[0]) == ["", "bytes=1000-"]


def test_images_api_without_files_falls_back_to_the_url_in_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FigshareServer(ARTICLE_FILES, moved=True) as server:
        assert len(fetch(server, tmp_path, monkeypatch)) == COUNT


def test_images_local_files_need_no_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: Offline, caplog: pytest.LogCaptureFixture
) -> None:
    with FigshareServer(ARTICLE_FILES) as server, caplog.at_level(logging.INFO):
        monkeypatch.setenv("FIGSHARE_API_URL", server.url)
        assert len(offline()) == COUNT
    assert server.requests == []
    assert "no request to figshare" in caplog.text
    assert not (tmp_path / "downloads").exists()


def test_images_missing_local_file_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: Offline
) -> None:
    expected = offline()
    (tmp_path / "archives" / "cvind.mat").unlink()
    with FigshareServer(ARTICLE_FILES) as server:
        assert fetch(server, tmp_path, monkeypatch) == expected
        assert [server.requested_ranges(name) for name in FILES] == [[], [], [""]]


@pytest.mark.parametrize("changes", [{"computed_md5": "0" * 32}, {"size": 5}])
def test_images_other_content_than_listed_is_discarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    with (
        FigshareServer(ARTICLE_FILES, changes=changes) as server,
        pytest.raises(UserError, match=r"file discarded|would send") as caught,
    ):
        fetch(server, tmp_path, monkeypatch)
    assert all(
        text in str(caught.value) for text in (FILES[0], "MD5" if "computed_md5" in changes else "bytes", *ADVICE)
    )
    assert not (tmp_path / "figshare-77-v3" / FILES[0]).exists()


@pytest.mark.parametrize("changes", [{"name": None}, {"id": "x"}, {"computed_md5": ""}, {"size": None}])
def test_images_incomplete_list_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    with (
        FigshareServer(ARTICLE_FILES, changes=changes) as server,
        pytest.raises(UserError, match=r"no list|no file") as caught,
    ):
        fetch(server, tmp_path, monkeypatch)
    assert all(text in str(caught.value) for text in ADVICE)


@pytest.mark.parametrize(
    ("status", "reason"), [(401, "login required"), (403, "access denied"), (404, "no such version")]
)
def test_images_permanent_status_error_has_reason_and_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    with FigshareServer(ARTICLE_FILES, failures=[status]) as server, pytest.raises(UserError, match=reason) as caught:
        fetch(server, tmp_path, monkeypatch)
    assert all(text in str(caught.value) for text in (*ADVICE, f"status {status}", "article 77, version 3", *FILES))


def test_images_file_without_a_working_url_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"download_url": "http://localhost:9/nobody"}
    with FigshareServer(ARTICLE_FILES, changes=changes, moved=True) as server, pytest.raises(UserError) as caught:
        fetch(server, tmp_path, monkeypatch)
    assert all(text in str(caught.value) for text in ("could not be reached", FILES[0], *ADVICE))


def test_images_unwritable_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "figshare-77-v3").write_text("in the way")
    with FigshareServer(ARTICLE_FILES) as server, pytest.raises(UserError, match="cannot be written"):
        fetch(server, tmp_path, monkeypatch)


def test_images_error_prints_one_message_without_traceback(tmp_path: Path) -> None:
    code = (
        "from brain_tumor.sources.figshare import Source, images; "
        "from brain_tumor.datasets.skipped import SkippedFiles; "
        f"source = Source(kind='figshare', article=77, version=3, files={FILES}); "
        "list(images(source, Path('downloads'), SkippedFiles()))"
    )
    broken = ARTICLE_FILES | {FILES[1]: make_archive([1, 3], _2=b"MATLAB 5.0 MAT-file")}
    with FigshareServer(broken) as server:
        result = run_clean(code, tmp_path, FIGSHARE_API_URL=server.url)
    assert result.returncode == 1
    assert f"{FILES[1]}: 2.mat cannot be used" in result.stderr
    assert "Traceback" not in result.stderr
    assert "X-Amz-Signature" not in result.stderr
