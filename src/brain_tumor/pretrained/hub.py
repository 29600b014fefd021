"""Downloading pretrained weights from the Hugging Face hub at one commit; every error message gives the next step."""

import logging
import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import RemoteEntryNotFoundError, RevisionNotFoundError

from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs

log = logging.getLogger(__name__)

SERVICE_URL = "https://huggingface.co"


def fetch_weights(repo: str, revision: str, filename: str, folder: Path) -> Path:
    """Copy one file of a model repository from the hub or its local cache to a folder.

    A file in the cache is copied without any request. There is no fallback: either exactly this file is copied, or an
    error is raised.

    Args:
        repo: `owner/name` of the model repository.
        revision: the commit, 40 hex digits; a branch or a tag could move.
        filename: path of the file in the repository, such as `model.safetensors`.
        folder: folder of the copy; created if it does not exist.

    Returns:
        Path of the copy.

    Raises:
        UserError: not a commit, no access, no such file, or no network; the message gives the next step.
    """
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise UserError(
            f"revision '{revision}' of {repo} is not a commit: a branch or tag can move. Give the 40 hex "
            f"digits of a commit from {SERVICE_URL}/{repo}/commits/main"
        )
    constants.HF_HUB_DISABLE_TELEMETRY = True
    # Their log lines contain whole URLs, with the signature of a download or the password of a mirror.
    for name in ("huggingface_hub", "httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # The library reads HF_ENDPOINT only when it is imported.
    endpoint = (os.environ.get("HF_ENDPOINT") or SERVICE_URL).rstrip("/")
    try:
        cached = Path(hf_hub_download(repo, filename, revision=revision, endpoint=endpoint))
    except Exception as error:  # four libraries are involved, each with its own exceptions
        problem = _describe_error(error, repo, revision, filename, endpoint)
    else:
        # The folder in the cache is named after the commit that the server reported.
        problem = "" if revision in cached.parts else f"{_host(endpoint)} sent another commit: set another HF_ENDPOINT"
    if problem:
        raise UserError(f"{filename} of {repo} at commit {revision}: {problem}")
    with atomic_outputs(folder / Path(filename).name) as (tmp_path,):
        shutil.copyfile(cached, tmp_path)
    return folder / Path(filename).name


def _describe_error(error: Exception, repo: str, revision: str, filename: str, endpoint: str) -> str:
    """Describe a failed download and what to do, without the URLs in the text of the exception."""
    # The library raises "not found in the cache"; the exception of the request is its cause.
    cause = error.__cause__ or error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status in (401, 403):
        return (
            f"{_host(endpoint)} denied access (HTTP status {status}): the repository is gated or private, "
            f"or does not exist. Check the name, accept the terms at {SERVICE_URL}/{repo}, and set "
            "HF_TOKEN to a token with read access, or run `hf auth login`; replace a token that has expired"
        )
    if status == 404:
        missing = "repository"
        if isinstance(error, RevisionNotFoundError):
            missing = "commit"
        elif isinstance(error, RemoteEntryNotFoundError):
            missing = "file"
        return f"{_host(endpoint)} has no such {missing}: compare the name with {SERVICE_URL}/{repo}/tree/{revision}"
    reason = f"HTTP status {status}" if status else type(cause).__name__
    cache = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    return (
        f"not in the cache, and the download from {_host(endpoint)} failed ({reason}). Check the network and that "
        "HF_HUB_OFFLINE is not set; or set HF_ENDPOINT to a mirror of the hub; or run\n"
        f"  hf download {repo} {filename} --revision {revision}\n"
        f"on another machine and copy the folder of the same name from its cache to {cache}"
    )


def _host(endpoint: str) -> str:
    """Return the host only: a URL may contain a password."""
    return urlsplit(endpoint).hostname or "HF_ENDPOINT"
