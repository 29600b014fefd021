"""Heat maps that `brain-tumor predict --heat-maps` writes; needs torch."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from brain_tumor.attribution.methods import Method
from brain_tumor.core.types import Gray, Maps
from brain_tumor.inference.heat_maps import compute_heat_map
from brain_tumor.inference.predictor import Prediction, PreparedImage
from brain_tumor.inference.torch_model import TorchModel
from brain_tumor.plotting.contact_sheets import overlay

MAX_STEM_LETTERS = 80  # of a file's name; longer ones are cut
PANEL_PIXELS = 320  # side of the image and of its heat map in the picture
GAP_PIXELS, BAR_PIXELS, LINE_PIXELS, FONT_PIXELS = 8, 12, 20, 14
MAX_CAPTION_LETTERS = 76


class HeatMapWriter:
    """Writes pictures of images beside the heat map of their predicted class into a folder."""

    def __init__(self, folder: Path, method: Method, model: TorchModel) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.method, self.model = folder, method, model
        self.names: Counter[str] = Counter()  # how often each name was used, in lower case

    def write(self, item: PreparedImage, prediction: Prediction) -> None:
        """Write the heat map of an image, unless the image has an error or is rejected.

        Raises:
            UserError: the method is not defined for this network, or its values are not finite.
        """
        if item.image is None or not prediction.accepted:
            return
        heat = compute_heat_map(self.model, item.image, prediction.predicted, self.method)
        captions = [
            f"{item.path.name}{image_suffix(item)}",
            f"{prediction.predicted}, probability {prediction.probabilities[prediction.predicted]:.0%}",
            f"{self.method} of the model {self.model.description.recipe}. Not for clinical use.",
        ]
        picture = draw_heat_map(item.image, heat, captions)
        picture.save(self.folder / self._distinct(heat_map_name(item, prediction.predicted, self.method)))

    def _distinct(self, name: str) -> str:
        """Add a number to a name that was used before: files of different folders may have the same name."""
        self.names[name.lower()] += 1
        count = self.names[name.lower()]
        return f"{name}.png" if count == 1 else f"{name}-{count}.png"


def image_suffix(item: PreparedImage) -> str:
    """Return what tells an image from the others of its file, as `.axial-017`; '' if the file has one image."""
    return item.file.removeprefix(str(item.path))


def heat_map_name(item: PreparedImage, label: str, method: Method) -> str:
    """Name a heat map by file, slice, class and method, without the suffix."""
    name = item.path.name.removesuffix(".gz")
    suffix = item.path.with_name(name).suffix
    stem = name.removesuffix(suffix) if suffix[1:2].isalpha() else name  # DICOM files may have numbers as names
    parts = [stem[:MAX_STEM_LETTERS], image_suffix(item).removeprefix("."), label, method]
    joined = "-".join(part for part in parts if part)
    return "".join(letter if letter.isalnum() or letter in " -_+" else "_" for letter in joined)


def draw_heat_map(image: Gray, heat: Maps, captions: list[str]) -> Image.Image:
    """Draw an image (S, S) beside its heat map (S, S), 0 to 1, above a color scale and captions."""
    side, margin = PANEL_PIXELS, GAP_PIXELS
    width = 2 * side + 3 * margin
    top = side + 2 * margin
    height = top + LINE_PIXELS * (len(captions) + 1) + margin
    picture = Image.new("RGB", (width, height), "white")
    for position, panel in enumerate((np.repeat(image[:, :, None], 3, 2), overlay(image, heat))):
        scaled = Image.fromarray(panel).resize((side, side), Image.Resampling.BICUBIC)
        picture.paste(scaled, (margin + position * (side + margin), margin))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_PIXELS)
    left, bar = side + 2 * margin, side - 150
    draw.text((left, top), "low", "black", font)
    draw.text((left + 40 + bar + 8, top), "high relevance", "black", font)
    ramp = np.repeat(np.linspace(0, 1, bar, dtype=np.float32)[None], BAR_PIXELS, 0)
    picture.paste(Image.fromarray(overlay(np.zeros((BAR_PIXELS, bar), np.uint8), ramp)), (left + 40, top + 3))
    for number, caption in enumerate(captions):
        cut = caption if len(caption) <= MAX_CAPTION_LETTERS else caption[: MAX_CAPTION_LETTERS - 1] + "…"
        shown = "".join(letter if letter.isprintable() else "?" for letter in cut)
        draw.text((margin, top + LINE_PIXELS * (number + 1)), shown, "black", font)
    return picture
