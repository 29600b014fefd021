"""Which files count as images: the one place that decides it. It imports no decoder, so that importing it is fast."""

RASTER_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
IMAGE_SUFFIXES = (*RASTER_SUFFIXES, ".dcm", *NIFTI_SUFFIXES)
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


def is_dicom(content: bytes) -> bool:
    """Return whether content is a DICOM file, whatever its name; the first DICOM_HEADER_BYTES are enough."""
    return content[128:DICOM_HEADER_BYTES] == b"DICM"


def is_hidden(name: str) -> bool:
    """Return whether a path (`/` between folders) is hidden or was added by a system: `.DS_Store`, `__MACOSX`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
