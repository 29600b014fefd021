"""Roboflow's interface on a loopback server, and exports as nobody should make them."""

import io
import json
import logging
import random
import stat
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import SIGNATURE, Handler, Server, run_clean

from brain_tumor import archive, params
from brain_tumor.archive import RawImage
from brain_tumor.errors import UserError
from brain_tumor.sources import roboflow
from brain_tumor.sources.roboflow import Source, coco
from brain_tumor.sources.roboflow.coco import ANNOTATIONS, Box, as_text, main_category

SECRET = "rf_planted0secret"
SETTINGS: dict[str, Any] = {
    "kind": "roboflow",
    "workspace": "someone",
    "project": "brain-tumors",
    "version": 3,
    "labels": {"label0": "glioma", "label1": "meningioma"},
    "background": "notumor",
}
SOURCE = Source.model_validate(SETTINGS)
NAME = "someone-brain-tumors-v3.zip"
ASKED = "/someone/brain-tumors/3/coco"
CATEGORIES = ["tumors", "label0", "label1", "label2"]

Boxes = Sequence[tuple[int, Sequence[Any]]]  # category and numbers


def annotations(images: Mapping[str, Boxes]) -> dict[str, Any]:
    """COCO as Roboflow writes it; images are numbered in their order, categories as in CATEGORIES."""
    return {
        "info": {"contributor": "someone"},
        "categories": [{"id": i, "name": name, "supercategory": "tumors"} for i, name in enumerate(CATEGORIES)],
        "images": [{"id": i, "file_name": name, "height": 640, "width": 640} for i, name in enumerate(images)],
        "annotations": [
            {"id": 0, "image_id": i, "category_id": category, "bbox": list(box), "iscrowd": 0}
            for i, boxes in enumerate(images.values())
            for category, box in boxes
        ],
    }


def content_of(name: str) -> bytes:
    return random.Random(name).randbytes(3000)


