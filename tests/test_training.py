"""The training loop on nets small enough to run in a second."""

import math
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from nets import CPU, EVEN, ONE, card, fit, model, params, rows, same

from brain_tumor import resuming, training
from brain_tumor.calibration import to_probabilities
from brain_tumor.classifier import Classifier, load, predict_logits, save
from brain_tumor.errors import UserError
from brain_tumor.metadata import encode, learn
from brain_tumor.rows import Rows
from brain_tumor.training import train
from brain_tumor.validation import evaluate


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # nets this small lose more by waiting for each other than they gain
    yield
    torch.use_deterministic_algorithms(False)


def test_two_runs_give_the_same_weights(tmp_path: Path) -> None:
    first, second = fit(tmp_path / "a.pt")[0], fit(tmp_path / "b.pt")[0]
    assert same(first, second)
    assert not same(first, fit(tmp_path / "c.pt", seed=2)[0])


def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, state = fit(tmp_path / "whole.pt")
    saves: list[int] = []

    def stop_after_first(*words: Any) -> None:
        real(*words)
        saves.append(1)
        raise KeyboardInterrupt

    real = resuming.save
    with monkeypatch.context() as patch:
        patch.setattr(resuming, "save", stop_after_first)
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "cut.pt")
    resumed, again = fit(tmp_path / "cut.pt")
    assert len(saves) == 1
    assert same(whole, resumed)
    assert again.history == state.history


def test_a_damaged_scratch_file_is_ignored_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "bad.pt").write_bytes(b"PK\x03\x04 half a file")
    net, _ = fit(tmp_path / "bad.pt")
    assert "bad.pt cannot be read" in caplog.text
    assert same(net, fit(tmp_path / "good.pt")[0])


def test_it_learns_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    net = model()
    state = train(net, rows(96), rows(9, seed=1), EVEN, params(epochs=4), ONE, tmp_path / "s.pt")
    losses = [line.validation_loss for line in state.history]
    assert state.best == losses.index(min(losses))
    found = evaluate(net, rows(9, seed=1), params().loss, "softmax", ONE, torch.ones(3))
    assert found[0] == pytest.approx(min(losses), rel=1e-5)
    assert found[1] > 0.6


@pytest.mark.parametrize("architecture", ["resnet10t", "efficientnet_lite0", "test_vit"])
@pytest.mark.parametrize("trained", ["head", 1, 2])
def test_what_is_frozen_is_computed_once_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, trained: Any, caplog: pytest.LogCaptureFixture
) -> None:
    changes: dict[str, Any] = {"trained": trained, "augment": (), "optimizer": {"kind": "sgd", "lr": 1e-4}}
    caplog.set_level("INFO")
    fast, state = fit(tmp_path / "fast.pt", model(architecture=architecture), **changes)
    assert "cannot be cut" not in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(training, "cut", lambda *_: None)
        slow, expected = fit(tmp_path / "slow.pt", model(architecture=architecture), **changes)
    torch.testing.assert_close(fast.state_dict(), slow.state_dict(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.tensor(state.history), torch.tensor(expected.history), rtol=1e-4, atol=1e-5)
    assert not same(fast, model(architecture=architecture))
    assert sorted(tmp_path.iterdir()) == [tmp_path / "fast.pt", tmp_path / "slow.pt"]


def test_frozen_parts_stay_as_they_were(tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in model().backbone.state_dict().items()}
    for trained, changed in (("head", {"fc"}), (1, {"fc", "layer4"})):
        net, _ = fit(tmp_path / f"{trained}.pt", trained=trained, augment=())
        moved = {n.split(".")[0] for n, t in net.backbone.state_dict().items() if not torch.equal(t, before[n])}
        assert moved == changed


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not finite in epoch"):
        fit(tmp_path / "s.pt", optimizer={"kind": "sgd", "lr": 1e30})


def test_one_logit_is_for_the_first_class(tmp_path: Path) -> None:
    net = model(classes=2, head="sigmoid")
    data = rows(16, classes=2)
    train(
        net, data, data, [0.5, 2.0], params(head="sigmoid", epochs=12, loss={"balance": True}), ONE, tmp_path / "s.pt"
    )
    probabilities = to_probabilities(predict_logits(net, data.images, CPU), net.head)
    assert probabilities.shape == (16, 2)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(16))
    assert (probabilities.argmax(1) == data.targets).float().mean() > 0.9


def test_training_ends_when_validation_no_longer_improves(tmp_path: Path) -> None:
    _, state = fit(tmp_path / "s.pt", epochs=9, patience=2, optimizer={"kind": "sgd", "lr": 1e-9, "momentum": 0.0})
    losses = [line.validation_loss for line in state.history]
    assert len(losses) < 9
    assert state.best == losses.index(min(losses)) == len(losses) - 3


def test_the_moving_average_is_what_is_validated_and_kept(tmp_path: Path) -> None:
    averaged, state = fit(tmp_path / "a.pt", ema=0.9, epochs=4)
    plain, _ = fit(tmp_path / "b.pt", epochs=4)
    assert not same(averaged, plain)
    found = evaluate(averaged, rows(9, seed=1), params().loss, "softmax", ONE, torch.ones(3))
    assert found[0] == pytest.approx(state.history[state.best].validation_loss, rel=1e-5)


