"""Training speed: the pipeline, compared with bare training steps (the bound) and with the published notebooks.

python benchmarks/bench_train.py            each measurement in a new process, the methods in turn

The notebooks use an image folder, torchvision transforms image by image, a DataLoader with one worker per core, NCHW
tensors of three channels, and Adam.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from machine import save_table
from PIL import Image
from timm import create_model
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from brain_tumor.models import runtime
from brain_tumor.models.classifier import to_unit
from brain_tumor.models.numerics import Numerics
from brain_tumor.models.samples import Samples
from brain_tumor.training import checkpoint
from brain_tumor.training.recipe import TrainParams
from brain_tumor.training.trainer import Trainer, train
from models import CLASSES, SIDE, make_classifier

ROUNDS = 2
# Batch size, steps measured, and training images per epoch in the recipe of the model.
MODELS = {
    "vit_base_patch16_224": (8, 4, 152),
    "resnet50": (16, 6, 5141),
    "efficientnet_b0": (16, 10, 5141),
    "tf_efficientnet_lite0": (16, 10, 5141),
}
HEAD_IMAGES, HEAD_EPOCHS, HEAD_BATCH_SIZE = 40, 4, 20  # as `probe`, with fewer images
VALIDATION_FRACTION = 0.1  # of the training images
FIELDS = ("validation_share", "checkpoint_share", "first_step")
Result = dict[str, float]


def main() -> None:
    """Measure all methods in turn, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "MODEL"), help="measure one and print it as JSON")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--steps", type=int, help="training steps to measure (default: by model)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements of which the best counts")
    args = parser.parse_args()
    if args.one:
        method, model = args.one
        batch_size, steps, _ = MODELS[model]
        print(json.dumps(METHODS[method](model, batch_size, args.steps or steps)))
        return
    rows = []
    for model in args.models:
        results: dict[str, Result] = {}
        for _ in range(args.rounds):
            for method in [*STEP_METHODS, *(HEAD_METHODS if model.startswith("vit") else ())]:
                result = measure_in_new_process(method, model, args.steps)
                best = results.setdefault(method, result)
                if result["images_per_second"] > best["images_per_second"]:
                    results[method] = result
        rate = {method: result["images_per_second"] for method, result in results.items()}
        row: dict[str, Any] = {"model": model, "device": "cuda" if torch.cuda.is_available() else "cpu"}
        row |= {method.replace("-", "_"): round(value, 2) for method, value in rate.items()}
        row |= {"share_of_bound": round(rate["ours"] / rate["bound"], 3)}
        row |= {"against_notebook": round(rate["ours"] / rate["notebook"], 2)}
        row |= {name: round(results["ours"][name], 4) for name in FIELDS}
        if "head-ours" in rate:
            row["head_against_notebook"] = round(rate["head-ours"] / rate["head-notebook"], 2)
        rows.append(row)
        save_table(pd.DataFrame(rows), "train", "torch", "timm")


def measure_in_new_process(method: str, model: str, steps: int | None) -> Result:
    """Measure one method in a new process, so that no method profits from what another one set up."""
    command = [sys.executable, __file__, "--one", method, model] + (["--steps", str(steps)] if steps else [])
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TQDM_DISABLE": "1"})
    if run.returncode:
        raise SystemExit(run.stderr)
    result: Result = json.loads(run.stdout.splitlines()[-1])
    print(f"{model}, {method}: {result}", file=sys.stderr)
    return result


def measure_bound(model: str, batch_size: int, steps: int, side: int = SIDE, numerics: Numerics = "native") -> Result:
    """Measure forward, backward and optimizer step on one fixed batch, with torch set up as in the pipeline."""
    fabric = runtime.launch_fabric(numerics)
    net = make_classifier(model).to(fabric.device).to(memory_format=torch.channels_last)
    params = make_params(batch_size)
    wrapped, optimizer = fabric.setup(net, params.optimizer.build(net.parameters()))
    x, y = to_unit(make_images(batch_size, side), fabric.device), torch.arange(batch_size, device=fabric.device) % 4
    weights = torch.ones(4, device=fabric.device)

    def train_step() -> None:
        loss = params.loss.loss_sum(wrapped(x), y, "softmax", weights) / batch_size
        fabric.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def train_epoch() -> None:
        for _ in range(steps):
            train_step()

    train_step()
    return {"images_per_second": batch_size * steps / measure_seconds(train_epoch, fabric.device)}


def measure_pipeline(model: str, batch_size: int, steps: int) -> Result:
    """Measure the second epoch of the pipeline's training; validation and checkpoints are measured separately."""
    fabric = runtime.launch_fabric()
    seconds: dict[str, list[float]] = {"validate": [], "save": [], "epoch": []}
    record_seconds(Trainer, "validate", seconds["validate"], fabric.device)
    record_seconds(checkpoint, "save_checkpoint", seconds["save"], fabric.device)
    record_seconds(Trainer, "train_epoch", seconds["epoch"], fabric.device)
    train_set, val_set = make_samples(batch_size * steps)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "s.pt"
        train(make_classifier(model), train_set, val_set, [1.0] * 4, make_params(batch_size), fabric, scratch)
    total = time.perf_counter() - begin
    rate = batch_size * steps / seconds["epoch"][1]
    return {
        "images_per_second": rate,
        "validation_share": seconds["validate"][1] / (seconds["epoch"][1] + seconds["validate"][1]),
        "checkpoint_share": seconds["save"][0] / (MODELS[model][2] / rate),
        "first_step": total - sum(sum(values) for values in seconds.values()),
    }


