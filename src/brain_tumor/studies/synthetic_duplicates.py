"""Synthetic duplicates: altered and transformed copies of images, and the audit's recall and precision on them."""

import io
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter

from brain_tumor.audit.groups import DUPLICATE_KINDS
from brain_tumor.audit.inspection import ImageRecord
from brain_tumor.audit.near_duplicates import find_components, find_near_duplicates
from brain_tumor.audit.transforms import TRANSFORMS, apply_transform
from brain_tumor.core.types import Gray
from brain_tumor.imaging.encode import encode_image

Alteration = Callable[[Gray, np.random.Generator], Gray]
MAX_ORIGINALS = 480
MIN_RESCALED_PIXELS = 32  # shortest side of a rescaled duplicate
MIN_FONT_PIXELS = 9


def choose_originals(table: pd.DataFrame, links: pd.DataFrame) -> list[str]:
    """Choose up to MAX_ORIGINALS images, no two of which are linked by what they show, directly or through others.

    Args:
        table: an audit's images, with columns path, sha256 and problem.
        links: its links, with columns first, second and kind. Patients and series do not count.

    Returns:
        Paths at even steps through the images, sorted by content: of linked images the first one.
    """
    usable = table[table["problem"] == ""].sort_values("sha256", ignore_index=True)
    rows = pd.Series(usable.index, usable["path"])
    by_content = links[links["kind"].isin((*DUPLICATE_KINDS, "adjacent"))]
    by_content = by_content[by_content["first"].isin(rows.index) & by_content["second"].isin(rows.index)]
    ends = np.stack([by_content[side].map(rows).to_numpy(np.int64) for side in ("first", "second")], axis=1)
    component = pd.Series(find_components(ends, len(usable)))
    paths = usable.loc[~component.duplicated(), "path"]
    return paths.iloc[np.unique(np.linspace(0, len(paths) - 1, MAX_ORIGINALS).round().astype(int))].tolist()


def transform_for_index(index: int) -> int:
    """Return the number of the transform of duplicate `index`, so that all eight are equally frequent."""
    return index % len(TRANSFORMS)


def make_duplicate(gray: Gray, alteration: str, index: int) -> bytes:
    """Transform an (H, W) image, alter it, and encode it as a PNG file.

    Args:
        gray: the original.
        alteration: a key of ALTERATIONS.
        index: determines the transform and, with the alteration, the random numbers.
    """
    random = np.random.default_rng([index, list(ALTERATIONS).index(alteration)])
    return encode_image(ALTERATIONS[alteration](apply_transform(gray, transform_for_index(index)), random))


def detect_duplicates(
    originals: Sequence[ImageRecord], duplicates: Sequence[ImageRecord], first_index: int
) -> pd.DataFrame:
    """Run near-duplicate detection on originals and their duplicates together.

    Args:
        originals, duplicates: (N,) usable images; duplicate n is that of original n.
        first_index: the index of the first duplicate, see `make_duplicate`.

    Returns:
        One row per duplicate: transform; is_detected (it is in one class with its original); num_joined (other images
        in its class) and num_correct (those of them that are its original).
    """
    thumbnails = [record.thumbnails for record in (*originals, *duplicates)]
    frames, heads = (np.stack([getattr(pair, kind) for pair in thumbnails]) for kind in ("frame", "head"))
    links = find_near_duplicates(frames, heads, "synthetic duplicates")
    links = links[links["kind"] == "duplicate"]
    count = len(originals)
    component = find_components(links[["first", "second"]].to_numpy(np.int64), 2 * count)
    sizes = np.bincount(component)
    is_detected = component[:count] == component[count:]
    return pd.DataFrame(
        {
            "transform": [TRANSFORMS[transform_for_index(first_index + n)] for n in range(count)],
            "is_detected": is_detected,
            "num_joined": sizes[component[count:]] - 1,
            "num_correct": is_detected.astype(int),
        }
    )


