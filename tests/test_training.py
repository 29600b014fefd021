"""The training loop on nets small enough to run in a second."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from brain_tumor import training
from brain_tumor.classifier import Classifier, ModelCard, load, predict_logits, save, to_unit
from brain_tumor.enhance import EnhanceParams
from brain_tumor.errors import UserError
from brain_tumor.optimization import Loss, OptimizerParams, Schedule
from brain_tumor.training import Rows, State, TrainParams, train

CPU = torch.device("cpu")
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
    return Rows((noise + 60 * targets.view(-1, 1, 1)).to(torch.uint8), targets)


def model(**changes: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier(card(**changes))


def fit(scratch: Path, net: Classifier | None = None, **changes: Any) -> tuple[Classifier, State]:
    net = net or model()
    return net, train(net, rows(24), rows(9, seed=1), EVEN, params(**changes), CPU, scratch)


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

    real = training._save
    with monkeypatch.context() as patch:
        patch.setattr(training, "_save", stop_after_first)
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
    state = train(net, rows(96), rows(9, seed=1), EVEN, params(epochs=4), CPU, tmp_path / "s.pt")
    losses = [line.validation_loss for line in state.history]
    assert state.best == losses.index(min(losses))
    found = training.evaluate(net, rows(9, seed=1), params(), CPU, torch.ones(3))
    assert found[0] == pytest.approx(min(losses), rel=1e-5)
    assert found[1] > 0.6


def test_head_on_features_equals_training_the_head_the_slow_way(tmp_path: Path) -> None:
    fast, _ = fit(tmp_path / "fast.pt", trained="head", augment=())
    slow = model()
    slow.eval()
    for parameter in slow.backbone.parameters():
        parameter.requires_grad_(False)
    head: Any = slow.backbone.get_classifier()
    for parameter in head.parameters():
        parameter.requires_grad_(True)

    class Slow(nn.Module):
        """Encodes anew each step what `trained: head` encodes once."""

        def get_classifier(self) -> nn.Module:
            return head  # type: ignore[no-any-return]

    options = params(trained="head", augment=())
    optimizer = options.optimizer.build(head.parameters())
    data, best = rows(24), None
    for epoch in range(options.epochs):
        generator = torch.Generator().manual_seed(training._seed(1, "epoch", epoch))
        order = torch.randperm(24, generator=generator)
        for step, batch in enumerate(order.split(8)):
            for group in optimizer.param_groups:
                group["lr"] = 0.003 * options.schedule.scale(epoch + (step + 1) / 3, 3)
            loss = options.loss(slow(to_unit(data.images[batch], CPU)), data.targets[batch], "softmax", torch.ones(3))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = training.evaluate(slow, rows(9, seed=1), options, CPU, torch.ones(3))[0]
        if best is None or found < best[0]:
            best = (found, head.weight.detach().clone())
    assert best is not None
    torch.testing.assert_close(fast.backbone.get_classifier().weight, best[1], rtol=1e-4, atol=1e-6)


def test_frozen_parts_stay_as_they_were(tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in model().backbone.state_dict().items()}
    for trained, changed in (("head", {"fc"}), (1, {"fc", "layer4"})):
        net, _ = fit(tmp_path / f"{trained}.pt", trained=trained, augment=())
        moved = {n.split(".")[0] for n, t in net.backbone.state_dict().items() if not torch.equal(t, before[n])}
        assert moved == changed


def test_head_alone_allows_no_augmentation(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no augmentation"):
        fit(tmp_path / "s.pt", trained="head")


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not finite in epoch"):
        fit(tmp_path / "s.pt", optimizer={"kind": "sgd", "lr": 1e30})


def test_one_logit_is_for_the_first_class(tmp_path: Path) -> None:
    net = model(classes=2, head="sigmoid")
    data = rows(16, classes=2)
    train(
        net, data, data, [0.5, 2.0], params(head="sigmoid", epochs=12, loss={"balance": True}), CPU, tmp_path / "s.pt"
    )
    probabilities = net.probabilities(predict_logits(net, data.images, CPU))
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


def test_loss_balances_classes_by_their_frequency() -> None:
    logits, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]]), torch.tensor([0, 1, 0])
    weights = torch.tensor([40 / 60, 40 / 20])  # of 30 and 10 training rows
    expected = nn.functional.cross_entropy(logits, targets, weights)
    assert torch.equal(Loss(balance=True)(logits, targets, "softmax", weights), expected)
    one = logits[:, :1]
    expected = nn.functional.binary_cross_entropy_with_logits(
        one.squeeze(-1), torch.tensor([1.0, 0.0, 1.0]), pos_weight=torch.tensor(10 / 30)
    )
    assert torch.equal(Loss(balance=True)(one, targets, "sigmoid", weights), expected)


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
