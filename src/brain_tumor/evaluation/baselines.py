"""Five simple baselines without deep learning, fitted on the training rows of the network.

If a network does not beat them on clean rows, thumbnails or file sizes explain its accuracy.
"""

import logging
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image
from skimage.feature import hog
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from brain_tumor.core.tables import class_indices, probability_columns, read_table
from brain_tumor.core.types import Floats, Gray, Ints
from brain_tumor.models.calibration import fit_temperature, to_probabilities

log = logging.getLogger(__name__)
COLOR_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")


def thumbnail_features(images: Gray) -> Floats:
    """Return the (N, 1024) gray values, 0 to 1, of 32×32 thumbnails of (N, H, W) images."""
    thumbnails = [cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).ravel() for image in images]
    return np.stack(thumbnails) / 255


def intensity_statistics(images: Gray) -> Floats:
    """Return (N, 10) statistics of (N, H, W) images.

    Mean, standard deviation, skewness, kurtosis, five percentiles, and the fraction of dark pixels.
    """
    features = []
    for image in images:
        values = image.ravel() / 255
        mean, sd = values.mean(), values.std()
        z = (values - mean) / (sd or 1.0)
        percentiles = np.percentile(values, (10, 25, 50, 75, 90))
        features.append([mean, sd, (z**3).mean(), (z**4).mean(), *percentiles, (values < 0.05).mean()])
    return np.array(features)


def hog_features(images: Gray) -> Floats:
    """Return (N, 1764) histograms of oriented gradients of (N, H, W) images at 128×128 pixels."""
    resized = [cv2.resize(image, (128, 128), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack([hog(image, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(2, 2)) for image in resized])


def file_metadata_features(content: bytes) -> list[float]:
    """Return features of a file that need no pixels: bytes, width, height, aspect ratio, color mode; 0 if unknown."""
    try:
        with Image.open(BytesIO(content)) as image:
            width, height, mode = image.width, image.height, COLOR_MODES.index(image.mode) + 1
    except (OSError, ValueError):  # a format that Pillow does not read, or another mode
        return [float(len(content)), 0.0, 0.0, 0.0, 0.0]
    return [float(len(content)), float(width), float(height), width / height, float(mode)]


def extract_features(images: Gray, file_features: Floats) -> dict[str, Floats]:
    """Compute the features of each baseline: (N, F) by name.

    Args:
        images: (N, H, W) of all rows.
        file_features: (N, 5) of their files, see `file_metadata_features`.
    """
    return {
        "majority": file_features[:, :1],
        "nearest thumbnail": thumbnail_features(images),
        "intensity statistics": intensity_statistics(images),
        "file metadata": file_features,
        "HOG + SVM": hog_features(images),
    }


def tabulate_baselines(
    features_by_name: Mapping[str, Floats], rows: pd.DataFrame, classes: Sequence[str]
) -> pd.DataFrame:
    """Fit every baseline on the rows whose part is `train`, and predict those whose part is `test`.

    Args:
        features_by_name: (N, F) of all rows, see `extract_features`.
        rows: N rows with row, label and part.
        classes: names of the K classes.

    Returns:
        baseline, row, and a column of probabilities for each class.
    """
    targets = class_indices(rows["label"], classes)
    parts = [np.flatnonzero(rows["part"] == part) for part in ("train", "validation", "test")]
    test, tables = parts[2], []
    for name, probabilities in predict_baselines(features_by_name, targets, parts, len(classes), seed=0).items():
        columns = dict(zip(probability_columns(classes), probabilities.round(6).T, strict=True))
        tables.append(pd.DataFrame({"baseline": name, "row": rows["row"].iloc[test], **columns}))
        log.info("%s: accuracy %.3f on %d images", name, (probabilities.argmax(1) == targets[test]).mean(), len(test))
    return pd.concat(tables)


def read_baselines(path: Path, rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, Floats]:
    """Read a table of `tabulate_baselines`: by name, probabilities (N, K) of N rows in their order."""
    by_name = read_table(path, text=("baseline",)).groupby("baseline", sort=False)
    columns = probability_columns(classes)
    return {str(name): table.set_index("row").loc[rows["row"], columns].to_numpy() for name, table in by_name}


def predict_baselines(
    features_by_name: Mapping[str, Floats], targets: Ints, parts: Sequence[Ints], num_classes: int, seed: int
) -> dict[str, Floats]:
    """Fit every baseline and predict the test rows.

    Args:
        features_by_name: (N, F) of all rows, see `extract_features`.
        targets: (N,) class numbers.
        parts: indices of training, validation and test rows. Validation rows calibrate the baseline whose scores are
            not probabilities; without any, its temperature is 1.
        num_classes: K.
        seed: seed of the baselines that draw random numbers.

    Returns:
        By name, probabilities (test rows, K).
    """
    train, validation, test = parts
    forest = {"n_estimators": 300, "random_state": seed, "n_jobs": 1}
    models: dict[str, Any] = {
        "majority": DummyClassifier(strategy="prior"),
        "nearest thumbnail": KNeighborsClassifier(1),
        "intensity statistics": RandomForestClassifier(**forest),
        "file metadata": RandomForestClassifier(**forest),
        "HOG + SVM": make_pipeline(StandardScaler(), SVC(C=10, random_state=seed)),
    }
    result = {}
    for name, features in features_by_name.items():
        model = models[name]
        classes = np.unique(targets[train])
        model.fit(features[train], targets[train])
        if hasattr(model, "predict_proba"):
            values = model.predict_proba(features[test])
        elif len(classes) == 1:
            values = np.ones((len(test), 1))
        else:
            values = _calibrated_scores(model, features, targets, validation, test, classes)
        probabilities = np.zeros((len(test), num_classes))
        probabilities[:, classes] = values
        result[name] = probabilities
    return result


def _calibrated_scores(
    model: Any, features: Floats, targets: Ints, validation: Ints, test: Ints, classes: Ints
) -> Floats:
    """Turn decision values of the test rows into probabilities, with the temperature that fits the validation rows."""
    scores = [model.decision_function(features[part]) for part in (test, validation) if len(part)]
    if len(classes) == 2:
        scores = [np.stack([-values, values], 1) / 2 for values in scores]
    if not len(validation):
        return to_probabilities(torch.from_numpy(scores[0]), "softmax").numpy()
    usable = np.isin(targets[validation], classes)
    indices = torch.from_numpy(np.searchsorted(classes, targets[validation][usable]))
    temperature = fit_temperature(torch.from_numpy(scores[1][usable]), indices, "softmax")
    return to_probabilities(torch.from_numpy(scores[0]), "softmax", temperature).numpy()
