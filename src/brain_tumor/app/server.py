"""The app's page: predictions and heat maps of uploaded images. Not for clinical use.

Neither torch nor a model is loaded when the page is built: the page shows at once, and says what it waits for.
"""

import html
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before gradio is imported: it would report its use, and look for newer versions.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import gradio as gr

from brain_tumor.app.html import (
    EXAMPLES_SCRIPT,
    EXAMPLES_TEMPLATE,
    SHOW_ANSWER,
    disclaimer_html,
    image_html,
    message_html,
    prediction_html,
    status_html,
    thumbnail,
    verdict_html,
)
from brain_tumor.app.recipes import (
    METHODS,
    list_examples,
    list_methods,
    list_recipes,
    load_model,
    read_example,
    read_model_card,
    read_verdict,
)
from brain_tumor.app.scans import DIRECTIONS, Scan, SliceView, open_example, open_upload, predict_and_explain
from brain_tumor.app.upload_reader import PLANES
from brain_tumor.export.onnx_model import read_description

DEFAULT_RECIPE, DEFAULT_METHOD, DEFAULT_OPACITY = "quickstart", "Grad-CAM", 0.6
SESSION_SECONDS = 1800  # after which the images of an idle page are dropped
CACHE_SECONDS = (60, 60)  # how often gradio removes its own copies of files, and from which age
MAX_FILES_READ_TOGETHER = 2
LOADING = "PyTorch and the model {} are being loaded. This takes some seconds, and only the first time."


