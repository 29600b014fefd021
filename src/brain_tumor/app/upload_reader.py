"""Reading an uploaded file in a process of its own, with limits of time, memory and pixels.

The process ends after its file and gives all memory back. It is forked from a small server process that has the
decoders loaded, so it starts in milliseconds. Several files are read at the same time: a slow one delays no other.
"""

import multiprocessing
import os
import resource
import signal
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from brain_tumor.core.types import Gray
from brain_tumor.imaging.decode import FORMATS
from brain_tumor.imaging.formats import HEAD_BYTES, identify
from brain_tumor.inference.files import GrayImage, read_images

PLANES = ("axial", "coronal", "sagittal")
MAX_READ_SECONDS = 40.0
MAX_MEMORY_BYTES = 4 * 2**30  # that decoding may take
MAX_IMAGE_PIXELS = 2**24  # of one image: 4096 × 4096
MAX_PIXELS = 2**26  # of all images of a file that are kept
NUM_VOLUME_SLICES = 24
MAX_IMAGES = 64  # of a file with several frames or pages: more are thinned out evenly


class UploadedImages(NamedTuple):
    """The gray images of a file, by plane; the plane of all files but volumes is ''.

    Attributes:
        images: gray images (H, W) and their position in the file, '' if it is the only one.
        warnings: reasons to distrust the images.
    """

    images: dict[str, list[tuple[str, Gray]]]
    warnings: tuple[str, ...] = ()


def start_server() -> None:
    """Start the process that all reading processes are forked from, unless it runs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    from multiprocessing import forkserver

    forkserver.ensure_running()


def read_upload(path: Path) -> UploadedImages | str:
    """Read a file in a process of its own; return its images, or why it cannot be read."""
    start_server()
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_images, args=(sender, path, MAX_READ_SECONDS, MAX_MEMORY_BYTES))
    process.start()
    sender.close()
    try:
        if not receiver.poll(MAX_READ_SECONDS):
            return f"it was not read within {MAX_READ_SECONDS:g} s, the limit of the app"
        result: UploadedImages | str = receiver.recv()
        return result
    except EOFError:
        return f"it is damaged, or needs more than {MAX_MEMORY_BYTES // 2**20} MiB of memory"
    finally:
        receiver.close()
        _end(process)


def _end(process: BaseProcess) -> None:
    """End a reading process and the decoder that it may have started."""
    assert process.pid is not None
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it has ended, or has no group yet
        process.kill()
    process.join()


def _send_images(sender: Connection, path: Path, seconds: float, memory: int) -> None:
    os.setsid()
    # Also without its parent, the process ends. It may use the processor longer than the time that its parent waits.
    resource.setrlimit(resource.RLIMIT_CPU, (int(2 * seconds), int(2 * seconds)))
    used = Path("/proc/self/statm")  # without it, on macOS, the limit of memory is not kept by the system either
    if used.exists():
        limit = int(used.read_text().split()[0]) * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        result: UploadedImages | str = read_limited(path)
    except MemoryError:
        result = f"it needs more than {memory // 2**20} MiB of memory"
    sender.send(result)


def read_limited(path: Path) -> UploadedImages | str:
    """Read a file within the limits of pixels; return its images, or why it cannot be read."""
    if problem := _find_large_image(path):
        return problem
    images = read_images(path, PLANES[0], NUM_VOLUME_SLICES)
    if error := next((image.error for image in images if image.error), "" if images else "it contains no image"):
        if error.startswith(("MemoryError", "Unable to allocate")):  # numpy's words
            raise MemoryError
        return error
    by_plane = {"": images}
    if images[0].file.startswith(f"{path}.{PLANES[0]}-"):
        others = {plane: read_images(path, plane, NUM_VOLUME_SLICES) for plane in PLANES[1:]}
        by_plane = {PLANES[0]: images} | others
    kept = {plane: _thin_out(found) for plane, found in by_plane.items()}
    result = {
        plane: [(_position(image, path), image.gray) for image in found if image.gray is not None]
        for plane, found in kept.items()
    }
    grays = [gray for found in result.values() for _, gray in found]
    if max(gray.size for gray in grays) > MAX_IMAGE_PIXELS or sum(gray.size for gray in grays) > MAX_PIXELS:
        return f"its images have more than {MAX_PIXELS // 2**20} megapixels together, the limit of the app"
    reasons = images[0].warnings
    if len(kept[next(iter(kept))]) < len(images):
        reasons += (f"it has {len(images)} images: {MAX_IMAGES} of them, evenly spaced, are shown",)
    return UploadedImages(result, reasons)


def _position(image: GrayImage, path: Path) -> str:
    return image.file.removeprefix(str(path)).lstrip(".")


def _thin_out(images: Sequence[GrayImage]) -> list[GrayImage]:
    count = min(len(images), MAX_IMAGES)
    return [images[number * len(images) // count] for number in range(count)]


def _find_large_image(path: Path) -> str:
    """Return why an ordinary image is too large to decode, '' otherwise; only its header is read."""
    with path.open("rb") as file:
        if identify(file.read(HEAD_BYTES), path.name).kind != "raster":
            return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
    except Exception:  # decoders raise almost any exception on broken input; reading the file says more
        return ""
    if width * height <= MAX_IMAGE_PIXELS:
        return ""
    return f"it has {width:,}×{height:,} pixels; the app takes at most {MAX_IMAGE_PIXELS // 2**20} megapixels"
