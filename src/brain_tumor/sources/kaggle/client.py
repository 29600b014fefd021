"""Downloading data set archives with Kaggle's own client; every error message gives the next step."""

import io
import logging
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from filelock import FileLock

from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import remove
from brain_tumor.datasets.http import (
    MAX_FILE_BYTES,
    HttpStatusError,
    TransientError,
    is_web_page,
    require_success,
    service_url,
    with_retries,
)
from brain_tumor.datasets.http_limits import LimitedAdapter, Limits, TooLargeError
from brain_tumor.datasets.readers.zip_archive import find_corruption

log = logging.getLogger(__name__)

SERVICE_URL = "https://api.kaggle.com"
# The client reads an archive in pieces of 1 MiB.
LIMITS = Limits(response_seconds=120, window_bytes=2**20, window_seconds=600, max_bytes=MAX_FILE_BYTES)
HANDLE = re.compile(r"[\w-]+/[\w-]+", re.ASCII)

SIGN_IN = """\
Accept the data set's terms, if it has any, at {page} (if that page does not exist, the name is wrong or
the data set is private). Then sign in to Kaggle in one of these ways and run again:
  - run `kaggle auth login`, or
  - create a token at https://www.kaggle.com/settings/api and save it in the environment variable
    KAGGLE_API_TOKEN or the file ~/.kaggle/access_token, or
  - with an older key: set KAGGLE_USERNAME and KAGGLE_KEY, or save kaggle.json as ~/.kaggle/kaggle.json
If you are signed in, the token may have expired: replace it."""
MANUAL_DOWNLOAD = """\
Or download the archive in a browser from {page}, save it in a folder
as {slug}.zip, and name that folder in the environment, as in
DATA_ARCHIVES=/folder/of/archives dvc repro"""
NOT_FOUND = "There is no such data set, or no such version of it: compare both with {page}"
ADVICE = {401: SIGN_IN, 403: SIGN_IN, 404: NOT_FOUND}


def fetch(handle: str, version: int, folder: Path) -> Path:
    """Download the zip archive of one version of a Kaggle data set unless it exists already.

    Each version has its own subfolder, since Kaggle's client would silently keep an archive of the same name. An
    interrupted download is resumed. The archive appears at its path only after all members have been verified. The
    environment variable KAGGLE_API_URL replaces the URL of Kaggle's service.

    Args:
        handle: `owner/slug`, as in the URL of the data set's page.
        version: number of the version, from 1.
        folder: where downloads are kept.

    Returns:
        Path of the archive.

    Raises:
        UserError: no access, no such version, no network, or not a zip archive; the message gives the next step.
    """
    if not HANDLE.fullmatch(handle) or version < 1:
        raise UserError(
            f"'{handle}' version {version} is not a Kaggle data set: the handle must be owner/slug, as in the URL "
            "https://www.kaggle.com/datasets/owner/slug, and versions count from 1"
        )
    owner, slug = handle.split("/")
    subfolder = folder / f"{owner}-{slug}-v{version}"
    archive = subfolder / f"{slug}.zip"
    if zipfile.is_zipfile(archive):
        return archive
    tmp_path = subfolder / "partial" / archive.name
    try:
        subfolder.mkdir(parents=True, exist_ok=True)
        with FileLock(subfolder / "lock"):
            if archive.exists():  # another process has downloaded it in the meantime
                return archive
            _download(handle, version, tmp_path.parent)
            if problem := _validate_download(tmp_path):
                remove(tmp_path.parent)
                raise _download_error(handle, version, f"sent {problem}; file discarded, run again", MANUAL_DOWNLOAD)
            tmp_path.replace(archive)
            remove(tmp_path.parent)
    except OSError as error:
        raise UserError(f"{error.filename or subfolder} cannot be written: {error.strerror}") from None
    return archive


def _download(handle: str, version: int, folder: Path) -> None:
    """Download to `folder`, with retries after transient failures.

    The client resumes an interrupted body, but requests it only once. The text of its exceptions and its printed
    lines are dropped, since they contain the signed URL of the archive.
    """
    api = _import_client()

    def attempt() -> None:
        try:
            with redirect_stdout(io.StringIO()):  # the progress bar goes to standard error
                api.dataset_download_files(f"{handle}/{version}", path=str(folder), quiet=False)
        except requests.HTTPError as error:
            require_success(error.response)
        except requests.RequestException:
            raise
        except TooLargeError:
            remove(folder)
            raise
        except ValueError:
            # The URL expired while the client resumed: the client has saved the error page as the archive and would
            # append to it next time.
            remove(folder)
            raise TransientError("sent an archive of the wrong size") from None

    try:
        with_retries(attempt, f"{handle} version {version}")
    except HttpStatusError as error:
        raise _download_error(handle, version, str(error), ADVICE.get(error.status, MANUAL_DOWNLOAD)) from None
    except UserError as error:
        raise UserError(f"{error}.\n{_format_advice(MANUAL_DOWNLOAD, handle, version)}") from None


def _download_error(handle: str, version: int, problem: str, advice: str) -> UserError:
    # Only the host is shown: a URL may contain a password.
    host = urlsplit(_kaggle_url()).hostname or "KAGGLE_API_URL"
    advice = _format_advice(advice, handle, version)
    return UserError(f"{handle} version {version} could not be downloaded: {host} {problem}.\n{advice}")


def _format_advice(advice: str, handle: str, version: int) -> str:
    page = f"https://www.kaggle.com/datasets/{handle}/versions/{version}"
    return advice.format(page=page, slug=handle.split("/")[1])


def _kaggle_url() -> str:
    return service_url("KAGGLE_API_URL", SERVICE_URL)


def _import_client() -> Any:
    """Return Kaggle's client, signed in if it finds credentials, otherwise anonymous.

    The client has no setting for the URL of the service, but reads it from a table. The table is changed before the
    import, which already sends a token to the service to be verified; so are the limits of its responses, which it
    leaves to `requests`.
    """
    from kagglesdk import kaggle_env

    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = _kaggle_url()
    vars(requests.sessions)["HTTPAdapter"] = partial(LimitedAdapter, LIMITS)  # of each new session
    with _quiet_import():
        import kaggle
    return kaggle.api


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Suppress the side effects that importing the client has on the process.

    Without credentials, the client prints how to sign in and calls `exit`, which closes standard input, before it
    catches its own SystemExit. With VERBOSE set, it turns on debug logging, which shows signed URLs, prints requests
    with their credentials, and prints a whole archive as text.
    """
    hidden = {name: os.environ.pop(name) for name in ("VERBOSE", "VERBOSE_OUTPUT") if name in os.environ}
    stdin, sys.stdin = sys.stdin, io.StringIO()
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.stdin = stdin
        os.environ.update(hidden)


def _validate_download(path: Path) -> str:
    """Return what is wrong with a downloaded archive, '' if nothing."""
    if not zipfile.is_zipfile(path):
        return ("a web page (HTML)" if is_web_page(path) else "a file") + " that is not a zip archive"
    return find_corruption(path)
