"""The library behind the pipeline's stages: it knows nothing of DVC, command lines or where files stand."""
