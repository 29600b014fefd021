"""Decoding compressed DICOM pixels in a process of its own: GDCM aborts the process that calls it on some broken files.

The process is started for the first file and serves all later ones; after an abort the next file starts a new one. As a
script, this module is that process: it reads files from standard input, and writes arrays to standard output.
"""

import atexit
import io
import os
import struct
import subprocess
import sys
import threading
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

TIMEOUT_SECONDS = 60.0  # for one file
LENGTH = struct.Struct("<?Q")  # before each message: whether it is an array, and its number of bytes


class DecoderProcess:
    """The process that decodes; one file at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, content: bytes) -> NDArray[Any]:
        """Return the stored values of all frames of an uncompressed DICOM file with compressed pixels.

        Raises:
            ValueError: the pixels cannot be decoded, the decoder aborted, or it took more than TIMEOUT_SECONDS.
        """
        with self._lock:
            process = self._start()
            timer = threading.Timer(TIMEOUT_SECONDS, process.kill)
            timer.start()
            try:
                assert process.stdin
                assert process.stdout
                _write(process.stdin, True, content)
                is_array, answer = _read(process.stdout)
            except (OSError, EOFError):
                self.stop()
                raise ValueError("damaged: the decoder of its pixels stopped") from None
            finally:
                timer.cancel()
        if not is_array:
            raise ValueError(answer.decode())
        return np.asarray(np.load(io.BytesIO(answer), allow_pickle=False))

    def stop(self) -> None:
        """End the process, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            paths = os.pathsep.join(path for path in sys.path if path)
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": paths},
            )
        return self._process


DECODER = DecoderProcess()
atexit.register(DECODER.stop)


def serve(files: IO[bytes], arrays: IO[bytes]) -> None:
    """Decode files until the input ends."""
    from brain_tumor.imaging.dicom import decode_stored_values, read_dataset

    while True:
        try:
            _, content = _read(files)
        except EOFError:
            return
        buffer = io.BytesIO()
        try:
            np.save(buffer, decode_stored_values(read_dataset(content)), allow_pickle=False)
            _write(arrays, True, buffer.getvalue())
        except Exception as error:  # pydicom raises almost any exception on broken input
            _write(arrays, False, (str(error) or type(error).__name__).encode())


def _write(file: IO[bytes], is_array: bool, content: bytes) -> None:
    file.write(LENGTH.pack(is_array, len(content)) + content)
    file.flush()


def _read(file: IO[bytes]) -> tuple[bool, bytes]:
    """Read a message; raises an EOFError at the end of the file."""
    is_array, length = LENGTH.unpack(_read_exactly(file, LENGTH.size))
    return is_array, _read_exactly(file, length)


def _read_exactly(file: IO[bytes], count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise EOFError
    return content


if __name__ == "__main__":
    output = sys.stdout.buffer
    sys.stdout = sys.stderr  # what libraries print must not come between the arrays
    serve(sys.stdin.buffer, output)
