"""A Roboflow data set: its COCO export, read from DATA_ARCHIVES if it is there, else downloaded from Roboflow.

`labels` maps the categories of the export to labels; there is no default. The brain-tumor data sets on Roboflow name
their categories label0, label1 and label2, and it has not been verified which tumor type each of them is. Category 0 of
an export is the super-category, which has no boxes.

How boxes become labels is described in `brain_tumor.datasets.readers.labels_from_boxes`.
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

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.http import (
    ExpectedFile,
    HttpStatusError,
    RetriesExhaustedError,
    download,
    get_json,
    service_url,
)
from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.readers.labels_from_boxes import BoxRules
from brain_tumor.datasets.readers.zip_archive import find_corruption
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.local_files import find_local_file
from brain_tumor.sources.roboflow import coco

log = logging.getLogger(__name__)

SERVICE_URL = "https://api.roboflow.com"
POLL_SECONDS = 5.0  # between two requests for the state of the export
MAX_EXPORT_SECONDS = 600.0  # limit for the total wait

Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # part of a URL and of a file name

GET_KEY = """\
Copy the private key of your workspace at https://app.roboflow.com/settings/api (an account is free) into the
environment variable ROBOFLOW_API_KEY and run again."""
MANUAL_DOWNLOAD = """\
Or export the version as COCO in a browser, from {page}, save the zip
in a folder as {file}, and name that folder in the environment, as in
DATA_ARCHIVES=/folder/of/archives dvc repro"""
NO_ACCESS = "The key is wrong, was replaced, or has no access to this project.\n" + GET_KEY
NO_QUOTA = "Too many requests, or the quota of the workspace's plan is used up: wait for the next period or extend it."
ADVICE = {
    401: NO_ACCESS,
    403: NO_ACCESS,
    402: NO_QUOTA,
    404: "There is no such workspace, project or version: compare all three with the URL below.",
    429: NO_QUOTA,
}
DEFAULT_ADVICE = "Check ROBOFLOW_API_URL if it is set."


class Source(BoxRules):
    """`datasets.<name>.source` for a Roboflow data set.

    Attributes:
        workspace: name of the workspace in the URL of the data set's page.
        project: name of the project in that URL.
        version: number of the version, from 1.
    """

    kind: Literal["roboflow"]
    workspace: Slug
    project: Slug
    version: int = Field(ge=1)
    splits: dict[Slug, Literal["", "train", "test"]] = Field(
        default={"train": "train", "valid": "train", "test": "test"}, min_length=1
    )

    @property
    def name(self) -> str:
        """File name of the archive without its suffix."""
        return f"{self.workspace}-{self.project}-v{self.version}"

    @property
    def manual_download(self) -> str:
        """Instructions for a download in a browser."""
        page = f"https://universe.roboflow.com/{self.workspace}/{self.project}/dataset/{self.version}"
        return MANUAL_DOWNLOAD.format(page=page, file=f"{self.name}.zip")


def images(source: Source, scratch: Path, skipped: SkippedFiles) -> Iterator[RawImage]:
    """Yield the data set's images, sorted by path; a download is kept in `scratch` for the next run.

    Files that are not images of the data set go to `skipped`.

    Raises:
        UserError: an export that cannot be downloaded, is unsafe or corrupted, or contains no usable images.
    """
    path = find_local_file(f"{source.name}.zip")
    if path is not None:
        log.info("reading %s from DATA_ARCHIVES, without a request to Roboflow", path)
    else:
        path = _download_export(source, scratch / f"roboflow-{source.name}")
    return coco.read_export(path, source, skipped)


def _download_export(source: Source, folder: Path) -> Path:
    """Return the path of the COCO export in `folder`; it is downloaded unless it exists already.

    The environment variable ROBOFLOW_API_URL replaces the URL of Roboflow's service.
    """
    archive = folder / f"{source.name}.zip"
    if archive.exists():
        return archive
    title = f"{source.workspace}/{source.project} version {source.version}"
    # Log lines of urllib3 contain URLs, and with them the signature of a download.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    url = _request_download_url(source, _read_key(source, title), title)
    try:
        return download(url, archive, ExpectedFile(magic=b"PK\x03\x04", validate=find_corruption), title)
    except HttpStatusError as error:
        # The URL has expired; the next run requests a new one and resumes the download.
        raise UserError(f"{title}: the storage {error} instead of sending the export. Run again") from None


def _read_key(source: Source, title: str) -> str:
    key = os.environ.get("ROBOFLOW_API_KEY", "").strip()
    if not key:
        problem = f"{title} is not in DATA_ARCHIVES, and ROBOFLOW_API_KEY is empty"
    elif not re.fullmatch("[!-~]+", key):  # an error about a header with invalid characters would show the key
        problem = f"{title}: ROBOFLOW_API_KEY contains spaces or other characters that keys do not have"
    else:
        return key
    raise UserError(f"{problem}.\n{GET_KEY}\n{source.manual_download}")


def _request_download_url(source: Source, key: str, title: str) -> str:
    """Return the signed URL of the export's zip archive; the key is sent to the service only."""
    base = service_url("ROBOFLOW_API_URL", SERVICE_URL)
    url = f"{base}/{source.workspace}/{source.project}/{source.version}/coco"
    try:
        return _wait_for_export(url, {"Authorization": f"Bearer {key}"}, title)
    except HttpStatusError as error:
        problem = f"{title} could not be exported: the service {error}"
        advice = ADVICE.get(error.status, DEFAULT_ADVICE)
    except UserError as error:
        problem = str(error)
        advice = NO_QUOTA if isinstance(error, RetriesExhaustedError) and error.status == 429 else DEFAULT_ADVICE
    raise UserError(f"{problem}.\n{advice}\n{source.manual_download}")


def _wait_for_export(url: str, headers: dict[str, str], title: str) -> str:
    """Request the export until it is ready; the first request starts it. Returns its download URL."""
    elapsed_seconds = 0.0
    bar_format = "{l_bar}{bar}| {elapsed}"
    with tqdm(
        total=100, desc=f"{title}: export", bar_format=bar_format, delay=POLL_SECONDS / 2, dynamic_ncols=True
    ) as bar:
        while True:
            response: Any = get_json(url, headers, title)
            fields = response if isinstance(response, dict) else {}
            export, progress = fields.get("export"), fields.get("progress")
            link = export.get("link") if isinstance(export, dict) else None
            if isinstance(link, str) and link.startswith(("https://", "http://")):
                return link
            if not isinstance(progress, int | float):
                raise UserError(f"{title}: the service sent an invalid response (neither a link nor progress)")
            if elapsed_seconds >= MAX_EXPORT_SECONDS:
                limit = f"{MAX_EXPORT_SECONDS / 60:g} minutes"
                raise UserError(f"{title}: the export was not ready within {limit}; run again later")
            if elapsed_seconds == 0:
                log.info("%s: waiting up to %g minutes for Roboflow's export", title, MAX_EXPORT_SECONDS / 60)
            if 0 <= progress <= 1:
                bar.update(100 * progress - bar.n)
            time.sleep(POLL_SECONDS)
            elapsed_seconds += POLL_SECONDS
