"""What the app shows of an image, a prediction and a heat map: pure functions, without the app."""

import base64
import html
import io

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.prediction import GENERATED, Prediction
from brain_tumor.sheets import HEAT, overlay

Gray = NDArray[np.uint8]
Maps = NDArray[np.float32]
NOT_CLINICAL = "Not for clinical use. Research software; its output is no diagnosis."
STEPS = 10  # of the scale's colors


def picture(image: Gray, heat: Maps | None, strength: float, words: str) -> str:
    """An HTML figure: the image (S, S) with its heat map (S, S; 0 to 1) over it, and the scale of colors.

    Args:
        strength: 0 shows the image alone, 1 the hottest places in full color.
        words: under the image.
    """
    shown = f'<img alt="{html.escape(words)}" src="data:image/png;base64,{_png(_mixed(image, heat, strength))}">'
    scale = (
        ""
        if heat is None
        else f'<div class="scale"><span>low</span><i style="{_colors()}"></i><span>high relevance</span></div>'
    )
    return f'<figure class="scan">{shown}{scale}<figcaption>{html.escape(words)}</figcaption></figure>'


def _mixed(image: Gray, heat: Maps | None, strength: float) -> Gray:
    gray = np.repeat(image[:, :, None], 3, 2)
    if heat is None:
        return gray
    return np.rint(gray * (1 - strength) + overlay(image, heat) * strength).astype(np.uint8)


def _colors() -> str:
    colors = [mpl.colors.to_hex(mpl.colormaps[HEAT](step / STEPS)) for step in range(STEPS + 1)]
    return f"background: linear-gradient(90deg, {', '.join(colors)})"


def _png(pixels: Gray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def badge(generated: bool) -> str:
    """The line that is always there, and the red one for a model that has seen no patient."""
    lines = [f'<p class="note"><strong>{NOT_CLINICAL}</strong></p>']
    if generated:
        lines.append(f'<p class="flag" role="alert"><strong>Generated images.</strong> {GENERATED}</p>')
    return "".join(lines)


def message(problem: str | None) -> str:
    """What stands where the image would be: what went wrong with it, or what to do first."""
    if problem:
        return f'<p class="warn" role="alert">{html.escape(problem)}</p>'
    return "<p>Upload an image, or choose a test image.</p>"


def verdict(found: Prediction) -> str:
    """A prediction in words, with what speaks against it."""
    if found.error:
        return f'<p class="warn">{html.escape(found.error)}</p>'
    certainty = max(found.probabilities.values())
    lines = [f"<p><strong>{html.escape(found.predicted)}</strong>, {certainty:.0%} certain</p>"]
    if found.likely:
        words = "Set that holds the class in 9 of 10 images like those of validation"
        lines.append(f"<p>{words}: {html.escape(', '.join(found.likely))}</p>")
    lines += [f'<p class="warn">{html.escape(warning)}</p>' for warning in found.warnings]
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
