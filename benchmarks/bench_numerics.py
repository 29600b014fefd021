"""Training speed with `numerics: portable` and `native`: bare training steps, each in a new process in turn."""

import argparse
import json
import os
import subprocess
import sys

import pandas as pd
import torch
from bench_train import make_images, make_params, measure_seconds
from machine import save_table

from brain_tumor.models import runtime
from brain_tumor.models.classifier import to_unit
from models import make_classifier

# Batch size, image side and steps.
MODELS = {"tf_efficientnet_lite0": (16, 192, 12), "resnet50": (16, 224, 6), "vit_base_patch16_224": (8, 224, 3)}
NUMERICS = ("native", "portable")
ROUNDS = 3


def main() -> None:
    """Measure in turn, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "NUMERICS"), help="measure one and print its images/s")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(*args.one)))
        return
    rows = []
    for model in MODELS:
        rates: dict[str, list[float]] = {numerics: [] for numerics in NUMERICS}
        for _ in range(ROUNDS):
            for numerics in NUMERICS:
                command = [sys.executable, __file__, "--one", model, numerics]
                process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                rates[numerics].append(json.loads(process.stdout.splitlines()[-1]))
        best = {f"{numerics}_images_per_second": round(max(rates[numerics]), 2) for numerics in NUMERICS}
        ratio = max(rates["portable"]) / max(rates["native"])
        rows.append({"model": model, "cores": os.cpu_count(), **best, "portable_against_native": round(ratio, 3)})
        save_table(pd.DataFrame(rows), "numerics", "torch", "timm")


def measure(model: str, numerics: str) -> float:
    """Measure forward, backward and optimizer steps on one fixed batch: images per second."""
    batch_size, side, steps = MODELS[model]
    fabric = runtime.launch_fabric("portable" if numerics == "portable" else "native")
    net = make_classifier(model).to(fabric.device).to(memory_format=torch.channels_last)
    params = make_params(batch_size)
    wrapped, optimizer = fabric.setup(net, params.optimizer.build(net.parameters()))
    x, y = to_unit(make_images(batch_size, side), fabric.device), torch.arange(batch_size, device=fabric.device) % 4
    weights = torch.ones(4, device=fabric.device)

    def train_steps(count: int) -> None:
        for _ in range(count):
            fabric.backward(params.loss.loss_sum(wrapped(x), y, "softmax", weights) / batch_size)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    train_steps(2)
    return batch_size * steps / measure_seconds(lambda: train_steps(steps), fabric.device)


if __name__ == "__main__":
    main()
