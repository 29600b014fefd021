"""Counts of an audit, and its log."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.audit.groups import GROUPING_KINDS, IDENTITY_KINDS
from brain_tumor.splits.leakage import leak_type

log = logging.getLogger(__name__)


def summarize_audit(table: pd.DataFrame, links: pd.DataFrame) -> dict[str, Any]:
    """Count the results of an audit, see `audit.audit_images`.

    Returns:
        Counts of images, duplicates, groups, patients, problems and links by kind. With patients, also how well the
        links agree with them. With a published split, `leaked_…`: test images with a relative in training.
    """
    kinds = links["kind"].value_counts()
    classes = table["label"].replace("", np.nan).groupby(table["group"]).nunique()
    result: dict[str, Any] = {
        "images": len(table),
        "distinct_files": int(table["sha256"].nunique()),
        "distinct_pixels": int(table.loc[table["pixels"] != "", "pixels"].nunique()),
        "unique_images": int(table["duplicate_id"].nunique()),
        "groups": int(table["group"].nunique()),
        "largest_group": int(table["group"].value_counts().max()),
        "groups_of_several_classes": int((classes > 1).sum()),
        "label_conflicts": int(table.loc[table["conflict"], "duplicate_id"].nunique()),
        "patients": int(table.loc[table["patient"] != "", "patient"].nunique()),
        "series": int(table.loc[table["series"] != "", "series"].nunique()),
        "images_of_known_patients": int(has_known_patient(table).sum()),
        "labels_other_than_in_source": int(labels_differ(table).sum()),
        "unreadable": int((table["pixels"] == "").sum()),
        "blank": int(table["problem"].str.startswith("blank").sum()),
        "quality_warnings": int((table["quality_warning"] != "").sum()),
        "links": {kind: int(kinds.get(kind, 0)) for kind in (*GROUPING_KINDS, "rejected")},
    }
    if result["patients"]:
        result |= _agreement_with_patient_ids(table, links)
    if (table["split"] == "test").any():
        result |= _count_leaks(table[table["split"] == "test"], table[table["split"] == "train"])
    return result


def has_known_patient(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which images have a known patient or series."""
    return (table["patient"] != "") | (table["series"] != "")


def labels_differ(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which images have another label than in their source."""
    return (table["source_label"] != "") & (table["label"] != "") & (table["source_label"] != table["label"])


def _count_leaks(test: pd.DataFrame, train: pd.DataFrame) -> dict[str, int]:
    """Count the images of a published test folder that are related to an image of the training folder."""
    columns = {"exact": "sha256", "pixels": "pixels", "duplicates": "duplicate_id", "group": "group"}
    usable = test["problem"] == ""
    counts = {f"leaked_{name}": int((test[key].isin(train[key]) & usable).sum()) for name, key in columns.items()}
    transformed = int((leak_type(test, train) == "transformed_duplicate").sum())
    return {"published_test": len(test), **counts, "leaked_transformed_only": transformed}


def _agreement_with_patient_ids(table: pd.DataFrame, links: pd.DataFrame) -> dict[str, Any]:
    """Measure how the links by content agree with the patients that the source names.

    Returns:
        links_across_patients: number by kind of link; errors, unless patients share images.
        images_with_siblings: images whose patient has other images.
        siblings_linked_by_content: images of these that a link by content ties to one of their siblings.
    """
    patient = table.set_index("path")["patient"]
    first, second = (links[side].map(patient) for side in ("first", "second"))
    across = (first != second) & (first != "") & (second != "")
    by_content = links["kind"].isin(GROUPING_KINDS) & ~links["kind"].isin(IDENTITY_KINDS)
    within = links[by_content & (first == second) & (first != "")]
    siblings = table.loc[(table["patient"] != "") & table.duplicated("patient", keep=False), "path"]
    return {
        "links_across_patients": {kind: int((across & (links["kind"] == kind)).sum()) for kind in GROUPING_KINDS},
        "images_with_siblings": len(siblings),
        "siblings_linked_by_content": int(siblings.isin({*within["first"], *within["second"]}).sum()),
    }


def log_summary(name: str, table: pd.DataFrame, counts: Mapping[str, Any]) -> None:
    """Log the main counts, and by name files that are unusable, unusual or labeled otherwise in their source."""
    other = table[labels_differ(table)]
    for path, label, source_label in zip(other["path"], other["label"], other["source_label"], strict=True):
        log.warning("%s: labeled %s, but %s in its source", path, label, source_label)
    for path, problem, warning in zip(table["path"], table["problem"], table["quality_warning"], strict=True):
        if problem or warning:
            log.warning("%s: %s", path, problem or f"does not look like a head ({warning})")
    log.info("%s: %d images, %d unique, %d groups", name, *(counts[k] for k in ("images", "unique_images", "groups")))
    if "published_test" in counts:
        message = "%d of %d test images have a duplicate in training (%d only mirrored or rotated), "
        message += "%d an image of their group"
        keys = ("leaked_duplicates", "published_test", "leaked_transformed_only", "leaked_group")
        log.info(message, *(counts[key] for key in keys))
