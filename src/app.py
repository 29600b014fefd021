"""A page on this machine that shows what a trained model makes of an image. Not for clinical use.

python src/app.py            then open http://127.0.0.1:7860
"""

import argparse
import functools
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

# Before gradio is imported: it would report its use, and look for newer versions.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch

from brain_tumor import runtime
from brain_tumor.attribution import Method, explain
from brain_tumor.classifier import Classifier, ModelCard, load
from brain_tumor.enhance import enhance
from brain_tumor.errors import UserError
from brain_tumor.explain import normalize
from brain_tumor.onnx_model import Description, read_description
from brain_tumor.prediction import Gray, ask_torch, judge, slices
from brain_tumor.thumbnails import thumbnails
from brain_tumor.viewing import STYLE, badge, message, picture, verdict

MOST_BYTES = "256mb"
STALE = 600  # seconds after which nobody waits for an upload any more
SLICES = 24  # taken of a volume
METHODS = {
    "no heat map": None,
    "Grad-CAM": "grad-cam",
    "Grad-CAM++": "grad-cam++",
    "integrated gradients (slow)": "integrated-gradients",
}
ATTENTION = {"attention rollout": "attention-rollout", "attention relevance": "attention-relevance"}


class Opened(NamedTuple):
    """A trained model, loaded once."""

    model: Classifier
    card: ModelCard
    about: Description
    device: torch.device


class Scan(NamedTuple):
    """What is looked at: gray images (H, W), their names, and whether they are prepared already."""

    images: list[Gray]
    names: list[str]
    prepared: bool = False


@functools.lru_cache
def opened(recipe: str, root: Path) -> Opened:
    """Load a model; the second time it is there."""
    device = runtime.start()
    model, card = load(root / "models" / recipe, device)
    return Opened(model, card, read_description(root / "models" / recipe), device)


def recipes(root: Path) -> list[str]:
    """The recipes that have a trained model here.

    Raises:
        UserError: none has.
    """
    found = sorted(path.parent.name for path in root.glob("models/*/model.safetensors"))
    if not found:
        raise UserError("no trained model in models/: run `make repro`, or `dvc pull models/<recipe>`")
    return found


def examples(recipe: str, root: Path) -> dict[str, int]:
    """Two test images of each class by what they are called, where the recipe's images are here."""
    images, predictions = root / f"data/enhanced/{recipe}/images.npy", root / f"plots/{recipe}/predictions.csv"
    if not images.exists() or not predictions.exists():
        return {}
    import pandas as pd

    table = pd.read_csv(predictions, dtype={"label": str}, keep_default_na=False)
    table["nth"] = table.groupby("label").cumcount() + 1
    chosen = table[table["nth"] <= 2]
    return {f"{row.label}, test image {row.nth}": int(row.row) for row in chosen.itertuples()}  # type: ignore[arg-type]


def read_upload(path: str | None, plane: str) -> Scan | str | None:
    """Read an uploaded file into memory, and remove it from the disk; a text says why it could not be read."""
    if not path:
        return None
    try:
        found = slices(Path(path), plane, SLICES)
    finally:
        Path(path).unlink(missing_ok=True)
    error = next((each.error for each in found if each.error), "")
    if error or not found:
        return f"{Path(path).name} cannot be read: {error or 'it holds no image'}"
    return Scan([each.gray for each in found if each.gray is not None], [Path(each.file).name for each in found])


def sweep(folder: Path) -> None:
    """Remove files of uploads that were cut or never read."""
    for file in folder.rglob("*"):
        if file.is_file() and time.time() - file.stat().st_mtime > STALE:
            file.unlink(missing_ok=True)


def read_example(recipe: str, name: str, root: Path) -> Scan:
    """A test image of the recipe, as the model saw it."""
    images = np.load(root / f"data/enhanced/{recipe}/images.npy", mmap_mode="r")
    return Scan([np.array(images[examples(recipe, root)[name]])], [f"example: {name}"], True)


class View(NamedTuple):
    """All of a slice that is shown: the prepared image, its heat map (both (S, S)), words, and what was predicted."""

    image: Gray
    heat: Any
    words: str
    verdict: str
    probabilities: dict[str, float]


def look(scan: Scan, number: int, recipe: str, method: Method | None, root: Path) -> View:
    """Predict and explain one slice."""
    model, card, about, device = opened(recipe, root)
    gray = scan.images[number]
    image = gray if scan.prepared else enhance(gray, about.enhance.operations).image
    pixels = torch.from_numpy(image[None])
    p = ask_torch(model, card, device)(image[None])[0]
    strange = "" if scan.prepared else thumbnails(gray).doubt
    found = judge(scan.names[number], image, p, strange, about)
    heat = None
    if method is not None:
        target = torch.tensor([about.classes.index(found.predicted)])
        heat = normalize(explain(method, model, pixels, target, "fine", device).maps)[0]
    return View(image, heat, f"{scan.names[number]}, as the model sees it", verdict(found), dict(found.probabilities))