def measure_notebook(model: str, batch_size: int, steps: int) -> Result:
    """Measure the second epoch over an image folder, as the notebooks train."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net: Any = create_model(model, num_classes=4).to(device).train()
    optimizer = torch.optim.Adam(net.parameters(), 1e-4)
    with open_image_folder(batch_size * steps, batch_size) as loader:

        def train_epoch() -> None:
            for x, y in loader:
                loss = nn.functional.cross_entropy(net(x.to(device)), y.to(device), label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        train_epoch()
        return {"images_per_second": batch_size * steps / measure_seconds(train_epoch, device)}


def measure_pipeline_head(model: str, batch_size: int, steps: int) -> Result:
    """Measure training of the head on cached features; each image counts in each epoch."""
    fabric = runtime.launch_fabric()
    train_set, val_set = make_samples(HEAD_IMAGES)
    params = make_params(HEAD_BATCH_SIZE, trainable="head", augment=(), epochs=HEAD_EPOCHS)

    def train_head() -> None:
        with tempfile.TemporaryDirectory() as folder:
            train(make_classifier(model), train_set, val_set, [1.0] * 4, params, fabric, Path(folder) / "s.pt")

    return {"images_per_second": HEAD_IMAGES * HEAD_EPOCHS / measure_seconds(train_head, fabric.device)}


def measure_notebook_head(model: str, batch_size: int, steps: int) -> Result:
    """Measure the same as a notebook does it: a frozen backbone that encodes every image in every epoch."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net: Any = create_model(model, num_classes=4).to(device)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    for parameter in net.get_classifier().parameters():
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(net.get_classifier().parameters(), 3e-4)
    num_validation = max(1, int(HEAD_IMAGES * VALIDATION_FRACTION))
    with open_image_folder(HEAD_IMAGES, HEAD_BATCH_SIZE) as loader, open_image_folder(num_validation, 8) as val_loader:

        def train_head() -> None:
            for _ in range(HEAD_EPOCHS):
                for x, y in loader:
                    loss = nn.functional.cross_entropy(net(x.to(device)), y.to(device))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                with torch.no_grad():
                    for x, _ in val_loader:
                        net(x.to(device))

        return {"images_per_second": HEAD_IMAGES * HEAD_EPOCHS / measure_seconds(train_head, device)}


@contextmanager
def open_image_folder(count: int, batch_size: int) -> Iterator[Any]:
    """Write a folder of JPEG files and yield a DataLoader over it, as the notebooks make it."""
    steps = [
        transforms.Resize((SIDE, SIDE)),
        transforms.RandomHorizontalFlip(),
        transforms.RandomRotation(10),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for number, pixels in enumerate(make_images(count, 256).numpy()):
            path = Path(folder) / CLASSES[number % 4] / f"{number}.jpg"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).convert("RGB").save(path)
        data = datasets.ImageFolder(folder, transforms.Compose(steps))
        yield DataLoader(data, batch_size, shuffle=True, num_workers=len(os.sched_getaffinity(0)))


def make_params(batch_size: int, **changes: Any) -> TrainParams:
    """Make parameters like those of `edge`: all layers are trained, with augmentation."""
    block: dict[str, Any] = {"trainable": "all", "head": "softmax", "epochs": 2, "batch_size": batch_size, "seed": 0}
    block |= {"optimizer": {"kind": "adamw", "lr": 1e-4}, "schedule": {"kind": "constant"}, "select": "loss"}
    block |= {"loss": {"label_smoothing": 0.1}, "augment": ({"op": "flip"}, {"op": "affine", "degrees": 10.0})}
    return TrainParams.model_validate(block | changes)


def make_samples(count: int) -> tuple[Samples, Samples]:
    """Make training and validation samples."""
    samples = Samples(make_images(count), torch.arange(count) % 4, torch.zeros(count, 0))
    num_validation = max(1, int(count * VALIDATION_FRACTION))
    return samples, Samples(*(values[:num_validation] for values in samples))


def make_images(count: int, side: int = SIDE) -> Tensor:
    """Make smooth random images (N, side, side) uint8, as hard to decode as a slice."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (count, 32, 32)).astype(np.uint8)
    return torch.from_numpy(np.stack([np.asarray(Image.fromarray(one).resize((side, side))) for one in small]))


def measure_seconds(function: Callable[[], Any], device: torch.device) -> float:
    """Measure how long a function takes until its end on the device."""
    begin = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def record_seconds(owner: Any, name: str, seconds: list[float], device: torch.device) -> None:
    """Replace a function of a module or class by one that appends the duration of each call."""
    function = getattr(owner, name)

    def recorded(*args: Any, **options: Any) -> Any:
        results: list[Any] = []
        seconds.append(measure_seconds(lambda: results.append(function(*args, **options)), device))
        return results[0]

    setattr(owner, name, recorded)


STEP_METHODS: dict[str, Callable[[str, int, int], Result]] = {
    "bound": measure_bound,
    "ours": measure_pipeline,
    "notebook": measure_notebook,
}
HEAD_METHODS = {"head-ours": measure_pipeline_head, "head-notebook": measure_notebook_head}
METHODS = STEP_METHODS | HEAD_METHODS

if __name__ == "__main__":
    main()
