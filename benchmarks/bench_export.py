"""Speed of exported models against eager PyTorch: latency at batch 1 and throughput at batch 16, in turns.

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
from machine import save
from models import MODELS, SIDE, card, classifier
from numpy.typing import NDArray

from brain_tumor import exporting, runtime, typicality
from brain_tumor.classifier import predict_logits
from brain_tumor.onnx_model import OnnxModel

ROUNDS = 5
SECONDS = 1.5  # that each way is measured in each round
Gray = NDArray[np.uint8]


def main() -> None:
    """Measure all models, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    given = parser.parse_args()
    runtime.start()
    lines = [line for model in given.models for line in _of_model(model)]
    save(pd.DataFrame(lines), "export", "torch", "onnxruntime")


def _of_model(architecture: str) -> list[dict[str, object]]:
    about, cpu = card(architecture), torch.device("cpu")
    model = classifier(architecture).to(memory_format=torch.channels_last).eval()
    images: Gray = np.random.default_rng(0).integers(0, 255, (32, SIDE, SIDE)).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        files = {"float32": Path(folder) / "model.onnx", "int8": Path(folder) / "model-int8.onnx"}
        exporting.to_onnx(model, about, typicality.learn(images, images), files["float32"])
        exporting.to_int8(files["float32"], images, files["int8"])
        sizes = {kind: file.stat().st_size for kind, file in files.items()}
        opened = {kind: OnnxModel(file) for kind, file in files.items()}
    sizes["eager"] = sum(each.numel() * each.element_size() for each in model.state_dict().values())
    ways: dict[str, Callable[[Gray], object]] = {
        "eager": lambda batch: predict_logits(model, torch.from_numpy(batch), cpu),
        "float32": opened["float32"].probabilities,
        "int8": opened["int8"].probabilities,
    }
    found: dict[tuple[str, int], list[float]] = {(kind, count): [] for kind in ways for count in (1, 16)}
    for _ in range(ROUNDS):
        for (kind, count), seconds in found.items():
            seconds.append(_seconds(ways[kind], images[:count]))
    best = {place: statistics.median(seconds) for place, seconds in found.items()}
    lines: list[dict[str, object]] = []
    for kind in ways:
        against = {count: best["eager", count] / best[kind, count] for count in (1, 16)}
        print(f"{architecture}, {kind}: {against[1]:.2f} × eager at 1, {against[16]:.2f} × at 16", flush=True)
        lines.append(
            {"model": architecture, "kind": kind, "megabytes": round(sizes[kind] / 1e6, 2)}
            | {"latency_ms_at_1": round(1e3 * best[kind, 1], 2), "images_per_s_at_16": round(16 / best[kind, 16], 1)}
            | {"against_eager_at_1": round(against[1], 2), "against_eager_at_16": round(against[16], 2)}
        )
    return lines


def _seconds(work: Callable[[Gray], object], batch: Gray) -> float:
    """Of one call, the median of as many as fit."""
    work(batch)
    taken: list[float] = []
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until or len(taken) < 3:
        started = time.perf_counter()
        work(batch)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
