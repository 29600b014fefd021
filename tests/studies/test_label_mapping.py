"""Common classes of a model and of another data set."""

import numpy as np
import pandas as pd

from brain_tumor.studies.label_mapping import map_labels

SUPERCLASSES = {"glioma": "tumor", "meningioma": "tumor", "pituitary": "tumor"}
FINE = ("glioma", "meningioma", "notumor", "pituitary")


def test_map_labels_labels_among_the_classes_keep_the_classes() -> None:
    mapping = map_labels(FINE, pd.Series(["glioma", "pituitary"]), SUPERCLASSES)
    assert mapping is not None
    assert mapping.classes == FINE
    probabilities = np.array([[0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_array_equal(mapping.merge_probabilities(probabilities), probabilities)


def test_map_labels_coarse_labels_add_up_the_finer_classes() -> None:
    mapping = map_labels(FINE, pd.Series(["tumor", "notumor"]), SUPERCLASSES)
    assert mapping is not None
    assert mapping.classes == ("tumor", "notumor")
    np.testing.assert_allclose(mapping.merge_probabilities(np.array([[0.1, 0.2, 0.3, 0.4]])), [[0.7, 0.3]])


def test_map_labels_labels_without_a_class_are_missing() -> None:
    mapping = map_labels(("tumor", "notumor"), pd.Series(["glioma", "notumor", "artifact"]), SUPERCLASSES)
    assert mapping is not None
    assert mapping.labels.tolist()[:2] == ["tumor", "notumor"]
    assert mapping.labels.isna().tolist() == [False, False, True]


def test_map_labels_fewer_than_two_common_classes_give_none() -> None:
    assert map_labels(("cat", "dog"), pd.Series(["glioma"]), SUPERCLASSES) is None
    assert map_labels(("tumor", "notumor"), pd.Series(["glioma", "meningioma"]), SUPERCLASSES) is None
