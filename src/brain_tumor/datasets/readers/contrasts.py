"""What file names tell about images and masks: contrasts of one head, its mask, and the files of a NIfTI pair."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from brain_tumor.datasets.readers.files import Files, normalize_name
from brain_tumor.imaging import formats

MASK = "a mask of images of this data set"
SECOND_MASK = "a second mask of images of this data set: of several masks, the first by name is used"
UNUSED_MASK = "named as a mask (such as _seg, _mask or _label), but no image goes with it"
VOXEL_SUFFIXES = (".img", ".img.gz")
HEADER_SUFFIXES = (".hdr", ".hdr.gz")
VOLUME_SUFFIXES = (*formats.NIFTI_SUFFIXES, *formats.ITK_SUFFIXES, *VOXEL_SUFFIXES)
SUFFIXES = sorted((*formats.IMAGE_SUFFIXES, *VOLUME_SUFFIXES), key=len, reverse=True)
# The expressions below are those of a file name without folder and suffix.
NUMBER = r"(?:[-_. ](?:slice[-_. ]?)?(?P<number>\d+))?"  # of a slice or a series
CONTRASTS = "t1|t1w|t1c|t1ce|t1gd|t1n|t1post|t1wce|t2|t2w|t2f|t2flair|t2star|t2starw|flair|pd|pdw|dwi|dti|adc|swi|asl"
MODIFIERS = (
    "ce|gd|gad|contrast|pre|post|bias|n4|corrected|brain|bet|stripped|unstripped|reg|registered|noreg|eddy|fa|md|l[123]|"
    r"norm|normalized|resampled|mni|native|iso|\d+mm|ax|axial|cor|coronal|sag|sagittal|tra|2d|3d"
)
CONTRAST = re.compile(
    r"(?:(?P<head>.*?)[-_. ])??(?:mr[-_. ])?"
    rf"(?P<contrast>(?:{CONTRASTS})(?:[-_. ](?:{CONTRASTS}|{MODIFIERS}))*){NUMBER}",
    re.IGNORECASE,
)
AUTHORS = "manual|auto|automated|automatic|approx|final|expert|corrected"
MASK_WORDS = "(?:d|prob)?segm?|segmentation|mask|msk|labels?"
# In names of volumes, a point separates words, too, and regions of interest are masks, not cropped images.
MASK_AT_END, VOLUME_MASK_AT_END = (
    re.compile(
        rf"(?:(?P<head>.*?){gap})??(?:(?:whole|wholetumou?r|tumou?rs?|lesions?|{AUTHORS}){gap})*"
        rf"(?P<mask>{words})(?:{gap}(?:{AUTHORS}))*{NUMBER}",
        re.IGNORECASE,
    )
    for gap, words in (("[-_ ]", MASK_WORDS), ("[-_. ]", f"{MASK_WORDS}|segmentations|masks|roi"))
)
MASK_AT_START = re.compile(r"(?:seg|segmentation|mask|label)[-_ ](?P<head>.+)", re.IGNORECASE)
# BraTS 2015: VSD.Brain.XX.O.MR_T1.54512 and its mask VSD.Brain_3more.XX.O.OT.54515, each in a folder of its name.
BRATS_2015 = re.compile(r"VSD\.Brain(?:_\d*more)?(?=\.)", re.IGNORECASE)
BRATS_2015_MASK = re.compile(r"(?P<head>VSD\.Brain\..*)\.OT(?:\.(?P<number>\d+))?", re.IGNORECASE)
# Names before a contrast and a number that are not those of a patient.
NO_PATIENT = re.compile(
    r"(?:batch|class|data|dataset|file|fold|group|image|img|mri?|part|scan|series|set|slice|test|train|val|volume)s?"
    r"[\W_]*\d*",
    re.IGNORECASE,
)
BIDS_SUBJECT = re.compile(r"(.*?(?:^|/)sub-[a-z0-9]+)[_/.]", re.IGNORECASE)  # of the Brain Imaging Data Structure


class MaskPairs(NamedTuple):
    """Masks by name, and what they belong to.

    Attributes:
        by_image: name of the mask of each image that has one.
        reasons: all files that are named as masks, each with the reason why it is not an image.
    """

    by_image: dict[str, str]
    reasons: dict[str, str]


class _Contrast(NamedTuple):
    """A file that is named after a contrast.

    Attributes:
        head: the path before the contrast; if that is a folder, with the final `/`.
        contrast: with its modifiers, in lower case.
        number: the one at the end, '' for none.
    """

    head: str
    contrast: str
    number: str


class _Mask(NamedTuple):
    """A file that is named as a mask.

    Attributes:
        heads: paths before the word for a mask, with and without words such as `tumor`, the best one first.
        number: the one at the end, '' for none.
        is_certain: whether it is a mask in any case, not only if images with a contrast and the same head exist.
    """

    heads: tuple[str, ...]
    number: str
    is_certain: bool


_Key = tuple[bool, str, str]  # under which an image looks for its mask: whether it is a volume, head, number


class ParsedNames(NamedTuple):
    """What the names of files tell; `find_patients` and `pair_masks` need it.

    Attributes:
        names: the files of a data set, with the masks.
        contrasts: those that are named after a contrast.
        masks: those that are named as masks, sorted, each with the keys under which images look for it.
    """

    names: Collection[str]
    contrasts: Mapping[str, _Contrast]
    masks: Mapping[str, Sequence[_Key]]


class ImageReader:
    """Reads the images of a source by their names; the two files of a NIfTI pair become one."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._names = {name.lower(): name for name in files.names()}

    def read(self, name: str) -> tuple[bytes, str]:
        """Return the content of a file, and why it is not an image: '' if it is one."""
        content = self._files.read(name)
        kind, reason, _ = formats.identify(content[: formats.HEAD_BYTES], name)
        if kind == "nifti-voxels":
            return self._add_header(name, content)
        return content, (self.describe_header(name) or reason) if kind is None else ""

    def describe_header(self, name: str) -> str:
        """Return what a file with the suffix `.hdr` or `.hdr.gz` is, '' for other files."""
        return describe_header(name, self._names)

    def _add_header(self, name: str, voxels: bytes) -> tuple[bytes, str]:
        header = find_other_of_pair(name, self._names)
        if not header:
            return voxels, "voxels without their .hdr file"
        from brain_tumor.imaging.nifti import join_nifti_pair

        try:
            return join_nifti_pair(self._files.read(header), voxels), ""
        except ValueError as error:
            return voxels, f"voxels whose .hdr file cannot be used ({error})"


