"""Training speed with `numerics: portable` and `native`: bare training steps, each in a new process in turn."""

import argparse
import json
import os
import subprocess
import sys

import pandas as pd
from bench_train import measure_bound
from machine import save_table

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
        model, numerics = args.one
        batch_size, side, steps = MODELS[model]
        print(json.dumps(measure_bound(model, batch_size, steps, side, numerics)["images_per_second"]))
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


if __name__ == "__main__":
    main()
