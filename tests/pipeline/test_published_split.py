"""The stage `split` on a published split that lacks a class."""

import pandas as pd
import pytest

from brain_tumor.core.errors import UserError
from split import require_published_classes


def make_rows(*keys: str) -> pd.DataFrame:
    """Make rows of a split and a label each, as in `train/a`."""
    return pd.DataFrame([key.split("/") for key in keys], columns=["split", "label"])


@pytest.mark.parametrize(
    ("keys", "split"), [(["train/a", "train/b", "test/a"], "test"), (["train/a", "test/a", "test/b"], "train")]
)
def test_require_published_classes_missing_class_error_says_what_can_help(keys: list[str], split: str) -> None:
    with pytest.raises(UserError, match=f"published split {split} has no image of b: leave the class out") as caught:
        require_published_classes(make_rows(*keys), ("a", "b"))
    assert "set split.strategy to fraction, which divides all images" in str(caught.value)


def test_require_published_classes_class_that_the_recipe_leaves_out_may_lack() -> None:
    require_published_classes(make_rows("train/a", "train/b", "test/a"), ("a",))
    require_published_classes(make_rows("/a", "/b"), ("a", "b"))
