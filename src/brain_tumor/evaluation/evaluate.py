"""Evaluation of a model on its test rows, compared with baselines."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import model_validator

from brain_tumor.core.subsets import CLEAN, LEAK_TYPES, MODEL, PATIENT_MEAN, PUBLISHED, UNCALIBRATED
from brain_tumor.core.types import Floats, Ints, Masks
from brain_tumor.evaluation.predictions import TestPredictions
from brain_tumor.evaluation.robustness import DEFAULT_PERTURBATIONS, UNPERTURBED, Perturbation
from brain_tumor.metrics.bootstrap import (
    CORRECTED,
    METHOD,
    BootstrapParams,
    PredictionSet,
    ResamplingUnits,
    bootstrap_metrics,
)
from brain_tumor.metrics.estimates import CALIBRATION_ERROR
from brain_tumor.models.calibration import Calibration

HEADLINE = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "auprc", "brier", CALIBRATION_ERROR)
LARGEST_CLASS = "largest class"  # in `model`: every image is of the class that is most frequent in the subset itself
ATTRIBUTES = ("plane", "site", "sex")  # columns whose values are subgroups
AGE_EDGES, AGE_NAMES = (0, 40, 60, 200), ("under 40", "40 to 59", "60 and over")  # years
NUM_SIZES = 3  # of images, the most frequent ones; all others are one subgroup


class EvaluateParams(BootstrapParams):
    """`recipes.<name>.evaluate`.

    Of two classes the first is the one that sensitivity is about.

    Attributes:
        rounds, seed: of the bootstrap.
        extra_splits: parts of the split that are evaluated too, to compare with an author who measured there; they are
            never mixed with test rows.
        robustness: perturbations under which the test rows are evaluated again.
    """

    extra_splits: tuple[Literal["train", "validation"], ...] = ()
    robustness: tuple[Perturbation, ...] = DEFAULT_PERTURBATIONS

    @model_validator(mode="after")
    def _validate_distinct(self) -> "EvaluateParams":
        if len({str(perturbation) for perturbation in self.robustness}) < len(self.robustness):
            raise ValueError("robustness names a perturbation twice")
        return self


def evaluate_test_rows(
    test: TestPredictions,
    baselines: Mapping[str, Floats],
    calibration: Calibration,
    classes: Sequence[str],
    params: EvaluateParams,
) -> pd.DataFrame:
    """Evaluate a model on all test rows, clean ones, leaking ones by type, and subgroups, and compare it.

    Args:
        test: the model's predictions.
        baselines: probabilities (N, K) for the same rows, by name.
        calibration: thresholds of the prediction sets, and the operating point.
        classes: names of the K classes.
        params: parameters of the bootstrap.

    Returns:
        The table of `bootstrap_metrics`. `model` is `model`, `uncalibrated` or a baseline, `reference` a baseline;
        `subset` is `published`, `clean`, or `corrected` (all rows, with the label of their source where it is known);
        `attribute` is `leak` or that of a subgroup. Metrics by class are kept for the model only, on all rows and on
        the clean ones.
    """
    subsets = {PUBLISHED: np.ones(len(test.truth), bool), CLEAN: test.clean}
    means = prediction_set_metrics(test.calibrated, test.truth, calibration)
    sets = [PredictionSet(MODEL, name, test.calibrated, mask, means) for name, mask in subsets.items()]
    sets += [PredictionSet(UNCALIBRATED, name, test.uncalibrated, mask) for name, mask in subsets.items()]
    differences = [(0, 1)]
    for baseline, probabilities in baselines.items():
        differences += [(0, len(sets)), (1, len(sets) + 1)]
        sets += [PredictionSet(baseline, name, probabilities, mask) for name, mask in subsets.items()]
    sets += [
        PredictionSet(LARGEST_CLASS, name, _predict_largest_class(test.truth, mask, len(classes)), mask)
        for name, mask in subsets.items()
    ]
    leaks = test.rows["leak"].to_numpy(str)
    for leak in LEAK_TYPES:
        sets.append(PredictionSet(MODEL, PUBLISHED, test.calibrated, leaks == leak, {}, "leak", leak))
    for attribute, value, mask in iterate_subgroups(test.rows):
        sets.append(PredictionSet(MODEL, PUBLISHED, test.calibrated, mask, {}, attribute, value))
        sets.append(PredictionSet(MODEL, CLEAN, test.calibrated, mask & test.clean, {}, attribute, value))
    table = bootstrap_metrics(test.units, sets, classes, params, differences, calibration.operating_point)
    if (corrected := test.corrected_truth(classes)) is not None:
        units = test.units._replace(truth=corrected)
        everything = [
            PredictionSet(name, CORRECTED, probabilities, subsets[PUBLISHED])
            for name, probabilities in {MODEL: test.calibrated, **baselines}.items()
        ]
        table = pd.concat([table, bootstrap_metrics(units, everything, classes, params)], ignore_index=True)
    return table[(table["class"] == "") | select_model_rows(table)].reset_index(drop=True)


def _predict_largest_class(truth: Ints, mask: Masks, num_classes: int) -> Floats:
    """Return (N, K) probabilities of the most frequent class of the rows of a mask."""
    counts = np.bincount(truth[mask], minlength=num_classes)
    return np.tile(np.eye(num_classes)[counts.argmax()], (len(truth), 1))


def select_model_rows(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return a mask of the model's own metrics on whole subsets: no baseline, difference or subgroup."""
    whole = (table["attribute"] == "") & (table["reference"] == "") & (table["reference_subset"] == "")
    return whole & (table["model"] == MODEL)


