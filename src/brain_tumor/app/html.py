"""HTML of an image, its heat map and its prediction."""

import base64
import html
import io

import matplotlib as mpl
import numpy as np
from PIL import Image

from brain_tumor.core.types import Gray, Maps
from brain_tumor.inference.predictor import GENERATED, Prediction
from brain_tumor.plotting.contact_sheets import HEAT_COLORMAP, overlay

NOT_CLINICAL = "Not for clinical use. Research software; its output is not a diagnosis."
NUM_COLOR_STEPS = 10  # of the color scale


def image_html(image: Gray, heat: Maps | None, opacity: float, caption: str) -> str:
    """Return an HTML figure of an image, its heat map and the color scale.

    Args:
        image: (S, S).
        heat: (S, S), 0 to 1; None for only the image.
        opacity: opacity of the heat map, 0 to 1.
        caption: plain text under the image.
    """
    text, source = html.escape(caption), _encode_png(_blend(image, heat, opacity))
    scale = (
        ""
        if heat is None
        else f'<div class="scale"><span>low</span><i style="{_color_gradient()}"></i><span>high relevance</span></div>'
    )
    picture = f'<img alt="{text}" src="data:image/png;base64,{source}">'
    return f'<figure class="scan">{picture}{scale}<figcaption>{text}</figcaption></figure>'


def _blend(image: Gray, heat: Maps | None, opacity: float) -> Gray:
    """Blend an image (S, S) with its heat map: RGB (S, S, 3)."""
    gray = np.repeat(image[:, :, None], 3, 2)
    if heat is None:
        return gray
    return np.rint(gray * (1 - opacity) + overlay(image, heat) * opacity).astype(np.uint8)


def _color_gradient() -> str:
    colors = [
        mpl.colors.to_hex(mpl.colormaps[HEAT_COLORMAP](step / NUM_COLOR_STEPS)) for step in range(NUM_COLOR_STEPS + 1)
    ]
    return f"background: linear-gradient(90deg, {', '.join(colors)})"


def _encode_png(pixels: Gray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def disclaimer_html(generated: bool) -> str:
    """Return the disclaimer, with a warning for a model that was trained on generated images."""
    lines = [f'<p class="note"><strong>{NOT_CLINICAL}</strong></p>']
    if generated:
        lines.append(f'<p class="flag" role="alert"><strong>Generated images.</strong> {GENERATED}</p>')
    return "".join(lines)


def message_html(problem: str | None) -> str:
    """Return a message in the position of the image: an error, or without one what to do first."""
    if problem:
        return f'<p class="warn" role="alert">{html.escape(problem)}</p>'
    return "<p>Upload an image, or choose a test image.</p>"


def prediction_html(prediction: Prediction) -> str:
    """Return the class, its probability, the prediction set and the warnings as HTML."""
    if prediction.error:
        return f'<p class="warn">{html.escape(prediction.error)}</p>'
    certainty = max(prediction.probabilities.values())
    lines = [f"<p><strong>{html.escape(prediction.predicted)}</strong>, probability {certainty:.0%}</p>"]
    if prediction.prediction_set:
        labels = html.escape(", ".join(prediction.prediction_set))
        lines.append(
            f"<p>90 % prediction set: {labels}. Of images like those of the conformal part, "
            "9 in 10 have their true class in this set.</p>"
        )
    lines += [f'<p class="warn">{html.escape(warning)}</p>' for warning in prediction.warnings]
    return "".join(lines)


STYLE = """
.scan { margin: 0; } .scan img { width: 100%; max-width: 560px; display: block; margin: 0 auto; border-radius: 6px; }
.scan figcaption { text-align: center; font-size: .85rem; opacity: .75; padding-top: 4px; overflow-wrap: anywhere; }
.scale { display: flex; gap: 8px; align-items: center; max-width: 560px; margin: 6px auto 0; font-size: .8rem; }
.scale i { flex: 1; height: 10px; border-radius: 5px; }
#note { position: sticky; top: 0; z-index: 20; }
.note, .flag, .warn { border-radius: 6px; padding: 8px 12px; margin: 4px 0; color: #1c2733; }
.note { background: #eef3f8; border: 1px solid #c8d6e4; }
.flag { background: #b91c1c; border: 1px solid #7f1d1d; color: #fff; }
.flag strong { color: #fff; } .note strong { color: #1c2733; }
.warn { background: #fdeec9; border: 1px solid #e0bd62; }
"""
