"""The training loop, on networks small enough to run in a second."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from brain_tumor.core.errors import UserError
from brain_tumor.models.calibration import to_probabilities
from brain_tumor.models.classifier import Classifier, load_model, save_model
from brain_tumor.models.clinical_features import encode_columns, fit_columns
from brain_tumor.models.predict import predict_logits
from brain_tumor.models.samples import Samples
from brain_tumor.training.checkpoint import TrainState
from brain_tumor.training.trainer import Trainer, train
from brain_tumor.training.validate import validate
from nets import (
    CPU,
    EQUAL_WEIGHTS,
    FABRIC,
    fit,
    have_same_weights,
    make_config,
    make_model,
    make_params,
    make_samples,
)


def test_train_same_seed_gives_same_weights(tmp_path: Path) -> None:
    first, second = fit(tmp_path / "a.pt")[0], fit(tmp_path / "b.pt")[0]
    assert have_same_weights(first, second)
    assert not have_same_weights(first, fit(tmp_path / "c.pt", seed=2)[0])


def test_train_learns_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    model, val_set = make_model(), make_samples(9, seed=1)
    state = train(model, make_samples(96), val_set, EQUAL_WEIGHTS, make_params(epochs=4), FABRIC, tmp_path / "s.pt")
    losses = [row.validation_loss for row in state.history]
    assert state.best == losses.index(min(losses))
    loss, accuracy = validate(model, val_set, make_params().loss, "softmax", torch.ones(3), FABRIC)
    assert loss == pytest.approx(min(losses), rel=1e-5)
    assert accuracy > 0.6


def test_train_loss_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not finite in epoch"):
        fit(tmp_path / "s.pt", optimizer={"kind": "sgd", "lr": 1e30})


def test_train_sigmoid_head_has_one_logit_for_the_first_class(tmp_path: Path) -> None:
    model, samples = make_model(classes=2, head="sigmoid"), make_samples(16, classes=2)
    params = make_params(head="sigmoid", epochs=12, loss={"balance": True})
    train(model, samples, samples, [0.5, 2.0], params, FABRIC, tmp_path / "s.pt")
    probabilities = to_probabilities(predict_logits(model, samples.images, CPU), model.head)
    assert probabilities.shape == (16, 2)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(16))
    assert (probabilities.argmax(1) == samples.targets).float().mean() > 0.9


def test_train_patience_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    _, state = fit(tmp_path / "s.pt", epochs=9, patience=2, optimizer={"kind": "sgd", "lr": 1e-9, "momentum": 0.0})
    losses = [row.validation_loss for row in state.history]
    assert len(losses) < 9
    assert state.best == losses.index(min(losses)) == len(losses) - 3


def test_train_ema_is_validated_and_kept(tmp_path: Path) -> None:
    averaged, state = fit(tmp_path / "a.pt", ema=0.9, epochs=4)
    plain, _ = fit(tmp_path / "b.pt", epochs=4)
    assert not have_same_weights(averaged, plain)
    loss, _ = validate(averaged, make_samples(9, seed=1), make_params().loss, "softmax", torch.ones(3), FABRIC)
    assert loss == pytest.approx(state.history[state.best].validation_loss, rel=1e-5)


def test_train_clip_limits_the_step(tmp_path: Path) -> None:
    def step_norm(**optimizer: Any) -> float:
        settings = {"kind": "sgd", "lr": 1.0, "momentum": 0.0} | optimizer
        scratch = tmp_path / f"{len(list(tmp_path.iterdir()))}.pt"
        model, _ = fit(scratch, epochs=1, batch_size=24, optimizer=settings, schedule={"kind": "constant"})
        pairs = zip(model.backbone.parameters(), make_model().backbone.parameters(), strict=True)
        return math.sqrt(sum(float((a - b).detach().square().sum()) for a, b in pairs))

    assert step_norm(clip=0.01) == pytest.approx(0.01, rel=1e-3)
    assert step_norm() > 0.1


def test_train_informative_metadata_raise_accuracy(tmp_path: Path) -> None:
    """The images are noise and the age depends on the class; some ages are missing."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(48) % 2
    ages = (40 + 25 * targets + torch.randint(-8, 9, (48,), generator=generator)).tolist()
    table = pd.DataFrame({"age": ["" if n % 12 == 5 else str(age) for n, age in enumerate(ages)], "sex": "F"})
    images = torch.randint(0, 256, (48, 32, 32), generator=generator).to(torch.uint8)
    params = make_params(epochs=20, optimizer={"kind": "adamw", "lr": 0.05}, trainable="head", augment=())
    accuracy = {}
    for names in ((), ("age",)):
        columns = fit_columns(table[:32], names)
        samples = Samples(images, targets, encode_columns(table, columns))
        train_set, val_set = (Samples(*(v[rows] for v in samples)) for rows in (slice(32), slice(32, 48)))
        torch.manual_seed(0)
        config = make_config(classes=2).model_copy(update={"metadata": columns})
        model = Classifier(config)
        state = train(model, train_set, val_set, [1.0, 1.0], params, FABRIC, tmp_path / f"{len(names)}.pt")
        accuracy[names] = state.history[state.best].validation_accuracy
    assert accuracy[("age",)] >= 0.9
    assert accuracy[()] < 0.8
    save_model(tmp_path, model, config)
    loaded = load_model(tmp_path).model
    logits = predict_logits(model, images[:4], CPU, samples.metadata[:4])
    assert torch.equal(predict_logits(loaded, images[:4], CPU, samples.metadata[:4]), logits)
    assert not torch.equal(predict_logits(loaded, images[:4], CPU), logits)


