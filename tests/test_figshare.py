"""The source `figshare` against a loopback server and against files on disk, whole and broken."""

import io
import logging
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from figshare_service import (
    ARTICLE,
    COUNT,
    FILES,
    FOLDS,
    LABELS,
    SIDE,
    SLICES,
    SOURCE,
    VERSION,
    WHOLE,
    FigshareServer,
    archived,
    mat,
    parts,
    picture,
    tumor,
    zipped,
)
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from servers import run_clean

from brain_tumor import datasets, fetching
from brain_tumor.archive import RawImage
from brain_tumor.errors import UserError
from brain_tumor.sources.figshare import Source, images, to_gray

ADVICE = ("https://doi.org/10.6084/m9.figshare.77", "DATA_ARCHIVES=")


@pytest.fixture(autouse=True)
def _quick_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short, and so are the pieces a body is kept in; without a server nothing can be reached."""
    monkeypatch.setattr(fetching, "CHUNK", 500)
    monkeypatch.setattr(fetching, "WAITS", (0.01, 0.01))
    monkeypatch.setenv("FIGSHARE_API_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("DATA_ARCHIVES", raising=False)


Offline = Callable[..., list[RawImage]]


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offline:
    """Read the data set from a folder of DATA_ARCHIVES, with some files changed."""

    def read(files: Mapping[str, bytes] | None = None, source: Source = SOURCE) -> list[RawImage]:
        folder = tmp_path / "archives"
        folder.mkdir(exist_ok=True)
        for name, content in (WHOLE | dict(files or {})).items():
            (folder / name).write_bytes(content)
        monkeypatch.setenv("DATA_ARCHIVES", str(folder))
        return list(images(source, tmp_path / "downloads"))

    return read


def fetch(server: FigshareServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[RawImage]:
    monkeypatch.setenv("FIGSHARE_API_URL", server.url + "/")
    return list(images(SOURCE, folder))


def pixels(content: bytes | None) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content or b"")) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        return np.asarray(image)


def test_slices_come_in_order_with_all_that_is_known_of_them(offline: Offline) -> None:
    found = offline()
    labels = [LABELS[number % 3 + 1] for number in range(1, COUNT + 1)]
    assert [image.path for image in found] == [f"{label}/{n:04d}.png" for n, label in enumerate(labels, 1)]
    assert [image.label for image in found] == labels
    assert [image.patient for image in found] == ["MR000", "MR001", "MR001", "MR002", "MR002", "MR003", "MR003"]
    assert [image.fold for image in found] == [str(fold) for fold in FOLDS]
    assert [image.box for image in found] == [f"{n} 4 {20 - n} 6" for n in range(1, COUNT)] + [""]
    assert {image.split + image.plane + image.site for image in found} == {""}


def test_pixels_and_masks_are_upright(offline: Offline) -> None:
    for number, image in enumerate(offline(), 1):
        np.testing.assert_array_equal(pixels(image.content), to_gray(picture(number), 99.8))
        if number < COUNT:
            np.testing.assert_array_equal(pixels(image.mask), tumor(number) * 255)
        else:
            assert image.mask is None


def test_the_window_follows_its_rule() -> None:
    image = np.arange(1001, dtype=np.int16)[None]
    assert to_gray(image, 100)[0, [0, 500, 1000]].tolist() == [0, 128, 255]  # 127.5 rounds to even
    assert to_gray(image, 50)[0, [0, 100, 250, 500, 1000]].tolist() == [0, 51, 128, 255, 255]
    assert to_gray(image + 500, 100)[0, 0] == 85  # the line starts at 0, not at the least value
    assert to_gray(image - 500, 100)[0, [0, 500, 1000]].tolist() == [0, 128, 255]
    assert to_gray(np.zeros((2, 2), np.int16), 99.8).max() == 0
    assert to_gray(np.array([[-32768, 32767]], np.int16), 100).tolist() == [[0, 255]]


def test_the_percentile_is_a_parameter(offline: Offline) -> None:
    half = SOURCE.model_copy(update={"window_percentile": 50.0})
    np.testing.assert_array_equal(pixels(offline(source=half)[0].content), to_gray(picture(1), 50))


def test_a_data_set_of_this_kind_is_read_by_its_parameters(tmp_path: Path, offline: Offline) -> None:
    whole = offline()
    (tmp_path / "params.yaml").write_text(
        "datasets: {cheng: {source: {kind: figshare, article: 77, version: 3, "
        f"files: [{', '.join(FILES)}], window_percentile: 99.8}}}}}}"
    )
    assert list(datasets.images(tmp_path / "params.yaml", "cheng", tmp_path)) == whole


def test_downloads_once_and_yields_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: Offline
) -> None:
    with FigshareServer(WHOLE | {"README.txt": b""}) as server:
        first = fetch(server, tmp_path, monkeypatch)
        second = fetch(server, tmp_path, monkeypatch)
        assert [server.asked(name) for name in (*FILES, "README.txt")] == [[""], [""], [""], []]
        assert not any(seen.authorization for seen in server.seen)
    for name, content in WHOLE.items():
        assert (tmp_path / "figshare-77-v3" / name).read_bytes() == content
    assert first == second == offline()


def test_a_cut_connection_costs_only_the_missing_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FigshareServer(WHOLE, cut=1000) as server:
        assert len(fetch(server, tmp_path, monkeypatch)) == COUNT
        assert server.asked(FILES[0]) == ["", "bytes=1000-"]


def test_the_address_in_the_list_is_asked_where_the_interface_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FigshareServer(WHOLE, moved=True) as server:
        assert len(fetch(server, tmp_path, monkeypatch)) == COUNT


def test_files_on_disk_need_no_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: Offline, caplog: pytest.LogCaptureFixture
) -> None:
    with FigshareServer(WHOLE) as server, caplog.at_level(logging.INFO):
        monkeypatch.setenv("FIGSHARE_API_URL", server.url)
        assert len(offline()) == COUNT
    assert server.seen == []
    assert "figshare is not asked" in caplog.text
    assert not (tmp_path / "downloads").exists()


def test_what_is_not_on_disk_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: Offline) -> None:
    whole = offline()
    (tmp_path / "archives" / "cvind.mat").unlink()
    with FigshareServer(WHOLE) as server:
        assert fetch(server, tmp_path, monkeypatch) == whole
        assert [server.asked(name) for name in FILES] == [[], [], [""]]


@pytest.mark.parametrize("changes", [{"computed_md5": "0" * 32}, {"size": 5}])
def test_other_contents_than_listed_are_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    with FigshareServer(WHOLE, changes=changes) as server, pytest.raises(UserError, match="thrown away") as caught:
        fetch(server, tmp_path, monkeypatch)
    assert all(
        text in str(caught.value) for text in (FILES[0], "MD5" if "computed_md5" in changes else "bytes", *ADVICE)
    )
    assert not (tmp_path / "figshare-77-v3" / FILES[0]).exists()


@pytest.mark.parametrize("changes", [{"name": None}, {"id": "x"}, {"computed_md5": ""}, {"size": None}])
def test_a_list_without_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    with FigshareServer(WHOLE, changes=changes) as server, pytest.raises(UserError, match=r"no list|no file") as caught:
        fetch(server, tmp_path, monkeypatch)
    assert all(text in str(caught.value) for text in ADVICE)


@pytest.mark.parametrize(("status", "reason"), [(401, "login"), (403, "denies"), (404, "no such version")])
def test_refusals_say_how_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    with FigshareServer(WHOLE, failures=[status]) as server, pytest.raises(UserError, match=reason) as caught:
        fetch(server, tmp_path, monkeypatch)
    assert all(text in str(caught.value) for text in (*ADVICE, f"status {status}", "article 77, version 3", *FILES))


def test_a_file_that_neither_address_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"download_url": "http://localhost:9/nobody"}
    with FigshareServer(WHOLE, changes=changes, moved=True) as server, pytest.raises(UserError) as caught:
        fetch(server, tmp_path, monkeypatch)
    assert all(text in str(caught.value) for text in ("could not be reached", FILES[0], *ADVICE))


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "figshare-77-v3").write_text("in the way")
    with FigshareServer(WHOLE) as server, pytest.raises(UserError, match="cannot be written"):
        fetch(server, tmp_path, monkeypatch)


def test_users_see_one_message_and_no_traceback(tmp_path: Path) -> None:
    code = (
        "from brain_tumor.sources.figshare import Source, images; "
        f"list(images(Source(kind='figshare', article=77, version=3, files={FILES}), Path('downloads')))"
    )
    broken = WHOLE | {FILES[1]: archived([1, 3], _2=b"MATLAB 5.0 MAT-file")}
    with FigshareServer(broken) as server:
        result = run_clean(code, tmp_path, FIGSHARE_API_URL=server.url)
    assert result.returncode == 1
    assert f"{FILES[1]}: 2.mat cannot be used" in result.stderr
    assert "Traceback" not in result.stderr
    assert "X-Amz-Signature" not in result.stderr


CUT = SLICES[2][: len(SLICES[2]) // 2]


def huge(name: str) -> bytes:
    """A slice of which one array claims 10¹⁰ values, none of them written."""
    buffer = io.BytesIO(mat("cjdata", parts(2, **{name: None})))
    with h5py.File(buffer, "r+") as file:
        file["cjdata"].create_dataset(name, (100_000, 100_000), "i2", chunks=(100, 100))
    return buffer.getvalue()


def external() -> bytes:
    """A slice whose image is the raw bytes of another file of the machine."""
    buffer = io.BytesIO(mat("cjdata", parts(2, image=None)))
    with h5py.File(buffer, "r+") as file:
        file["cjdata"].create_dataset("image", (SIDE, SIDE), "u1", external=[(__file__, 0, SIDE * SIDE)])
    return buffer.getvalue()


BROKEN_SLICES = {
    "no sound MATLAB 7.3 file": b"MATLAB 5.0 MAT-file",
    "no sound": CUT,
    "no group 'cjdata'": mat("other", parts(2)),
    "no dataset 'image'": mat("cjdata", parts(2, image=None)),
    "no dataset 'label'": mat("cjdata", parts(2, label=None)),
    "no dataset 'PID'": mat("cjdata", parts(2, PID=None)),
    "no dataset 'tumorMask'": mat("cjdata", parts(2, tumorMask=None)),
    "no dataset 'image' ": mat("cjdata/image", parts(2)),
    "no dataset 'tumorMask' ": mat("cjdata", parts(2, tumorMask=h5py.ExternalLink("other.mat", "/cjdata/image"))),
    "image lies in another file": external(),
    "image has the shape": mat("cjdata", parts(2, image=np.zeros((2, 3, 4), np.int16))),
    "image has the shape ": mat("cjdata", parts(2, image=np.zeros((0, 3), np.int16))),
    "image holds float64": mat("cjdata", parts(2, image=np.zeros((SIDE, SIDE)))),
    "image has 10,000,000,000 values": huge("image"),
    "tumorMask has 10,000,000,000 values": huge("tumorMask"),
    "tumorMask has the shape": mat("cjdata", parts(2, tumorMask=np.ones((SIDE, SIDE - 1), np.uint8))),
    "label is [4.0], not one of 1, 2, 3": mat("cjdata", parts(2, label=[[4.0]])),
    "label is [nan]": mat("cjdata", parts(2, label=[[np.nan]])),
    "label is [1.0, 2.0]": mat("cjdata", parts(2, label=[[1.0, 2.0]])),
    "PID is [65, 10]": mat("cjdata", parts(2, PID=np.array([[65, 10]], np.uint16))),
    "PID is []": mat("cjdata", parts(2, PID=np.zeros((0, 0), np.uint16))),
    "PID is [65, 65, 65, 65] …": mat("cjdata", parts(2, PID=np.full((1, 65), 65, np.uint16))),
}


@pytest.mark.parametrize("message", BROKEN_SLICES)
def test_broken_slices_are_named(offline: Offline, message: str) -> None:
    with pytest.raises(UserError) as caught:
        offline({FILES[1]: archived([1, 3], _2=BROKEN_SLICES[message])})
    assert all(text in str(caught.value) for text in (f"{FILES[1]}: 2.mat", message.strip(), "download it again"))


def damaged() -> bytes:
    """Stored members, so that a turned bit is found by the checksum and not before."""
    content = bytearray(zipped({f"{number}.mat": SLICES[number] for number in (1, 2, 3)}, zipfile.ZIP_STORED))
    content[len(content) // 2] ^= 1
    return bytes(content)


BROKEN_ARCHIVES = {
    "cannot be read as a zip archive": b"PK and no more",
    "2.mat is damaged (Bad CRC-32": damaged(),
    "'../2.mat' points outside the archive": zipped({"../2.mat": SLICES[2]}),
    "'/2.mat' points outside the archive": zipped({"/2.mat": SLICES[2]}),
    "'C:/2.mat' points outside the archive": zipped({"C:/2.mat": SLICES[2]}),
    "'9.mat' unpacks to 68,157,440 bytes": archived([1, 2, 3], _9=bytes(65 << 20)),
    "another method than deflate": zipped({"2.mat": SLICES[2]}, zipfile.ZIP_LZMA),
    ": 4.mat occurs twice": archived([1, 2, 3, 4]),
    "they hold 6 files, 1.mat to 7.mat": archived([1, 3]),
    "they hold 8 files, 1.mat to 8.mat": archived([1, 2, 3], _8=SLICES[1]),
}


@pytest.mark.parametrize("message", BROKEN_ARCHIVES)
def test_broken_archives_are_named(offline: Offline, message: str) -> None:
    order = SOURCE.model_copy(update={"files": FILES[::-1]})
    with pytest.raises(UserError) as caught:
        # The good archive comes first where both hold a number.
        offline({FILES[1]: BROKEN_ARCHIVES[message]}, SOURCE if "twice" in message else order)
    assert message in str(caught.value)
    assert any(text in str(caught.value) for text in ("download it again", "refused"))


BROKEN_FOLDS = {
    "has folds for 6 slices": mat("", {"cvind": np.array(FOLDS[1:], float)}),
    "has folds for 8 slices": mat("", {"cvind": np.array([*FOLDS, 1], float)}),
    "no dataset 'cvind'": mat("", {"other": np.array(FOLDS, float)}),
    "no row of fold numbers from 1 to 5": mat("", {"cvind": np.array([0, *FOLDS[1:]], float)}),
    "no row of fold numbers": mat("", {"cvind": np.ones((7, 7))}),
    "no sound MATLAB 7.3 file": b"",
    "more than 64 MiB": bytes((64 << 20) + 1),
}


@pytest.mark.parametrize("message", BROKEN_FOLDS)
def test_broken_folds_are_named(offline: Offline, message: str) -> None:
    with pytest.raises(UserError) as caught:
        offline({"cvind.mat": BROKEN_FOLDS[message]})
    assert all(text in str(caught.value) for text in ("cvind.mat", message, "download it again"))


@pytest.mark.parametrize(
    "files",
    [
        (),
        ("1.zip",),
        ("cvind.mat",),
        ("1.zip", "a.mat", "b.mat"),
        ("../1.zip", "cvind.mat"),
        ("1.zip", "1.zip", "a.mat"),
    ],
)
def test_files_that_cannot_be_such_a_set(files: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="`files` must be"):
        Source(kind="figshare", article=ARTICLE, version=VERSION, files=files)
