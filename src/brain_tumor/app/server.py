"""The app's page: predictions and heat maps of uploaded images. Not for clinical use."""

import os
from pathlib import Path
from typing import Any

# Before gradio is imported: it would report its use, and look for newer versions.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import gradio as gr

from brain_tumor.app.html import disclaimer_html, image_html, message_html
from brain_tumor.app.scans import (
    Scan,
    SliceView,
    list_examples,
    list_methods,
    list_recipes,
    load_model,
    predict_and_explain,
    read_example,
    read_model_card,
    read_upload,
    remove_stale_uploads,
)

DEFAULT_RECIPE, DEFAULT_METHOD, DEFAULT_OPACITY = "quickstart", "Grad-CAM", 0.6
SESSION_SECONDS = 1800  # after which the images of an idle page are dropped
CACHE_SECONDS = (60, 60)  # how often gradio removes its own copies of files, and from which age


class Callbacks:
    """Handlers of the page's events; their names are those of the app's API."""

    def __init__(self, root: Path, uploads: Path) -> None:
        self.root, self.uploads = root, uploads

    def on_model_change(self, recipe: str) -> tuple[Any, ...]:
        """Show the disclaimer, model card, test images and heat-map methods of a model."""
        return (
            disclaimer_html(load_model(recipe, self.root).description.generated_data),
            read_model_card(recipe, self.root),
            gr.Dropdown(list(list_examples(recipe, self.root)), value=None),
            gr.Dropdown(list(list_methods(recipe, self.root)), value=DEFAULT_METHOD),
        )

    def on_upload(self, path: str | None, plane: str) -> tuple[Any, ...]:
        """Read an uploaded file."""
        remove_stale_uploads(self.uploads)
        return self._show_scan(read_upload(path, plane))

    def on_example(self, recipe: str, name: str | None) -> tuple[Any, ...]:
        """Read a test image."""
        return self._show_scan(read_example(recipe, name, self.root) if name else None)

    def _show_scan(self, scan: Scan | str | None) -> tuple[Any, ...]:
        count = len(scan.images) if isinstance(scan, Scan) else 1
        return scan, gr.Slider(1, max(2, count), (count + 1) // 2, step=1, visible=count > 1)

    def on_predict(
        self, scan: Scan | str | None, number: float, recipe: str, method: str, opacity: float
    ) -> tuple[Any, ...]:
        """Predict the slice of this number, counted from 1, and show it with its heat map."""
        if not isinstance(scan, Scan):
            return None, message_html(scan), "", None
        position = min(int(number), len(scan.images)) - 1
        try:
            attribution_method = list_methods(recipe, self.root).get(method)
            view = predict_and_explain(scan, position, recipe, attribution_method, self.root)
        except Exception as error:  # any upload may fail: nothing of the previous image may stay on the page
            return None, message_html(f"{scan.names[position]} cannot be shown: {error}"), "", None
        # Images and heat maps stay in memory: the page contains them, and no file is written.
        image = image_html(view.image, view.heat, opacity, view.caption)
        return view, image, view.prediction, view.probabilities

    def on_opacity_change(self, view: SliceView | None, opacity: float) -> Any:
        """Show the same slice with another opacity of its heat map."""
        return gr.skip() if view is None else image_html(view.image, view.heat, opacity, view.caption)


def build_page(root: Path, uploads: Path) -> Any:
    """Build the page.

    Args:
        root: root folder of the repository, with models/.
        uploads: folder of uploaded files, from which stale ones are removed.

    Raises:
        UserError: there is no trained model.
    """
    names = list_recipes(root)
    first = DEFAULT_RECIPE if DEFAULT_RECIPE in names else names[0]
    callbacks = Callbacks(root, uploads)
    with gr.Blocks(title="brain-tumor-mri", analytics_enabled=False, delete_cache=CACHE_SECONDS) as page:
        gr.Markdown("# brain-tumor-mri")
        disclaimer = gr.HTML(disclaimer_html(load_model(first, root).description.generated_data), elem_id="note")
        scan, view = (gr.State(None, time_to_live=SESSION_SECONDS) for _ in range(2))
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                recipe = gr.Dropdown(names, value=first, label="Model (recipe)")
                # Any file name: DICOM files often have no suffix, and the content decides.
                upload = gr.File(label="JPEG, PNG, DICOM or NIfTI", type="filepath", height=120)
                plane = gr.Radio(["axial", "coronal", "sagittal"], value="axial", label="Plane (volumes)")
                example = gr.Dropdown(
                    list(list_examples(first, root)), value=None, label="Test image (instead of a file)"
                )
                methods = list(list_methods(first, root))
                method = gr.Dropdown(methods, value=DEFAULT_METHOD, label="Heat map of the predicted class")
                opacity = gr.Slider(0, 1, DEFAULT_OPACITY, step=0.05, label="Opacity of the heat map")
                number = gr.Slider(1, 2, 1, step=1, label="Slice", visible=False)
            with gr.Column(scale=3, min_width=280):
                image = gr.HTML(message_html(None))
            with gr.Column(scale=2, min_width=280):
                prediction = gr.HTML()
                probabilities = gr.Label(label="Calibrated probabilities", num_top_classes=4)
        with gr.Accordion("Model card", open=False):
            model_card = gr.Markdown(read_model_card(first, root))

        inputs, outputs = [scan, number, recipe, method, opacity], [view, image, prediction, probabilities]
        predict = (callbacks.on_predict, inputs, outputs)
        model_outputs = [disclaimer, model_card, example, method]
        recipe.change(callbacks.on_model_change, [recipe], model_outputs).then(*predict)
        upload.upload(callbacks.on_upload, [upload, plane], [scan, number]).then(*predict)
        example.input(callbacks.on_example, [recipe, example], [scan, number]).then(*predict)
        number.release(*predict)
        method.input(*predict)
        opacity.release(callbacks.on_opacity_change, [view, opacity], [image])
    return page