def find_other_of_pair(name: str, names: Mapping[str, str]) -> str:
    """Return the other file of the pair of an `.img` or `.hdr` file, '' if none; `names`: all by lower-case name."""
    name = name.lower()
    others = HEADER_SUFFIXES if name.endswith(VOXEL_SUFFIXES) else VOXEL_SUFFIXES
    stem = name.removesuffix(".gz")[: -len(".img")]
    return next((names[stem + other] for other in others if stem + other in names), "")


def describe_header(name: str, names: Mapping[str, str]) -> str:
    """Return what a file with one of HEADER_SUFFIXES is, '' for other files; `names`: all by lower-case name."""
    if not name.lower().endswith(HEADER_SUFFIXES):
        return ""
    return (
        "the header of an .img file beside it" if find_other_of_pair(name, names) else "a header without its .img file"
    )


def parse_names(names: Collection[str]) -> ParsedNames:
    """Parse the names of all files of a data set, with the masks."""
    parsed = {name: mask for name in sorted(set(names)) if (mask := _parse_mask(name))}
    contrasts = _find_contrasts(set(names) - parsed.keys())
    heads = {(_is_volume(name), contrast.head) for name, contrast in contrasts.items()}
    numbered = {(_is_volume(name), contrast.head) for name, contrast in contrasts.items() if contrast.number}
    masks = {}
    for name, mask in parsed.items():
        owners = [(_is_volume(name), head) for head in mask.heads]
        if mask.is_certain or not heads.isdisjoint(owners):
            masks[name] = [(*owner, mask.number if owner in numbered or not owner[0] else "") for owner in owners]
    return ParsedNames(names, contrasts, masks)


def find_patients(parsed: ParsedNames) -> dict[str, str]:
    """Return the patients of files as their paths tell, '' for none.

    - Volumes: the path without the contrast at its end, `a/P1` for `a/P1_t1.nii.gz` and `a/P1_T2_FLAIR.nii.gz`. A
      number after the contrast is left out, too, unless a contrast has several and nothing else tells heads apart.
    - Volumes in paths of the Brain Imaging Data Structure: the subject, `a/sub-01` for `a/sub-01/ses-1/sub-01_T1w.nii`.
    - Ordinary images only if several contrasts, or a contrast and a mask, have the same name: `a/P1` for `a/P1_t1.png`
      and `a/P1_flair.png`. With numbers of slices (`a/P1_t1_055.png`), that name must contain a digit and be none of
      `NO_PATIENT`, such as `set1`.
    """
    heads = _find_raster_patients(parsed.contrasts, parsed.masks)
    patients = dict.fromkeys(parsed.names, "")
    for name in filter(_is_volume, patients):
        patients[name] = _patient_of_volume(name, parsed.contrasts.get(name))
    for name, contrast in parsed.contrasts.items():
        if contrast.head in heads and not _is_volume(name):
            patients[name] = contrast.head.rstrip("/")
    return patients


def pair_masks(parsed: ParsedNames) -> MaskPairs:
    """Find the masks among the files of a data set.

    A file whose stem ends in `_seg`, `_segm`, `_segmentation`, `_mask` or `_label` (also after `-`, in any case, and
    with words as in `_tumor_seg_manual`) is the mask of the images with the same stem in its folder, and of all
    contrasts with that stem. Volumes may also end in `.seg` or `_roi`, or start with `seg_`, `mask_` or `label_`. With
    a number at its end (`P1_seg_055`), a file is a mask only if there are contrasts with that stem (`P1_t1_055`).
    Several masks of one image: the first by name is used.
    """
    names, contrasts, masks = parsed
    by_key: dict[_Key, str] = {}
    for _, name, key in sorted((rank, name, key) for name, keys in masks.items() for rank, key in enumerate(keys)):
        by_key.setdefault(key, name)
    by_image, wanted = {}, set()
    for name in sorted(set(names) - masks.keys()):
        if name.lower().endswith(HEADER_SUFFIXES):
            continue
        keys = list(_mask_keys(name, contrasts.get(name)))
        wanted.update(keys)
        if mask := next((by_key[key] for key in keys if key in by_key), ""):
            by_image[name] = mask
    used = set(by_image.values())
    reasons = {
        name: MASK if name in used else UNUSED_MASK if wanted.isdisjoint(keys) else SECOND_MASK
        for name, keys in masks.items()
    }
    return MaskPairs(by_image, reasons)


