"""What kind of file something is, by its content. No decoder is imported, so that importing this module is fast.

`identify` is the one function that decides what counts as an image: for downloads, `audit`, `predict` and the app.
"""

import re
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
PACKED_MAGIC = {
    b"PK\x03\x04": "a zip archive or an office document",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\0": "xz data",
    b"\x1f\x8b": "gzip data that is neither a DICOM nor a NIfTI file: unpack it",
    b"\x28\xb5\x2f\xfd": "Zstandard data",
}
OTHER_MAGIC = {
    b"\xd0\xcf\x11\xe0": "a Windows system file or an old office document",
    b"%PDF": "a PDF document",
    b"\x89HDF": "an HDF5 or MATLAB file",
    b"MATLAB 5.0": "a MATLAB file",
    b"\x93NUMPY": "a NumPy array",
}
# Text in place of a file that was not downloaded.
POINTERS = {
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: run `git lfs pull` there",
    b"/annex/objects/": "a pointer of git-annex, not the file itself: run `git annex get` there",
}
# In the header of a MetaImage or NRRD file: the voxels are in another file.
OTHER_META_IMAGE_FILE = re.compile(rb"^ElementDataFile[ \t]*=[ \t]*(?!LOCAL[ \t]*\r?$)\S", re.MULTILINE)
OTHER_NRRD_FILE = re.compile(rb"^(data ?file|LIST)\s*:", re.MULTILINE | re.IGNORECASE)
HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
GZIP_MAGIC = b"\x1f\x8b"
# Value representations (PS3.5, 6.2) that a DICOM file's first element may have.
DICOM_VALUE_TYPES = (b"UL", b"OB", b"UI", b"CS", b"SH", b"DA", b"TM", b"LO", b"US", b"PN")
FIRST_GROUPS = (0x0002, 0x0008, 0x0010)  # of the elements that a DICOM file begins with
CHECKED_ELEMENTS = 3  # at the beginning of a file without preamble
MAX_FIRST_VALUE_BYTES = 256  # of these elements
HIDDEN = "a hidden file, or one that a system added"  # reason why such a file is left out, see `is_hidden`
SYSTEM_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin")


class FileKind(NamedTuple):
    """What `identify` found.

    Attributes:
        kind: of the image, None if the file is not an image.
        reason: what the file is instead, '' if it is an image.
        other: whether that is an archive or compressed data, or content that a damaged file of any format may have.
    """

    kind: Kind | None
    reason: str = ""
    other: Literal["", "packed", "unknown"] = ""


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
    if packed := _describe_packed(head):
        return FileKind(None, packed, "packed")
    if other := _describe_other(head):
        return FileKind(None, other)
    return FileKind(None, "content of an unknown kind" if head else "an empty file", "unknown")


def is_hidden(name: str) -> bool:
    """Return whether a path (`/` between folders) is hidden or was added by a system: `.DS_Store`, `@eaDir`."""
    return any(part.startswith(".") or part in ("__MACOSX", "@eaDir") for part in name.split("/"))


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
        return None if _names_other_file(head) else "itk"
    return None


def _kind_by_suffix(name: str) -> Kind | None:
    name = name.lower()
    suffixes: dict[Kind, tuple[str, ...]] = {
        "raster": RASTER_SUFFIXES, "dicom": DICOM_SUFFIXES, "nifti": NIFTI_SUFFIXES, "itk": ITK_SUFFIXES
    }  # fmt: skip
    return next((kind for kind, endings in suffixes.items() if name.endswith(endings)), None)


def _is_dicom_without_preamble(head: bytes) -> bool:
    """Return whether content begins with DICOM elements of the groups 0002, 0008 or 0010, as old scanners write them.

    Each element has a larger tag than the one before it. With the explicit value representation, its two letters follow
    the tag; with the implicit one, the length of the value as 32 bits.
    """
    order: Literal["little", "big"] = "little" if head[1:2] == b"\0" else "big"
    position, last_tag = 0, (0, 0)
    for _ in range(CHECKED_ELEMENTS):
        group, element = (int.from_bytes(head[start : start + 2], order) for start in (position, position + 2))
        if len(head) < position + 8 or group not in FIRST_GROUPS or (group, element) < last_tag:
            return False
        if head[position + 4 : position + 6] in DICOM_VALUE_TYPES:
            return True
        length = int.from_bytes(head[position + 4 : position + 8], order)
        if order == "big" or length > MAX_FIRST_VALUE_BYTES or length % 2:
            return False
        position, last_tag = position + 8 + length, (group, element + 1)
    return True


def _is_nifti_header(head: bytes) -> bool:
    """Return whether content begins with the size of a NIfTI-1, NIfTI-2 or Analyze header."""
    return head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c") and len(head) >= 348


def _names_other_file(head: bytes) -> bool:
    """Return whether the header of a MetaImage or NRRD file names another file with the voxels."""
    return bool(OTHER_META_IMAGE_FILE.search(head) or OTHER_NRRD_FILE.search(head.partition(b"\n\n")[0]))


def _describe_packed(head: bytes) -> str:
    """Describe an archive or compressed data, '' for other content."""
    if starts_as_gzip(head) and _decompress_head(head)[257:262] == b"ustar":
        return "a tar.gz archive"
    if head[257:262] == b"ustar":
        return "a tar archive"
    return next((description for magic, description in PACKED_MAGIC.items() if head.startswith(magic)), "")


def _describe_other(head: bytes) -> str:
    """Describe content that is neither an image nor packed, '' if it is unknown."""
    if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS:
        return "a HEIC or AVIF image, which is not supported: convert it to PNG"
    for magic, description in OTHER_MAGIC.items():
        if head.startswith(magic):
            return description
    if head.startswith((b"NRRD000", b"ObjectType")) and _names_other_file(head):
        return "a header whose voxels are in another file, which is not supported: save both as one file"
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if start.startswith(b"<?xml") or start.startswith(b"<annotation"):
        return "an XML file"
    if start.startswith((b"{", b"[")):
        return "a JSON file"
    is_text = head and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head[:512])
    return "a text file" if is_text else ""


def _decompress_head(head: bytes) -> bytes:
    """Return the first bytes of what gzip data contains, b'' if it is corrupted."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""
