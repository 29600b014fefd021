"""The data sets of params.yaml: downloading files, reading them, and the raw archive that stores the images."""
