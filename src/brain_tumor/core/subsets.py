"""Names of the subsets of test rows that results are reported on, and of the types of train–test leakage."""

MODEL = "model"  # in the column `model` of metrics.csv, which also names baselines: the recipe's network
UNCALIBRATED = "uncalibrated"  # in `model`: the network before temperature scaling
PATIENT_MEAN = "patient mean"  # in `model`: the network's mean probabilities over the slices of each patient
PUBLISHED = "published"  # all test rows
CLEAN = "clean"  # test rows without any related image in training or validation
# Relation of a test image to a training or validation image, the closest first.
LEAK_TYPES = ("duplicate", "transformed_duplicate", "same_group")
