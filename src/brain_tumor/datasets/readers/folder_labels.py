"""Labels and published splits of images, from the names of the folders that contain them."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from pydantic import ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.datasets.readers.files import normalize_name
from brain_tumor.datasets.readers.layout import MAX_PATH_LENGTH, Layout
from brain_tumor.datasets.skipped import SkippedFiles, readable_path

# Validation images count as training images, since they are used to select the model.
SPLITS = dict.fromkeys(("train", "training", "val", "valid", "validation"), "train") | dict.fromkeys(
    ("test", "testing"), "test"
)
FolderPath = tuple[str, ...]  # names of folders, the outermost first
# A folder whose name consists of these words alone is no class; longer words come before their beginnings.
GENERIC_WORDS = re.compile(
    "archives?|brains?|classification|cropped|datasets?|data|detection|downloads?|files?|folders?|images?|imgs?|input|"
    "kaggle|mris?|originals?|raw|samples?|scans?|sets?|slices?|all|and|for|new|of|the|zip"
)
TUMOR_WORDS = re.compile("tumou?rs?|cancers?")  # generic beside one of the words above
NUMBERED_CLASS = re.compile(
    r"(?:category|class|(?:who[\W_]*)?grade|label|no|stage|tumou?r|type|yes)[\W_]*\d+", re.IGNORECASE
)
NUMBERED_PATIENT = re.compile(r"(?:case|id|p|pat|patient|pt|sub|subj|subject)[\W_]*\d+", re.IGNORECASE)


class FolderLabels(NamedTuple):
    """What the folders of an image tell about it, '' where they tell nothing.

    Attributes:
        label: name of the folder of its class.
        split: train or test.
        patient: identifies the patient.
    """

    label: str
    split: str = ""
    patient: str = ""


def infer_labels(names: Sequence[str]) -> dict[str, FolderLabels]:
    """Find labels and splits in the paths of all images of a folder.

    The split is the first folder on a path that is named in SPLITS, in any case. The label is the folder after the
    split, or the one before it if none comes after it or the one after it is a patient, see `_cut_at_splits`; without a
    split it is the first folder. Folders that only wrap others are passed over, see `_find_wrapper`; images beside the
    folders in them have no label. Names are compared as by `normalize_name`.

    Args:
        names: paths relative to the folder, `/` between folders.

    Returns:
        The labels and splits by name, without patients.
    """
    paths = {name: tuple(normalize_name(name).split("/")[:-1]) for name in names}
    counts = Counter(paths.values())
    distinct = sorted(counts)
    numbers = [counts[path] for path in distinct]
    cut = _drop_wrappers(_cut_at_splits(_drop_wrappers(distinct, numbers)), numbers)
    labels = {path: next(iter(_without_splits(rest)), "") for path, rest in zip(distinct, cut, strict=True)}
    splits = {path: next((SPLITS[part.lower()] for part in path if _is_split(part)), "") for path in distinct}
    return {name: FolderLabels(labels[path], splits[path]) for name, path in paths.items()}


def match_labels(names: Sequence[str], layout: str, skipped: SkippedFiles) -> dict[str, FolderLabels]:
    """Read labels, splits and patients from paths by a pattern.

    Args:
        names: paths relative to the folder, `/` between folders.
        layout: pattern as in `Layout.path`, such as `{split}/{label}/{patient}/{file}`; any name may stand at
            `{label}`, and one of SPLITS in any case at `{split}`.
        skipped: collects the names that do not match.

    Returns:
        The labels, splits and patients by name.

    Raises:
        UserError: an invalid pattern.
    """
    any_name = {"any": "train"}
    try:
        splits = any_name if "{split}" in layout else {}
        pattern = Layout.model_validate({"path": layout, "labels": any_name, "splits": splits}).pattern(any_name=True)
    except ValidationError as error:
        raise UserError(f"--layout {layout}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    found = {}
    for name in names:
        match = pattern.fullmatch(normalize_name(name)) if len(name) <= MAX_PATH_LENGTH else None
        parts = match.groupdict() if match else {}
        split = parts.get("split", "")
        if not match:
            skipped.add(name, f"the path does not match {layout}")
        elif split and not _is_split(split):
            skipped.add(name, f"'{readable_path(split)}' is not the name of a split ({', '.join(SPLITS)})")
        else:
            found[name] = FolderLabels(parts["label"], SPLITS.get(split.lower(), ""), parts.get("patient", ""))
    return found


def _drop_wrappers(paths: Sequence[FolderPath], numbers: Sequence[int]) -> list[FolderPath]:
    """Remove the outer folders that only wrap others; `numbers`: of the images directly in each path."""
    result = list(paths)
    while wrapper := _find_wrapper(result, numbers):
        for number, path in enumerate(result):
            if _without_splits(path)[:1] == (wrapper,):
                position = path.index(wrapper)
                result[number] = path[:position] + path[position + 1 :]
    return result


def _find_wrapper(paths: Sequence[FolderPath], numbers: Sequence[int]) -> str:
    """Return the name of an outermost folder that only wraps others, '' if there is none.

    Either all images are in it, or it contains no image itself and the names of its folders also occur beside it, as in
    an archive that contains everything twice.

    If all images are in it and its folders all have a digit in their names, these are patients and it is a class,
    unless the names tell otherwise: `archive/1`, `any/class_1`. Beside its folders it may have images, but no more than
    each of these, which must be several unless its name is generic.
    """
    images: Counter[FolderPath] = Counter()  # directly in each folder
    inside: dict[FolderPath, set[FolderPath]] = defaultdict(set)  # the folders in each folder
    for path, number in zip(map(_without_splits, paths), numbers, strict=True):
        images[path] += number
        for depth in range(len(path)):
            inside[path[:depth]].add(path[: depth + 1])
    outermost = {folder[0] for folder in inside[()]}
    for folder in sorted(inside[()]):
        name, folders = folder[0], inside[folder]
        if _repeats(folder, outermost, images, inside):
            return name
        if len(outermost) > 1 or not folders:
            continue
        children, is_generic = {path[-1] for path in folders}, _is_generic(name)
        if images[folder] and (images[folder] > min(images[path] for path in folders) or len(folders) + is_generic < 2):
            continue
        if all(map(NUMBERED_PATIENT.fullmatch, children)):
            continue
        if is_generic or not _are_numbered(children) or all(map(NUMBERED_CLASS.fullmatch, children)):
            return name
    return ""


def _repeats(
    folder: FolderPath,
    names: set[str],
    images: Mapping[FolderPath, int],
    inside: Mapping[FolderPath, Collection[FolderPath]],
) -> bool:
    """Return whether a folder contains only folders with other names of these, or one folder of which that is true."""
    own_name = folder[0]
    while not images.get(folder):
        folders = inside[folder]
        if all(path[-1] in names and path[-1] != own_name for path in folders):
            return True
        if len(folders) > 1:
            return False
        (folder,) = folders
    return False


def _cut_at_splits(paths: Sequence[FolderPath]) -> list[FolderPath]:
    """Keep of each path what follows its last split, or else what precedes it.

    Nothing is cut if the folders after the splits are patients, and those before them are classes. This is so if all
    folders after splits have a digit in their names and are below such a class. A single folder before all splits is no
    class if its name is generic, or if a folder after a split is in several splits.
    """
    sections = [_sections_between_splits(path) for path in paths]
    before: set[str] = set()
    after: dict[str, set[str]] = defaultdict(set)  # the splits in which a folder is, by its name
    for path, parts in zip(paths, sections, strict=True):
        if len(parts) > 1:
            before.add(parts[0][0])
            after[parts[-1][0]].update(SPLITS[part.lower()] for part in path if _is_split(part))
    are_classes = len(before) > 1 or all(len(splits) == 1 for splits in after.values())
    are_classes &= not all(map(_is_generic, before))
    are_classes &= not any(parts and _is_split(path[0]) for path, parts in zip(paths, sections, strict=True))
    if are_classes and _are_numbered(after) and not all(map(NUMBERED_CLASS.fullmatch, after)):
        return list(paths)
    return [parts[-1] if parts else () for parts in sections]


def _sections_between_splits(path: FolderPath) -> list[FolderPath]:
    """Return the parts of a path before, between and after its splits, without empty ones."""
    sections: list[FolderPath] = [()]
    for part in path:
        if _is_split(part):
            sections.append(())
        else:
            sections[-1] += (part,)
    return [section for section in sections if section]


def _without_splits(path: FolderPath) -> FolderPath:
    return tuple(part for part in path if not _is_split(part))


def _is_split(part: str) -> bool:
    return part.lower() in SPLITS


def _is_generic(name: str) -> bool:
    """Return whether the name of a folder consists of GENERIC_WORDS, perhaps with TUMOR_WORDS and digits."""
    letters = re.sub(r"[\W\d_]", "", name.lower())
    return bool(GENERIC_WORDS.search(letters)) and not TUMOR_WORDS.sub("", GENERIC_WORDS.sub("", letters))


def _are_numbered(names: Collection[str]) -> bool:
    """Return whether there are names and all contain a digit, as those of patients do and few of classes do."""
    return bool(names) and all(re.search(r"\d", name) for name in names)
