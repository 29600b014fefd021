"""The part of a recipe that training needs, out of params.yaml."""

from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from brain_tumor.core.cli import PARAMS
from brain_tumor.core.params import Block, read_params
from brain_tumor.models.calibration import Head
from brain_tumor.models.clinical_features import ColumnName
from brain_tumor.models.numerics import Numerics
from brain_tumor.preprocessing.operations import PreprocessParams
from brain_tumor.training.augmentation import Augmentation
from brain_tumor.training.frozen_features import Trainable
from brain_tumor.training.mixup import Mixup
from brain_tumor.training.optim import Loss, OptimizerParams, Schedule


class TrainParams(Block):
    """`recipes.<name>.train`.

    Attributes:
        trainable: `all`, `head`, or the number of last blocks to train in addition to the head. With `head` and
            without augmentation, the features of the frozen backbone are computed once.
        head: `softmax`, or `sigmoid` with one logit for two classes.
        epochs: maximum number of epochs.
        batch_size: batch size of all processes together.
        optimizer: optimizer and peak learning rate.
        schedule: learning rate over the epochs.
        loss: loss of the training images.
        drop_last: leave out the images of an epoch that do not fill a last batch.
        dropout: probability with which a feature before the classification layer is dropped in training; none: that of
            the architecture.
        drop_path: probability with which the last residual block is skipped in training (stochastic depth, Huang et al.
            2016), falling linearly to 0 for the first; none: that of the architecture.
        select: the epoch whose weights are kept, by validation loss or accuracy (the earliest of equals), or the last.
        patience: epochs without improvement after which training stops; none: never before `epochs`.
        ema: decay of the exponential moving average of the weights, which is then validated and kept instead of
            the weights themselves; none: no average.
        augment: operations on training images, in order.
        mix: mixup and CutMix of training images.
        metadata: clinical columns that the model takes as input besides the image.
        compile: run the network through torch.compile.
        seed: seed of the initial weights and of all random numbers of training.
        numerics: `portable`: training and everything after it give the same bytes on every x86-64 Linux machine, with
            AVX2 instructions and two threads; `native`: all instructions and cores of the machine.
    """

    trainable: Trainable
    head: Head
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    optimizer: OptimizerParams
    schedule: Schedule
    loss: Loss
    drop_last: bool = True
    dropout: float | None = Field(None, ge=0, lt=1)
    drop_path: float | None = Field(None, ge=0, lt=1)
    select: Literal["loss", "accuracy", "last"]
    patience: int | None = Field(None, ge=1)
    ema: float | None = Field(None, gt=0, lt=1)
    augment: tuple[Augmentation, ...]
    mix: Mixup = Mixup()
    metadata: tuple[ColumnName, ...] = ()
    compile: bool = False
    seed: int
    numerics: Numerics = "native"

    @model_validator(mode="after")
    def _require_portable_code(self) -> Self:
        if self.compile and self.numerics == "portable":
            raise ValueError("compile generates code for the CPU of this machine: it needs numerics: native")
        return self

    @model_validator(mode="after")
    def _require_selection(self) -> Self:
        if self.select == "last" and self.patience is not None:
            raise ValueError("patience stops after the best epoch, but select: last keeps the last one")
        return self

    @property
    def needs_validation(self) -> bool:
        """Whether training reads validation rows."""
        return self.select != "last" or self.schedule.kind == "plateau"

    def regularization(self) -> dict[str, float]:
        """Return the arguments of timm's model that are set here."""
        rates = {"drop_rate": self.dropout, "drop_path_rate": self.drop_path}
        return {name: rate for name, rate in rates.items() if rate is not None}


class TrainingConfig(NamedTuple):
    """Inputs of the training of a recipe.

    Attributes:
        generated_data: whether the data set is synthetic.
        weights: folder of the backbone.
    """

    name: str
    dataset: str
    generated_data: bool
    classes: tuple[str, ...]
    preprocess: PreprocessParams
    train: TrainParams
    weights: Path


def read_training_config(name: str) -> TrainingConfig:
    """Read the training configuration of a recipe.

    Raises:
        UserError: a missing or invalid parameter.
    """
    dataset = read_params(PARAMS, f"recipes.{name}.dataset", str)
    return TrainingConfig(
        name=name,
        dataset=dataset,
        generated_data=read_params(PARAMS, f"datasets.{dataset}.info.generated", bool),
        classes=read_params(PARAMS, f"recipes.{name}.classes", tuple[str, ...]),
        preprocess=read_params(PARAMS, f"recipes.{name}.preprocess", PreprocessParams),
        train=read_params(PARAMS, f"recipes.{name}.train", TrainParams),
        weights=Path("data/weights") / read_params(PARAMS, f"recipes.{name}.backbone", str),
    )