@pytest.mark.parametrize(
    "schedule",
    [
        {"kind": "cosine", "warmup": 1.5},
        {"kind": "linear"},
        {"kind": "step", "every": 2, "factor": 0.3},
        {"kind": "plateau", "every": 1, "factor": 0.5},
    ],
)
def test_trainer_learning_rate_of_each_step_is_that_of_the_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: dict[str, Any]
) -> None:
    """In a run that is interrupted after three of six epochs, too."""
    params = make_params(schedule=schedule, epochs=6, optimizer={"kind": "sgd", "lr": 0.3, "momentum": 0.0})
    rates: list[float] = []

    class RecordingTrainer(Trainer):
        def train_step(self, epoch: int, *args: Any) -> None:
            if epoch == 3 and not resumed:
                raise KeyboardInterrupt
            super().train_step(epoch, *args)
            rates.extend({group["lr"] for group in self.optimizer.param_groups})

    def run() -> list[float]:
        train_set, val_set = make_samples(24), make_samples(9, seed=1)
        trainer = RecordingTrainer(make_model(), train_set, val_set, EQUAL_WEIGHTS, params, FABRIC)
        return [row.validation_loss for row in trainer.run(tmp_path / "s.pt").history]

    monkeypatch.setattr("brain_tumor.training.checkpoint.MAX_CHECKPOINT_OVERHEAD", 1e9)
    resumed = False
    with pytest.raises(KeyboardInterrupt):
        run()
    resumed = True
    losses = run()
    steps = [(epoch, step) for epoch in range(6) for step in range(3)]
    factors = [params.schedule.lr_factor(epoch + (step + 1) / 3, 6, losses[:epoch]) for epoch, step in steps]
    assert rates == [0.3 * factor for factor in factors]
    assert len(set(factors)) > 2


def test_train_select_last_keeps_the_last_epoch_whatever_validation_says(tmp_path: Path) -> None:
    worse = {"kind": "sgd", "lr": 1e-9, "momentum": 0.0}  # only the batch norms change
    last, state = fit(tmp_path / "a.pt", epochs=4, select="last", optimizer=worse)
    assert state.best == 3
    best, selected = fit(tmp_path / "b.pt", epochs=4, optimizer=worse)
    assert selected.history == state.history
    assert selected.best < 3
    assert not have_same_weights(last, best)


def test_train_without_validation_rows_needs_select_last(tmp_path: Path) -> None:
    train_set, none = make_samples(24), make_samples(0)

    def run(**changes: Any) -> TrainState:
        params = make_params(epochs=2, **changes)
        return train(make_model(), train_set, none, EQUAL_WEIGHTS, params, FABRIC, tmp_path / "s.pt")

    for changes in ({}, {"select": "last", "schedule": {"kind": "plateau"}}):
        with pytest.raises(UserError, match="no validation rows"):
            run(**changes)
    for trainable in ("all", "head"):
        state = run(select="last", trainable=trainable, augment=())
        assert state.best == 1
        assert all(math.isnan(row.validation_loss) for row in state.history)
        (tmp_path / "s.pt").unlink()


@pytest.mark.parametrize(("drop_last", "steps"), [(True, 2), (False, 3)])
def test_train_drop_last_decides_on_the_images_that_do_not_fill_a_batch(
    drop_last: bool, steps: int, tmp_path: Path
) -> None:
    params = make_params(epochs=1, batch_size=10, drop_last=drop_last)
    trainer = Trainer(make_model(), make_samples(24), make_samples(9), EQUAL_WEIGHTS, params, FABRIC)
    assert trainer.steps_per_epoch == steps
    trainer.run(tmp_path / "s.pt")
    assert trainer.scheduler.last_epoch == steps - 1


def test_train_params_patience_with_select_last_is_rejected() -> None:
    with pytest.raises(ValidationError, match="select: last"):
        make_params(select="last", patience=2)
