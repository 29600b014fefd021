"""Data set archives from Kaggle, through Kaggle's own client; every failure says what to do."""

import io
import logging
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from filelock import FileLock

from brain_tumor.errors import UserError
from brain_tumor.fetching import (
    TIMEOUT,
    PassingError,
    RefusedError,
    is_web_page,
    persistently,
    require_success,
    service,
)
from brain_tumor.outputs import remove
from brain_tumor.zips import damage

log = logging.getLogger(__name__)

SERVICE = "https://api.kaggle.com"
HANDLE = re.compile(r"[\w-]+/[\w-]+", re.ASCII)

SIGN_IN = """\
Accept the data set's terms, if it has any, at {page} (a page that is not there at all means a wrong name or
a private data set). Then sign in to Kaggle in one of these ways and run again:
  - run `kaggle auth login`, or
  - create a token at https://www.kaggle.com/settings/api and put it into the environment variable
    KAGGLE_API_TOKEN or the file ~/.kaggle/access_token, or
  - with an older key: set KAGGLE_USERNAME and KAGGLE_KEY, or save kaggle.json as ~/.kaggle/kaggle.json
If you are signed in, the token may have expired: replace it."""
BY_HAND = """\
Or download the archive in a browser from {page}, put it into a folder
as {slug}.zip, and name that folder in the environment, as in
DATA_ARCHIVES=/folder/of/archives dvc repro"""
NOT_FOUND = "There is no such data set, or no such version of it: check both against {page}"
ADVICE = {401: SIGN_IN, 403: SIGN_IN, 404: NOT_FOUND}


def fetch(handle: str, version: int, folder: Path) -> Path:
    """Return the zip archive of one version of a Kaggle data set, downloaded unless it is there already.

    Each version has its own subfolder of `folder`, since Kaggle's client keeps an older archive of the same
    name without a word. An interrupted download is resumed; what ends up in place is complete, and each
    member has been read once. `KAGGLE_API_URL` in the environment names another service than Kaggle's.

    Args:
        handle: `owner/slug`, as in the address of the data set's page.
        version: its number, from 1.
        folder: where downloads are kept.

    Raises:
        UserError: no access, no such version, no network, no zip archive: each with what to do.
    """
    if not HANDLE.fullmatch(handle) or version < 1:
        raise UserError(
            f"'{handle}' version {version} names no Kaggle data set: the handle is owner/slug, as in the "
            "address https://www.kaggle.com/datasets/owner/slug, and versions count from 1"
        )
    owner, slug = handle.split("/")
    home = folder / f"{owner}-{slug}-v{version}"
    archive = home / f"{slug}.zip"
    if zipfile.is_zipfile(archive):
        return archive
    draft = home / "partial" / archive.name
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / "lock"):
            if archive.exists():  # another process had it in the meantime
                return archive
            _download(handle, version, draft.parent)
            if flaw := _flaw(draft):
                remove(draft.parent)
                raise _failure(handle, version, f"sent {flaw}; run again", BY_HAND)
            draft.replace(archive)
            remove(draft.parent)
    except OSError as error:
        raise UserError(f"{error.filename or home} cannot be written: {error.strerror}") from None
    return archive


def _download(handle: str, version: int, folder: Path) -> None:
    """Download to `folder`, with more attempts after passing failures.

    The client resumes a body that breaks off, but asks for it only once. What its exceptions and printed
    lines say is never passed on: it holds the signed address of the archive.
    """
    api = _client()

    def attempt() -> None:
        try:
            with redirect_stdout(io.StringIO()):  # the progress bar goes to standard error
                api.dataset_download_files(f"{handle}/{version}", path=str(folder), quiet=False)
        except requests.HTTPError as error:
            require_success(error.response)
        except requests.RequestException:
            raise
        except ValueError:
            # The address expired while the client resumed: it has put the error page in place of the archive
            # and would append to that next time.
            remove(folder)
            raise PassingError("sent an archive of the wrong size") from None

    try:
        persistently(attempt, f"{handle} version {version}")
    except RefusedError as refusal:
        raise _failure(handle, version, str(refusal), ADVICE.get(refusal.status, BY_HAND)) from None
    except UserError as error:
        raise UserError(f"{error}.\n{_filled(BY_HAND, handle, version)}") from None


def _failure(handle: str, version: int, problem: str, advice: str) -> UserError:
    # The host alone: an address may hold a password.
    host = urlsplit(_service()).hostname or "KAGGLE_API_URL"
    advice = _filled(advice, handle, version)
    return UserError(f"{handle} version {version} could not be downloaded: {host} {problem}.\n{advice}")


def _filled(advice: str, handle: str, version: int) -> str:
    page = f"https://www.kaggle.com/datasets/{handle}/versions/{version}"
    return advice.format(page=page, slug=handle.split("/")[1])


def _service() -> str:
    return service("KAGGLE_API_URL", SERVICE)


def _client() -> Any:
    """Return Kaggle's client, signed in if it finds credentials; without, its requests go out anonymously.

    The client knows no setting for another service, but looks the address up in a table. It must be there
    before the import, which already sends a token to be checked.
    """
    from kagglesdk import kaggle_env

    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = _service()
    with _quiet_import():
        import kaggle
    build = kaggle.api.build_kaggle_client

    def timed() -> Any:
        client = build()
        http = client.http_client()
        http._init_session()
        for scheme in ("https://", "http://"):
            http._session.mount(scheme, _Timed())
        return client

    kaggle.api.build_kaggle_client = timed
    return kaggle.api


class _Timed(requests.adapters.HTTPAdapter):
    """Gives requests without a time limit one: the client's first one would wait for ever."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or TIMEOUT
        return super().send(request, *args, **options)


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Contain what importing the client does to the process.

    Without credentials it prints how to sign in and calls `exit`, which closes standard input, before it
    catches its own SystemExit. With VERBOSE set it turns on debug logging, which shows signed addresses,
    prints requests with their credentials, and takes a whole archive for text to print.
    """
    hidden = {name: os.environ.pop(name) for name in ("VERBOSE", "VERBOSE_OUTPUT") if name in os.environ}
    stdin, sys.stdin = sys.stdin, io.StringIO()
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.stdin = stdin
        os.environ.update(hidden)


def _flaw(path: Path) -> str:
    """Say what is wrong with a downloaded archive, or ''."""
    if not zipfile.is_zipfile(path):
        return ("a web page (HTML)" if is_web_page(path) else "a file") + " that is not a zip archive"
    return damage(path)
