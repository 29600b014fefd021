"""Small tar archives."""

import io
import tarfile
from collections.abc import Mapping
from typing import Any, Literal


def make_tar(files: Mapping[str, bytes], compression: Literal["", "gz", "bz2", "xz"] = "", **attributes: Any) -> bytes:
    """Make a tar archive; `attributes` are set in the header of each member."""
    buffer = io.BytesIO()
    mode: Any = f"w:{compression}"
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
