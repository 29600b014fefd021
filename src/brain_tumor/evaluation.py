"""What is measured of a model on its test rows, and beside what it is put."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import model_validator

from brain_tumor.calibration import Calibration
from brain_tumor.intervals import METHOD, Rounds, Sample, View, measure
from brain_tumor.leakage import LEAKS
from brain_tumor.metrics import Floats, Ints, error_if_calibrated
from brain_tumor.robustness import USUAL, Alteration

MODEL, PUBLISHED, CLEAN = "model", "published", "clean"
HEADLINE = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "auprc", "brier", "ece")
ATTRIBUTES = ("plane", "site", "sex")  # columns whose values are subgroups


class EvaluateParams(Rounds):
    """`recipes.<name>.evaluate`.

    Of two classes the first is the one that sensitivity is about.

    Attributes:
        rounds, seed: of the bootstrap.
        also: parts of the split that are measured too, because an author's claim was: never mixed with test rows.
        robustness: alterations under which the test rows are measured again.
    """

    also: tuple[Literal["train", "validation"], ...] = ()
    robustness: tuple[Alteration, ...] = USUAL

    @model_validator(mode="after")
    def _different(self) -> "EvaluateParams":
        if len({str(alteration) for alteration in self.robustness}) < len(self.robustness):
            raise ValueError("robustness names an alteration twice")
        return self


class Predicted(NamedTuple):
    """Test rows in their order: table of rows, class numbers (N,), probabilities (N, K) before and after calibration.

    The table has group, leak and, where known, patient, plane, site, age, sex, width, height.
    """

    rows: pd.DataFrame
    truth: Ints
    raw: Floats
    calibrated: Floats

    @property
    def clean(self) -> NDArray[np.bool_]:
        """Rows none of whose group was used for training or selection."""
        return (self.rows["leak"] == "").to_numpy(bool)

    @property
    def sample(self) -> Sample:
        """What is resampled: within a class, clean rows and others apart, so that both keep their numbers."""
        strata = [f"{number} {clean}" for number, clean in zip(self.truth, self.clean, strict=True)]
        return Sample(self.truth, self.rows["group"].tolist(), strata)


def evaluate(
    test: Predicted,
    baselines: Mapping[str, Floats],
    calibration: Calibration,
    classes: Sequence[str],
    params: EvaluateParams,
) -> pd.DataFrame:
    """Measure a model on all test rows and on the clean ones, beside what each kind of row and each baseline gives.

    Returns:
        The table of `intervals.measure`. `model` is `model`, `uncalibrated` or a baseline; `subset` is `published`,
        `clean`, a kind of leak or a subgroup (`plane: axial`; `plane: axial, clean`). Figures by class are kept for
        the model alone.
    """
    every = np.ones(len(test.truth), bool)
    sets = prediction_sets(test.calibrated, test.truth, calibration)
    halves = ((PUBLISHED, every), (CLEAN, test.clean))
    views = [View(MODEL, name, test.calibrated, chosen, sets) for name, chosen in halves]
    views += [View("uncalibrated", name, test.raw, chosen) for name, chosen in halves]
    differences = [(0, 1)]
    for baseline, probabilities in baselines.items():
        differences += [(0, len(views)), (1, len(views) + 1)]
        views += [View(baseline, name, probabilities, chosen) for name, chosen in halves]
    leak = test.rows["leak"].to_numpy(str)
    views += [View(MODEL, f"leak: {kind}", test.calibrated, leak == kind) for kind in LEAKS]
    for name, chosen in subgroups(test.rows):
        views.append(View(MODEL, name, test.calibrated, chosen))
        views.append(View(MODEL, f"{name}, {CLEAN}", test.calibrated, chosen & test.clean))
    table = measure(test.sample, views, classes, params, differences, calibration.operating_point)
    chance = [
        {"model": MODEL, "subset": name, "class": "", "figure": "ece_if_calibrated", "n": int(chosen.sum())}
        | {"value": error_if_calibrated(test.calibrated[chosen].max(1), params.seed)}
        for name, chosen in halves
        if chosen.any()
    ]
    table = pd.concat([table, pd.DataFrame(chance)], ignore_index=True)
    detailed = (table["model"] == MODEL) & table["subset"].isin((PUBLISHED, CLEAN))
    return table[(table["class"] == "") | detailed].reset_index(drop=True)


def prediction_sets(probabilities: Floats, truth: Ints, calibration: Calibration) -> dict[str, Floats]:
    """By wanted coverage: (N,) whether the true class is in the prediction set, and (N,) the size of the set."""
    values = {}
    for coverage, least in calibration.least.items():
        # Thresholds are kept with nine digits, so that is what probabilities are compared with.
        inside, name = probabilities.round(9) >= least, f"{float(coverage):.0%}".rstrip("%")
        values[f"coverage_at_{name}"] = inside[np.arange(len(truth)), truth].astype(float)
        values[f"set_size_at_{name}"] = inside.sum(1).astype(float)
    return values


def by_patient(test: Predicted, classes: Sequence[str], params: EvaluateParams) -> pd.DataFrame:
    """The figures of patients, where they are known: the mean of the probabilities of their slices.

    A patient has the class of most of the slices, and is clean if all of them are.
    """
    patients = test.rows.get("patient", pd.Series("", test.rows.index)).to_numpy(str)
    names = sorted(set(patients) - {""})
    if not names:
        return pd.DataFrame()
    members = [np.flatnonzero(patients == name) for name in names]
    truth = np.array([np.bincount(test.truth[rows]).argmax() for rows in members])
    probabilities = np.stack([test.calibrated[rows].mean(0) for rows in members])
    clean = np.array([test.clean[rows].all() for rows in members])
    sample = Sample(truth, names, [f"{number} {each}" for number, each in zip(truth, clean, strict=True)])
    views = [View(f"{MODEL}, by patient", PUBLISHED, probabilities, clean | True)]
    views.append(View(f"{MODEL}, by patient", CLEAN, probabilities, clean))
    table = measure(sample, views, classes, params)
    return table[table["class"] == ""]


def of_part(
    part: str, truth: Ints, calibrated: Floats, groups: Sequence[str], classes: Sequence[str], params: EvaluateParams
) -> pd.DataFrame:
    """The overall figures on rows that are no test rows, for the protocol of an author who measured there."""
    sample = Sample(truth, groups, [str(number) for number in truth])
    view = View(MODEL, f"{part} rows", calibrated, np.ones(len(truth), bool))
    table = measure(sample, [view], classes, params)
    return table[table["class"] == ""]


def under_alterations(
    test: Predicted, altered: Mapping[str, Floats], classes: Sequence[str], params: EvaluateParams
) -> pd.DataFrame:
    """The headline figures under each alteration, and their changes; `model` holds the alteration.

    Args:
        altered: calibrated probabilities (N, K) by alteration.
    """
    views = []
    for name, probabilities in {"unaltered": test.calibrated, **altered}.items():
        views.append(View(name, PUBLISHED, probabilities, test.clean | True))
        views.append(View(name, CLEAN, probabilities, test.clean))
    changes = [(number, number % 2) for number in range(2, len(views))]
    table = measure(test.sample, views, classes, params, changes)
    table = table[(table["class"] == "") & table["figure"].isin(HEADLINE)]
    return table.drop(columns=["class", "wilson_low", "wilson_high"]).rename(columns={"model": "alteration"})


def subgroups(rows: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield name and rows of each subgroup, of attributes that have several values."""
    columns = {name: rows[name] for name in ATTRIBUTES if name in rows}
    if "age" in rows:
        ages = pd.to_numeric(rows["age"], errors="coerce")
        columns["age"] = pd.cut(ages, [0, 40, 60, 200], right=False, labels=["under 40", "40 to 59", "60 and over"])
    if "width" in rows:
        sizes = rows["width"].astype(str) + "×" + rows["height"].astype(str)
        usual = set(sizes.value_counts().head(3).index)
        columns["size"] = sizes.where(sizes.isin(usual), "other")
    for name, values in columns.items():
        text = values.astype(object).where(values.notna(), "").astype(str)
        known = sorted(set(text) - {""})
        if len(known) > 1 or (known and (text == "").any()):
            for value in known:
                yield f"{name}: {value}", (text == value).to_numpy(bool)


