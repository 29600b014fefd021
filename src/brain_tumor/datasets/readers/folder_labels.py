"""Labels and published splits of images, from the names of the folders that contain them."""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
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
    split, or the one before it if none comes after it; without a split it is the first folder. Folders that only wrap
    others are passed over, see `_find_wrapper`. Names are compared as by `normalize_name`.

    Args:
        names: paths relative to the folder, `/` between folders.

    Returns:
        The labels and splits by name, without patients.
    """
    paths = {name: tuple(normalize_name(name).split("/")[:-1]) for name in names}
    distinct = sorted(set(paths.values()))
    cut = _drop_wrappers(_cut_at_splits(_drop_wrappers(distinct)))
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


def _drop_wrappers(paths: Sequence[FolderPath]) -> list[FolderPath]:
    """Remove the outer folders that only wrap others."""
    result = list(paths)
    while wrapper := _find_wrapper(result):
        for number, path in enumerate(result):
            if _without_splits(path)[:1] == (wrapper,):
                position = path.index(wrapper)
                result[number] = path[:position] + path[position + 1 :]
    return result


def _find_wrapper(paths: Collection[FolderPath]) -> str:
    """Return the name of an outermost folder that only wraps others, '' if there is none.

    A wrapper contains no image itself, and either all images are in it, or the names of its folders also occur beside
    it, as in an archive that contains everything twice. If all images are in one folder whose folders all have a digit
    in their names, these are patients, and the folder is a class.
    """
    inside: dict[str, set[str]] = defaultdict(set)  # names of the folders in each outermost folder, '' for images
    for path in filter(None, map(_without_splits, paths)):
        inside[path[0]].add(path[1] if len(path) > 1 else "")
    for name, children in sorted(inside.items()):
        if "" in children:
            continue
        if children <= inside.keys() - {name} or (len(inside) == 1 and not _are_numbered(children)):
            return name
    return ""


def _cut_at_splits(paths: Sequence[FolderPath]) -> list[FolderPath]:
    """Keep of each path what follows its last split, or else what precedes it.

    If all folders after a split that follows a class have a digit in their names, they are patients: nothing is cut.
    """
    sections = [_sections_between_splits(path) for path in paths]
    if _are_numbered({parts[-1][0] for parts in sections if len(parts) > 1}):
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


def _are_numbered(names: Collection[str]) -> bool:
    """Return whether there are names and all contain a digit, as those of patients do and few of classes do."""
    return bool(names) and all(re.search(r"\d", name) for name in names)
