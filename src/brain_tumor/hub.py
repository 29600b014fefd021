"""Pretrained weights from the Hugging Face hub, at one commit; every failure says what to do."""

import logging
import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import RemoteEntryNotFoundError, RevisionNotFoundError

from brain_tumor.errors import UserError
from brain_tumor.outputs import staged

log = logging.getLogger(__name__)

SERVICE = "https://huggingface.co"


def fetch_weights(repo: str, revision: str, filename: str, folder: Path) -> Path:
    """Return the path in `folder` of one file of a model repository, from the hub or its cache.

    A file that is in the hub's cache is taken from there without any request. There is no substitute: either
    exactly this file is returned, or an error is raised.

    Args:
        repo: `owner/name` of the model repository.
        revision: the commit, 40 hex digits; a branch or a tag could move.
        filename: the file in the repository, such as `model.safetensors`.
        folder: where the copy goes; it is made if it is not there.

    Raises:
        UserError: not a commit, no access, no such file, no network: each with what to do.
    """
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise UserError(
            f"revision '{revision}' of {repo} is not a commit: a branch or tag can move. Give the 40 hex "
            f"digits of a commit from {SERVICE}/{repo}/commits/main"
        )
    constants.HF_HUB_DISABLE_TELEMETRY = True
    # Their lines show whole addresses: the signature of a download, the password of a mirror.
    for name in ("huggingface_hub", "httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # The library reads HF_ENDPOINT when it is imported, perhaps long ago.
    endpoint = (os.environ.get("HF_ENDPOINT") or SERVICE).rstrip("/")
    try:
        cached = Path(hf_hub_download(repo, filename, revision=revision, endpoint=endpoint))
    except Exception as error:  # four libraries work below this call, each with its own exceptions
        problem = _explain(error, repo, revision, filename, endpoint)
    else:
        # The cache has a folder for each commit; it is made from what the server says it sent.
        problem = "" if revision in cached.parts else f"{_host(endpoint)} sent another commit: set another HF_ENDPOINT"
    if problem:
        raise UserError(f"{filename} of {repo} at commit {revision}: {problem}")
    with staged(folder / Path(filename).name) as (draft,):
        shutil.copyfile(cached, draft)
    return folder / Path(filename).name


def _explain(error: Exception, repo: str, revision: str, filename: str, endpoint: str) -> str:
    """Say what a failed download means and what to do, without the addresses in the error's own text."""
    # The library hides a refusal or an outage in the cause of "not found in the cache".
    cause = error.__cause__ or error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status in (401, 403):
        return (
            f"{_host(endpoint)} refused access (HTTP status {status}): the repository is gated or private, "
            f"or there is none of that name. Check the name, accept the terms at {SERVICE}/{repo}, and set "
            "HF_TOKEN to a token that may read it, or run `hf auth login`; replace a token that has expired"
        )
    if status == 404:
        what = "repository"
        if isinstance(error, RevisionNotFoundError):
            what = "commit"
        elif isinstance(error, RemoteEntryNotFoundError):
            what = "file"
        return f"{_host(endpoint)} has no such {what}: check the name against {SERVICE}/{repo}/tree/{revision}"
    found = f"HTTP status {status}" if status else type(cause).__name__
    cache = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    return (
        f"not in the cache, and {_host(endpoint)} could not deliver it ({found}). Check the network and that "
        "HF_HUB_OFFLINE is not set; or set HF_ENDPOINT to a mirror of the hub; or run\n"
        f"  hf download {repo} {filename} --revision {revision}\n"
        f"on another machine and copy the folder it fills in its cache to {cache}"
    )


def _host(endpoint: str) -> str:
    """The host alone: an address may hold a password."""
    return urlsplit(endpoint).hostname or "HF_ENDPOINT"
