"""Compare the heat maps of a recipe's model with those of the same network after training on permuted labels."""

import json
import logging
from pathlib import Path

import numpy as np

from brain_tumor import runtime, sanity, trust
from brain_tumor.classifier import load
from brain_tumor.explain import ExplainParams, draw, tabulate
from brain_tumor.fitting import fit
from brain_tumor.metrics import wilson
from brain_tumor.outputs import remove, staged, write_json
from brain_tumor.params import Block, read
from brain_tumor.rows import read_rows
from brain_tumor.trials import Subject
from recipe import read_recipe
from refit import Study
from stage import PARAMS, SCRATCH, run

log = logging.getLogger(__name__)
FIGURE = ["figure", "value", "low", "high"]


class PermutedParams(Block):
    """`permuted`: recipes, how many test images are explained, and the seed that permutes the labels."""

    recipes: tuple[Study, ...]
    images: int
    seed: int


def main(name: str) -> None:
    """Train on permuted labels as long as the recipe says, and measure how like the maps are (Adebayo et al. 2018)."""
    params = read(PARAMS, "permuted", PermutedParams)
    recipe, explaining = read_recipe(name), read(PARAMS, f"recipes.{name}.explain", ExplainParams)
    folder, scratch = Path(f"data/enhanced/{name}"), SCRATCH / "permuted" / name
    rows = read_rows(folder, Path(f"data/split/{name}.csv"), "train", "test")
    training, test = (rows[rows["part"] == part].reset_index(drop=True) for part in ("train", "test"))
    images = np.load(folder / "images.npy", mmap_mode="r")
    weights = json.loads(Path(f"data/split/{name}.json").read_text())["class_weights"]
    training["label"] = np.random.default_rng(params.seed).permutation(training["label"].to_numpy(object))
    # Selected on the rows themselves: what counts is how much of the permuted labels the model takes in.
    fitted = fit(recipe, images, training, training, [weights[label] for label in recipe.classes], scratch)
    if fitted is None:  # one process writes for all
        return
    device = runtime.start()
    model, card = load(Path("models") / name, device)
    subject = Subject(model, card, explaining, device)
    permuted = subject._replace(model=fitted.model.to(device).eval())
    drawn = draw(test, params.images, params.seed)
    pixels = images[drawn["row"].to_numpy()]
    targets = subject.ask(pixels).argmax(1)
    of_training = images[training["row"].to_numpy()]
    truth = np.array([recipe.classes.index(label) for label in training["label"]])
    accuracy = float((permuted.ask(of_training).argmax(1) == truth).mean())
    majority = float(np.bincount(truth).max() / len(truth))
    # Otherwise both models are still near the weights that they began with, and likeness says nothing.
    learned = wilson(round(accuracy * len(truth)), len(truth))[0] > majority
    found: dict[str, object] = {
        "n": len(drawn),
        "generated_images": card.generated_data,
        "accuracy_on_permuted_labels": accuracy,
        "majority": majority,
        "learned": learned,
    }
    for method in explaining.methods:
        one, other = (each.explain(method, pixels, targets).maps for each in (subject, permuted))
        values = {"rank_correlation": sanity.rank_correlation(one, other), "ssim": sanity.structure(one, other)}
        table = tabulate(method, values, drawn, explaining)
        spans = {str(figure): [float(v) for v in span] for figure, *span in table[FIGURE].itertuples(index=False)}
        # Nothing is known where all maps of one model are empty.
        known = spans.get("rank_correlation", [np.nan, np.nan, np.nan])
        unchanged = bool(known[1] >= trust.UNCHANGED)
        found[method] = {name: span[0] for name, span in spans.items()} | {"unchanged": unchanged, "interval": spans}
        log.info("%s, %s: rank correlation %.3f", name, method, known[0])
    with staged(f"metrics/{name}/permuted.json") as (metrics,):
        write_json(metrics, found, digits=4)
    remove(scratch)


if __name__ == "__main__":
    run(main, "recipe")
