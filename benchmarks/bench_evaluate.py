"""Evaluation of 1,311 images with all intervals, against the forward passes alone.

python benchmarks/bench_evaluate.py         EfficientNet-Lite0 from random weights on random images
"""

import argparse
import time

import numpy as np
import pandas as pd
import torch
from bench_train import make_images
from machine import save_table

from brain_tumor.core.subsets import LEAK_TYPES
from brain_tumor.core.types import Gray
from brain_tumor.evaluation import evaluate
from brain_tumor.evaluation.curves import compute_curves
from brain_tumor.evaluation.evaluate import EvaluateParams
from brain_tumor.evaluation.predictions import TestPredictions
from brain_tumor.evaluation.probabilities import compared_subsets
from brain_tumor.evaluation.robustness import perturb
from brain_tumor.models import runtime
from brain_tumor.models.calibration import LabeledLogits, calibrate, to_probabilities
from brain_tumor.models.predict import predict_logits
from models import CLASSES, make_classifier

NUM_BASELINES = 5


def main() -> None:
    """Measure the time of an evaluation and of its forward passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1311)
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    args = parser.parse_args()
    params, device = EvaluateParams(rounds=2000, seed=0), runtime.setup_device()
    model, pixels = make_classifier(args.model).eval(), make_images(args.images).numpy()
    model.to(memory_format=torch.channels_last)
    random = np.random.default_rng(0)
    truth = random.integers(0, len(CLASSES), args.images)
    leak = random.choice(["", *LEAK_TYPES], args.images)
    rows = pd.DataFrame({"row": range(args.images), "path": map(str, range(args.images)), "leak": leak})
    rows["label"], rows["group"] = [CLASSES[k] for k in truth], [f"g{k}" for k in random.integers(0, 900, args.images)]
    # The logits of random weights carry no information: the true class is added, so that some predictions are correct.
    hints = torch.from_numpy(np.eye(len(CLASSES))[truth] * 3 + random.normal(size=(args.images, len(CLASSES))))
    forward_seconds = 0.0

    def compute_logits(batch: Gray) -> torch.Tensor:
        nonlocal forward_seconds
        begin = time.perf_counter()
        logits = predict_logits(model, torch.from_numpy(batch), device)
        forward_seconds += time.perf_counter() - begin
        return logits.double() + hints[: len(batch)]

    compute_logits(pixels[:64])
    forward_seconds, begin = 0.0, time.perf_counter()
    logits = compute_logits(pixels)
    held_out = LabeledLogits(logits, torch.from_numpy(truth))
    calibration = calibrate(held_out, held_out, "softmax")
    probabilities = [to_probabilities(logits, "softmax", t).numpy() for t in (1.0, calibration.temperature)]
    test = TestPredictions(rows, truth, *probabilities)
    baselines = {f"baseline {k}": random.dirichlet(np.ones(len(CLASSES)), args.images) for k in range(NUM_BASELINES)}
    evaluate.evaluate_test_rows(test, baselines, calibration, CLASSES, params)
    perturbed = {
        str(perturbation): to_probabilities(compute_logits(perturb(pixels, perturbation, 0)), "softmax").numpy()
        for perturbation in params.robustness
    }
    evaluate.evaluate_perturbations(test, perturbed, CLASSES, params)
    compute_curves(truth, test.calibrated, compared_subsets(test.clean), CLASSES)
    total_seconds = time.perf_counter() - begin
    line = {"model": args.model, "images": args.images, "passes": 1 + len(perturbed), "rounds": params.rounds}
    line |= {"forward_s": round(forward_seconds, 1), "whole_s": round(total_seconds, 1)}
    line["allowed_s"] = round(1.5 * forward_seconds + 10, 1)
    save_table(pd.DataFrame([line]), "evaluate", "torch", "timm")


if __name__ == "__main__":
    main()
