"""Images and charts as parts of a page: WebP data, and SVG elements."""

import base64
import re
from io import BytesIO

from PIL import Image

from brain_tumor.core.types import Gray

WEBP_QUALITY = 80
MAX_SHEET_PIXELS = 1500  # width of a contact sheet


def encode_webp(pixels: Gray | Image.Image) -> str:
    """Encode an image, (H, W, 3) or of Pillow, as a WebP data URI."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=WEBP_QUALITY, method=6)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def shrink_sheet(png: bytes) -> str:
    """Convert the PNG file of a contact sheet to a WebP data URI of at most MAX_SHEET_PIXELS width."""
    image = Image.open(BytesIO(png)).convert("RGB")
    if image.width > MAX_SHEET_PIXELS:
        image = image.resize(
            (MAX_SHEET_PIXELS, round(image.height * MAX_SHEET_PIXELS / image.width)), Image.Resampling.LANCZOS
        )
    return encode_webp(image)


def inline_svg(svg: str, name: str) -> str:
    """Make an SVG file of `plotting.style.save_chart` an element of a page.

    Its ids get the name of the chart, because ids are unique within a page; black becomes the color of the page's text.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\g<1>#{name}-", svg).replace("#000000", "currentColor")
    svg = re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", svg, count=1)
    svg = svg.replace("<title>", f'<title id="{name}-title">', 1).replace("<desc>", f'<desc id="{name}-text">', 1)
    return svg.replace("<svg ", f'<svg role="img" aria-labelledby="{name}-title {name}-text" ', 1)
