"""Speed of exported models compared with eager PyTorch: latency at batch size 1 and throughput at batch size 16.

python benchmarks/bench_export.py
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from machine import save_table

from brain_tumor.core.types import Gray
from brain_tumor.export import onnx_export, out_of_distribution
from brain_tumor.export.onnx_model import OnnxModel
from brain_tumor.models import runtime
from brain_tumor.models.predict import predict_logits
from models import MODELS, SIDE, make_classifier, make_config

ROUNDS = 5  # in which the variants take turns
SECONDS_PER_ROUND = 1.5  # of each variant
BATCH_SIZES = (1, 16)
NUM_IMAGES = 32


def main() -> None:
    """Measure all models, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    args = parser.parse_args()
    runtime.setup_device()
    lines = [line for model in args.models for line in measure_model(model)]
    save_table(pd.DataFrame(lines), "export", "torch", "onnxruntime")


def measure_model(architecture: str) -> list[dict[str, object]]:
    """Measure eager PyTorch, float32 and int8; return one row of the table for each."""
    config, cpu = make_config(architecture), torch.device("cpu")
    model = make_classifier(architecture).to(memory_format=torch.channels_last).eval()
    images: Gray = np.random.default_rng(0).integers(0, 255, (NUM_IMAGES, SIDE, SIDE)).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        files = {"float32": Path(folder) / "model.onnx", "int8": Path(folder) / "model-int8.onnx"}
        onnx_export.export_onnx(model, config, out_of_distribution.fit_reference(images, images), files["float32"])
        onnx_export.quantize_int8(files["float32"], images, files["int8"])
        num_bytes = {kind: file.stat().st_size for kind, file in files.items()}
        models = {kind: OnnxModel(file) for kind, file in files.items()}
    num_bytes["eager"] = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    variants: dict[str, Callable[[Gray], object]] = {
        "eager": lambda batch: predict_logits(model, torch.from_numpy(batch), cpu),
        "float32": models["float32"].predict_probabilities,
        "int8": models["int8"].predict_probabilities,
    }
    timings: dict[tuple[str, int], list[float]] = {(kind, size): [] for kind in variants for size in BATCH_SIZES}
    for _ in range(ROUNDS):
        for (kind, size), seconds in timings.items():
            seconds.append(measure_seconds(variants[kind], images[:size]))
    medians = {key: statistics.median(seconds) for key, seconds in timings.items()}
    lines: list[dict[str, object]] = []
    for kind in variants:
        speedup = {size: medians["eager", size] / medians[kind, size] for size in BATCH_SIZES}
        print(f"{architecture}, {kind}: {speedup[1]:.2f} × eager at 1, {speedup[16]:.2f} × at 16", flush=True)
        lines.append(
            {"model": architecture, "kind": kind, "megabytes": round(num_bytes[kind] / 1e6, 2)}
            | {
                "latency_ms_at_1": round(1e3 * medians[kind, 1], 2),
                "images_per_s_at_16": round(16 / medians[kind, 16], 1),
            }
            | {"speedup_at_1": round(speedup[1], 2), "speedup_at_16": round(speedup[16], 2)}
        )
    return lines


def measure_seconds(predict: Callable[[Gray], object], batch: Gray) -> float:
    """Return the median duration of a call, over as many calls as fit into SECONDS_PER_ROUND, at least 3."""
    predict(batch)
    durations: list[float] = []
    end = time.perf_counter() + SECONDS_PER_ROUND
    while time.perf_counter() < end or len(durations) < 3:
        start = time.perf_counter()
        predict(batch)
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


if __name__ == "__main__":
    main()
