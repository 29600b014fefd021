"""Names in params.yaml: which ones can be used, and the nearest one to a name that does not exist."""

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence

# Names of data sets, backbones and recipes are arguments, file names, keys of parameters and names of DVC's stages.
USABLE_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_][A-Za-z0-9_-]*")
STUDY_FOLDERS = ("external", "overlap", "patients")  # outs of studies in plots/ and reports/
LINE_BREAKS = ("Cc", "Zl", "Zp")  # Unicode categories of control characters, line and paragraph separators
# Why a class cannot contain a character.
UNUSABLE_IN_CLASSES = {
    "/": "divides the split from the label in `expected.counts`",
    "\\": "divides folders on Windows",
    ";": "divides the classes of a prediction set in tables",
    "$": "starts a formula in charts",
}


def nearest(name: str, valid: Collection[str]) -> str:
    """Return ": did you mean '…'?" with the most similar valid name, '' if none is similar."""
    by_lower = {one.lower(): one for one in valid}
    similar = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f": did you mean '{by_lower[similar[0]]}'?" if similar else ""


def describe_unknown(kind: str, name: str, valid: Collection[str]) -> str:
    """Describe a name that does not exist, with the valid ones and the nearest of them.

    Args:
        kind: what is named: "data set", "backbone", "recipe" or "label".
        name: as found.
        valid: the names that exist.
    """
    return f"there is no {kind} '{name}' ({kind}s: {', '.join(valid) or 'none'}){nearest(name, valid)}"


def find_name_problem(name: str) -> str:
    """Return why a data set, backbone or recipe cannot have this name, '' if it can."""
    if not USABLE_NAME.fullmatch(name):
        return (
            f"{name!r} cannot be a name: use letters of English, digits, - and _, with a letter and no - at the start"
        )
    if name.lower() in STUDY_FOLDERS:
        return f"{name!r} is the name of a folder of a study: use another one"
    return ""


def find_class_problems(classes: Sequence[str]) -> Iterator[str]:
    """Yield why these cannot be the classes of a recipe."""
    if len(classes) < 2:
        yield f"two or more classes are needed (got {list(classes)})"
    for label in dict.fromkeys(classes):
        if classes.count(label) > 1:
            yield f"{label!r} is listed {classes.count(label)} times: list each class once"
        if problem := _find_class_problem(label):
            yield problem


def _find_class_problem(label: str) -> str:
    if not label.strip():
        return f"{label!r} is empty: name the class"
    if label != label.strip():
        return f"{label!r} has blanks at its ends: remove them"
    if any(unicodedata.category(letter) in LINE_BREAKS for letter in label):
        return f"{label!r} contains a line break or another control character: remove it"
    if label.startswith("_"):
        return f"{label!r} starts with _: legends of charts leave such names out"
    for letter, reason in UNUSABLE_IN_CLASSES.items():
        if letter in label:
            return f"{label!r} contains {letter}, which {reason}: use another name, and map the folder's name to it"
    if label != unicodedata.normalize("NFC", label):
        return f"{label!r} has letters and accents as separate characters (not Unicode's form NFC): type it again"
    return ""
