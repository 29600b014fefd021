"""figshare's API on a loopback server, and an article with the files of the brain tumor data set."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.sources.figshare import Source
from servers import Handler, Server

SIDE = 32
COUNT = 7
LABELS = {1: "meningioma", 2: "glioma", 3: "pituitary"}
FOLDS = [5, 1, 2, 3, 4, 1, 2]
ARTICLE, VERSION = 77, 3
ARCHIVES = ("brain_4-7.zip", "brain_1-3.zip")  # not in the order of the slices
FILES = (*ARCHIVES, "cvind.mat")
SOURCE = Source(kind="figshare", article=ARTICLE, version=VERSION, files=FILES)

Offline = Callable[..., list[RawImage]]  # reads the data set from local files, some of them changed


def make_image(number: int) -> NDArray[np.int16]:
    """Make noise without any symmetry, whose range exceeds 8 bits."""
    return np.random.default_rng(number).integers(0, 3000, (SIDE, SIDE)).astype(np.int16)


def make_mask(number: int) -> NDArray[np.uint8]:
    """Make a mask of rows 4 to 9 and columns `number` to 19; an empty one for the last image."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if number < COUNT:
        mask[4:10, number:20] = 1
    return mask


def make_mat(path: str, values: Mapping[str, Any]) -> bytes:
    """Make a MATLAB 7.3 file: a header of MATLAB, then HDF5 with all axes reversed."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512) as file:
        for name, value in values.items():
            file[f"{path}/{name}"] = value if isinstance(value, h5py.ExternalLink) else np.asarray(value).T
    content = buffer.getvalue()
    return b"MATLAB 7.3 MAT-file".ljust(512) + content[512:]


def make_variables(number: int, **changes: Any) -> dict[str, Any]:
    """Make the variables of one slice, as MATLAB shows them; a change to None removes a variable."""
    codes = np.array([[ord(letter) for letter in f"MR{number // 2:03d}"]], np.uint16)
    values = {
        "image": make_image(number),
        "label": np.array([[float(number % 3 + 1)]]),
        "PID": codes,
        "tumorMask": make_mask(number),
        "tumorBorder": np.zeros((6, 1)),
    }
    return {name: value for name, value in (values | changes).items() if value is not None}


def make_zip(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Make a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


SLICES = {number: make_mat("cjdata", make_variables(number)) for number in range(1, COUNT + 1)}


def make_archive(numbers: Sequence[int], **changes: bytes | None) -> bytes:
    """Make an archive of slices; `changes` replaces, adds or removes members, `_5` being 5.mat."""
    members: dict[str, bytes | None] = {f"_{number}": SLICES[number] for number in numbers}
    members = {"README.txt": b"Hello", "__MACOSX/._1.mat": b"", **members, **changes}
    return make_zip({name.replace("_", "", 1) + ".mat": content for name, content in members.items() if content})


CVIND = make_mat("", {"cvind": np.array(FOLDS, float)[:, None]})
ARTICLE_FILES = {FILES[0]: make_archive([7, 4, 6, 5]), FILES[1]: make_archive([1, 2, 3]), "cvind.mat": CVIND}


class FigshareServer(Server):
    """An article of `files`; figshare's API redirects to storage, and `/closed` denies all requests.

    Args:
        changes: fields of every file that differ in the list.
        moved: the API has no files; only the URLs in the list work.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        changes: Mapping[str, Any] | None = None,
        moved: bool = False,
        failures: Sequence[int] = (),
        cut: int | None = None,
    ) -> None:
        super().__init__(failures=failures, cut=cut)
        self.files, self.changes, self.moved = files, changes or {}, moved

    def respond(self, request: Handler, path: str, query: str, body: bytes) -> None:
        """List the article, redirect to storage, or send a file from there."""
        names = list(self.files)
        if self.failures:
            request.reply(self.failures.pop(0))
        elif path == f"/v2/articles/{ARTICLE}/versions/{VERSION}":
            request.reply_json(200, {"files": [self.describe(index, name) for index, name in enumerate(names)]})
        elif path.startswith("/v2/file/download/") and not self.moved:
            request.reply(302, Location=f"{self.storage}/{names[int(path.rsplit('/', 1)[1])]}?X-Amz-Signature=secret")
        elif path.startswith("/storage/"):
            request.reply_file(self.files[path.removeprefix("/storage/")])
        else:
            request.reply_json(404, {"message": "not found"})

    def describe(self, index: int, name: str) -> dict[str, Any]:
        """Return the fields of a file in the list."""
        content, folder = self.files[name], "storage" if self.moved else "closed"
        fields = {"computed_md5": hashlib.md5(content).hexdigest(), "download_url": f"{self.url}/{folder}/{name}"}
        return {"id": index, "name": name, "size": len(content), "is_link_only": False, **fields, **self.changes}

    def requested_ranges(self, name: str) -> list[str]:
        """Return the Range of each request for a file in storage."""
        return [request.range for request in self.requests if request.path == f"/storage/{name}"]
