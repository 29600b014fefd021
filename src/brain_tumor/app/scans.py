"""The prediction and the heat map of a slice of an upload or a test image."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from brain_tumor.app.recipes import load_model, read_example
from brain_tumor.app.upload_reader import read_upload
from brain_tumor.core.types import Gray, Maps
from brain_tumor.imaging.head import head_quality_warning, locate_head
from brain_tumor.inference.predictor import Prediction, make_prediction
from brain_tumor.preprocessing.operations import preprocess

if TYPE_CHECKING:
    from brain_tumor.attribution.methods import Method

# Slices are numbered from 1, in the direction of the axes of a volume.
DIRECTIONS = {
    "axial": "from the neck to the top of the head",
    "coronal": "from the back of the head to the face",
    "sagittal": "from the left to the right",
}


class Scan(NamedTuple):
    """An upload or a test image.

    Attributes:
        name: name of the file or of the test image.
        images: gray images (H, W) with their position in the file, by plane; the plane is '' if it is not a volume.
        preprocessed: whether the images are preprocessed already.
        warnings: reasons to distrust the images, from the header of the file.
    """

    name: str
    images: dict[str, list[tuple[str, Gray]]]
    preprocessed: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def planes(self) -> list[str]:
        """The planes of a volume; none for other files."""
        return [plane for plane in self.images if plane]

    def slices(self, plane: str) -> list[tuple[str, Gray]]:
        """Return the images of a plane, or all images of a file that is not a volume."""
        return self.images.get(plane) or next(iter(self.images.values()))

    def describe(self, plane: str, number: int) -> str:
        """Name an image by its number, counted from 1, among the images of its plane."""
        slices = self.slices(plane)
        if len(slices) == 1:
            return self.name
        kind = f"{plane} slice" if self.planes else "image"
        return f"{self.name}, {kind} {number} of {len(slices)} ({slices[number - 1][0]} in the file)"


class SliceView(NamedTuple):
    """Content of the page for one slice.

    Attributes:
        image: (S, S) preprocessed.
        heat: (S, S), 0 to 1; None without a heat map.
        caption: plain text under the image.
        prediction: its class, probabilities, and reasons to reject or distrust it.
    """

    image: Gray
    heat: Maps | None
    caption: str
    prediction: Prediction


def open_upload(path: str | None) -> Scan | str | None:
    """Read an uploaded file into memory and remove it from the disk.

    Returns:
        The images, an error message if the file is unreadable, or None without a file.
    """
    if not path:
        return None
    name = Path(path).name
    try:
        result = read_upload(Path(path))
    finally:
        Path(path).unlink(missing_ok=True)
    if isinstance(result, str):
        return f"{name} cannot be read: {result}"
    return Scan(name, result.images, warnings=result.warnings)


def open_example(recipe: str, name: str, root: Path) -> Scan:
    """Read a test image of the recipe as the model's input."""
    return Scan(name, {"": [("", read_example(recipe, name, root))]}, True)


def predict_and_explain(
    scan: Scan, plane: str, number: int, recipe: str, method: "Method | None", root: Path
) -> SliceView:
    """Predict one slice, and compute the heat map of its predicted class unless it is rejected.

    Args:
        number: of the slice in its plane, counted from 1.
    """
    model, gray, name = load_model(recipe, root), scan.slices(plane)[number - 1][1], scan.describe(plane, number)
    image = gray if scan.preprocessed else preprocess(gray, model.description.preprocess.operations).image
    warning = "" if scan.preprocessed else head_quality_warning(locate_head(gray))
    probabilities = model.predict_probabilities(image[None])[0]
    prediction = make_prediction(name, image, probabilities, warning, scan.warnings, model.description)
    heat = None
    if method is not None and prediction.accepted:
        from brain_tumor.inference.heat_maps import compute_heat_map

        heat = compute_heat_map(model, image, prediction.predicted, method)
    return SliceView(image, heat, f"{name}, as the model's input", prediction)
