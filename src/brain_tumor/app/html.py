"""HTML of an image, its heat map and its prediction."""

import base64
import html
import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from PIL import Image

from brain_tumor.core.types import Gray, Maps
from brain_tumor.inference.predictor import GENERATED, Prediction
from brain_tumor.plotting.contact_sheets import HEAT_COLORMAP, overlay

NOT_CLINICAL = "Not for clinical use. Research software; its output is not a diagnosis."
NUM_COLOR_STEPS = 10  # of the color scale
TRUSTWORTHY, NOT_MEASURED = "trustworthy", "not measured"  # beginning of a good verdict; verdict without measurement
THUMBNAIL_PIXELS = 66
_SMALL_DISCLAIMER = f'<p class="small">{NOT_CLINICAL}</p>'  # below each answer: on a phone, the top is out of view
MAX_CLASSES = 20  # whose probabilities are listed


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
    """Return a message in the position of the answer: an error, or without one what to do first."""
    if problem:
        return f'<p class="warn" role="alert">{html.escape(problem)}</p>'
    return "<p>Upload an image, or choose a test image.</p>"


def status_html(text: str, warning: bool = False) -> str:
    """Return a line on what the app is doing, or on a check that is missing; '' for no text."""
    kind = "warn" if warning else "note"
    return f'<p class="{kind}" role="status">{html.escape(text)}</p>' if text else ""


def prediction_html(prediction: Prediction) -> str:
    """Return what the model says about an image: first what speaks against an answer, then the answer.

    A rejected image has no answer: neither class nor probabilities are shown.
    """
    if prediction.error:
        return message_html(prediction.error)
    warnings = "".join(f'<p class="warn">{html.escape(_sentence(warning))}</p>' for warning in prediction.warnings)
    if not prediction.accepted:
        first, _, detail = prediction.reasons[0].partition(": ")
        more = [text for text in (detail, *prediction.reasons[1:]) if text]
        title = f"<p><strong>No answer: {html.escape(first)}</strong></p>"
        details = "".join(f"<p>{html.escape(_sentence(text))}</p>" for text in more)
        return f'<div class="reject" role="alert">{title}{details}</div>{warnings}{_SMALL_DISCLAIMER}'
    # The class is written large only where nothing speaks against it.
    kind = "answer unsure" if prediction.warnings else "answer"
    certainty = max(prediction.probabilities.values())
    lines = [
        warnings,
        f'<p class="{kind}"><strong>{html.escape(prediction.predicted)}</strong>, probability {certainty:.0%}</p>',
        _probability_table(prediction),
    ]
    if prediction.prediction_set:
        labels = html.escape(", ".join(prediction.prediction_set))
        lines.append(
            f"<p>90 % prediction set: {labels}. Of images like those of the conformal part, "
            "9 in 10 have their true class in this set.</p>"
        )
    return "".join([*lines, _SMALL_DISCLAIMER])


def _probability_table(prediction: Prediction) -> str:
    """Return calibrated probabilities with bars, the highest first."""
    ordered = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    rows = "".join(
        f'<tr><th scope="row">{html.escape(label)}</th><td><i style="width: {value:.0%}"></i></td>'
        f"<td>{value:.1%}</td></tr>"
        for label, value in ordered[:MAX_CLASSES]
    )
    return f'<table class="probabilities"><caption>Calibrated probabilities</caption>{rows}</table>'


def verdict_html(method: str, verdict: str, failed: Sequence[str]) -> str:
    """Return what the checks of stage `explain` say about a method's maps for this model."""
    trusted = verdict.startswith(TRUSTWORTHY)
    text = f"<strong>{html.escape(method)}, for this model: {html.escape(verdict)}.</strong>"
    if failed:
        text += f" Failed checks: {html.escape('; '.join(failed))}."
    if verdict == NOT_MEASURED:
        text += " Stage explain measures it; until then, the map is no evidence of what the model uses."
    elif not trusted:
        text += " The map alone is not evidence of what the model uses."
    return f'<p class="{"note" if trusted else "warn"}">{text}</p>'