def prediction_set_metrics(probabilities: Floats, truth: Ints, calibration: Calibration) -> dict[str, Floats | Masks]:
    """Return by target coverage (N,): whether the true class is in the set, the set's size, and whether it is empty."""
    values: dict[str, Floats | Masks] = {}
    for coverage, threshold in calibration.thresholds.items():
        # Thresholds are stored with nine digits, so probabilities are rounded before they are compared with them.
        included, percent = probabilities.round(9) >= threshold, f"{float(coverage):.0%}".rstrip("%")
        values[f"coverage_at_{percent}"] = included[np.arange(len(truth)), truth]
        values[f"set_size_at_{percent}"] = included.sum(1).astype(float)
        values[f"empty_at_{percent}"] = np.logical_not(included.any(1))
    return values


def evaluate_patients(test: TestPredictions, classes: Sequence[str], params: EvaluateParams) -> pd.DataFrame:
    """Evaluate the mean probabilities over the slices of each patient; an empty table if no patients are known.

    A patient has the class of most of the slices, and is clean if all of them are.
    """
    patients = test.rows.get("patient", pd.Series("", test.rows.index)).to_numpy(str)
    names = sorted(set(patients) - {""})
    if not names:
        return pd.DataFrame()
    members = [np.flatnonzero(patients == name) for name in names]
    truth = np.array([np.bincount(test.truth[slices]).argmax() for slices in members])
    probabilities = np.stack([test.calibrated[slices].mean(0) for slices in members])
    clean = np.array([test.clean[slices].all() for slices in members])
    strata = [f"{number} {is_clean}" for number, is_clean in zip(truth, clean, strict=True)]
    sets = [
        PredictionSet(PATIENT_MEAN, PUBLISHED, probabilities, np.ones(len(clean), bool)),
        PredictionSet(PATIENT_MEAN, CLEAN, probabilities, clean),
    ]
    table = bootstrap_metrics(ResamplingUnits(truth, names, strata), sets, classes, params)
    return table[table["class"] == ""]


def evaluate_split(
    part: str, truth: Ints, calibrated: Floats, groups: Sequence[str], classes: Sequence[str], params: EvaluateParams
) -> pd.DataFrame:
    """Evaluate another part of the split than the test rows, as the author of a claim did; `subset` is the part."""
    units = ResamplingUnits(truth, groups, [str(number) for number in truth])
    predictions = PredictionSet(MODEL, part, calibrated, np.ones(len(truth), bool))
    table = bootstrap_metrics(units, [predictions], classes, params)
    return table[table["class"] == ""]


def evaluate_perturbations(
    test: TestPredictions, perturbed: Mapping[str, Floats], classes: Sequence[str], params: EvaluateParams
) -> pd.DataFrame:
    """Compute the headline metrics under each perturbation, and their differences to the original images.

    Args:
        test: the predictions for the original images.
        perturbed: calibrated probabilities (N, K) by perturbation.
        classes: names of the K classes.
        params: parameters of the bootstrap.

    Returns:
        perturbation, reference (of differences `original`, else ''), subset, metric, n, value, low, high.
    """
    sets = []
    for name, probabilities in {UNPERTURBED: test.calibrated, **perturbed}.items():
        sets.append(PredictionSet(name, PUBLISHED, probabilities, np.ones(len(test.truth), bool)))
        sets.append(PredictionSet(name, CLEAN, probabilities, test.clean))
    differences = [(index, index % 2) for index in range(2, len(sets))]
    table = bootstrap_metrics(test.units, sets, classes, params, differences)
    table = table[(table["class"] == "") & table["metric"].isin(HEADLINE)].rename(columns={"model": "perturbation"})
    return table[["perturbation", "reference", "subset", "metric", "n", "value", "low", "high"]]


def iterate_subgroups(rows: pd.DataFrame) -> Iterator[tuple[str, str, Masks]]:
    """Yield attribute, value and rows (N,) of each subgroup, of attributes that divide the rows."""
    columns = {name: rows[name] for name in ATTRIBUTES if name in rows}
    if "age" in rows:
        ages = pd.to_numeric(rows["age"], errors="coerce")
        columns["age"] = pd.cut(ages, list(AGE_EDGES), right=False, labels=list(AGE_NAMES))
    if "width" in rows:
        sizes = rows["width"].astype(str) + "×" + rows["height"].astype(str)
        frequent = set(sizes.value_counts().head(NUM_SIZES).index)
        columns["size"] = sizes.where(sizes.isin(frequent), "other")
    for attribute, column in columns.items():
        text = column.astype(object).where(column.notna(), "").astype(str)
        values = sorted(set(text) - {""})
        if len(values) > 1 or (values and (text == "").any()):
            for value in values:
                yield attribute, value, (text == value).to_numpy(bool)


def headline_metrics(table: pd.DataFrame, params: EvaluateParams) -> dict[str, Any]:
    """Return the few metrics that commits are compared by: n, its classes and `HEADLINE`, of `published` and `clean`.

    Intervals are lists, which `dvc metrics diff` leaves out.
    """
    own = table[select_model_rows(table)]
    overall = own[own["class"] == ""]
    result: dict[str, Any] = {}
    for subset in (PUBLISHED, CLEAN):
        lines = overall[overall["subset"] == subset].set_index("metric")
        n = int(lines["n"].iloc[0]) if len(lines) else 0
        result[subset] = {"n": n}
        if n:
            of_class = own[(own["subset"] == subset) & (own["metric"] == "recall") & (own["class"] != "")]
            result[subset]["classes"] = dict(zip(of_class["class"], map(int, of_class["n"]), strict=True))
            result[subset] |= {name: lines["value"][name] for name in HEADLINE}
            result[subset]["interval"] = {name: [lines["low"][name], lines["high"][name]] for name in HEADLINE}
    return result | {"intervals": [f"{METHOD}, {params.rounds} rounds"]}
