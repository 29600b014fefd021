"""ONNX files of small networks: they agree with the model, say all about themselves, and need no torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from heads import small
from nets import card
from PIL import Image

from brain_tumor import exporting, typicality
from brain_tumor.calibration import Calibration, to_probabilities
from brain_tumor.classifier import Classifier, ModelCard, predict_logits
from brain_tumor.errors import UserError
from brain_tumor.onnx_model import KEY, OnnxModel
from brain_tumor.typicality import Typical
from export import ExportParams, compare

CPU = torch.device("cpu")
Exported = tuple[Path, Classifier, ModelCard]


def described(architecture: str, kind: str = "softmax") -> ModelCard:
    known = Calibration(temperature=0.7, least={"0.9": 0.2})
    return card(architecture, 2 if kind == "sigmoid" else 3, kind).model_copy(update={"calibration": known})


def typical() -> Typical:
    return typicality.learn(small(range(40)), small(range(20)))


@pytest.fixture(scope="module", params=[("resnet10t", "softmax"), ("tf_efficientnet_lite0", "sigmoid")])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    architecture, kind = request.param
    torch.manual_seed(0)
    about = described(architecture, kind)
    model, folder = Classifier(about).eval(), tmp_path_factory.mktemp(architecture)
    exporting.to_onnx(model, about, typical(), folder / "model.onnx")
    exporting.to_int8(folder / "model.onnx", small(range(24)), folder / "model-int8.onnx")
    return folder, model, about


def own(model: Classifier, about: ModelCard, images: np.ndarray) -> np.ndarray:
    logits = predict_logits(model, torch.from_numpy(images), CPU).double()
    return to_probabilities(logits, about.head, about.calibration.temperature).numpy()


@pytest.mark.parametrize("count", [1, 3, 16])
def test_the_file_gives_the_probabilities_of_the_model_for_any_batch(exported: Exported, count: int) -> None:
    folder, model, about = exported
    found = OnnxModel(folder / "model.onnx").probabilities(small(range(count)))
    assert found == pytest.approx(own(model, about, small(range(count))), abs=1e-5)
    assert found.sum(1) == pytest.approx(np.ones(count), abs=1e-5)


def test_int8_is_smaller_and_near(exported: Exported) -> None:
    folder, model, about = exported
    files = [folder / name for name in ("model.onnx", "model-int8.onnx")]
    assert files[1].stat().st_size < 0.4 * files[0].stat().st_size
    found = OnnxModel(files[1]).probabilities(small(range(16)))
    assert found == pytest.approx(own(model, about, small(range(16))), abs=0.1)
    assert len(np.unique(found.round(6))) > 3, "probabilities are not quantized"


def test_a_second_export_has_the_same_bytes_and_names_no_file_of_this_machine(
    exported: Exported, tmp_path: Path
) -> None:
    folder, model, about = exported
    exporting.to_onnx(model, about, typical(), tmp_path / "model.onnx")
    exporting.to_int8(tmp_path / "model.onnx", small(range(24)), tmp_path / "model-int8.onnx")
    for name in ("model.onnx", "model-int8.onnx"):
        content = (folder / name).read_bytes()
        assert (tmp_path / name).read_bytes() == content
        for place in (str(Path(torch.__file__).parents[1]), str(Path(__file__).parents[1]), str(tmp_path)):
            assert place.encode() not in content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model-int8.onnx", "model.onnx"]


def test_the_file_says_all_that_a_prediction_needs(exported: Exported) -> None:
    folder, _, about = exported
    for name in ("model.onnx", "model-int8.onnx"):
        known = OnnxModel(folder / name).description
        assert known.classes == about.classes
        assert known.enhance == about.enhance
        assert known.calibration.least == {"0.9": 0.2}
        assert known.typical == typical()


def test_files_of_others_and_damaged_ones_are_refused(exported: Exported, tmp_path: Path) -> None:
    content = (exported[0] / "model.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.onnx").write_text("no model")
    foreign = onnx.load_from_string(content)
    del foreign.metadata_props[:]
    onnx.save(foreign, str(tmp_path / "foreign.onnx"))
    foreign.metadata_props.add(key=KEY, value=json.dumps({"classes": ["a"]}))
    onnx.save(foreign, str(tmp_path / "half.onnx"))
    expected = {"cut": "no ONNX model", "text": "no ONNX model", "foreign": "not written by", "half": "does not fit"}
    for name, words in {**expected, "none": "is missing"}.items():
        with pytest.raises(UserError, match=words):
            OnnxModel(tmp_path / f"{name}.onnx")


def test_a_file_that_agrees_is_fit_and_one_that_fails_is_not() -> None:
    rows = pd.DataFrame({"label": list("abcabcabc"), "group": [str(k) for k in range(9)]})
    p = np.eye(3)[[0, 1, 2] * 3] * 0.8 + 0.1
    params = ExportParams(rounds=100, seed=0)
    same = compare(p, p, rows, ("a", "b", "c"), params)
    assert (same["agreement"], same["macro_f1_change"], same["fit"]) == (1, 0, True)
    other = compare(p, p[:, [1, 0, 2]], rows, ("a", "b", "c"), params)
    assert other["agreement"] == pytest.approx(1 / 3)
    assert other["macro_f1_change"] == pytest.approx(-2 / 3)
    assert not other["fit"]


def test_a_prediction_by_the_runtime_loads_neither_torch_nor_timm_nor_pandas(
    exported: Exported, tmp_path: Path
) -> None:
    """As on a device that has none of them: they cannot be imported."""
    Image.fromarray(small(range(1))[0]).save(tmp_path / "scan.png")
    source = Path(__file__).parents[1] / "src"
    for name in ("torch", "timm", "pandas", "torchvision", "sklearn", "matplotlib"):
        (tmp_path / "without" / name).mkdir(parents=True)
        (tmp_path / "without" / name / "__init__.py").write_text(f"raise ImportError('no {name} here')\n")
    command = [
        sys.executable,
        str(source / "predict.py"),
        str(exported[0]),
        str(tmp_path / "scan.png"),
        "--format",
        "jsonl",
    ]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "without")}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predicted"] in "abc"
    assert "Not for clinical use" in done.stderr
    assert "trained on generated images" in done.stderr