def thumbnail(image: Gray) -> str:
    """Return a small picture of an image (S, S) as the address of an image element."""
    small = Image.fromarray(image).resize((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BOX)
    return f"data:image/png;base64,{_encode_png(np.asarray(small))}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


# Thumbnails: buttons that hand over the name of a test image. Their labels are escaped here.
EXAMPLES_TEMPLATE = """<p>${(items || []).length ? "Or choose a test image:" : ""}</p>
<div class="examples" role="group" aria-label="Test images">${
(items || []).map((item, index) => '<button type="button" data-index="' + index + '" aria-pressed="' +
(item.name === value) + '"><img alt="" src="' + item.source + '"><span>' + item.label + '</span></button>').join("")
}</div>"""
EXAMPLES_SCRIPT = """element.addEventListener('click', event => {
    const button = event.target.closest('button[data-index]');
    if (!button) return;
    props.value = props.items[Number(button.dataset.index)].name;
    trigger('submit');
});"""
# On a phone, the answer is brought into view.
SHOW_ANSWER = """() => {
    if (window.innerWidth < 700) document.getElementById('answer').scrollIntoView({block: 'start'});
}"""
STYLE = """
.scan { margin: 0; } .scan img { width: 100%; max-width: 480px; display: block; margin: 0 auto; border-radius: 6px; }
.scan figcaption { text-align: center; font-size: .85rem; opacity: .75; padding-top: 4px; overflow-wrap: anywhere; }
.scale { display: flex; gap: 8px; align-items: center; max-width: 480px; margin: 6px auto 0; font-size: .8rem; }
.scale i { flex: 1; height: 10px; border-radius: 5px; }
#note { position: sticky; top: 0; z-index: 20; }
#answer { scroll-margin-top: 110px; }
.note, .flag, .warn, .reject { border-radius: 6px; padding: 8px 12px; margin: 4px 0; color: #1c2733; }
.note strong, .warn strong, .reject strong { color: #1c2733; }
.note { background: #eef3f8; border: 1px solid #c8d6e4; }
.flag { background: #b91c1c; border: 1px solid #7f1d1d; color: #fff; }
.flag strong { color: #fff; }
.warn { background: #fdeec9; border: 1px solid #e0bd62; overflow-wrap: anywhere; }
.reject { background: #fde2e2; border: 1px solid #c24141; }
.reject p { color: #1c2733; margin: 2px 0; }
.answer { font-size: 1.35rem; margin: 6px 0; } .answer.unsure { font-size: 1rem; }
.probabilities { width: 100%; border-collapse: collapse; font-size: .9rem; margin: 4px 0 8px; }
.probabilities caption { text-align: left; opacity: .75; }
.probabilities tr, .probabilities th, .probabilities td { border: 0 !important; padding: 2px 8px 2px 0 !important; }
.probabilities th { text-align: left; font-weight: normal; white-space: nowrap; width: 1%; }
.probabilities td:last-child { text-align: right; width: 4em; font-variant-numeric: tabular-nums; }
.probabilities i { display: block; height: 10px; border-radius: 5px; background: #4a7fb5; min-width: 1px; }
.small { font-size: .8rem; opacity: .75; }
.examples { display: flex; flex-wrap: wrap; gap: 6px; }
.examples button { width: 76px; padding: 3px; border: 2px solid transparent; border-radius: 6px; cursor: pointer;
    font-size: .7rem; font-weight: normal; line-height: 1.15; color: inherit; overflow-wrap: anywhere; }
.examples button[aria-pressed=true], .examples button:focus-visible { border-color: #4a7fb5; outline: none; }
.examples img { margin: 0; width: 66px; height: 66px; border-radius: 4px; }
@media (max-width: 700px) { .examples { flex-wrap: nowrap; overflow-x: auto; } .examples button { flex: none; } }
"""
