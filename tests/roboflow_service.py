"""Roboflow's API on a loopback server, and its exports."""

import io
import json
import random
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.sources.roboflow import Source
from brain_tumor.sources.roboflow.coco import ANNOTATIONS
from servers import SIGNATURE, Handler, Server

SECRET = "rf_test0secret"
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
EXPORT_PATH = "/someone/brain-tumors/3/coco"
CATEGORIES = ["tumors", "label0", "label1", "label2"]

Boxes = Sequence[tuple[int, Sequence[Any]]]  # category and numbers


def make_annotations(images: Mapping[str, Boxes]) -> dict[str, Any]:
    """Make COCO in the format of Roboflow; images are numbered in their order, categories as in CATEGORIES."""
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


def make_content(name: str) -> bytes:
    """Make random bytes that depend on the name."""
    return random.Random(name).randbytes(3000)


def make_zip(members: Mapping[str, bytes], *more: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    """Make a zip archive of `members` and `more`, whose names may occur twice."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in (*members.items(), *more):
            target.writestr(name, content)
    return buffer.getvalue()


def make_members(folders: Mapping[str, Mapping[str, Boxes]]) -> dict[str, bytes]:
    """Make the members of an export."""
    result = {"README.roboflow.txt": b"hello"}
    for folder, images in folders.items():
        result[f"{folder}/{ANNOTATIONS}"] = json.dumps(make_annotations(images)).encode()
        result |= {f"{folder}/{name}": make_content(name) for name in images}
    return result


FOLDERS: dict[str, dict[str, Boxes]] = {
    "train": {
        "b.jpg": [],
        # Areas: 100 of label0, 60 + 60 of label1, and more than both of label2, which `labels` does not have.
        "a.jpg": [(2, [30, 5, 6, 10]), (1, [0.4, 0.6, 10, 10]), (2, [3, 50, 6, 10]), (3, [0, 0, 600, 600])],
    },
    "valid": {"c.jpg": [(3, [1, 2, 3, 4])]},
    "test": {"d.jpg": [(1, [1, 2, 3, 4])]},
}
EXPORT = make_zip(make_members(FOLDERS))
SUMMARY = [
    ("test/d.jpg", "glioma", "test", "1 2 3 4"),
    ("train/a.jpg", "meningioma", "train", "0 1 10 10;3 50 6 10;30 5 6 10"),
    ("train/b.jpg", "notumor", "train", ""),
]


class RoboflowServer(Server):
    """The export endpoint for one version, and storage on another host name.

    Args:
        export: file that storage sends.
        progress: in the first responses, one each, before the link.
        response: sent instead of the link, if it is not None.
    """

    def __init__(
        self,
        export: bytes = EXPORT,
        *,
        progress: Sequence[float] = (),
        response: Any = None,
        failures: Sequence[int] = (),
        cut: int | None = None,
    ) -> None:
        super().__init__(failures=failures, cut=cut)
        self.export, self.progress, self.response = export, list(progress), response
        self.expired = False

    def respond(self, request: Handler, path: str, query: str, body: bytes) -> None:
        """Check the key and send progress or link of the export; or send the export from storage, without a key."""
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
        elif path != EXPORT_PATH:
            request.reply_json(404, {"error": "not found"})
        elif self.progress:
            request.reply_json(202, {"progress": self.progress.pop(0)})
        else:
            link = f"{self.storage}/export.zip?X-Goog-Signature={SIGNATURE}"
            request.reply_json(200, {"export": {"link": link}} if self.response is None else self.response)

    @property
    def downloads(self) -> list[str]:
        """Return the Range of each request to storage."""
        return [request.range for request in self.requests if request.path.startswith("/storage/")]


def summarize(images: Sequence[RawImage]) -> list[tuple[str, str, str, str]]:
    """Return path, label, split and boxes of each image."""
    return [(image.path, image.label, image.split, image.box) for image in images]
