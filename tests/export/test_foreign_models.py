"""ONNX files that others made: other outputs than probabilities, endless models, impossible descriptions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from brain_tumor.core.errors import UserError
from brain_tumor.export import onnx_model
from brain_tumor.export.onnx_model import METADATA_KEY, OnnxModel, read_description

SIDE = 16
IMAGES = np.zeros((3, SIDE, SIDE), np.uint8)
DESCRIPTION: dict[str, Any] = {
    "recipe": "r", "dataset": "d", "generated_data": False, "classes": ["a", "b"],
    "preprocess": {"operations": [{"op": "resize", "size": SIDE, "mode": "pad"}]},
    "calibration": {"thresholds": {"0.9": 0.2}},
    "ood_reference": {"mean": [0.0, 0.0], "precision": [[1.0, 0.0], [0.0, 1.0]], "limit": 3.0},
}  # fmt: skip


def constant(name: str, values: Any, dtype: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype), name)


def write_model(path: Path, nodes: list[Any], constants: list[Any], description: Any = DESCRIPTION) -> Path:
    """Write a model with the inputs and outputs of an export."""
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIDE, SIDE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content = description if isinstance(description, str) else json.dumps(description)
    model.metadata_props.add(key=METADATA_KEY, value=content)
    onnx.save(model, str(path))
    return path


def write_row_model(path: Path, row: Any, description: Any = DESCRIPTION) -> Path:
    """Write a model that gives the same row of two numbers for each image."""
    nodes = [
        helper.make_node("Shape", ["images"], ["count"], start=0, end=1),
        helper.make_node("Concat", ["count", "two"], ["shape"], axis=0),
        helper.make_node("Expand", ["row", "shape"], ["probabilities"]),
    ]
    return write_model(path, nodes, [constant("two", [2], np.int64), constant("row", [row])], description)


def write_endless_model(path: Path) -> Path:
    """Write a model that adds in a loop for centuries."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["condition"], ["next_condition"]),
            helper.make_node("Add", ["row", "row"], ["next_row"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
            helper.make_tensor_value_info("row", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("next_condition", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next_row", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=[1], keepdims=1),
        helper.make_node("Loop", ["trips", "true", "means"], ["row"], body=body),
        helper.make_node("Concat", ["row", "row"], ["probabilities"], axis=1),
    ]
    cast = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["floats"]),
    ]
    constants = [constant("trips", 2**62, np.int64), constant("true", True, bool)]
    return write_model(path, cast + nodes, constants)


def test_probabilities_of_a_foreign_model_are_accepted(tmp_path: Path) -> None:
    model = OnnxModel(write_row_model(tmp_path / "m.onnx", [0.9995, 0.0001]))
    assert model.predict_probabilities(IMAGES).shape == (3, 2)
    assert model.predict_probabilities(IMAGES[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([1e30, 0.0], "from 0 to 1e+30"),
        ([-0.5, 1.5], "from -0.5 to 1.5"),
        ([1.0, 1.0], "have the sum 2"),
        ([0.0, 0.0], "have the sum 0"),
        ([np.nan, 1.0], "not finite"),
        ([np.inf, 0.0], "not finite"),
    ],
    ids=["huge", "negative", "ones", "zeros", "nan", "infinite"],
)
def test_outputs_that_are_not_probabilities_are_one_error(tmp_path: Path, row: list[float], problem: str) -> None:
    model = OnnxModel(write_row_model(tmp_path / "m.onnx", row))
    with pytest.raises(UserError, match="gives numbers that are not probabilities") as caught:
        model.predict_probabilities(IMAGES)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_other_numbers_of_rows_are_an_error(tmp_path: Path, count: int) -> None:
    rows = constant("rows", np.full((count, 2), 0.5))
    model = OnnxModel(
        write_model(tmp_path / "m.onnx", [helper.make_node("Identity", ["rows"], ["probabilities"])], [rows])
    )
    with pytest.raises(UserError, match=rf"\({count}, 2\) instead of probabilities \(3, 2\)"):
        model.predict_probabilities(IMAGES)


def test_endless_model_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model, "MAX_BATCH_SECONDS", 0.5)
    model = OnnxModel(write_endless_model(tmp_path / "m.onnx"))
    with pytest.raises(UserError, match=r"cannot predict 3 images: it took more than 0\.5 s"):
        model.predict_probabilities(IMAGES)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ood_reference": {"mean": [0.0], "precision": [[1.0, 0.0]], "limit": 1.0}}, "ood_reference"),
        ({"ood_reference": {"mean": [float("nan")], "precision": [[1.0]], "limit": 1.0}}, "ood_reference"),
        ({"ood_reference": {"mean": [0.0], "precision": [[float("inf")]], "limit": 1.0}}, "ood_reference"),
        ({"ood_reference": {"mean": [0.0], "precision": [[1.0]], "limit": float("nan")}}, "ood_reference"),
        ({"calibration": {"thresholds": {"0.9": 1e9}}}, "calibration.thresholds.0.9"),
        ({"calibration": {"thresholds": {"0.9": -1.0}}}, "calibration.thresholds.0.9"),
        ({"classes": ["a", "a"]}, "classes"),
        ({"classes": [str(n) for n in range(1001)]}, "classes"),
        ({"classes": ["a", "b" * 300]}, "classes.1"),
        ({"recipe": ""}, "recipe"),
    ],
    ids=["ragged", "nan-mean", "infinite", "nan-limit", "high", "low", "twice", "many", "long", "empty"],
)
def test_impossible_descriptions_are_one_error(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    path = write_row_model(tmp_path / "m.onnx", [0.5, 0.5], DESCRIPTION | changes)
    with pytest.raises(UserError, match="has invalid metadata: ") as caught:
        OnnxModel(path)
    assert f"metadata: {field}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"[" * 100_000, b'{"recipe": ' + b"9" * 5000 + b"}", b"[]", b"{}"],
    ids=["bytes", "deep", "digits", "list", "empty"],
)
def test_model_json_of_any_content_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(UserError, match="is not a valid model description") as caught:
        read_description(tmp_path)
    assert "\n" not in str(caught.value)
