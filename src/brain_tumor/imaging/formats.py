"""What kind of file something is, by its content. No decoder is imported, so that importing this module is fast.

`identify` is the one function that decides what counts as an image: for downloads, `audit`, `predict` and the app.
"""

import zlib
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

HEAD_BYTES = 4096  # `identify` needs no more of a file
RASTER_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".jp2", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
DICOM_SUFFIXES = (".dcm", ".dcm.gz", ".ima", ".dicom")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".mha", ".nrrd")
IMAGE_SUFFIXES = (*RASTER_SUFFIXES, *DICOM_SUFFIXES, *NIFTI_SUFFIXES, *ITK_SUFFIXES)

Kind = Literal["raster", "dicom", "nifti", "nifti-voxels", "itk"]
# raster: JPEG, JPEG 2000, PNG, TIFF, BMP, GIF, WebP. nifti: NIfTI-1, NIfTI-2 and Analyze with header and voxels in one
# file, compressed or not. nifti-voxels: an `.img` file, whose `.hdr` file is another one. itk: MetaImage and NRRD.

RASTER_MAGIC = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"II*\0", b"MM\0*", b"II+\0", b"MM\0+",  # TIFF and BigTIFF
    b"GIF8",
    b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51",  # JPEG 2000: file and bare codestream
)  # fmt: skip
BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)
OTHER_MAGIC = {
    b"PK\x03\x04": "a zip archive or an office document",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\0": "xz data",
    b"\xd0\xcf\x11\xe0": "a Windows system file or an old office document",
    b"%PDF": "a PDF document",
    b"\x89HDF": "an HDF5 or MATLAB file",
    b"MATLAB 5.0": "a MATLAB file",
    b"\x93NUMPY": "a NumPy array",
    b"\x1f\x8b": "gzip data without an image inside",
}
# Text in place of a file that was not downloaded.
POINTERS = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: run `git lfs pull` there",
    b"/annex/objects/": "a pointer of git-annex, not the file itself: run `git annex get` there",
}
HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
GZIP_MAGIC = b"\x1f\x8b"
# Value representations (PS3.5, 6.2) that a DICOM file's first element may have.
DICOM_VALUE_TYPES = (b"UL", b"OB", b"UI", b"CS", b"SH", b"DA", b"TM", b"LO", b"US")
SYSTEM_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin")


class FileKind(NamedTuple):
    """What `identify` found.

    Attributes:
        kind: of the image, None if the file is not an image.
        reason: what the file is instead, '' if it is an image.
    """

    kind: Kind | None
    reason: str = ""


def identify(head: bytes, name: str) -> FileKind:
    """Decide whether a file is an image.

    The content decides. Only where it is not recognized, a name with the suffix of an image makes it one: a corrupted
    image remains an image, and is reported as unreadable by whoever reads it.

    Args:
        head: the first HEAD_BYTES of the file, or all of it.
        name: its name or path, `/` between folders.
    """
    if PurePosixPath(name).name.lower() in SYSTEM_FILES:
        return FileKind(None, "a file of the operating system")
    kind = _kind_by_content(head)
    if kind is not None:
        return FileKind(kind)
    if _is_nifti_header(head):  # of a pair
        return FileKind(None, "the header of an .img file")
    if name.lower().endswith((".img", ".img.gz")) and head:
        return FileKind("nifti-voxels")
    for start, reason in POINTERS.items():
        if head.startswith(start):
            return FileKind(None, reason)
    if kind := _kind_by_suffix(name):
        return FileKind(kind)
    return FileKind(None, _describe_other(head))


def is_hidden(name: str) -> bool:
    """Return whether a path (`/` between folders) is hidden or was added by a system: `.DS_Store`, `__MACOSX`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def may_hold_several_images(name: str) -> bool:
    """Return whether a file name has the suffix of a format with frames, slices or pages."""
    return name.lower().endswith((*DICOM_SUFFIXES, *NIFTI_SUFFIXES, *ITK_SUFFIXES, ".img", ".tif", ".tiff", ".gif"))


def starts_as_gzip(content: bytes) -> bool:
    """Return whether content is gzip data."""
    return content.startswith(GZIP_MAGIC)


def has_dicom_preamble(content: bytes) -> bool:
    """Return whether content begins with DICOM's preamble of 128 bytes and its magic number."""
    return content[128:132] == b"DICM"


def _kind_by_content(head: bytes) -> Kind | None:
    if starts_as_gzip(head):
        kind = _kind_by_content(_decompress_head(head))
        return kind if kind in ("dicom", "nifti") else None
    # A DICOM file's preamble may be the header of a TIFF file (PS3.10, 7.1).
    if has_dicom_preamble(head) or _is_dicom_without_preamble(head):
        return "dicom"
    is_webp = head.startswith(b"RIFF") and head[8:12] == b"WEBP"
    is_bmp = head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in BMP_HEADER_SIZES
    if head.startswith(RASTER_MAGIC) or is_webp or is_bmp:
        return "raster"
    if (head[344:348] == b"n+1\0" and _is_nifti_header(head)) or head[4:8] == b"n+2\0":
        return "nifti"
    if head.startswith(b"NRRD000") or (head.startswith(b"ObjectType") and b"NDims" in head):
        return "itk"
    return None


def _kind_by_suffix(name: str) -> Kind | None:
    name = name.lower()
    suffixes: dict[Kind, tuple[str, ...]] = {
        "raster": RASTER_SUFFIXES, "dicom": DICOM_SUFFIXES, "nifti": NIFTI_SUFFIXES, "itk": ITK_SUFFIXES
    }  # fmt: skip
    return next((kind for kind, endings in suffixes.items() if name.endswith(endings)), None)


def _is_dicom_without_preamble(head: bytes) -> bool:
    """Return whether content begins with a DICOM element of the groups 0002 or 0008, as old scanners write them."""
    if head[:2] not in (b"\x02\0", b"\x08\0") or len(head) < 8:
        return False
    if head[4:6] in DICOM_VALUE_TYPES:
        return True
    # Implicit value representation: a 32-bit length follows the tag.
    return head[:4] in (b"\x08\0\0\0", b"\x08\0\x01\0", b"\x08\0\x05\0", b"\x08\0\x08\0", b"\x08\0\x16\0") and (
        int.from_bytes(head[4:8], "little") <= 256
    )


def _is_nifti_header(head: bytes) -> bool:
    """Return whether content begins with the size of a NIfTI-1, NIfTI-2 or Analyze header."""
    return head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c") and len(head) >= 348


def _describe_other(head: bytes) -> str:
    """Describe content that is not an image."""
    if not head:
        return "an empty file"
    if starts_as_gzip(head) and _decompress_head(head)[257:262] == b"ustar":
        return "a tar.gz archive"
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS:
        return "a HEIC or AVIF image, which is not supported: convert it to PNG"
    for magic, description in OTHER_MAGIC.items():
        if head.startswith(magic):
            return description
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if start.startswith(b"<?xml") or start.startswith(b"<annotation"):
        return "an XML file"
    if start.startswith((b"{", b"[")):
        return "a JSON file"
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in head[:512]):
        return "a text file"
    return "content of an unknown kind"


def _decompress_head(head: bytes) -> bytes:
    """Return the first bytes of what gzip data contains, b'' if it is corrupted."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""
