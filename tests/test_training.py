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
from lightning_fabric import Fabric
from torch import Tensor, nn

from brain_tumor import resuming, training
from brain_tumor.calibration import to_probabilities
from brain_tumor.classifier import Classifier, ModelCard, load, predict_logits, save, to_unit
from brain_tumor.enhance import EnhanceParams
from brain_tumor.errors import UserError
from brain_tumor.metadata import encode, learn
from brain_tumor.optimization import Loss, Mix, OptimizerParams, Schedule
from brain_tumor.resuming import State
from brain_tumor.rows import Rows
from brain_tumor.runtime import Runtime
from brain_tumor.training import TrainParams, train
from brain_tumor.validation import evaluate

CPU = torch.device("cpu")
ONE = Runtime(Fabric(accelerator="cpu", devices=1))
EVEN = [1.0, 1.0, 1.0]


def card(architecture: str = "resnet10t", classes: int = 3, head: str = "softmax", mean: Any = (0.5,) * 3) -> ModelCard:
    return ModelCard.model_validate(
        {
            "recipe": "r",
            "dataset": "d",
            "generated_data": True,
            "classes": tuple("abc"[:classes]),
            "architecture": architecture,
            "head": head,
            "mean": tuple(mean),
            "std": (0.5, 0.5, 0.5),
            "pretrained": "none",
            "enhance": EnhanceParams.model_validate({"operations": ({"op": "resize", "size": 32, "mode": "pad"},)}),
            "data": "",
            "code": {},
            "versions": {},
        }
    )


def params(**changes: Any) -> TrainParams:
    block: dict[str, Any] = {
        "trained": "all",
        "head": "softmax",
        "epochs": 3,
        "batch_size": 8,
        "optimizer": {"kind": "adamw", "lr": 0.003},
        "schedule": {"kind": "cosine", "warmup": 0.5},
        "loss": {},
        "select": "loss",
        "augment": ({"op": "flip"}, {"op": "affine", "degrees": 10.0}, {"op": "noise", "sd": 0.05}),
        "seed": 1,
    }
    return TrainParams.model_validate(block | changes)


def rows(count: int, classes: int = 3, seed: int = 0) -> Rows:
    """Images whose brightness tells the class."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % classes
    noise = torch.randint(0, 60, (count, 32, 32), generator=generator)
    return Rows((noise + 60 * targets.view(-1, 1, 1)).to(torch.uint8), targets, torch.zeros(count, 0))


def model(**changes: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier(card(**changes))


def fit(scratch: Path, net: Classifier | None = None, **changes: Any) -> tuple[Classifier, State]:
    net = net or model()
    return net, train(net, rows(24), rows(9, seed=1), EVEN, params(**changes), ONE, scratch)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


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


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"kind": "constant"}, [1, 1, 1]),
        ({"kind": "linear"}, [1, 0.5, 0]),
        ({"kind": "cosine"}, [1, 0.5, 0]),
        ({"kind": "step", "every": 5, "factor": 0.1}, [1, 0.1, 0.01]),
        ({"kind": "linear", "warmup": 5.0}, [0, 1, 0]),
    ],
)
def test_schedules(schedule: dict[str, Any], expected: list[float]) -> None:
    made = Schedule.model_validate(schedule)
    assert [made.scale(epoch, 10) for epoch in (0, 5, 10)] == pytest.approx(expected)


def mean(loss: Loss, logits: Tensor, targets: Tensor, head: Any, weights: Tensor) -> Tensor:
    return loss.total(logits, targets, head, weights) / loss.weight(targets, head, weights)


def test_loss_balances_classes_by_their_frequency() -> None:
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), torch.tensor([0, 1, 0])
    weights = torch.tensor([40 / 60, 40 / 20])  # of 30 and 10 training rows
    expected = nn.functional.cross_entropy(logits, targets, weights)
    torch.testing.assert_close(mean(Loss(balance=True), logits, targets, "softmax", weights), expected)
    one = logits[:, :1]
    expected = nn.functional.binary_cross_entropy_with_logits(
        one.squeeze(-1), torch.tensor([1.0, 0.0, 1.0]), pos_weight=torch.tensor(10 / 30)
    )
    torch.testing.assert_close(mean(Loss(balance=True), one, targets, "sigmoid", weights), expected)


def test_adamw_spares_biases_and_norms() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    optimizer = OptimizerParams(kind="adamw", lr=0.1, weight_decay=0.5).build(net.parameters())
    assert [(g["weight_decay"], len(g["params"])) for g in optimizer.param_groups] == [(0.5, 1), (0.0, 3)]


def test_checkpoint_comes_back_and_refuses_what_does_not_fit(tmp_path: Path) -> None:
    net = model().to(memory_format=torch.channels_last).eval()
    save(tmp_path, net, card())
    again, read_card = load(tmp_path, CPU)
    assert read_card == card()
    images = rows(4).images
    assert torch.equal(predict_logits(net, images, CPU), predict_logits(again, images, CPU))
    save(tmp_path, net, card(classes=2))
    with pytest.raises(UserError, match="does not fit"):
        load(tmp_path, CPU)
    (tmp_path / "model.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="does not fit"):
        load(tmp_path, CPU)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(UserError, match="no valid model description"):
        load(tmp_path, CPU)
    with pytest.raises(UserError, match="missing"):
        load(tmp_path / "nowhere", CPU)


def test_missing_weights_are_an_error_and_never_random(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Classifier(card(), tmp_path / "model.safetensors")


def test_one_channel_stem_is_exact_where_it_is_used(tmp_path: Path) -> None:
    """timm's one-channel adaption gives what the gray channel three times would, if all channels are scaled alike."""
    from safetensors.torch import save_file
    from timm import create_model

    torch.manual_seed(0)
    color: Any = create_model("resnet10t", num_classes=3)
    save_file(color.state_dict(), tmp_path / "model.safetensors")
    gray = Classifier(card(), tmp_path / "model.safetensors").eval()
    x = to_unit(rows(4).images, CPU)
    three = color.eval().forward_features(((x - 0.5) / 0.5).expand(-1, 3, -1, -1))
    torch.testing.assert_close(gray.backbone.forward_features(gray.normalize(x)), three, rtol=1e-4, atol=1e-5)
    uneven: Tensor = Classifier(card(mean=(0.4, 0.5, 0.6)), tmp_path / "model.safetensors").normalize(x)
    assert uneven.shape[1] == 3


def test_plateau_lowers_the_rate_when_the_loss_no_longer_falls() -> None:
    made = Schedule(kind="plateau", every=2, factor=0.1)
    losses = [3.0, 2.0, 2.5, 2.1, 2.2, 2.3, 1.0]
    factors = [made.scale(epoch, 10, losses[:epoch]) for epoch in range(8)]
    assert factors == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


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
        return math.sqrt(sum(float((a - b).square().sum()) for a, b in pairs))

    assert moved(clip=0.01) == pytest.approx(0.01, rel=1e-3)
    assert moved() > 0.1


def test_mixed_images_have_mixed_labels() -> None:
    torch.manual_seed(1)
    x, targets = torch.rand(6, 1, 8, 8), torch.arange(6) % 3
    for mix in (Mix(mixup=1.0), Mix(cutmix=1.0)):
        mixed, shares = mix(x, targets, 3)
        assert shares.shape == (6, 3)
        torch.testing.assert_close(shares.sum(1), torch.ones(6))
        assert not torch.equal(mixed, x)
    assert Mix()(x, targets, 3) == (x, targets)


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
