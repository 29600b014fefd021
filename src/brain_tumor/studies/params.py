"""Parameters of the studies in params.yaml."""

from brain_tumor.core.params import Block


class Study(Block):
    """A recipe of a study.

    Attributes:
        name: key in `recipes`.
        backbone: the recipe's backbone, repeated because DVC cannot resolve it from the recipe.
    """

    name: str
    backbone: str


class CrossvalParams(Block):
    """`crossval`: repeated cross-validation of recipes.

    Attributes:
        recipes: the recipes that are trained again on each fold.
        repeats: numbers of the repeats; each has its own random assignment of images to folds.
        folds: numbers of the folds, 0 to k - 1.
        validation: fraction of the images outside the test fold that is used for validation.
        seed: seed of the assignment to folds.
    """

    recipes: tuple[Study, ...]
    repeats: tuple[int, ...]
    folds: tuple[int, ...]
    validation: float
    seed: int


class PatientsParams(Block):
    """`patients`: cross-validation by patients, with the folds of the data set's source.

    Attributes:
        recipes: the recipes that are trained again on each fold.
        folds: names of the source's folds.
        validation: fraction of the images outside the test fold that is used for validation.
        seed: seed of the groups that have no fold, and of the bootstrap.
        rounds: of the bootstrap.
    """

    recipes: tuple[Study, ...]
    folds: tuple[int | str, ...]
    validation: float
    seed: int
    rounds: int


class PermutedParams(Block):
    """`permuted`: heat maps of models that are trained on permuted labels.

    Attributes:
        recipes: the recipes that are trained again on permuted labels.
        images: maximum number of test images whose maps are compared.
        seed: seed of the permutation.
    """

    recipes: tuple[Study, ...]
    images: int
    seed: int
