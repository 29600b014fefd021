"""Speed of attribution methods compared with the passes through the network that each method needs.

python benchmarks/bench_explain.py            methods and passes take turns in one process; the best of two rounds
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, get_args

import pandas as pd
import torch
from machine import save_table

from brain_tumor.attribution.methods import (
    BATCH_SIZE,
    IG_STEPS,
    OCCLUSION_GRID,
    ClassScores,
    Method,
    compute_attributions,
)
from brain_tumor.core.errors import UserError
from brain_tumor.models import runtime
from brain_tumor.models.classifier import to_unit
from models import CLASSES, MODELS, SIDE, make_classifier

ROUNDS = 2
NUM_IMAGES = 2 * BATCH_SIZE


class Requirement(NamedTuple):
    """What a method needs and must reach.

    Attributes:
        kind: of its passes through the network.
        num_images: to measure.
        min_share: minimum speed as a share of the speed of the passes alone.
    """

    kind: str
    passes_per_image: int
    num_images: int = NUM_IMAGES
    min_share: float | None = None


REQUIREMENTS: dict[Method, Requirement] = {
    "grad-cam": Requirement("backward", 1, min_share=0.8),
    "grad-cam++": Requirement("backward", 1),
    "layer-cam": Requirement("backward", 1),
    "hires-cam": Requirement("backward", 1),
    "integrated-gradients": Requirement("backward", 2 * IG_STEPS, num_images=2, min_share=0.8),
    "attention-rollout": Requirement("forward", 1, min_share=0.8),
    "attention-relevance": Requirement("backward", 1),
    "occlusion": Requirement("forward", (2 * OCCLUSION_GRID - 1) ** 2 + 1, num_images=2),
}


def main() -> None:
    """Measure all methods on all models, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--methods", nargs="*", default=get_args(Method), help="default: all that the network supports")
    args = parser.parse_args()
    device = runtime.setup_device()
    lines = [line for model in args.models for line in measure_model(model, args.methods, device)]
    save_table(pd.DataFrame(lines), "explain", "torch", "timm", "captum")


def measure_model(architecture: str, methods: Sequence[Method], device: torch.device) -> list[dict[str, object]]:
    """Measure the methods that a network supports; return one row of the table for each."""
    model = make_classifier(architecture).to(device).to(memory_format=torch.channels_last).eval()
    images = torch.randint(0, 255, (NUM_IMAGES, SIDE, SIDE), dtype=torch.uint8)
    targets = torch.arange(NUM_IMAGES) % len(CLASSES)
    scores = ClassScores(model)

    def run_forward() -> None:
        with torch.inference_mode():
            for batch in images.split(BATCH_SIZE):
                scores(to_unit(batch, device))

    def run_backward() -> None:
        for batch, classes in zip(images.split(BATCH_SIZE), targets.split(BATCH_SIZE), strict=True):
            x = to_unit(batch, device).requires_grad_()
            torch.autograd.grad(scores(x).gather(1, classes.to(device)[:, None]).sum(), x)

    tasks: dict[str, tuple[Callable[[], object], int]] = {
        "forward": (run_forward, NUM_IMAGES),
        "backward": (run_backward, NUM_IMAGES),
    }
    for method in methods:
        count = REQUIREMENTS[method].num_images

        def run_method(method: Method = method, count: int = count) -> None:
            compute_attributions([method], model, images[:count], targets[:count], "last", device)

        try:
            run_method(count=1)
        except UserError:
            continue  # not defined for this network
        tasks[method] = run_method, count
    speeds = measure_speeds(tasks, device)
    return [make_line(architecture, method, speeds, device) for method in methods if method in speeds]


def measure_speeds(tasks: dict[str, tuple[Callable[[], object], int]], device: torch.device) -> dict[str, float]:
    """Return images per second of each task, the best of all rounds.

    Args:
        tasks: function and number of images by name.
    """
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, (run, count) in tasks.items():
            start = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best[name] = max(best.get(name, 0.0), count / (time.perf_counter() - start))
    return best


def make_line(architecture: str, method: Method, speeds: dict[str, float], device: torch.device) -> dict[str, object]:
    """Make the row of a method, and print it."""
    kind, passes, _, min_share = REQUIREMENTS[method]
    share = speeds[method] * passes / speeds[kind]
    print(f"{architecture}, {method}: {speeds[method]:.2f} images/s, {share:.2f} of {passes} × {kind}", flush=True)
    return {
        "model": architecture,
        "device": device.type,
        "method": method,
        "images_per_s": round(speeds[method], 3),
        "pass": kind,
        "passes": passes,
        "passes_per_s": round(speeds[kind], 2),
        "share": round(share, 3),
        "min_share": min_share,
    }


if __name__ == "__main__":
    main()