class Callbacks:
    """Handlers of the page's events; their names are those of the app's API."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def on_open(self, recipe: str) -> Iterator[tuple[Any, ...]]:
        """Say that the model is being loaded; then show which heat maps and checks it has."""
        yield gr.skip(), status_html(LOADING.format(recipe))
        try:
            model = load_model(recipe, self.root)
        except Exception as error:  # a damaged model must not leave the message of its loading on the page
            yield gr.skip(), message_html(f"the model {recipe} cannot be loaded: {error}")
            return
        missing = (
            "The check for images unlike the training images is missing: its reference is made by "
            f"`dvc repro stages/dvc.yaml:export@{recipe}`."
        )
        note = "" if model.description.ood_reference else status_html(missing, warning=True)
        yield gr.Dropdown(list(list_methods(recipe, self.root)), value=DEFAULT_METHOD), note

    def on_model_change(self, recipe: str) -> tuple[Any, ...]:
        """Show the disclaimer, model card and test images of a model; an example of another model is dropped."""
        description = read_description(self.root / "models" / recipe)
        card, examples = read_model_card(recipe, self.root), self.list_thumbnails(recipe)
        return disclaimer_html(description.generated_data), card, gr.HTML(value="", items=examples)

    def list_thumbnails(self, recipe: str) -> list[dict[str, str]]:
        """List the test images with their names, labels and small pictures."""
        return [
            {
                "name": name,
                "label": html.escape(name.replace(", test image", "")),
                "source": thumbnail(read_example(recipe, name, self.root)),
            }
            for name in list_examples(recipe, self.root)
        ]

    def on_upload(self, path: str | None) -> tuple[Any, ...]:
        """Read an uploaded file; a chosen test image is dropped."""
        scan = open_upload(path)
        return *self._show_scan(scan), "", message_html(scan if isinstance(scan, str) else None)

    def on_example(self, recipe: str, name: str) -> tuple[Any, ...]:
        """Read a test image; an uploaded file is dropped."""
        return *self._show_scan(open_example(recipe, name, self.root) if name else None), None

    def on_plane_change(self, scan: Scan | str | None, plane: str) -> Any:
        """Go to the middle slice of a plane."""
        return self._slider(scan, plane)

    def _show_scan(self, scan: Scan | str | None) -> tuple[Any, ...]:
        planes = scan.planes if isinstance(scan, Scan) else []
        return scan, gr.Radio(value=PLANES[0], visible=bool(planes)), self._slider(scan, PLANES[0])

    def _slider(self, scan: Scan | str | None, plane: str) -> Any:
        count = len(scan.slices(plane)) if isinstance(scan, Scan) else 1
        named = f"Slice, {DIRECTIONS[plane]}" if isinstance(scan, Scan) and scan.planes else "Image of the file"
        return gr.Slider(1, max(2, count), (count + 1) // 2, step=1, visible=count > 1, label=named)

    def on_predict(
        self, scan: Scan | str | None, plane: str, number: float, recipe: str, method: str, opacity: float
    ) -> tuple[Any, ...]:
        """Predict the slice of this number, counted from 1, and show it with its heat map."""
        if not isinstance(scan, Scan):
            return None, "", message_html(scan), ""
        position = max(1, min(int(number), len(scan.slices(plane))))
        try:
            attribution_method = list_methods(recipe, self.root).get(method)
            view = predict_and_explain(scan, plane, position, recipe, attribution_method, self.root)
        except Exception as error:  # any upload may fail: nothing of the previous image may stay on the page
            return None, "", message_html(f"{scan.describe(plane, position)} cannot be shown: {error}"), ""
        verdict = ""
        if view.heat is not None and attribution_method is not None:
            verdict = verdict_html(method, *read_verdict(recipe, attribution_method, self.root))
        # Images and heat maps stay in memory: the page contains them, and no file is written.
        image = image_html(view.image, view.heat, opacity, view.caption)
        return view, image, prediction_html(view.prediction), verdict

    def on_opacity_change(self, view: SliceView | None, opacity: float) -> Any:
        """Show the same slice with another opacity of its heat map."""
        return gr.skip() if view is None else image_html(view.image, view.heat, opacity, view.caption)


def build_page(root: Path) -> Any:
    """Build the page.

    Args:
        root: root folder of the repository, with models/.

    Raises:
        UserError: there is no trained model.
    """
    names = list_recipes(root)
    first = first_recipe(root)
    callbacks = Callbacks(root)
    with gr.Blocks(title="brain-tumor-mri", analytics_enabled=False, delete_cache=CACHE_SECONDS) as page:
        gr.Markdown("# brain-tumor-mri")
        disclaimer = gr.HTML(disclaimer_html(read_description(root / "models" / first).generated_data), elem_id="note")
        scan, view = (gr.State(None, time_to_live=SESSION_SECONDS) for _ in range(2))
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                recipe = gr.Dropdown(names, value=first, label="Model (recipe)", visible=len(names) > 1)
                # Any file name: DICOM files often have no suffix, and the content decides.
                upload = gr.File(label="JPEG, PNG, DICOM or NIfTI", type="filepath", height=120)
                example = gr.HTML(
                    "",
                    html_template=EXAMPLES_TEMPLATE,
                    js_on_load=EXAMPLES_SCRIPT,
                    items=callbacks.list_thumbnails(first),
                )
            with gr.Column(scale=5, min_width=280):
                status = gr.HTML()
                prediction = gr.HTML(message_html(None), elem_id="answer")
                with gr.Row():
                    with gr.Column(scale=3, min_width=280):
                        plane = gr.Radio(list(PLANES), value=PLANES[0], label="Plane", visible=False)
                        number = gr.Slider(1, 2, 1, step=1, label="Slice", visible=False)
                        image = gr.HTML()
                    with gr.Column(scale=2, min_width=240):
                        verdict = gr.HTML()
                        method = gr.Dropdown(
                            list(METHODS), value=DEFAULT_METHOD, label="Heat map of the predicted class"
                        )
                        opacity = gr.Slider(0, 1, DEFAULT_OPACITY, step=0.05, label="Opacity of the heat map")
        with gr.Accordion("Model card", open=False):
            model_card = gr.Markdown(read_model_card(first, root))

        inputs = [scan, plane, number, recipe, method, opacity]
        predict = (callbacks.on_predict, inputs, [view, image, prediction, verdict])
        shown = [scan, plane, number]
        page.load(callbacks.on_open, [recipe], [method, status])
        recipe.change(callbacks.on_model_change, [recipe], [disclaimer, model_card, example]).then(
            callbacks.on_open, [recipe], [method, status], api_visibility="private"
        ).then(*predict)
        uploading = gr.on(
            [upload.upload, upload.clear],
            callbacks.on_upload,
            [upload],
            [*shown, example, prediction],
            concurrency_limit=MAX_FILES_READ_TOGETHER,
            api_name="on_upload",
        )
        uploading.then(*predict).then(None, js=SHOW_ANSWER)
        # A file that is still being read must not replace the test image later.
        choosing = example.submit(callbacks.on_example, [recipe, example], [*shown, upload], cancels=[uploading])
        choosing.then(*predict).then(None, js=SHOW_ANSWER)
        plane.input(callbacks.on_plane_change, [scan, plane], [number]).then(*predict)
        number.input(*predict, trigger_mode="always_last")
        method.input(*predict)
        opacity.release(callbacks.on_opacity_change, [view, opacity], [image])
    return page


def first_recipe(root: Path) -> str:
    """Return the recipe that the page shows first."""
    names = list_recipes(root)
    return DEFAULT_RECIPE if DEFAULT_RECIPE in names else names[0]