def detection_rates(detections: pd.DataFrame, attribute: str, values: Sequence[str]) -> pd.DataFrame:
    """Compute recall and precision for each value of an attribute.

    Args:
        detections: rows of `detect_duplicates`.
        attribute: a column of them.
        values: values of the attribute, in the order of the result.

    Returns:
        Columns attribute, attribute_value, synthetic (number of duplicates), recall and precision; precision is 1
        where nothing was joined.
    """
    groups = detections.groupby(attribute)
    sums = groups[["is_detected", "num_joined", "num_correct"]].sum().loc[list(values)]
    synthetic = groups.size().loc[list(values)]
    return pd.DataFrame(
        {
            "attribute": attribute,
            "attribute_value": values,
            "synthetic": synthetic.to_numpy(),
            "recall": (sums["is_detected"] / synthetic).to_numpy(),
            "precision": (sums["num_correct"] / sums["num_joined"]).fillna(1.0).to_numpy(),
        }
    )


def _rescale(gray: Gray, random: np.random.Generator) -> Gray:
    """Rescale to 40 to 80 % of the size; the aspect ratio changes by up to 10 %."""
    scale = random.uniform(0.4, 0.8)
    width, height = (
        max(MIN_RESCALED_PIXELS, round(side * scale * random.uniform(0.95, 1.05))) for side in gray.shape[::-1]
    )
    return np.asarray(Image.fromarray(gray).resize((width, height), Image.Resampling.BICUBIC))


def _recompress(gray: Gray, random: np.random.Generator) -> Gray:
    """Encode as JPEG of quality 30 to 60."""
    return np.asarray(Image.open(io.BytesIO(encode_image(gray, "JPEG", quality=int(random.integers(30, 61))))))


def _change_brightness(gray: Gray, random: np.random.Generator) -> Gray:
    """Brighten or darken by 10 to 25 gray levels."""
    shift = int(random.integers(10, 26)) * int(random.choice([-1, 1]))
    return (gray.astype(np.int16) + shift).clip(0, 255).astype(np.uint8)


def _change_contrast(gray: Gray, random: np.random.Generator) -> Gray:
    """Apply a gamma of 0.75 to 1.35 and a gain of 0.8 to 1.25."""
    values = (gray / 255) ** random.uniform(0.75, 1.35) * random.uniform(0.8, 1.25)
    changed: Gray = np.rint(values * 255).clip(0, 255).astype(np.uint8)
    return changed


def _crop(gray: Gray, random: np.random.Generator) -> Gray:
    """Cut up to 5 % from each side."""
    height, width = gray.shape
    top, bottom, left, right = random.uniform(0, 0.05, 4)
    return gray[int(height * top) : height - int(height * bottom), int(width * left) : width - int(width * right)]


def _add_border(gray: Gray, random: np.random.Generator) -> Gray:
    """Add a border of one gray level, 1 to 4 % wide."""
    return np.pad(gray, 1 + int(max(gray.shape) * random.uniform(0.01, 0.04)), constant_values=random.integers(96, 256))


def _pad(gray: Gray, random: np.random.Generator) -> Gray:
    """Pad each side with up to 20 % of black."""
    top, bottom, left, right = (random.uniform(0, 0.2, 4) * max(gray.shape)).astype(int)
    return np.pad(gray, ((top, bottom), (left, right)))


def _add_text(gray: Gray, random: np.random.Generator) -> Gray:
    """Write letters and digits into two corners."""
    image = Image.fromarray(gray)
    draw, size = ImageDraw.Draw(image), max(MIN_FONT_PIXELS, round(min(gray.shape) * 0.07))
    draw.text((3, 2), f"R {random.integers(100)}", fill=255, font_size=size)
    corner = (gray.shape[1] - 4 * size, gray.shape[0] - 2.2 * size)
    draw.text(corner, f"AX T1\n{random.integers(1000, 9999)}", fill=220, font_size=round(0.8 * size))
    return np.asarray(image)


