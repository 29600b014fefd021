"""Names of the baseline maps and thresholds of the checks; imports nothing, so that reports can read them."""

# Maps that do not depend on the model, in the columns `map` and `baseline` of explain.csv.
RANDOM_ORDER = "random order"  # pixels in random order
BLURRED_NOISE = "blurred random"  # as smooth as a heat map
CENTER = "center"  # a Gaussian in the middle of the image
MEAN_MASK = "mean training mask"  # how often each pixel is tumor in training images

MIN_IMAGES = 20  # images below which no metric decides a check
MAX_RANDOMIZATION_CORRELATION = 0.5  # with the maps of a randomized model; above it, maps do not depend on the weights
MIN_STABILITY_CORRELATION = 0.5  # with the maps of perturbed images; below it, maps are not stable