def headline(table: pd.DataFrame, params: EvaluateParams) -> dict[str, Any]:
    """The few figures that two commits are compared by: n and HEADLINE of `published` and `clean`.

    Intervals are lists, which `dvc metrics diff` leaves out.
    """
    of_model = table[(table["model"] == MODEL) & (table["class"] == "")]
    found: dict[str, Any] = {}
    for subset in (PUBLISHED, CLEAN):
        lines = of_model[of_model["subset"] == subset].set_index("figure")
        n = int(lines["n"].iloc[0]) if len(lines) else 0
        found[subset] = {"n": n}
        if n:
            found[subset] |= {name: lines["value"][name] for name in HEADLINE}
            found[subset]["interval"] = {name: [lines["low"][name], lines["high"][name]] for name in HEADLINE}
    return found | {"intervals": [f"{METHOD}, {params.rounds} rounds; all figures: figures.csv"]}


def suspects(rows: pd.DataFrame, truth: Ints, probabilities: Floats, classes: Sequence[str]) -> pd.DataFrame:
    """Rows whose label may be wrong, the likeliest first (confident learning, Northcutt et al. 2021).

    Those that the model gives to another class with at least the mean certainty it has for that class's own rows.
    """
    own = [probabilities[truth == k, k] for k in range(len(classes))]
    usual = np.array([values.mean() if len(values) else np.inf for values in own])
    predicted = probabilities.argmax(1)
    chosen = np.flatnonzero((predicted != truth) & (probabilities.max(1) >= usual[predicted]))
    of_label = probabilities[chosen, truth[chosen]]
    table = rows.iloc[chosen][["row", "path", "label"]].assign(
        suggested=[classes[k] for k in predicted[chosen]],
        p_label=of_label.round(4),
        p_suggested=probabilities.max(1)[chosen].round(4),
    )
    return table.sort_values(["p_label", "row"], ignore_index=True)
