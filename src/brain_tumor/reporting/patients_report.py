"""The page of a cross-validation by patients."""

from collections.abc import Mapping, Sequence
from typing import Any

from brain_tumor.core.subsets import CLEAN
from brain_tumor.metrics.bootstrap import ALL, CORRECTED
from brain_tumor.reporting.html_report import templates
from brain_tumor.reporting.metric_titles import CLASS_METRICS, HEADLINE_METRICS
from brain_tumor.reporting.results import Results
from brain_tumor.reporting.sentences import class_composition


def render_patients(
    recipe: str,
    architecture: str,
    info: Mapping[str, Any],
    results: Results,
    best_baseline: str,
    folds: Sequence[Mapping[str, str]],
    classes: Sequence[str],
    confusion: Sequence[Sequence[int]],
) -> str:
    """Render the page, a single file.

    Args:
        recipe: its name.
        architecture: name of the network.
        info: `datasets.<name>.info` of params.yaml.
        results: the content of patients.csv.
        best_baseline: the most accurate one.
        folds: fold, n and metrics of each fold.
        classes: names of the K classes.
        confusion: (K, K) numbers of images of all folds; the rows are the true classes.
    """
    subsets = [subset for subset in (ALL, CLEAN, CORRECTED) if results.n(subset)]
    page = templates.get_template("patients.html").render(
        recipe=recipe,
        architecture=architecture,
        info=info,
        results=results,
        best=best_baseline,
        folds=folds,
        subsets=subsets,
        classes=classes,
        compositions={subset: class_composition(results, subset) for subset in subsets},
        headline_metrics=HEADLINE_METRICS,
        class_metrics=[(name, title) for name, title in CLASS_METRICS if name != "coverage_at_90"],
        confusion=confusion,
    )
    return page + "\n"
