"""What file names tell about volumes and masks: contrasts of one head, its mask, and the files of a NIfTI pair."""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from brain_tumor.datasets.readers.files import Files, normalize_name
from brain_tumor.imaging.formats import HEAD_BYTES, IMAGE_SUFFIXES, ITK_SUFFIXES, NIFTI_SUFFIXES, identify
from brain_tumor.imaging.nifti import join_nifti_pair

VOXEL_SUFFIXES = (".img", ".img.gz")
HEADER_SUFFIXES = (".hdr", ".hdr.gz")
VOLUME_SUFFIXES = (*NIFTI_SUFFIXES, *ITK_SUFFIXES, *VOXEL_SUFFIXES)
STEM = re.compile(
    "(.+?)(?:" + "|".join(map(re.escape, sorted((*IMAGE_SUFFIXES, *VOLUME_SUFFIXES), key=len, reverse=True))) + ")",
    re.IGNORECASE,
)
MASK = re.compile(r"(.*?)(?:(?<=/)|^|[-_ ])(?:seg|mask|segmentation|label)", re.IGNORECASE)
CONTRAST = re.compile(
    r"(.*?)(?:(?<=/)|^|[-_. ])"
    r"(?:t1|t1w|t1c|t1ce|t1gd|t1n|t1post|t1wce|t2|t2w|t2f|t2flair|t2star|t2starw|flair|pd|pdw|dwi|adc|swi)",
    re.IGNORECASE,
)
BIDS_SUBJECT = re.compile(r"(.*?(?:^|/)sub-[a-z0-9]+)[_/.]", re.IGNORECASE)  # of the Brain Imaging Data Structure


class MaskPairs(NamedTuple):
    """Masks by name, and what they belong to.

    Attributes:
        by_image: name of the mask of each image that has one.
        unused: files that are named as masks and fit no image.
    """

    by_image: dict[str, str]
    unused: list[str]


class ImageReader:
    """Reads the images of a source by their names; the two files of a NIfTI pair become one."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._names = {name.lower(): name for name in files.names()}

    def read(self, name: str) -> tuple[bytes, str]:
        """Return the content of a file, and why it is not an image: '' if it is one."""
        content = self._files.read(name)
        kind, reason = identify(content[:HEAD_BYTES], name)
        if kind == "nifti-voxels":
            return self._add_header(name, content)
        return content, (self.describe_header(name) or reason) if kind is None else ""

    def describe_header(self, name: str) -> str:
        """Return what a file with the suffix `.hdr` is, '' for other files."""
        if not name.lower().endswith(HEADER_SUFFIXES):
            return ""
        has_voxels = self._find_sibling(name, HEADER_SUFFIXES, VOXEL_SUFFIXES)
        return "the header of an .img file beside it" if has_voxels else "a header without its .img file"

    def _add_header(self, name: str, voxels: bytes) -> tuple[bytes, str]:
        header = self._find_sibling(name, VOXEL_SUFFIXES, HEADER_SUFFIXES)
        if not header:
            return voxels, "voxels without their .hdr file"
        try:
            return join_nifti_pair(self._files.read(header), voxels), ""
        except ValueError as error:
            return voxels, f"voxels whose .hdr file cannot be used ({error})"

    def _find_sibling(self, name: str, suffixes: Collection[str], others: Collection[str]) -> str:
        """Return the name of the other file of a pair, '' if it does not exist."""
        suffix = max((end for end in suffixes if name.lower().endswith(end)), key=len)
        stem = name.lower()[: -len(suffix)]
        return next((self._names[stem + other] for other in others if stem + other in self._names), "")


def volume_patient(name: str) -> str:
    """Return the patient of a volume as its path tells: without the contrast at its end, '' if it is no volume.

    `a/BraTS_001_t1.nii.gz` and `a/BraTS_001_flair.nii.gz` are `a/BraTS_001`. In paths of the Brain Imaging Data
    Structure, the patient is the subject: `a/sub-01` for `a/sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz`.
    """
    if not _is_volume(name):
        return ""
    if subject := BIDS_SUBJECT.match(normalize_name(name)):
        return subject[1]
    stem = _stem(name)
    base = _without_contrast(stem)
    return (base and base.rstrip("/")) or stem


def pair_masks(names: Collection[str]) -> MaskPairs:
    """Find the masks among the files of a data set.

    A file whose stem ends in `_seg`, `_mask`, `_segmentation` or `_label` (also after `-`, in any case) is the mask of
    the images with the same stem in its folder. The mask of a volume belongs to all contrasts with that stem. Several
    masks of one image: the first by name is used.
    """
    bases = {name: match[1] for name in sorted(names) if (match := MASK.fullmatch(_stem(name)))}
    masks: dict[tuple[bool, str], str] = {}
    for name, base in bases.items():
        masks.setdefault((_is_volume(name), base), name)
    by_image = {}
    for name in sorted(set(names) - bases.keys()):
        mask = next((masks[key] for key in _mask_keys(name) if key in masks), None)
        if mask is not None and not name.lower().endswith(HEADER_SUFFIXES):
            by_image[name] = mask
    return MaskPairs(by_image, sorted(bases.keys() - set(by_image.values())))


def _mask_keys(name: str) -> Iterator[tuple[bool, str]]:
    """Yield the keys under which the mask of an image may be found, the best one first."""
    is_volume, stem = _is_volume(name), _stem(name)
    yield is_volume, stem
    if is_volume and (base := _without_contrast(stem)) is not None:
        yield is_volume, base


def _is_volume(name: str) -> bool:
    return name.lower().endswith(VOLUME_SUFFIXES)


def _stem(name: str) -> str:
    """Return a path without the suffix of an image format, normalized."""
    name = normalize_name(name)
    match = STEM.fullmatch(name)
    return match[1] if match else name


def _without_contrast(stem: str) -> str | None:
    """Return the stem of a volume without the contrast at its end, None if it has none.

    Of a file that is named after its contrast alone, that is its folder with the final `/`.
    """
    match = CONTRAST.fullmatch(stem)
    return match[1] if match else None
