"""The classifier and everything that `train` needs of a model."""
