"""What the scripts that train share: a recipe out of params.yaml."""

from pathlib import Path

from brain_tumor.enhance import EnhanceParams
from brain_tumor.fitting import Recipe
from brain_tumor.params import read
from brain_tumor.training import TrainParams
from stage import PARAMS


def read_recipe(name: str) -> Recipe:
    """Read what training needs to know of a recipe."""
    dataset = read(PARAMS, f"recipes.{name}.dataset", str)
    return Recipe(
        name=name,
        dataset=dataset,
        generated_data=read(PARAMS, f"datasets.{dataset}.about.generated", bool),
        classes=read(PARAMS, f"recipes.{name}.classes", tuple[str, ...]),
        enhance=read(PARAMS, f"recipes.{name}.enhance", EnhanceParams),
        train=read(PARAMS, f"recipes.{name}.train", TrainParams),
        weights=Path("data/weights") / read(PARAMS, f"recipes.{name}.backbone", str),
        code=Path("src"),
    )
