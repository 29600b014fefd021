"""Invalid files of the source `figshare`: slices, archives and folds."""

import io
import zipfile

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.sources.figshare import Source
from figshare_service import (
    ARTICLE,
    FILES,
    FOLDS,
    SIDE,
    SLICES,
    SOURCE,
    VERSION,
    Offline,
    make_archive,
    make_mat,
    make_variables,
    make_zip,
)

TRUNCATED = SLICES[2][: len(SLICES[2]) // 2]


def make_huge(name: str) -> bytes:
    """Make a slice with an array of 10¹⁰ values, none of them written."""
    buffer = io.BytesIO(make_mat("cjdata", make_variables(2, **{name: None})))
    with h5py.File(buffer, "r+") as file:
        file["cjdata"].create_dataset(name, (100_000, 100_000), "i2", chunks=(100, 100))
    return buffer.getvalue()


def make_external() -> bytes:
    """Make a slice whose image is stored in another file of the machine."""
    buffer = io.BytesIO(make_mat("cjdata", make_variables(2, image=None)))
    with h5py.File(buffer, "r+") as file:
        file["cjdata"].create_dataset("image", (SIDE, SIDE), "u1", external=[(__file__, 0, SIDE * SIDE)])
    return buffer.getvalue()


INVALID_SLICES = {
    "not a valid MATLAB 7.3 file": b"MATLAB 5.0 MAT-file",
    "not a valid": TRUNCATED,
    "no group 'cjdata'": make_mat("other", make_variables(2)),
    "no dataset 'image'": make_mat("cjdata", make_variables(2, image=None)),
    "no dataset 'label'": make_mat("cjdata", make_variables(2, label=None)),
    "no dataset 'PID'": make_mat("cjdata", make_variables(2, PID=None)),
    "no dataset 'tumorMask'": make_mat("cjdata", make_variables(2, tumorMask=None)),
    "no dataset 'image' ": make_mat("cjdata/image", make_variables(2)),
    "no dataset 'tumorMask' ": make_mat(
        "cjdata", make_variables(2, tumorMask=h5py.ExternalLink("other.mat", "/cjdata/image"))
    ),
    "image is stored in another file": make_external(),
    "image has the shape": make_mat("cjdata", make_variables(2, image=np.zeros((2, 3, 4), np.int16))),
    "image has the shape ": make_mat("cjdata", make_variables(2, image=np.zeros((0, 3), np.int16))),
    "image has the type float64": make_mat("cjdata", make_variables(2, image=np.zeros((SIDE, SIDE)))),
    "image has 10,000,000,000 values": make_huge("image"),
    "tumorMask has 10,000,000,000 values": make_huge("tumorMask"),
    "tumorMask has the shape": make_mat("cjdata", make_variables(2, tumorMask=np.ones((SIDE, SIDE - 1), np.uint8))),
    "label is [4.0], not one of 1, 2, 3": make_mat("cjdata", make_variables(2, label=[[4.0]])),
    "label is [nan]": make_mat("cjdata", make_variables(2, label=[[np.nan]])),
    "label is [1.0, 2.0]": make_mat("cjdata", make_variables(2, label=[[1.0, 2.0]])),
    "PID is [65, 10]": make_mat("cjdata", make_variables(2, PID=np.array([[65, 10]], np.uint16))),
    "PID is []": make_mat("cjdata", make_variables(2, PID=np.zeros((0, 0), np.uint16))),
    "PID is [65, 65, 65, 65] …": make_mat("cjdata", make_variables(2, PID=np.full((1, 65), 65, np.uint16))),
}


@pytest.mark.parametrize("message", INVALID_SLICES)
def test_images_invalid_slice_error_names_file_and_problem(offline: Offline, message: str) -> None:
    with pytest.raises(UserError) as caught:
        offline({FILES[1]: make_archive([1, 3], _2=INVALID_SLICES[message])})
    assert all(text in str(caught.value) for text in (f"{FILES[1]}: 2.mat", message.strip(), "download it again"))


def make_corrupted() -> bytes:
    """Make an archive with a flipped bit in a stored member, where only the checksum detects it."""
    content = bytearray(make_zip({f"{number}.mat": SLICES[number] for number in (1, 2, 3)}, zipfile.ZIP_STORED))
    content[len(content) // 2] ^= 1
    return bytes(content)


INVALID_ARCHIVES = {
    "cannot be read as a zip archive": b"PK and no more",
    "2.mat is corrupted (Bad CRC-32": make_corrupted(),
    "'../2.mat' points outside the archive": make_zip({"../2.mat": SLICES[2]}),
    "'/2.mat' points outside the archive": make_zip({"/2.mat": SLICES[2]}),
    "'C:/2.mat' points outside the archive": make_zip({"C:/2.mat": SLICES[2]}),
    "'9.mat' decompresses to 68,157,440 bytes": make_archive([1, 2, 3], _9=bytes(65 << 20)),
    "unsupported compression: repack with deflate": make_zip({"2.mat": SLICES[2]}, zipfile.ZIP_LZMA),
    ": 4.mat occurs twice": make_archive([1, 2, 3, 4]),
    "they contain 6 files, 1.mat to 7.mat": make_archive([1, 3]),
    "they contain 8 files, 1.mat to 8.mat": make_archive([1, 2, 3], _8=SLICES[1]),
}


@pytest.mark.parametrize("message", INVALID_ARCHIVES)
def test_images_invalid_archive_error_names_the_problem(offline: Offline, message: str) -> None:
    order = SOURCE.model_copy(update={"files": FILES[::-1]})
    with pytest.raises(UserError) as caught:
        # For duplicate numbers, the valid archive comes first.
        offline({FILES[1]: INVALID_ARCHIVES[message]}, SOURCE if "twice" in message else order)
    assert message in str(caught.value)
    assert any(text in str(caught.value) for text in ("download it again", "rejected", "repack"))


INVALID_FOLDS = {
    "has folds for 6 slices": make_mat("", {"cvind": np.array(FOLDS[1:], float)}),
    "has folds for 8 slices": make_mat("", {"cvind": np.array([*FOLDS, 1], float)}),
    "no dataset 'cvind'": make_mat("", {"other": np.array(FOLDS, float)}),
    "not a vector of fold numbers from 1 to 5": make_mat("", {"cvind": np.array([0, *FOLDS[1:]], float)}),
    "not a vector of fold numbers": make_mat("", {"cvind": np.ones((7, 7))}),
    "not a valid MATLAB 7.3 file": b"",
    "more than 64 MiB": bytes((64 << 20) + 1),
}


@pytest.mark.parametrize("message", INVALID_FOLDS)
def test_images_invalid_folds_error_names_the_problem(offline: Offline, message: str) -> None:
    with pytest.raises(UserError) as caught:
        offline({"cvind.mat": INVALID_FOLDS[message]})
    assert all(text in str(caught.value) for text in ("cvind.mat", message, "download it again"))


@pytest.mark.parametrize(
    "files",
    [
        (),
        ("1.zip",),
        ("cvind.mat",),
        ("1.zip", "a.mat", "b.mat"),
        ("../1.zip", "cvind.mat"),
        ("1.zip", "1.zip", "a.mat"),
    ],
)
def test_source_invalid_file_names_are_rejected(files: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="`files` must be"):
        Source(kind="figshare", article=ARTICLE, version=VERSION, files=files)
