"""Training of a recipe: configuration, loop, checkpoints, provenance."""