def methods(recipe: str, root: Path) -> dict[str, Any]:
    """The methods that a model's network has, by the names they are shown under."""
    backbone: Any = opened(recipe, root).model.backbone
    return METHODS | (ATTENTION if hasattr(backbone, "num_prefix_tokens") else {})


def card_text(recipe: str, root: Path) -> str:
    """The model card without its header."""
    path = root / f"reports/{recipe}/model_card.md"
    if not path.exists():
        return f"No model card here: `dvc repro stages/dvc.yaml:report@{recipe}` writes it."
    return path.read_text(encoding="utf-8").split("\n---\n", 1)[-1]


def build(root: Path, uploads: Path) -> Any:
    """The page; uploads go through a folder that it sweeps."""
    import gradio as gr

    names = recipes(root)
    first = "quickstart" if "quickstart" in names else names[0]
    with gr.Blocks(title="brain-tumor-mri", analytics_enabled=False, delete_cache=(60, 60)) as page:
        gr.Markdown("# brain-tumor-mri")
        note = gr.HTML(badge(opened(first, root).about.generated_data), elem_id="note")
        scan, view = gr.State(None, time_to_live=1800), gr.State(None, time_to_live=1800)
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                recipe = gr.Dropdown(names, value=first, label="Model (recipe)")
                # Of any name: DICOM files often have no suffix, and what is in a file is looked at.
                upload = gr.File(label="JPEG, PNG, DICOM or NIfTI", type="filepath", height=120)
                plane = gr.Radio(["axial", "coronal", "sagittal"], value="axial", label="Plane (volumes)")
                example = gr.Dropdown(list(examples(first, root)), value=None, label="or a test image")
                method = gr.Dropdown(
                    list(methods(first, root)), value="Grad-CAM", label="Heat map of the predicted class"
                )
                strength = gr.Slider(0, 1, 0.6, step=0.05, label="Heat map over the image")
                number = gr.Slider(1, 2, 1, step=1, label="Slice", visible=False)
            with gr.Column(scale=3, min_width=280):
                shown = gr.HTML(message(None))
            with gr.Column(scale=2, min_width=280):
                words = gr.HTML()
                label = gr.Label(label="Calibrated probabilities", num_top_classes=4)
        with gr.Accordion("Model card", open=False):
            about = gr.Markdown(card_text(first, root))

        def of_model(name: str) -> tuple[Any, ...]:
            known = methods(name, root)
            return (
                badge(opened(name, root).about.generated_data),
                card_text(name, root),
                gr.Dropdown(list(examples(name, root)), value=None),
                gr.Dropdown(list(known), value="Grad-CAM"),
            )

        def of_scan(found: Scan | str | None) -> tuple[Any, ...]:
            count = len(found.images) if isinstance(found, Scan) else 1
            return found, gr.Slider(1, max(2, count), (count + 1) // 2, step=1, visible=count > 1)

        def uploaded(path: str | None, which: str) -> tuple[Any, ...]:
            sweep(uploads)
            return of_scan(read_upload(path, which))

        def exemplified(name: str, which: str | None) -> tuple[Any, ...]:
            return of_scan(read_example(name, which, root) if which else None)

        def looked(found: Scan | str | None, place: float, name: str, how: str, much: float) -> tuple[Any, ...]:
            if not isinstance(found, Scan):
                return None, message(found), "", None
            number = min(int(place), len(found.images)) - 1
            try:
                made = look(found, number, name, methods(name, root).get(how), root)
            except Exception as error:  # of whatever was uploaded: nothing of the image before may stay on the page
                return None, message(f"{found.names[number]} cannot be shown: {error}"), "", None
            # Pictures and heat maps stay in memory: what goes to the page goes inside it.
            return made, picture(made.image, made.heat, much, made.words), made.verdict, made.probabilities

        def faded(made: View | None, much: float) -> Any:
            return gr.skip() if made is None else picture(made.image, made.heat, much, made.words)

        asked = ([scan, number, recipe, method, strength], [view, shown, words, label])
        recipe.change(of_model, [recipe], [note, about, example, method]).then(looked, *asked)
        upload.upload(uploaded, [upload, plane], [scan, number]).then(looked, *asked)
        example.input(exemplified, [recipe, example], [scan, number]).then(looked, *asked)
        number.release(looked, *asked)
        method.input(looked, *asked)
        strength.release(faded, [view, strength], [shown])
    return page


def main() -> None:
    """Serve the page on loopback until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=7860, help="default: %(default)s")
    given = parser.parse_args()
    try:
        # Gone when the app ends, however it is told to, and each file as soon as it is read.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with tempfile.TemporaryDirectory() as uploads:
            os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir = uploads
            page = build(Path(), Path(uploads))
            page.queue(max_size=32).launch(
                server_name="127.0.0.1",
                server_port=given.port,
                share=False,
                max_file_size=MOST_BYTES,
                footer_links=[],
                ssr_mode=False,
                enable_monitoring=False,
                css=STYLE,
            )
    except UserError as error:
        sys.exit(f"error: {error}")
    except ImportError as error:
        sys.exit(f"error: {error.name} is not installed: pip install '.[app]'")


if __name__ == "__main__":
    main()
