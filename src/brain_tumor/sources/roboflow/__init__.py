"""A Roboflow data set: its COCO export, from DATA_ARCHIVES if it is there, else from Roboflow's service.

`labels` says which category of the export means which label here, and nothing is assumed about it. The
brain-tumor sets there call their categories label0, label1 and label2: opaque names, and which tumor type each
of them is has not been verified. Category 0 of an export is the super-category, of which no box is.

An image gets the label of the category with the largest total box area in it; of equal ones, of the first by
name. An image without boxes gets the label `background`, or is left out where that is ''. Boxes of categories
that `labels` does not name are ignored, and an image with only such boxes is left out: it is no background.
"""

import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from tqdm import tqdm

from brain_tumor.archive import RawImage
from brain_tumor.errors import UserError
from brain_tumor.fetching import Expected, RefusedError, UnansweredError, download, get_json, service
from brain_tumor.on_disk import find_on_disk
from brain_tumor.params import Block
from brain_tumor.sources.roboflow import coco
from brain_tumor.zips import damage

log = logging.getLogger(__name__)

SERVICE = "https://api.roboflow.com"
WAIT = 5.0  # seconds between two questions whether the export is made
PATIENCE = 600.0  # seconds in all

Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # it becomes part of an address and of a file name
Name = Annotated[str, Field(min_length=1)]

GET_KEY = """\
Copy the private key of your workspace at https://app.roboflow.com/settings/api (an account is free) into the
environment variable ROBOFLOW_API_KEY and run again."""
BY_HAND = """\
Or export the version in a browser as COCO, from {page}, put the zip
into a folder as {file}, and name the folder in the environment, as in
DATA_ARCHIVES=/folder/of/archives dvc repro"""
NO_ACCESS = "The key is wrong, was replaced, or may not read this project.\n" + GET_KEY
NO_QUOTA = "Too many requests, or the quota of the workspace's plan is used up: wait for the next period, or extend it."
ADVICE = {
    401: NO_ACCESS,
    403: NO_ACCESS,
    402: NO_QUOTA,
    404: "There is no such workspace, project or version: check all three against the address below.",
    429: NO_QUOTA,
}
OTHERWISE = "Check ROBOFLOW_API_URL, if you set it."


class Source(Block):
    """Which export, and what its categories and folders mean.

    `workspace`, `project` and `version` (from 1) stand in the address of the data set's page. `labels` maps
    names of categories onto labels, `splits` names of folders onto published splits ('' for none); folders
    not named there do not count. `background` is the label of images without boxes; '' leaves them out.
    """

    kind: Literal["roboflow"]
    workspace: Slug
    project: Slug
    version: int = Field(ge=1)
    labels: dict[str, Name] = Field(min_length=1)
    background: str
    splits: dict[Slug, Literal["", "train", "test"]] = Field(
        default={"train": "train", "valid": "train", "test": "test"}, min_length=1
    )

    @property
    def name(self) -> str:
        """Name of the archive without its suffix."""
        return f"{self.workspace}-{self.project}-v{self.version}"

    @property
    def by_hand(self) -> str:
        """How to do without Roboflow's interface."""
        page = f"https://universe.roboflow.com/{self.workspace}/{self.project}/dataset/{self.version}"
        return BY_HAND.format(page=page, file=f"{self.name}.zip")


def images(source: Source, scratch: Path) -> Iterator[RawImage]:
    """Yield the data set's images, sorted by path; a download is kept in `scratch` for the next try."""
    path = find_on_disk(f"{source.name}.zip")
    if path is not None:
        log.info("reading %s, found through DATA_ARCHIVES: Roboflow is not asked", path)
    else:
        path = _fetch(source, scratch / f"roboflow-{source.name}")
    return coco.read(path, source.splits, source.labels, source.background)


def _fetch(source: Source, folder: Path) -> Path:
    """Return the COCO export in `folder`, downloaded unless it is there already.

    `ROBOFLOW_API_URL` in the environment names another service than Roboflow's.
    """
    archive = folder / f"{source.name}.zip"
    if archive.exists():
        return archive
    what = f"{source.workspace}/{source.project} version {source.version}"
    # Its lines show addresses, and with them the signature of a download.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    link = _link(source, _key(source, what), what)
    try:
        return download(link, archive, Expected(magic=b"PK\x03\x04", check=damage), what)
    except RefusedError as refusal:
        # Links expire; the next run asks for a new one and resumes.
        raise UserError(f"{what}: the storage {refusal} instead of sending the export. Run again") from None


def _key(source: Source, what: str) -> str:
    key = os.environ.get("ROBOFLOW_API_KEY", "").strip()
    if not key:
        problem = f"{what} is not in DATA_ARCHIVES, and ROBOFLOW_API_KEY holds no key to ask for it with"
    elif not re.fullmatch("[!-~]+", key):  # what no header can hold would end in an error that shows it
        problem = f"{what}: ROBOFLOW_API_KEY holds spaces or other characters that no key has"
    else:
        return key
    raise UserError(f"{problem}.\n{GET_KEY}\n{source.by_hand}")


def _link(source: Source, key: str, what: str) -> str:
    """Return the signed address of the export's zip. The key goes to the service alone."""
    base = service("ROBOFLOW_API_URL", SERVICE)
    address = f"{base}/{source.workspace}/{source.project}/{source.version}/coco"
    try:
        return _wait_for_link(address, {"Authorization": f"Bearer {key}"}, what)
    except RefusedError as refusal:
        problem = f"{what} could not be exported: the service {refusal}"
        advice = ADVICE.get(refusal.status, OTHERWISE)
    except UserError as error:
        problem = str(error)
        advice = NO_QUOTA if isinstance(error, UnansweredError) and error.status == 429 else OTHERWISE
    raise UserError(f"{problem}.\n{advice}\n{source.by_hand}")


def _wait_for_link(url: str, headers: dict[str, str], what: str) -> str:
    """Ask for the export until it is made; asking is what has it made."""
    waited = 0.0
    form = "{l_bar}{bar}| {elapsed}"
    with tqdm(total=100, desc=f"{what}: export", bar_format=form, delay=WAIT / 2, dynamic_ncols=True) as bar:
        while True:
            answer: Any = get_json(url, headers, what)
            known = answer if isinstance(answer, dict) else {}
            export, progress = known.get("export"), known.get("progress")
            link = export.get("link") if isinstance(export, dict) else None
            if isinstance(link, str) and link.startswith(("https://", "http://")):
                return link
            if not isinstance(progress, int | float):
                raise UserError(f"{what}: the service gave no usable answer (neither a link nor progress)")
            if waited >= PATIENCE:
                raise UserError(f"{what}: the export was not made within {PATIENCE / 60:g} minutes; run again later")
            if waited == 0:
                log.info("%s: Roboflow makes the export; waiting up to %g minutes", what, PATIENCE / 60)
            if 0 <= progress <= 1:
                bar.update(100 * progress - bar.n)
            time.sleep(WAIT)
            waited += WAIT