@pytest.mark.parametrize("changes", [{"ema": 0.9}, {"mix": {"mixup": 0.4, "cutmix": 1.0}}, {"compile": False}])
def test_interruption_changes_nothing_with_any_of_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    whole, _ = fit(tmp_path / "whole.pt", **changes)
    real = resuming.save

    def stop(*words: Any) -> None:
        real(*words)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(resuming, "save", stop)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                fit(tmp_path / "cut.pt", **changes)
    assert same(whole, fit(tmp_path / "cut.pt", **changes)[0])


def test_a_batch_gathered_from_parts_gives_the_gradient_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With layer norms, whose statistics do not depend on the batch, and classes of unequal weight."""
    weights = [0.5, 1.0, 2.0]
    changes: dict[str, Any] = {"loss": {"balance": True, "label_smoothing": 0.1}}
    changes["optimizer"] = {"kind": "sgd", "lr": 0.01}  # Adam blows rounding up
    found = []
    for part in (0, 3):
        monkeypatch.setattr(ONE, "device_batch", part)
        net = model(architecture="test_vit")
        train(net, rows(24), rows(9, seed=1), weights, params(**changes), ONE, tmp_path / f"{part}.pt")
        found.append(net.state_dict())
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


def test_a_clipped_gradient_makes_a_small_step(tmp_path: Path) -> None:
    def moved(**optimizer: Any) -> float:
        settings = {"kind": "sgd", "lr": 1.0, "momentum": 0.0} | optimizer
        schedule = {"kind": "constant"}
        place = tmp_path / f"{len(list(tmp_path.iterdir()))}.pt"
        net, _ = fit(place, epochs=1, batch_size=24, optimizer=settings, schedule=schedule)
        pairs = zip(net.backbone.parameters(), model().backbone.parameters(), strict=True)
        return math.sqrt(sum(float((a - b).detach().square().sum()) for a, b in pairs))

    assert moved(clip=0.01) == pytest.approx(0.01, rel=1e-3)
    assert moved() > 0.1


def test_metadata_that_carry_signal_help(tmp_path: Path) -> None:
    """Images that show nothing, and an age that tells the class; for some it is missing."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(48) % 2
    ages = (40 + 25 * targets + torch.randint(-8, 9, (48,), generator=generator)).tolist()
    table = pd.DataFrame({"age": ["" if n % 12 == 5 else str(age) for n, age in enumerate(ages)], "sex": "F"})
    images = torch.randint(0, 256, (48, 32, 32), generator=generator).to(torch.uint8)
    options = params(epochs=20, optimizer={"kind": "adamw", "lr": 0.05}, trained="head", augment=())
    accuracy = {}
    for names in ((), ("age",)):
        columns = learn(table[:32], names)
        data = Rows(images, targets, encode(table, columns))
        first, last = (Rows(*(values[chosen] for values in data)) for chosen in (slice(32), slice(32, 48)))
        torch.manual_seed(0)
        net = Classifier(card(classes=2).model_copy(update={"metadata": columns}))
        state = train(net, first, last, [1.0, 1.0], options, ONE, tmp_path / f"{len(names)}.pt")
        accuracy[names] = state.history[state.best].validation_accuracy
    assert accuracy[("age",)] >= 0.9
    assert accuracy[()] < 0.8
    save(tmp_path, net, card(classes=2).model_copy(update={"metadata": columns}))
    again, _ = load(tmp_path, CPU)
    given = predict_logits(net, images[:4], CPU, data.metadata[:4])
    assert torch.equal(predict_logits(again, images[:4], CPU, data.metadata[:4]), given)
    assert not torch.equal(predict_logits(again, images[:4], CPU), given)


def test_metadata_as_numbers() -> None:
    table = pd.DataFrame({"age": ["40", "60", ""], "sex": ["F", "", "M"]})
    columns = learn(table, ("age", "sex"))
    assert (columns[0].mean, columns[0].sd, columns[1].values) == (50, 10, ("F", "M"))
    expected = [[-1, 0, 1, 0, 0], [1, 0, 0, 0, 1], [0, 1, 0, 1, 0]]
    assert encode(table, columns).tolist() == expected
    strange = pd.DataFrame({"age": ["x", "inf"], "sex": ["D", "F"]})
    assert encode(strange, columns).tolist() == [[0, 1, 0, 0, 1], [0, 1, 1, 0, 0]]
    assert encode(pd.DataFrame(index=[0]), columns).tolist() == [[0, 1, 0, 0, 1]]
    assert encode(table, ()).shape == (3, 0)
    with pytest.raises(UserError, match="names site, which the data set does not have"):
        learn(table, ("site",))
    with pytest.raises(UserError, match="empty for all training images"):
        learn(table.assign(site=""), ("site",))


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(UserError, match=r"s.pt cannot be written .*make room"):
            fit(tmp_path / "s.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_says_what_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*words: Any) -> None:
        raise error

    monkeypatch.setattr(ONE, "backward", fail)
    with pytest.raises(UserError, match=r"not enough memory for 8 images at once: set DEVICE_BATCH"):
        fit(tmp_path / "s.pt")
