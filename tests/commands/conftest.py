"""Settings of the tests of commands."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def audit_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of kept audits for each test."""
    folder = tmp_path_factory.mktemp("audits")
    monkeypatch.setenv("AUDIT_CACHE", str(folder))
    return folder
