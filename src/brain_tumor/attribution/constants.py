"""Names of the control maps and thresholds of the checks; imports nothing, so that reports can read them."""

# Maps that know nothing of the model, in the columns `map` and `baseline` of explain.csv. A method has to beat them.
RANDOM_ORDER = "random order"  # cells in random order
BLURRED_NOISE = "blurred random"  # as smooth as a heat map
SHIFTED = "shifted map"  # the method's own map, shifted at random: of the same values and the same smoothness
CENTER = "center"  # a Gaussian in the middle of the image
MEAN_MASK = "mean training mask"  # how often each pixel is tumor in training images
EDGES = "edges"
INTENSITY = "intensity"
# Maps of the first of a recipe's methods that depends on the class, and of the true answer.
OTHER_CLASS = "another class"  # for the least probable class
UNTRAINED = "untrained model"  # of a model with random weights
TRUE_MASK = "true mask"  # the tumor, in images in which the model sees it

MIN_IMAGES = 200  # images below which no metric decides a check
MAX_RANDOMIZATION_CORRELATION = 0.5  # with the maps of a randomized model; above it, maps do not depend on the weights
MIN_STABILITY_CORRELATION = 0.5  # with the maps of perturbed images; below it, maps are not stable
SIGNIFICANCE = 0.05  # of all checks of all methods together, two-sided
