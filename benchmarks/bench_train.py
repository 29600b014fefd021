"""Training speed: the pipeline's loop against the bare step (the bound) and against the published notebooks' way.

python benchmarks/bench_train.py            each measurement in a process of its own, in turns

The notebooks' way is an image folder, torchvision transforms image by image, a DataLoader with a worker a core,
NCHW tensors of three channels, and Adam.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from machine import save
from models import CLASSES, SIDE, classifier
from PIL import Image
from timm import create_model
from torch import Tensor, nn
from torch.utils.data import DataLoader

from brain_tumor import resuming, runtime, training
from brain_tumor.classifier import to_unit
from brain_tumor.rows import Rows
from brain_tumor.training import TrainParams, train

ROUNDS = 2
# Batch, steps measured, and training images in an epoch of the recipe that has the model.
MODELS = {
    "vit_base_patch16_224": (8, 4, 152),
    "resnet50": (16, 6, 5141),
    "efficientnet_b0": (16, 10, 5141),
    "tf_efficientnet_lite0": (16, 10, 5141),
}
HEAD_IMAGES, HEAD_EPOCHS = 40, 4  # what vit-finetune does, on fewer images


def main() -> None:
    """Measure everything in turns, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "MODEL"), help="measure one and print it as JSON")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    given = parser.parse_args()
    if given.one:
        print(json.dumps(WAYS[given.one[0]](given.one[1])))
        return
    lines = []
    for model in given.models:
        ways = [*STEP_WAYS, *(HEAD_WAYS if model.startswith("vit") else ())]
        found: dict[str, dict[str, float]] = {}
        for _ in range(ROUNDS):
            for way in ways:
                measured = one(way, model)
                best = found.setdefault(way, measured)
                if measured["images_per_second"] > best["images_per_second"]:
                    found[way] = measured
        rate = {way: figures["images_per_second"] for way, figures in found.items()}
        line = {"model": model, "device": "cuda" if torch.cuda.is_available() else "cpu"}
        line |= {way.replace("-", "_"): round(value, 2) for way, value in rate.items()}
        line |= {"share_of_bound": round(rate["ours"] / rate["bound"], 3)}
        line |= {"against_notebook": round(rate["ours"] / rate["notebook"], 2)}
        line |= {name: round(found["ours"][name], 4) for name in ("validation_share", "checkpoint_share", "first_step")}
        if "head-ours" in rate:
            line["head_against_notebook"] = round(rate["head-ours"] / rate["head-notebook"], 2)
        lines.append(line)
        save(pd.DataFrame(lines), "train", "torch", "timm")


def one(way: str, model: str) -> dict[str, float]:
    """One measurement in a process of its own: what one way sets up must not help another."""
    command = [sys.executable, __file__, "--one", way, model]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TQDM_DISABLE": "1"})
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{model}, {way}: {result}", file=sys.stderr)
    return result


def bound(model: str) -> dict[str, float]:
    """Forward, backward and optimizer step on one fixed batch, as the pipeline sets torch up."""
    batch, steps, _ = MODELS[model]
    run = runtime.launch()
    net = classifier(model).to(run.device).to(memory_format=torch.channels_last)
    options = params(batch)
    prepared, optimizer = run.prepare(net, options.optimizer.build(net.parameters()), False)
    x, y = to_unit(images(batch), run.device), torch.arange(batch, device=run.device) % 4
    weights = torch.ones(4, device=run.device)

    def step() -> None:
        loss = options.loss.total(prepared(x), y, "softmax", weights) / batch
        run.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def epoch() -> None:
        for _ in range(steps):
            step()

    step()
    return {"images_per_second": batch * steps / seconds(epoch, run.device)}


