"""The synthetic data set: reproducible, anatomically plausible, and not solvable by shortcuts."""

import hashlib
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage as ndi
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brain_tumor.sources.phantom import generator as phantom
from brain_tumor.sources.phantom.anatomy import SELLA, load_anatomy
from brain_tumor.sources.phantom.generator import CLASSES
from brain_tumor.sources.phantom.patient import Patient
from brain_tumor.sources.phantom.slices import MIN_TUMOR_PIXELS, PLANES, PhantomSlice

PATIENTS = 120
SLICES = 2


@pytest.fixture(scope="session")
def data() -> list[PhantomSlice]:
    return list(phantom.generate(PATIENTS, SLICES, seed=0))


def digest(item: PhantomSlice) -> str:
    return hashlib.sha256(item.image.tobytes() + item.mask.tobytes()).hexdigest()


def test_generate_workers_and_order_do_not_change_the_pixels(
    data: list[PhantomSlice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKERS", "1")
    labels = phantom.assign_labels(PATIENTS, seed=0)
    alone = phantom.generate_patient(3, labels[2], SLICES, seed=0)
    sequential = islice(phantom.generate(3, SLICES, seed=0), 4, None)
    expected = [digest(item) for item in data[4:6]]
    assert [digest(item) for item in alone] == expected
    assert [digest(item) for item in sequential] == expected


@pytest.mark.parametrize(
    ("number", "label", "expected"),
    [
        (1, "glioma", "3031a8a86837095d9ee390d12a858efbc29560fa606f0d53cd313b0c5925cf5c"),
        (2, "pituitary", "200e6054dc6987d89ab0b9e73101705e5bb6321f7ee9ab7c1cc8f2b5d125dd36"),
    ],
)
def test_generate_patient_pixels_are_pinned(number: int, label: str, expected: str) -> None:
    assert digest(phantom.generate_patient(number, label, 1, seed=0)[0]) == expected


def test_generate_patient_seed_changes_the_pixels(data: list[PhantomSlice]) -> None:
    assert digest(phantom.generate_patient(1, data[0].label, 1, seed=1)[0]) != digest(data[0])


def test_generate_patients_are_in_order_and_classes_balanced(data: list[PhantomSlice]) -> None:
    assert [(item.patient, item.index) for item in data] == [
        (f"p{number:04d}", index) for number in range(1, PATIENTS + 1) for index in range(SLICES)
    ]
    labels = np.array([item.label for item in data])
    assert {label: int((labels == label).sum()) for label in CLASSES} == dict.fromkeys(
        CLASSES, PATIENTS * SLICES // len(CLASSES)
    )
    # The position of a patient among its neighbors carries no information about its class.
    assert all(len({data[i].label for i in range(k * SLICES, len(data), 4 * SLICES)}) == 4 for k in range(4))


def test_generate_classes_and_patients_have_several_planes(data: list[PhantomSlice]) -> None:
    for label in CLASSES:
        assert {item.plane for item in data if item.label == label} == {"axial", "coronal", "sagittal"}
    assert all(data[i].plane != data[i + 1].plane for i in range(0, len(data), SLICES))


def test_generate_slices_only_tumor_patients_have_masks(data: list[PhantomSlice]) -> None:
    for item in data:
        assert item.image.shape == item.mask.shape == (256, 256)
        assert item.image.dtype == item.mask.dtype == np.uint8
        assert set(np.unique(item.mask)) <= {0, 255}
        pixels = np.count_nonzero(item.mask)
        assert pixels == 0 if item.label == "notumor" else pixels >= MIN_TUMOR_PIXELS, (item.patient, item.index)


@pytest.mark.parametrize(("label", "real"), [("glioma", 0.0190), ("meningioma", 0.0152), ("pituitary", 0.0068)])
def test_generate_masks_are_as_large_as_real_ones(data: list[PhantomSlice], label: str, real: float) -> None:
    """`real` is the median of the masks of figshare's tumors, as a fraction of the image."""
    fractions = [np.count_nonzero(item.mask) / item.mask.size for item in data if item.label == label]
    assert np.median(fractions) == pytest.approx(real, rel=0.4)


def test_generate_masks_are_inside_the_head(data: list[PhantomSlice]) -> None:
    for item in data:
        bright = ndi.gaussian_filter(item.image.astype(float), 1.5) > 14
        head = ndi.binary_fill_holes(ndi.binary_closing(bright, iterations=6))
        outside = np.count_nonzero(item.mask[~np.asarray(head)])
        assert outside <= 0.01 * np.count_nonzero(item.mask), (item.patient, item.index)


@pytest.mark.parametrize("number", range(1, 9))
def test_sample_tumors_are_at_the_sites_of_their_type(number: int) -> None:
    head = load_anatomy()
    glioma, meningioma, pituitary = (
        Patient.sample(number, label, seed=0).targets for label in ("glioma", "meningioma", "pituitary")
    )
    assert head.white.interpolate(glioma).mean() / 255 > 0.4
    assert head.brain.interpolate(glioma).max() < 2
    at_dura = head.brain.interpolate(meningioma).max() > -1
    at_falx = np.abs(meningioma[0]).min() < 3
    assert at_dura or at_falx
    assert np.abs(pituitary.mean(1) - SELLA)[0] < 6
    assert np.sqrt(((pituitary.mean(1) - SELLA) ** 2).sum()) < 16


def test_sample_head_and_contrast_do_not_depend_on_the_class() -> None:
    first, *others = (Patient.sample(5, label, seed=0) for label in CLASSES)
    for other in others:
        assert other.contrast == first.contrast
        assert np.array_equal(other.transform, first.transform)
        assert all(np.array_equal(a.data, b.data) for a, b in zip(other.bends, first.bends, strict=True))


def test_sample_half_of_healthy_patients_are_sliced_at_sella() -> None:
    at_sella = [
        np.abs(Patient.sample(number, "notumor", seed=0).targets.mean(1) - SELLA).max() < 16 for number in range(1, 25)
    ]
    assert 0.25 < np.mean(at_sella) < 0.75


def accuracy(model: object, features: NDArray[np.float64], data: list[PhantomSlice]) -> float:
    """Compute the cross-validated accuracy; folds do not share patients."""
    labels, groups = [item.label for item in data], [item.patient for item in data]
    scaled = make_pipeline(StandardScaler(), model)
    predicted = cross_val_predict(scaled, features, labels, groups=groups, cv=GroupKFold(5))
    return float(np.mean(predicted == np.array(labels)))


def test_logistic_regression_on_pixels_is_inaccurate(data: list[PhantomSlice]) -> None:
    small = np.stack([item.image.reshape(32, 8, 32, 8).mean((1, 3)).ravel() for item in data])
    for strength in (1.0, 0.01):
        assert accuracy(LogisticRegression(C=strength, max_iter=500), small, data) < 0.5


def test_model_on_plane_and_position_is_inaccurate(data: list[PhantomSlice]) -> None:
    """A random forest that knows where each slice is, but not what it shows."""
    planes = np.eye(len(PLANES))[[PLANES.index(item.plane) for item in data]]
    positions = planes * np.array([[item.position] for item in data])
    features = np.concatenate([planes, positions, np.abs(positions)], 1)
    forest = RandomForestClassifier(200, min_samples_leaf=5, random_state=0)
    assert 0.25 < accuracy(forest, features, data) < 0.5


def test_models_on_image_statistics_are_inaccurate(data: list[PhantomSlice]) -> None:
    def compute_statistics(image: NDArray[np.uint8]) -> NDArray[np.float64]:
        percentiles = np.percentile(image, [1, 5, 10, 25, 50, 75, 90, 95, 99, 99.5, 100])
        histogram = np.histogram(image, 16, (0, 256))[0] / image.size
        return np.concatenate([[image.mean(), image.std()], percentiles, histogram])

    features = np.stack([compute_statistics(item.image) for item in data])
    assert accuracy(LogisticRegression(max_iter=500), features, data) < 0.5
    assert accuracy(RandomForestClassifier(200, random_state=0), features, data) < 0.5
