"""Metrics in the tables of the pages: name in metrics.csv or explain.csv, and title."""

HEADLINE_METRICS = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_f1", "macro F1"),
    ("mcc", "Matthews correlation"),
    ("kappa", "Cohen's kappa"),
    ("auroc", "AUROC (one-vs-rest, macro)"),
    ("auprc", "AUPRC (one-vs-rest, macro)"),
    ("brier", "Brier score"),
    ("log_loss", "log loss"),
    ("calibration_error", "calibration error (root mean square, debiased)"),
)
TWO_CLASS_METRICS = (
    ("sensitivity_at_point", "sensitivity for {}, operating point"),
    ("specificity_at_point", "specificity for {}, operating point"),
    ("sensitivity_at_95_specificity", "sensitivity for {} at 95 % specificity"),
    ("specificity_at_95_sensitivity", "specificity for {} at 95 % sensitivity"),
)
PREDICTION_SET_METRICS = (
    ("coverage_at_90", "90 % prediction sets: coverage of the true class"),
    ("set_size_at_90", "90 % prediction sets: mean number of classes"),
    ("empty_at_90", "90 % prediction sets: fraction of empty sets"),
    ("coverage_at_95", "95 % prediction sets: coverage of the true class"),
    ("set_size_at_95", "95 % prediction sets: mean number of classes"),
    ("empty_at_95", "95 % prediction sets: fraction of empty sets"),
)
CLASS_METRICS = (
    ("precision", "precision"),
    ("recall", "recall (sensitivity)"),
    ("specificity", "specificity"),
    ("f1", "F1"),
    ("auroc", "AUROC"),
    ("auprc", "AUPRC"),
    ("coverage_at_90", "coverage of 90 % sets"),
)
LOCALIZATION_METRICS = (
    ("pointing", "pointing game (maximum inside)"),
    ("relevance_inside", "relevance inside"),
    ("iou_best", "IoU, best threshold"),
    ("iou_half", "IoU, threshold 0.5"),
    ("auprc", "AUPRC of pixels"),
)
REGION_METRICS = (
    ("outside_head", "outside the head"),
    ("borders", "outermost 4 %"),
    ("corners", "corners"),
    ("text", "burned-in text"),
)
PERTURBATION_METRICS = (
    ("deletion", "deletion (lower is better)"),
    ("insertion", "insertion (higher is better)"),
)
