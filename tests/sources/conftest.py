"""Fixtures that several test modules of sources use."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from brain_tumor.datasets.raw_archive import RawImage
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.sources.figshare import Source, images
from figshare_service import ARTICLE_FILES, SOURCE, Offline


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offline:
    """A function that reads the data set from a folder of DATA_ARCHIVES, with some files changed."""

    def read(files: Mapping[str, bytes] | None = None, source: Source = SOURCE) -> list[RawImage]:
        folder = tmp_path / "archives"
        folder.mkdir(exist_ok=True)
        for name, content in (ARTICLE_FILES | dict(files or {})).items():
            (folder / name).write_bytes(content)
        monkeypatch.setenv("DATA_ARCHIVES", str(folder))
        return list(images(source, tmp_path / "downloads", SkippedFiles()))

    return read