def _find_contrasts(names: Iterable[str]) -> dict[str, _Contrast]:
    """Return the files that are named after a contrast; volumes without numbers that do not tell heads apart."""
    contrasts = {name: contrast for name in names if (contrast := _parse_contrast(name))}
    numbers = defaultdict(set)
    for name, found in contrasts.items():
        if found.number and _is_volume(name):
            numbers[found.head, found.contrast].add(found.number)
    several = {head for (head, _), values in numbers.items() if len(values) > 1 and not _has_digit(head)}
    return {
        name: contrast._replace(number="") if _is_volume(name) and contrast.head not in several else contrast
        for name, contrast in contrasts.items()
    }


def _find_raster_patients(contrasts: Mapping[str, _Contrast], masks: Mapping[str, Sequence[_Key]]) -> set[str]:
    """Return the heads of ordinary images that are patients."""
    kinds, numbered = defaultdict(set), set()
    for name, (head, contrast, number) in contrasts.items():
        if not _is_volume(name):
            kinds[head].add(contrast)
            numbered |= {head} if number else set()
    masked = {head for keys in masks.values() for is_volume, head, _ in keys if not is_volume}
    return {
        head
        for head, different in kinds.items()
        if (head in masked or (len(different) > 1 and head.rpartition("/")[2]))
        and (head not in numbered or (_has_digit(head) and not NO_PATIENT.fullmatch(_last_name(head))))
    }


def _last_name(head: str) -> str:
    """Return the last name of the path before a contrast: of a file or, if that is a folder, of the folder."""
    return head.rstrip("/").rpartition("/")[2]


def _has_digit(head: str) -> bool:
    return re.search(r"\d", _last_name(head)) is not None


def _patient_of_volume(name: str, contrast: _Contrast | None) -> str:
    if subject := BIDS_SUBJECT.match(normalize_name(name)):
        return subject[1]
    if contrast is None or not contrast.head.strip("/"):
        return _stem(name)
    if contrast.number:
        return contrast.head + ("" if contrast.head.endswith("/") else "_") + contrast.number
    return contrast.head.rstrip("/")


def _mask_keys(name: str, contrast: _Contrast | None) -> Iterator[_Key]:
    """Yield the keys under which the mask of an image may be found, the best one first."""
    yield _is_volume(name), _stem(name), ""
    if contrast is not None:
        yield _is_volume(name), contrast.head, contrast.number


def _is_volume(name: str) -> bool:
    return name.lower().endswith(VOLUME_SUFFIXES)


def _stem(name: str) -> str:
    """Return a path without the suffix of an image format, normalized."""
    name = normalize_name(name)
    lower = name.lower()
    suffix = next((suffix for suffix in SUFFIXES if lower.endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def _split_stem(name: str) -> tuple[str, str]:
    """Return the folder, with its final `/`, and the stem of a file as they are parsed."""
    folder, slash, stem = _stem(name).rpartition("/")
    if brats := BRATS_2015.match(stem):
        if folder.rpartition("/")[2] == stem:
            folder, slash, stem = folder.rpartition("/")
        stem = "VSD.Brain" + stem[brats.end() :]
    return folder + slash, stem


def _parse_contrast(name: str) -> _Contrast | None:
    """Return the parts of a volume or an ordinary image that is named after a contrast, None for other files."""
    folder, stem = _split_stem(name)
    match = CONTRAST.fullmatch(stem) if name.lower().endswith((*VOLUME_SUFFIXES, *formats.RASTER_SUFFIXES)) else None
    return match and _Contrast(folder + (match["head"] or ""), match["contrast"].lower(), match["number"] or "")


def _parse_mask(name: str) -> _Mask | None:
    """Return the parts of a file that is named as a mask, None for other files."""
    folder, stem = _split_stem(name)
    if _is_volume(name) and (match := BRATS_2015_MASK.fullmatch(stem)):
        return _Mask((folder + match["head"],), match["number"] or "", is_certain=True)
    at_start = MASK_AT_START.fullmatch(stem) if _is_volume(name) else None
    heads, number = [folder + at_start["head"]] if at_start else [], ""
    if at_end := (VOLUME_MASK_AT_END if _is_volume(name) else MASK_AT_END).fullmatch(stem):
        heads += [folder + stem[: at_end.start("mask")][:-1], folder + (at_end["head"] or "")]
        number = at_end["number"] or ""
    return _Mask(tuple(heads), number, is_certain=not number or at_start is not None) if heads else None
