"""Names of the subsets of test rows that results are reported on, and of the types of train–test leakage."""

MODEL = "model"  # in the column `model` of metrics.csv, which also names baselines: the recipe's network
UNCALIBRATED = "uncalibrated"  # in `model`: the network before temperature scaling
PATIENT_MEAN = "patient mean"  # in `model`: the network's mean probabilities over the slices of each patient
PUBLISHED = "published"  # all test rows
CLEAN = "clean"  # test rows whose patient is known, and is neither in training nor in validation
# Relation of a test image to the training and validation images, the closest first.
RELATIONS = ("duplicate", "transformed_duplicate", "same_group")
UNKNOWN_PATIENT = "unknown_patient"  # none of these, but whether its patient is in training is not known
LEAK_TYPES = (*RELATIONS, UNKNOWN_PATIENT)
