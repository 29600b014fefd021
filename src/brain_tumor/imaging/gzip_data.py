"""Decompressing gzip data of others, at most as much as an image may take."""

import gzip
import io
import zlib

from brain_tumor.imaging.formats import starts_as_gzip

MAX_DECOMPRESSED_BYTES = 512 * 512 * 512 * 8 + 2**20  # the largest volume allowed, with its header


def decompress(content: bytes) -> bytes:
    """Return what gzip data contains; other content is returned as it is.

    Raises:
        ValueError: corrupted data, or more than MAX_DECOMPRESSED_BYTES.
    """
    if not starts_as_gzip(content):
        return content
    with gzip.open(io.BytesIO(content)) as file:
        try:
            decompressed = file.read(MAX_DECOMPRESSED_BYTES + 1)
        except (EOFError, zlib.error, OSError) as error:
            raise ValueError(f"corrupted gzip data ({error})") from None
    if len(decompressed) > MAX_DECOMPRESSED_BYTES:
        raise ValueError("decompresses to more than the largest volume allowed")
    return decompressed