def make_zip(members: Mapping[str, bytes], *more: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in (*members.items(), *more):
            target.writestr(name, content)
    return buffer.getvalue()


def members(folders: Mapping[str, Mapping[str, Boxes]]) -> dict[str, bytes]:
    """The members of an export."""
    result = {"README.roboflow.txt": b"hello"}
    for folder, images in folders.items():
        result[f"{folder}/{ANNOTATIONS}"] = json.dumps(annotations(images)).encode()
        result |= {f"{folder}/{name}": content_of(name) for name in images}
    return result


FOLDERS: dict[str, dict[str, Boxes]] = {
    "train": {
        "b.jpg": [],
        # 100 of label0, 60 + 60 of label1, and more than both of label2, which has no label here.
        "a.jpg": [(2, [30, 5, 6, 10]), (1, [0.4, 0.6, 10, 10]), (2, [3, 50, 6, 10]), (3, [0, 0, 600, 600])],
    },
    "valid": {"c.jpg": [(3, [1, 2, 3, 4])]},
    "test": {"d.jpg": [(1, [1, 2, 3, 4])]},
}
EXPORT = make_zip(members(FOLDERS))
FOUND = [
    ("test/d.jpg", "glioma", "test", "1 2 3 4"),
    ("train/a.jpg", "meningioma", "train", "0 1 10 10;3 50 6 10;30 5 6 10"),
    ("train/b.jpg", "notumor", "train", ""),
]


class RoboflowServer(Server):
    """The export endpoint for one version, and storage on another host name.

    Args:
        export: what storage sends.
        progress: said in the first answers, one each, before the link.
        answers: sent instead of the link, whatever they are.
    """

    def __init__(
        self,
        export: bytes = EXPORT,
        *,
        progress: Sequence[float] = (),
        answers: Any = None,
        failures: Sequence[int] = (),
        cut: int | None = None,
    ) -> None:
        super().__init__(failures=failures, cut=cut)
        self.export, self.progress, self.answers = export, list(progress), answers
        self.expired = False

    def answer(self, request: Handler, path: str, query: str, body: bytes) -> None:
        """Check the key, then say how far the export is, or where; or serve it there, to whom the key is not sent."""
        bearer = request.headers.get("Authorization")
        if path.startswith("/storage/"):
            if self.expired or bearer or SECRET in query or SIGNATURE not in query:
                request.reply(403)
            else:
                request.reply_file(self.export)
        elif self.failures:
            request.reply_json(self.failures.pop(0), {"error": SECRET})
        elif bearer != f"Bearer {SECRET}":
            request.reply_json(401, {"error": "no key"})
        elif path != ASKED:
            request.reply_json(404, {"error": "not found"})
        elif self.progress:
            request.reply_json(202, {"progress": self.progress.pop(0)})
        else:
            link = f"{self.storage}/export.zip?X-Goog-Signature={SIGNATURE}"
            request.reply_json(200, {"export": {"link": link}} if self.answers is None else self.answers)

    @property
    def downloads(self) -> list[str]:
        """The Range of each request to storage."""
        return [seen.range for seen in self.seen if seen.path.startswith("/storage/")]


@pytest.fixture(autouse=True)
def leaks_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[None]:
    """Waits shrink to a hundredth; neither the key nor a signed address is logged, printed or written."""
    for name in ("DATA_ARCHIVES", "ROBOFLOW_API_KEY", "ROBOFLOW_API_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds / 100))
    caplog.set_level(logging.DEBUG)
    yield
    said = "\n".join([*(record.getMessage() for record in caplog.get_records("call")), *capfd.readouterr()])
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for word in (SECRET, SIGNATURE):
        assert word not in said
        assert word.encode() not in written


Load = Callable[..., list[RawImage]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that loads the data set from a server, with the planted key."""

    def loaded(server: Server, key: str = SECRET, **changes: Any) -> list[RawImage]:
        monkeypatch.setenv("ROBOFLOW_API_URL", server.url)
        monkeypatch.setenv("ROBOFLOW_API_KEY", key)
        try:
            return list(roboflow.images(SOURCE.model_copy(update=changes), tmp_path / "scratch"))
        except UserError as error:
            if SECRET in str(error) or SIGNATURE in str(error):
                pytest.fail("the error shows the key or a signed address")
            raise

    return loaded


def summary(images: Sequence[RawImage]) -> list[tuple[str, str, str, str]]:
    return [(image.path, image.label, image.split, image.box) for image in images]


def read(tmp_path: Path, content: bytes, **changes: Any) -> list[RawImage]:
    """Read an export from a file."""
    path = tmp_path / NAME
    path.write_bytes(content)
    settings = SOURCE.model_copy(update=changes)
    return list(coco.read(path, settings.splits, settings.labels, settings.background))


def test_export_is_awaited_downloaded_once_and_read(
    load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RoboflowServer(progress=[0, 0.4, 2]) as server:
        images = load(server)
        asked = [seen.path for seen in server.seen]
        again = load(server, key="")
    assert summary(images) == FOUND
    assert images[1].content == content_of("a.jpg")
    assert images == again
    assert asked == [ASKED] * 4 + ["/storage/export.zip"] == [seen.path for seen in server.seen]
    assert not server.seen[-1].authorization
    home = tmp_path / "scratch" / "roboflow-someone-brain-tumors-v3"
    assert (home / NAME).read_bytes() == EXPORT
    # Nothing of the zip is unpacked.
    assert {path.suffix for path in home.iterdir()} <= {".zip", ".lock"}
    assert "images with only such boxes, left out: 1" in caplog.text
    assert "boxes of categories without a label, ignored: 2" in caplog.text
    assert "images without boxes, labeled notumor: 1" in caplog.text


def test_clean_process_with_debug_logging_shows_no_address(tmp_path: Path) -> None:
    code = f"""
logging.getLogger().setLevel(logging.DEBUG)
from brain_tumor import archive
from brain_tumor.sources.roboflow import Source, images
archive.write(Path("out.zip"), images(Source.model_validate({SETTINGS!r}), Path("scratch")))
"""
    with RoboflowServer(progress=[0.5], cut=5000) as server:
        result = run_clean(code, tmp_path, ROBOFLOW_API_URL=server.url, ROBOFLOW_API_KEY=SECRET)
    assert result.returncode == 0, result.stderr
    assert "could not be reached, or broke off" in result.stderr
    assert SECRET not in result.stdout + result.stderr
    assert SIGNATURE not in result.stdout + result.stderr


def test_a_second_run_writes_the_same_bytes(tmp_path: Path) -> None:
    shuffled = make_zip(dict(reversed(members(FOLDERS).items())))
    for name, content in (("first", EXPORT), ("second", shuffled)):
        archive.write(tmp_path / name, iter(read(tmp_path, content)))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_key_is_sent_to_the_service_in_a_header_and_to_nobody_else(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ~/.netrc holds: it would take the key's place, and reach the storage too."""
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with RoboflowServer(progress=[0.1]) as server:
        assert summary(load(server)) == FOUND
    assert [seen.authorization for seen in server.seen] == [f"Bearer {SECRET}", f"Bearer {SECRET}", ""]


def test_archive_on_disk_needs_neither_key_nor_network(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_bytes(EXPORT)
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))
    with RoboflowServer() as server:
        assert summary(load(server, key="")) == FOUND
    assert server.seen == []
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("key", ["", " \n", "rf_planted0secret x", "rf_plänted"])
def test_without_a_usable_key_says_how_to_get_one(load: Load, key: str) -> None:
    with RoboflowServer() as server, pytest.raises(UserError) as caught:
        load(server, key=key)
    for word in ("ROBOFLOW_API_KEY", "https://app.roboflow.com/settings/api", "DATA_ARCHIVES=", NAME):
        assert word in str(caught.value)
    assert server.seen == []


@pytest.mark.parametrize(
    ("failures", "words", "asked"),
    [
        ([401], "status 401.*The key is wrong.*ROBOFLOW_API_KEY.*DATA_ARCHIVES=", 1),
        ([403], "status 403.*The key is wrong.*ROBOFLOW_API_KEY.*DATA_ARCHIVES=", 1),
        ([404], f"status 404.*no such workspace, project or version.*universe.roboflow.com.*{NAME}", 1),
        ([402], "status 402.*quota", 1),
        ([429] * 9, "status 429.*quota", 5),
        ([500] * 9, "status 500.*Check the network", 5),
        ([302], "status 302.*Check ROBOFLOW_API_URL", 1),
    ],
)
def test_refusals_say_what_to_do(load: Load, failures: list[int], words: str, asked: int) -> None:
    with RoboflowServer(failures=failures) as server, pytest.raises(UserError, match=f"(?s){words}"):
        load(server)
    assert len(server.seen) == asked


@pytest.mark.parametrize("status", [429, 503])
def test_passing_failures_are_retried(load: Load, status: int) -> None:
    with RoboflowServer(failures=[status]) as server:
        assert summary(load(server)) == FOUND


def test_wrong_project_is_named(load: Load) -> None:
    with RoboflowServer() as server, pytest.raises(UserError, match=r"someone/other version 3 .*status 404"):
        load(server, project="other")


def test_export_that_takes_too_long_is_given_up(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roboflow, "PATIENCE", 15.0)
    with (
        RoboflowServer(progress=[0.2] * 9) as server,
        pytest.raises(UserError, match=r"not made within 0.25 minutes; run again later"),
    ):
        load(server)
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    "answer", [{}, [], "text", {"export": {}}, {"export": {"link": 3}}, {"export": {"link": "file:///x"}}]
)
def test_answers_without_a_link_are_refused(load: Load, answer: Any) -> None:
    with RoboflowServer(answers=answer) as server, pytest.raises(UserError, match="neither a link nor progress"):
        load(server)


def test_broken_download_asks_for_the_missing_bytes_alone(load: Load) -> None:
    large = make_zip(members(FOLDERS), ("LICENSE.txt", random.Random(0).randbytes(1 << 20)))
    with RoboflowServer(large, cut=len(large) - 1000) as server:
        assert summary(load(server)) == FOUND
    first, second = server.downloads
    assert first == ""
    assert len(large) - 2**18 - 1000 <= int(second.strip("bytes=-")) < len(large)  # up to one chunk is lost


def test_expired_link_is_replaced_by_the_next_run(load: Load) -> None:
    with RoboflowServer() as server:
        server.expired = True
        with pytest.raises(UserError, match=r"the storage answered with HTTP status 403 .*Run again"):
            load(server)
        server.expired = False
        assert summary(load(server)) == FOUND


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"<!DOCTYPE html><html>Please sign in</html>", r"sent a web page \(HTML\)"),
        (b"something else", "a file of another type"),
        (EXPORT[:-30], "zip archive that cannot be read .*thrown away"),
        (EXPORT.replace(content_of("a.jpg")[:9], b"wrongggg."), "member train/a.jpg is damaged"),
    ],
)
def test_what_is_no_zip_is_thrown_away(load: Load, tmp_path: Path, sent: bytes, words: str) -> None:
    with RoboflowServer(sent) as server:
        with pytest.raises(UserError, match=words):
            load(server)
        assert not list(tmp_path.rglob("*.zip"))
        server.export = EXPORT
        assert summary(load(server)) == FOUND


