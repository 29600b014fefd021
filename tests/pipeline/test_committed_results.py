"""The committed figures, computed again from the committed predictions with a few lines of scikit-learn."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    recall_score,
    roc_auc_score,
)

from project import ROOT

PREDICTIONS = sorted((ROOT / "data/predictions").glob("*.csv"))
TEXT = ("path", "label", "predicted", "leak")


def read_metrics(predictions: Path) -> dict[tuple[str, str, str], dict[str, float]]:
    """Read the model's own metrics that belong to a table of predictions, by subset, class and metric."""
    name = predictions.stem.removesuffix("-patients")
    by_patient = predictions.stem.endswith("-patients")
    file = ROOT / f"metrics/{name}/{'patients' if by_patient else 'metrics'}.csv"
    table = pd.read_csv(file, keep_default_na=False)
    own = (table["model"] == "model") & (table[["reference", "reference_subset", "attribute"]] == "").all(axis=1)
    table = table[own].replace({"subset": {"all": "published"}})
    keys = table[["subset", "class", "metric"]].itertuples(index=False, name=None)
    numbers = table[["n", "value", "low", "high"]].apply(pd.to_numeric).to_dict("records")
    return dict(zip(keys, numbers, strict=True))


@pytest.mark.parametrize("file", PREDICTIONS, ids=lambda file: file.stem)
def test_committed_metrics_are_those_of_the_committed_predictions(file: Path) -> None:
    metrics = read_metrics(file)
    predictions = pd.read_csv(file, dtype=dict.fromkeys(TEXT, str), keep_default_na=False)
    classes = [str(column).removeprefix("p_") for column in predictions if str(column).startswith("p_")]
    for subset, rows in (("published", predictions), ("clean", predictions[predictions["leak"] == ""])):
        if rows.empty:
            assert subset not in {key[0] for key in metrics}
            continue
        truth, predicted = rows["label"], rows["predicted"]
        present = sorted(set(truth))
        p = rows[[f"p_{label}" for label in classes]].to_numpy(float)
        areas = [
            roc_auc_score(truth == label, p[:, k]) for k, label in enumerate(classes) if 0 < (truth == label).mean() < 1
        ]
        expected = {
            "accuracy": accuracy_score(truth, predicted),
            "balanced_accuracy": balanced_accuracy_score(truth, predicted),
            "macro_f1": f1_score(truth, predicted, labels=present, average="macro", zero_division=0),
            "mcc": matthews_corrcoef(truth, predicted),
            "auroc": np.mean(areas),
        }
        for metric, value in expected.items():
            line = metrics[subset, "", metric]
            assert line["value"] == pytest.approx(value, abs=2e-3 if metric == "auroc" else 1e-4), metric
            assert line["n"] == len(rows)
            assert line["low"] <= line["value"] <= line["high"]
        for label in present:
            line = metrics[subset, label, "recall"]
            recall = recall_score(truth == label, predicted == label)
            assert line["value"] == pytest.approx(recall, abs=1e-4)
            assert line["n"] == (truth == label).sum()
        loss = log_loss(truth, p[:, np.argsort(classes)].clip(1e-4, 1), labels=sorted(classes))
        assert metrics[subset, "", "log_loss"]["value"] == pytest.approx(loss, rel=0.1)


def test_committed_predictions_are_there_for_every_evaluated_recipe() -> None:
    evaluated = {path.parent.name for path in (ROOT / "metrics").glob("*/metrics.csv")} - {"external"}
    assert evaluated <= {path.stem for path in PREDICTIONS}