def _combine_alterations(gray: Gray, random: np.random.Generator) -> Gray:
    """Change contrast and scale, pad, add text and recompress, in this order."""
    for alteration in (_change_contrast, _rescale, _pad, _add_text, _recompress):
        gray = alteration(gray, random)
    return gray


def _sharpen(gray: Gray, random: np.random.Generator) -> Gray:
    """Add 1 to 2.5 times the difference from a blurred copy."""
    mask = ImageFilter.UnsharpMask(radius=2, percent=int(random.integers(100, 251)), threshold=0)
    return np.asarray(Image.fromarray(gray).filter(mask))


def _invert(gray: Gray, random: np.random.Generator) -> Gray:
    """Exchange black and white."""
    return np.bitwise_not(gray)


def _stretch(gray: Gray, random: np.random.Generator) -> Gray:
    """Stretch the contrast, so that 2 to 8 % of the pixels become white and the darkest of the others black."""
    low, high = np.percentile(gray, [1, 100 - random.uniform(2, 8)])
    values = (gray - low) / max(float(high - low), 1.0)
    stretched: Gray = np.rint(values * 255).clip(0, 255).astype(np.uint8)
    return stretched


def _apply_window(gray: Gray, random: np.random.Generator) -> Gray:
    """Show the gray levels of a window like those of CT: 35 to 60 % of the range, around its lower middle."""
    width, center = random.uniform(0.35, 0.6), random.uniform(0.3, 0.45)
    return np.rint(((gray / 255 - center) / width + 0.5) * 255).clip(0, 255).astype(np.uint8)


def _recompress_strongly(gray: Gray, random: np.random.Generator) -> Gray:
    """Encode as JPEG of quality 20."""
    return np.asarray(Image.open(io.BytesIO(encode_image(gray, "JPEG", quality=20))))


def _rotate(gray: Gray, random: np.random.Generator) -> Gray:
    """Rotate by 5° to 15° in either direction; the corners become black."""
    angle = random.uniform(5, 15) * float(random.choice([-1, 1]))
    return np.asarray(Image.fromarray(gray).rotate(angle, Image.Resampling.BILINEAR))


def _take_screenshot(gray: Gray, random: np.random.Generator) -> Gray:
    """Show the image in the window of a viewer: a bar with a title above, a column of buttons beside, a line below."""
    height, width = gray.shape
    unit = max(MIN_FONT_PIXELS, round(0.06 * min(gray.shape)))
    screen = Image.new("L", (width + 3 * unit, height + 3 * unit), int(random.integers(40, 90)))
    screen.paste(Image.fromarray(gray), (3 * unit, 2 * unit))
    draw, title = ImageDraw.Draw(screen), f"Series {random.integers(1, 30)}  Image {random.integers(1, 99)}"
    draw.text((unit // 2, unit // 4), title, fill=230, font_size=unit)
    for top in range(2 * unit, height, 2 * unit):
        draw.rectangle((unit // 2, top, 2 * unit, top + unit), outline=180)
    window = f"W {random.integers(100, 2000)} L {random.integers(50, 900)}"
    draw.text((3 * unit, height + 2 * unit), window, fill=200, font_size=round(0.8 * unit))
    return np.asarray(screen)


# By name; their order determines the random numbers.
ALTERATIONS: dict[str, Alteration] = {
    "transform only": lambda gray, _: gray,
    "rescaled": _rescale,
    "re-encoded": _recompress,
    "brightness": _change_brightness,
    "contrast": _change_contrast,
    "cropped": _crop,
    "border": _add_border,
    "padding": _pad,
    "burned-in text": _add_text,
    "combined": _combine_alterations,
    "sharpened": _sharpen,
    "inverted": _invert,
    "stretched": _stretch,
    "windowed": _apply_window,
    "JPEG quality 20": _recompress_strongly,
    "rotated 5–15°": _rotate,
    "screenshot": _take_screenshot,
}
