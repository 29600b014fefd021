"""Evaluation of a model on test rows, compared with baselines and under perturbations."""
