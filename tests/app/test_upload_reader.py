"""Reading uploads in a process of its own: limits of pixels, time and memory."""

import os
import threading
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from brain_tumor.app import upload_reader
from heads import head


def test_read_upload_gives_the_image_of_the_file(tmp_path: Path) -> None:
    Image.fromarray(head(1)).save(tmp_path / "a.png")
    result = upload_reader.read_upload(tmp_path / "a.png")
    assert not isinstance(result, str)
    assert list(result.images) == [""]
    assert np.array_equal(result.images[""][0][1], head(1))


@pytest.mark.parametrize("size", [(8000, 8000), (1, 20_000_000)], ids=["square", "line"])
def test_read_upload_large_image_is_rejected_before_it_is_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "large.png"
    Image.new("L", size).save(path)
    path.write_bytes(path.read_bytes()[:60])  # its header is enough: decoding would fail
    result = upload_reader.read_upload(path)
    assert result == f"it has {size[0]:,}×{size[1]:,} pixels; the app takes at most 16 megapixels"


def test_read_upload_many_pages_are_thinned_out(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((32, 32), n, np.uint8)) for n in range(100)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    result = upload_reader.read_upload(tmp_path / "a.tif")
    assert not isinstance(result, str)
    assert len(result.images[""]) == upload_reader.MAX_IMAGES
    assert result.warnings == ("it has 100 images: 64 of them, evenly spaced, are shown",)


def test_read_upload_slow_file_is_stopped_and_delays_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_reader, "MAX_READ_SECONDS", 2.0)
    slow, quick = tmp_path / "slow.nii.gz", tmp_path / "quick.png"
    nibabel.Nifti1Image(np.zeros((500, 500, 500), np.uint8), np.eye(4)).to_filename(slow)
    Image.fromarray(head(1)).save(quick)
    upload_reader.read_upload(quick)  # the server is started
    results = []
    thread = threading.Thread(target=lambda: results.append(upload_reader.read_upload(slow)))
    thread.start()
    assert not isinstance(upload_reader.read_upload(quick), str)
    assert results == [], "the slow file is still being read"
    thread.join()
    assert results == ["it was not read within 2 s, the limit of the app"]


def test_read_upload_memory_is_limited_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.nii.gz"
    volume = np.zeros((200, 200, 200), np.uint8)
    volume[50:150, 50:150, 50:150] = 100
    nibabel.Nifti1Image(volume, np.eye(4)).to_filename(path)
    before = resident_bytes()
    result = upload_reader.read_upload(path)
    assert not isinstance(result, str)
    kept = sum(gray.size for slices in result.images.values() for _, gray in slices)
    assert resident_bytes() - before < 4 * kept + 20 * 2**20, (
        "the 64 MB of the volume in float64 are not in this process"
    )
    monkeypatch.setattr(upload_reader, "MAX_MEMORY_BYTES", 100 * 2**20)
    assert upload_reader.read_upload(path) == "it needs more than 100 MiB of memory"


def resident_bytes() -> int:
    """Return the memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_read_upload_leaves_no_process(tmp_path: Path) -> None:
    Image.fromarray(head(1)).save(tmp_path / "a.png")
    upload_reader.read_upload(tmp_path / "a.png")
    readers = count_readers()
    for _ in range(3):
        upload_reader.read_upload(tmp_path / "a.png")
    time.sleep(0.2)
    assert count_readers() <= readers


def count_readers() -> int:
    """Count the processes whose parent is the server that reading processes are forked from."""
    from multiprocessing.forkserver import _forkserver

    server = _forkserver._forkserver_pid  # type: ignore[attr-defined]
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return len(children)