def test_folder_that_cannot_be_written(load: Load, tmp_path: Path) -> None:
    (tmp_path / "scratch").write_text("in the way")
    with RoboflowServer() as server, pytest.raises(UserError, match="cannot be written"):
        load(server)


def test_background_may_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert summary(read(tmp_path, EXPORT, background="")) == FOUND[:2]
    assert "images without boxes, left out: 1" in caplog.text


def test_splits_say_which_folders_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = read(tmp_path, EXPORT, splits={"test": "", "extra": "test"})
    assert summary(found) == [("test/d.jpg", "glioma", "", "1 2 3 4")]
    assert "has no folder extra" in caplog.text


def test_files_that_are_not_listed_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    extra = {"train/z.jpg": b"z", f"train/{ANNOTATIONS}.bak": b"z", "train/deep/y.jpg": b"y"}
    assert summary(read(tmp_path, make_zip(members(FOLDERS) | extra))) == FOUND
    assert "lists, left out: 2" in caplog.text


BOX = st.builds(
    Box, st.sampled_from(["a", "b", "c"]), *[st.floats(0, coco.LONGEST) | st.integers(0, 30).map(float)] * 4
)


@given(st.lists(BOX, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_largest_total_area_wins_whatever_the_order(boxes: list[Box], chance: random.Random) -> None:
    shuffled = chance.sample(boxes, len(boxes))
    winner = main_category(boxes)
    assert winner == main_category(shuffled)
    assert as_text(boxes) == as_text(shuffled)
    areas = {name: sum(box.width * box.height for box in boxes if box.category == name) for name in "abc"}
    assert areas[winner] == pytest.approx(max(areas.values()))
    for text in as_text(boxes).split(";"):
        left, top, width, height = map(int, text.split(" "))
        assert left >= 0 <= top
        assert width >= 1 <= height


def test_equal_areas_go_to_the_first_name() -> None:
    assert main_category([Box("b", 0, 0, 6, 2), Box("a", 5, 5, 3, 2), Box("a", 0, 0, 2, 3)]) == "a"


def alter(place: str, value: Any) -> bytes:
    """The export with one value of train's JSON file changed; `place` is its keys, joined by dots."""
    content = annotations(FOLDERS["train"])
    *keys, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    part: Any = content
    for key in keys:
        part = part[key]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return make_zip(members(FOLDERS) | {f"train/{ANNOTATIONS}": json.dumps(content).encode()})


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        *((f"annotations.1.bbox.{i}", -1, "greater than or equal to 0") for i in range(4)),
        ("annotations.1.bbox.0", float("nan"), "finite number"),
        ("annotations.1.bbox.2", float("inf"), "finite number"),
        ("annotations.1.bbox.2", 1e6, "less than or equal to 100000"),
        ("annotations.1.bbox.2", 10**400, "finite number"),
        ("annotations.1.bbox.2", "10", "valid number"),
        ("annotations.1.bbox.2", True, "valid number"),
        ("annotations.1.bbox", [1, 2, 3], "annotations.1.bbox.3: Field required"),
        ("annotations.1.bbox", {}, "valid array"),
        ("annotations.1.bbox", None, "Field required"),
        ("annotations.1.image_id", 99, "unknown image, 99"),
        ("annotations.1.image_id", "1", "valid integer"),
        ("annotations.1.category_id", 99, "unknown category, 99"),
        ("annotations.1.category_id", None, "Field required"),
        ("annotations", None, "annotations: Field required"),
        ("images", {}, "images: Input should be a valid array"),
        ("categories", None, "categories: Field required"),
        ("categories.1.id", 2, "lists category '2' 2 times"),
        ("categories.1.name", 5, "valid string"),
        ("images.0.id", 1, "lists image '1' 2 times"),
        ("images.0.id", 0.5, "valid integer"),
        ("images.0.file_name", "a.jpg", "lists file 'a.jpg' 2 times"),
        *(
            ("images.0.file_name", name, "no name of an image file: refused")
            for name in ("", ".", "..", "../b.jpg", "/b.jpg", "x/b.jpg", "..\\b.jpg", "b\0.jpg", ANNOTATIONS)
        ),
    ],
)
def test_broken_annotations_are_named(tmp_path: Path, place: str, value: Any, words: str) -> None:
    with pytest.raises(UserError, match=rf"{NAME}: train/{ANNOTATIONS}.*{words}"):
        read(tmp_path, alter(place, value))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 10**5, b'{"images": "\\ud800"}'])
