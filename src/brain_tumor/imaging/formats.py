"""File-name rules for images, used by all readers. No decoder is imported, so that importing this module is fast."""

RASTER_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
DICOM_SUFFIX = ".dcm"
IMAGE_SUFFIXES = (*RASTER_SUFFIXES, DICOM_SUFFIX, *NIFTI_SUFFIXES)
DICOM_HEADER_BYTES = 132  # preamble and magic number


def is_raster_name(name: str) -> bool:
    """Return whether a file name has the suffix of an ordinary image: JPEG, PNG, TIFF, BMP, GIF, WebP."""
    return name.lower().endswith(RASTER_SUFFIXES)


def is_nifti_name(name: str) -> bool:
    """Return whether a file name has the suffix of a NIfTI volume."""
    return name.lower().endswith(NIFTI_SUFFIXES)


def is_image_name(name: str) -> bool:
    """Return whether a file name has the suffix of an ordinary image, a DICOM file or a NIfTI volume."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def may_hold_several_images(name: str) -> bool:
    """Return whether a file name has the suffix of a DICOM file (frames) or of a NIfTI volume (slices)."""
    return name.lower().endswith((DICOM_SUFFIX, *NIFTI_SUFFIXES))


def is_dicom(content: bytes) -> bool:
    """Return whether content is a DICOM file, whatever its name; the first DICOM_HEADER_BYTES are enough."""
    return content[128:DICOM_HEADER_BYTES] == b"DICM"


def is_hidden(name: str) -> bool:
    """Return whether a path (`/` between folders) is hidden or was added by a system: `.DS_Store`, `__MACOSX`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
