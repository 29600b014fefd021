"""Heat maps that `brain-tumor predict --heat-maps` writes; needs torch."""

from pathlib import Path

from PIL import Image

from brain_tumor.attribution.methods import Method
from brain_tumor.inference.heat_maps import compute_heat_map
from brain_tumor.inference.predictor import Prediction, PreparedImage
from brain_tumor.inference.torch_model import TorchModel
from brain_tumor.plotting.contact_sheets import overlay

MAX_STEM_LETTERS = 80  # of a file's name; longer ones are cut


class HeatMapWriter:
    """Writes images overlaid with the heat map of their predicted class into a folder."""

    def __init__(self, folder: Path, method: Method, model: TorchModel) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.method, self.model = folder, method, model

    def write(self, item: PreparedImage, prediction: Prediction) -> None:
        """Write the heat map of an image, unless the image has an error.

        Raises:
            UserError: the method is not defined for this network, or its values are not finite.
        """
        if item.image is None or prediction.error:
            return
        heat = compute_heat_map(self.model, item.image, prediction.predicted, self.method)
        Image.fromarray(overlay(item.image, heat)).save(self.folder / heat_map_name(item, prediction.predicted))


def heat_map_name(item: PreparedImage, label: str) -> str:
    """Name a heat map by index and name of its file, position in the file, and class.

    The index makes it unique: files of different folders may have the same name.
    """
    stem = item.path.name.split(".")[0][:MAX_STEM_LETTERS]
    name = f"{item.file_index:05d}-{stem}-{item.position}-{label}"
    return "".join(letter if letter.isalnum() or letter in " -_" else "_" for letter in name) + ".png"