def test_broken_json_is_named(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(UserError, match=f"{NAME}: train/{ANNOTATIONS} is not COCO"):
        read(tmp_path, make_zip(members(FOLDERS) | {f"train/{ANNOTATIONS}": text}))


def test_listed_image_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{NAME}: train/gone.jpg is listed, but not in the archive"):
        read(tmp_path, alter("images.0.file_name", "gone.jpg"))


@pytest.mark.parametrize("name", ["train/a.jpg", f"train/{ANNOTATIONS}"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_file_twice(tmp_path: Path, name: str) -> None:
    content = make_zip(members(FOLDERS), (name, members(FOLDERS)[name]))
    with pytest.raises(UserError, match=f"{NAME}: {name} is there twice"):
        read(tmp_path, content)


def test_folder_without_annotations(tmp_path: Path) -> None:
    content = members(FOLDERS)
    del content[f"valid/{ANNOTATIONS}"]
    with pytest.raises(UserError, match=f"{NAME}: valid holds c.jpg, but no {ANNOTATIONS}"):
        read(tmp_path, make_zip(content))
    with pytest.raises(UserError, match=f"{NAME} holds no {ANNOTATIONS} in a folder"):
        read(tmp_path, make_zip({"train/a.jpg": b"x"}))


def test_label_of_an_unknown_category(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{NAME} has no category 'lable0'.*'label0', 'label1'"):
        read(tmp_path, EXPORT, labels={"lable0": "glioma"})


def test_nothing_that_gets_a_label(tmp_path: Path) -> None:
    content = make_zip(members({"test": {"d.jpg": []}}))
    with pytest.raises(UserError, match=f"{NAME} holds no image that gets a label"):
        read(tmp_path, content, background="")


def link() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("train/link.jpg")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


def bomb() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("train/bomb.jpg")
    member.compress_type = zipfile.ZIP_BZIP2
    return member


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no zip at all", "cannot be read as a zip archive"),
        (EXPORT[:-30], "cannot be read as a zip archive"),
        (EXPORT.replace(content_of("a.jpg")[:9], b"wrongggg."), "train/a.jpg is damaged"),
        (EXPORT.replace(b'"contributor"', b'"contributer"', 1), f"train/{ANNOTATIONS} is damaged"),
        (make_zip({}, ("../a.jpg", b"")), r"'\.\./a.jpg' points outside"),
        (make_zip({}, ("/train/a.jpg", b"")), "'/train/a.jpg' points outside"),
        (make_zip({}, (link(), b"/etc/passwd")), "'train/link.jpg' is a link"),
        (make_zip({}, (bomb(), bytes(2**24))), "'train/bomb.jpg' is compressed over 1000-fold"),
    ],
)
def test_unsafe_and_damaged_archives_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(UserError, match=f"{NAME}.*{words}"):
        read(tmp_path, content)


@given(data=st.data())
def test_mutated_exports_are_read_or_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = bytearray(EXPORT)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        found = read(tmp_path_factory.mktemp("export"), bytes(content))
    except UserError:
        return
    assert all(image.label in ("glioma", "meningioma", "notumor") for image in found)


@pytest.mark.parametrize(
    "change",
    [
        {"workspace": "../up"},
        {"project": "a/b"},
        {"project": ""},
        {"version": 0},
        {"version": "3"},
        {"labels": {}},
        {"labels": {"label0": ""}},
        {"splits": {"train": "validation"}},
        {"splits": {"a/b": "train"}},
        {"splits": {}},
        {"background": None},
        {"extra": 1},
    ],
)
def test_impossible_parameters_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(json.dumps({"source": SETTINGS}))  # JSON is YAML
    assert params.read(file, "source", Source) == SOURCE
    file.write_text(json.dumps({"source": SETTINGS | change}))
    with pytest.raises(UserError, match=next(iter(change))):
        params.read(file, "source", Source)
