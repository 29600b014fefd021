"""Evaluation of 1,311 images with all intervals, against the forward passes alone.

python benchmarks/bench_evaluate.py         EfficientNet-Lite0 from random weights on pictures that stand in for slices
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from bench_train import images
from machine import save
from models import CLASSES, classifier

from brain_tumor import evaluation, runtime
from brain_tumor.calibration import calibrate, to_probabilities
from brain_tumor.classifier import predict_logits
from brain_tumor.evaluation import EvaluateParams, Predicted
from brain_tumor.evaluation_charts import draw
from brain_tumor.robustness import alter

BASELINES = 5


def main() -> None:
    """Measure one evaluation: what its forward passes take, and all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1311)
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    given = parser.parse_args()
    params, device = EvaluateParams(rounds=2000, seed=0), runtime.start()
    model, pixels = classifier(given.model).eval(), images(given.images).numpy()
    model.to(memory_format=torch.channels_last)
    random = np.random.default_rng(0)
    truth = random.integers(0, len(CLASSES), given.images)
    leak = random.choice(["", "copy", "mirrored", "related"], given.images)
    rows = pd.DataFrame({"row": range(given.images), "path": map(str, range(given.images)), "leak": leak})
    rows["label"], rows["group"] = [CLASSES[k] for k in truth], [f"g{k}" for k in random.integers(0, 900, given.images)]
    # Random weights tell nothing: the truth is added to their logits, so that there are right and wrong cases.
    hints = torch.from_numpy(np.eye(len(CLASSES))[truth] * 3 + random.normal(size=(given.images, len(CLASSES))))
    spent = {"forward": 0.0}

    def probabilities(batch: "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]") -> torch.Tensor:
        begin = time.perf_counter()
        logits = predict_logits(model, torch.from_numpy(batch), device)
        spent["forward"] += time.perf_counter() - begin
        return logits.double() + hints[: len(batch)]

    probabilities(pixels[:64])
    spent["forward"], begin = 0.0, time.perf_counter()
    logits = probabilities(pixels)
    calibration = calibrate(logits, torch.from_numpy(truth), "softmax")
    raw, calibrated = (to_probabilities(logits, "softmax", t).numpy() for t in (1.0, calibration.temperature))
    test = Predicted(rows, truth, raw, calibrated)
    baselines = {f"baseline {k}": random.dirichlet(np.ones(len(CLASSES)), given.images) for k in range(BASELINES)}
    figures = evaluation.evaluate(test, baselines, calibration, CLASSES, params)
    altered = {
        str(one): to_probabilities(probabilities(alter(pixels, one, 0)), "softmax").numpy() for one in params.robustness
    }
    robustness = evaluation.under_alterations(test, altered, CLASSES, params)
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), test, pixels, figures, robustness, CLASSES, "bench", True)
    whole = time.perf_counter() - begin
    line = {"model": given.model, "images": given.images, "passes": 1 + len(altered), "rounds": params.rounds}
    line |= {"forward_s": round(spent["forward"], 1), "whole_s": round(whole, 1)}
    line["allowed_s"] = round(1.5 * spent["forward"] + 10, 1)
    save(pd.DataFrame([line]), "evaluate", "torch", "timm")


if __name__ == "__main__":
    main()