def ours(model: str, **changes: Any) -> dict[str, float]:
    """An epoch of the pipeline's training, after a first one; validation and checkpointing are timed apart."""
    batch, steps, _ = MODELS[model]
    run = runtime.launch()
    times: dict[str, list[float]] = {"evaluate": [], "save": [], "epoch": []}
    timed(training, "evaluate", times["evaluate"], run.device)
    timed(resuming, "save", times["save"], run.device)
    timed(training._Run, "_epoch", times["epoch"], run.device)
    rows = Rows(images(batch * steps), torch.arange(batch * steps) % 4, torch.zeros(batch * steps, 0))
    # One validation image to ten for training, as the recipes have it.
    few = Rows(*(values[: max(1, batch * steps // 10)] for values in rows))
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        train(classifier(model), rows, few, [1.0] * 4, params(batch, **changes), run, Path(folder) / "s.pt")
    rate = batch * steps / (times["epoch"][1] - times["evaluate"][1])
    return {
        "images_per_second": rate,
        "validation_share": times["evaluate"][1] / times["epoch"][1],
        "checkpoint_share": times["save"][0] / (MODELS[model][2] / rate),
        "first_step": time.perf_counter() - begin - sum(times["epoch"]) - sum(times["save"]),
    }


def notebook(model: str) -> dict[str, float]:
    """An epoch over an image folder as the notebooks have it, after a first one."""
    batch, steps, _ = MODELS[model]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net: Any = create_model(model, num_classes=4).to(device).train()
    optimizer = torch.optim.Adam(net.parameters(), 1e-4)
    with folder_loader(batch * steps, batch) as loader:

        def epoch() -> None:
            for x, y in loader:
                loss = nn.functional.cross_entropy(net(x.to(device)), y.to(device), label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        epoch()
        return {"images_per_second": batch * steps / seconds(epoch, device)}


def head_ours(model: str) -> dict[str, float]:
    """Some epochs of the head alone, on features computed once; images and epochs counted as if all were encoded."""
    run = runtime.launch()
    rows = Rows(images(HEAD_IMAGES), torch.arange(HEAD_IMAGES) % 4, torch.zeros(HEAD_IMAGES, 0))
    few = Rows(*(values[: HEAD_IMAGES // 8] for values in rows))
    options = params(20, trained="head", augment=(), epochs=HEAD_EPOCHS)

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            train(classifier(model), rows, few, [1.0] * 4, options, run, Path(folder) / "s.pt")

    return {"images_per_second": HEAD_IMAGES * HEAD_EPOCHS / seconds(work, run.device)}


def head_notebook(model: str) -> dict[str, float]:
    """The same as the notebook does it: a frozen backbone that encodes every image in every epoch."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net: Any = create_model(model, num_classes=4).to(device)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    for parameter in net.get_classifier().parameters():
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(net.get_classifier().parameters(), 3e-4)
    with folder_loader(HEAD_IMAGES, 20) as loader, folder_loader(HEAD_IMAGES // 8, 8) as few:

        def work() -> None:
            for _ in range(HEAD_EPOCHS):
                for x, y in loader:
                    loss = nn.functional.cross_entropy(net(x.to(device)), y.to(device))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                with torch.no_grad():
                    for x, _ in few:
                        net(x.to(device))

        return {"images_per_second": HEAD_IMAGES * HEAD_EPOCHS / seconds(work, device)}


class folder_loader:  # noqa: N801
    """An image folder of JPEG files and a DataLoader over it, as the notebooks write them."""

    def __init__(self, count: int, batch: int) -> None:
        self.count, self.batch = count, batch
        self.folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        from torchvision import datasets, transforms

        for number, pixels in enumerate(images(self.count, 256).numpy()):
            place = Path(self.folder.name) / CLASSES[number % 4]
            place.mkdir(exist_ok=True)
            Image.fromarray(pixels).convert("RGB").save(place / f"{number}.jpg")
        steps = [
            transforms.Resize((SIDE, SIDE)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomRotation(10),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
        data = datasets.ImageFolder(self.folder.name, transforms.Compose(steps))
        workers = len(os.sched_getaffinity(0))
        loader: Any = DataLoader(data, self.batch, shuffle=True, num_workers=workers)
        return loader  # type: ignore[no-any-return]

    def __exit__(self, *details: object) -> None:
        self.folder.cleanup()


def params(batch: int, **changes: Any) -> TrainParams:
    """Parameters as in `edge`: all is trained, with augmentation."""
    block: dict[str, Any] = {"trained": "all", "head": "softmax", "epochs": 2, "batch_size": batch, "select": "loss"}
    block |= {"optimizer": {"kind": "adamw", "lr": 1e-4}, "schedule": {"kind": "constant"}, "seed": 0}
    block |= {"loss": {"label_smoothing": 0.1}, "augment": ({"op": "flip"}, {"op": "affine", "degrees": 10.0})}
    return TrainParams.model_validate(block | changes)


def images(count: int, side: int = SIDE) -> Tensor:
    """Smooth random pictures (N, side, side) uint8: as hard to decode as a slice."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (count, 32, 32)).astype(np.uint8)
    return torch.from_numpy(np.stack([np.asarray(Image.fromarray(one).resize((side, side))) for one in small]))


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """How long something takes, to its end on the device."""
    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def timed(owner: Any, name: str, times: list[float], device: torch.device) -> None:
    """Have a function note how long each call takes."""
    real = getattr(owner, name)

    def noting(*words: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        result = real(*words, **options)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
        return result

    setattr(owner, name, noting)


STEP_WAYS: dict[str, Callable[[str], dict[str, float]]] = {"bound": bound, "ours": ours, "notebook": notebook}
HEAD_WAYS: dict[str, Callable[[str], dict[str, float]]] = {"head-ours": head_ours, "head-notebook": head_notebook}
WAYS = STEP_WAYS | HEAD_WAYS

if __name__ == "__main__":
    main()
