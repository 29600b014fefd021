"""Predictions for files: reading, preprocessing, probabilities, warnings."""
