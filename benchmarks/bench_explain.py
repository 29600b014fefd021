"""Speed of heat maps against the passes through the network that each method cannot do without.

python benchmarks/bench_explain.py            methods and passes in turns, in one process, the best of two
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import get_args

import pandas as pd
import torch
from machine import save
from models import CLASSES, MODELS, SIDE, classifier

from brain_tumor import runtime
from brain_tumor.attribution import BATCH, STEPS, WINDOWS, Method, Scores, explain
from brain_tumor.classifier import to_unit
from brain_tumor.errors import UserError

ROUNDS = 2
WINDOW_PASSES = (2 * WINDOWS - 1) ** 2 + 1
# By method: which pass, how many of them an image, images measured, and the least share of their speed.
NEEDS: dict[Method, tuple[str, int, int, float | None]] = {
    "grad-cam": ("backward", 1, 2 * BATCH, 0.8),
    "grad-cam++": ("backward", 1, 2 * BATCH, None),
    "integrated-gradients": ("backward", 2 * STEPS, 2, 0.8),
    "attention-rollout": ("forward", 1, 2 * BATCH, 0.8),
    "attention-relevance": ("backward", 1, 2 * BATCH, None),
    "occlusion": ("forward", WINDOW_PASSES, 2, None),
}


def main() -> None:
    """Measure all methods on all models, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--methods", nargs="*", default=get_args(Method), help="default: all that the network has")
    given = parser.parse_args()
    device = runtime.start()
    lines = [line for model in given.models for line in _of_model(model, given.methods, device)]
    save(pd.DataFrame(lines), "explain", "torch", "timm", "captum")


def _of_model(architecture: str, methods: Sequence[Method], device: torch.device) -> list[dict[str, object]]:
    model = classifier(architecture).to(device).to(memory_format=torch.channels_last).eval()
    images = torch.randint(0, 255, (2 * BATCH, SIDE, SIDE), dtype=torch.uint8)
    targets = torch.arange(2 * BATCH) % len(CLASSES)
    scores = Scores(model)

    def forward() -> None:
        with torch.inference_mode():
            for part in images.split(BATCH):
                scores(to_unit(part, device))

    def backward() -> None:
        for part, wanted in zip(images.split(BATCH), targets.split(BATCH), strict=True):
            x = to_unit(part, device).requires_grad_()
            torch.autograd.grad(scores(x).gather(1, wanted.to(device)[:, None]).sum(), x)

    ways: dict[str, tuple[Callable[[], None], int]] = {
        "forward": (forward, len(images)),
        "backward": (backward, len(images)),
    }
    for method in methods:
        count = NEEDS[method][2]

        def run(method: Method = method, count: int = count) -> None:
            explain(method, model, images[:count], targets[:count], "last", device)

        try:
            explain(method, model, images[:1], targets[:1], "last", device)
        except UserError:
            continue  # not defined for this network
        ways[method] = run, count
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, (work, count) in ways.items():
            started = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best[name] = max(best.get(name, 0.0), count / (time.perf_counter() - started))
    lines: list[dict[str, object]] = []
    for method in methods:
        if method in best:
            kind, passes, _, least = NEEDS[method]
            share = best[method] * passes / best[kind]
            print(
                f"{architecture}, {method}: {best[method]:.2f} images/s, {share:.2f} of {passes} × {kind}", flush=True
            )
            lines.append(
                {"model": architecture, "device": device.type, "method": method}
                | {"images_per_s": round(best[method], 3), "pass": kind, "passes": passes}
                | {"passes_per_s": round(best[kind], 2), "share": round(share, 3), "least": least}
            )
    return lines


if __name__ == "__main__":
    main()
