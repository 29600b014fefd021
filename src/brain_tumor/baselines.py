"""What can be reached without any deep learning: five dumb models, fitted on the rows that the network learns from.

A network that does not beat them on clean rows has learned nothing that a thumbnail or a file size does not tell.
"""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.feature import hog
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from brain_tumor.calibration import fit_temperature, to_probabilities

Floats = NDArray[np.float64]
Gray = NDArray[np.uint8]
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")


def thumbnails(images: Gray) -> Floats:
    """(N, H, W) images → (N, 1024) gray values of 32×32 thumbnails, 0 to 1."""
    small = [cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).ravel() for image in images]
    return np.stack(small) / 255


def statistics(images: Gray) -> Floats:
    """(N, H, W) images → (N, 10): mean, deviation, skewness, kurtosis, five percentiles, share of dark pixels."""
    found = []
    for image in images:
        values = image.ravel() / 255
        mean, sd = values.mean(), values.std()
        z = (values - mean) / (sd or 1.0)
        percentiles = np.percentile(values, (10, 25, 50, 75, 90))
        found.append([mean, sd, (z**3).mean(), (z**4).mean(), *percentiles, (values < 0.05).mean()])
    return np.array(found)


def gradients(images: Gray) -> Floats:
    """(N, H, W) images → (N, 1764) histograms of oriented gradients of 128×128 pixels."""
    small = [cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack([hog(image, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2)) for image in small])


def file_facts(content: bytes) -> list[float]:
    """What a file tells without its pixels: bytes, width, height, aspect ratio, color mode; zeros if unknown."""
    try:
        with Image.open(BytesIO(content)) as image:
            width, height, mode = image.width, image.height, MODES.index(image.mode) + 1
    except (OSError, ValueError):  # no format of Pillow's, or another mode
        return [float(len(content)), 0.0, 0.0, 0.0, 0.0]
    return [float(len(content)), float(width), float(height), width / height, float(mode)]


def predict(
    images: Gray, facts: Floats, targets: NDArray[np.int64], parts: Sequence[NDArray[np.int64]], size: int, seed: int
) -> dict[str, Floats]:
    """Fit every baseline and return its probabilities (T, size) for the test rows.

    Args:
        images: (N, H, W) uint8 of all rows; facts: (N, F) of their files; targets: (N,) class numbers.
        parts: places of training, validation and test rows. Validation rows calibrate the one whose scores are no
            probabilities.
        size: how many classes there are.
    """
    train, validation, test = parts
    forest = {"n_estimators": 300, "random_state": seed, "n_jobs": 1}
    ways: dict[str, tuple[Any, Callable[[], Floats]]] = {
        "majority": (DummyClassifier(strategy="prior"), lambda: facts[:, :1]),
        "nearest thumbnail": (KNeighborsClassifier(1), lambda: thumbnails(images)),
        "intensity statistics": (RandomForestClassifier(**forest), lambda: statistics(images)),
        "file metadata": (RandomForestClassifier(**forest), lambda: facts),
        "HOG + SVM": (make_pipeline(StandardScaler(), SVC(C=10, random_state=seed)), lambda: gradients(images)),
    }
    found = {}
    for name, (model, describe) in ways.items():
        features = describe()
        known = np.unique(targets[train])
        model.fit(features[train], targets[train])
        if hasattr(model, "predict_proba"):
            values = model.predict_proba(features[test])
        elif len(known) == 1:
            values = np.ones((len(test), 1))
        else:
            values = _calibrated(model, features, targets, validation, test, known)
        probabilities = np.zeros((len(test), size))
        probabilities[:, known] = values
        found[name] = probabilities
    return found


def _calibrated(
    model: Any,
    features: Floats,
    targets: NDArray[np.int64],
    validation: NDArray[np.int64],
    test: NDArray[np.int64],
    known: NDArray[np.int64],
) -> Floats:
    """Decision values as probabilities, at the temperature that suits the validation rows."""
    scores = [model.decision_function(features[part]) for part in (validation, test)]
    if len(known) == 2:
        scores = [np.stack([-values, values], 1) / 2 for values in scores]
    usable = np.isin(targets[validation], known)
    places = torch.from_numpy(np.searchsorted(known, targets[validation][usable]))
    temperature = fit_temperature(torch.from_numpy(scores[0][usable]), places, "softmax")
    return to_probabilities(torch.from_numpy(scores[1]), "softmax", temperature).numpy()
