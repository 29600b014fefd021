"""figshare's interface on a loopback server, and an article as the brain tumor data set is kept there."""

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from servers import Handler, Server

from brain_tumor.sources.figshare import Source

SIDE = 32
COUNT = 7
LABELS = {1: "meningioma", 2: "glioma", 3: "pituitary"}
FOLDS = [5, 1, 2, 3, 4, 1, 2]
ARTICLE, VERSION = 77, 3
ARCHIVES = ("brain_4-7.zip", "brain_1-3.zip")  # neither in the order of their numbers
FILES = (*ARCHIVES, "cvind.mat")
SOURCE = Source(kind="figshare", article=ARTICLE, version=VERSION, files=FILES)


def picture(number: int) -> NDArray[np.int16]:
    """Noise with a range far over 8 bits; no symmetry at all."""
    return np.random.default_rng(number).integers(0, 3000, (SIDE, SIDE)).astype(np.int16)


def tumor(number: int) -> NDArray[np.uint8]:
    """Rows 4 to 9 and columns from `number` to 19; none in the last image."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if number < COUNT:
        mask[4:10, number:20] = 1
    return mask


def mat(path: str, values: Mapping[str, Any]) -> bytes:
    """A file as MATLAB 7.3 writes it: its own header, then HDF5 with all axes reversed."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512) as file:
        for name, value in values.items():
            file[f"{path}/{name}"] = value if isinstance(value, h5py.ExternalLink) else np.asarray(value).T
    content = buffer.getvalue()
    return b"MATLAB 7.3 MAT-file".ljust(512) + content[512:]


def parts(number: int, **changes: Any) -> dict[str, Any]:
    """The variables of one slice, as MATLAB shows them; a change to None leaves one out."""
    codes = np.array([[ord(letter) for letter in f"MR{number // 2:03d}"]], np.uint16)
    values = {
        "image": picture(number),
        "label": np.array([[float(number % 3 + 1)]]),
        "PID": codes,
        "tumorMask": tumor(number),
        "tumorBorder": np.zeros((6, 1)),
    }
    return {name: value for name, value in (values | changes).items() if value is not None}


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


SLICES = {number: mat("cjdata", parts(number)) for number in range(1, COUNT + 1)}


def archived(numbers: Sequence[int], **changes: bytes | None) -> bytes:
    """An archive of slices; `changes` replaces, adds or leaves out members, `_5` standing for 5.mat."""
    members: dict[str, bytes | None] = {f"_{number}": SLICES[number] for number in numbers}
    members = {"README.txt": b"Hello", "__MACOSX/._1.mat": b"", **members, **changes}
    return zipped({name.replace("_", "", 1) + ".mat": content for name, content in members.items() if content})


CVIND = mat("", {"cvind": np.array(FOLDS, float)[:, None]})
WHOLE = {FILES[0]: archived([7, 4, 6, 5]), FILES[1]: archived([1, 2, 3]), "cvind.mat": CVIND}


class FigshareServer(Server):
    """The article of `files`; figshare's own interface redirects to storage, and `/closed` lets nobody in.

    Args:
        changes: what the list says otherwise of every file.
        moved: the interface has no files, only the addresses in the list do.
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

    def answer(self, request: Handler, path: str, query: str, body: bytes) -> None:
        """List the article, redirect to storage, or serve a file there."""
        names = list(self.files)
        if self.failures:
            request.reply(self.failures.pop(0))
        elif path == f"/v2/articles/{ARTICLE}/versions/{VERSION}":
            request.reply_json(200, {"files": [self.listed(index, name) for index, name in enumerate(names)]})
        elif path.startswith("/v2/file/download/") and not self.moved:
            request.reply(302, Location=f"{self.storage}/{names[int(path.rsplit('/', 1)[1])]}?X-Amz-Signature=secret")
        elif path.startswith("/storage/"):
            request.reply_file(self.files[path.removeprefix("/storage/")])
        else:
            request.reply_json(404, {"message": "not found"})

    def listed(self, index: int, name: str) -> dict[str, Any]:
        """What the list says of a file."""
        content, place = self.files[name], "storage" if self.moved else "closed"
        told = {"computed_md5": hashlib.md5(content).hexdigest(), "download_url": f"{self.url}/{place}/{name}"}
        return {"id": index, "name": name, "size": len(content), "is_link_only": False, **told, **self.changes}

    def asked(self, name: str) -> list[str]:
        """The ranges that were asked of a file in storage."""
        return [seen.range for seen in self.seen if seen.path == f"/storage/{name}"]
