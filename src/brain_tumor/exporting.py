"""From a trained model to ONNX files: float32, and int8 calibrated on training images."""

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# First: it keeps the ONNX runtime from reporting its use.
from brain_tumor.onnx_model import KEY

# isort: split
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from brain_tumor.calibration import to_probabilities
from brain_tumor.classifier import Classifier, ModelCard
from brain_tumor.typicality import Typical

for chatty in ("onnx_ir", "onnxscript", "torch.onnx"):
    logging.getLogger(chatty).setLevel(logging.WARNING)
BATCH = 16
Gray = NDArray[np.uint8]


class _Whole(nn.Module):
    """Everything from gray pixels to calibrated probabilities, so that a device has nothing to add."""

    def __init__(self, model: Classifier, card: ModelCard) -> None:
        super().__init__()
        self.model, self.head, self.temperature = model, card.head, card.calibration.temperature

    def forward(self, images: Tensor) -> Tensor:
        return to_probabilities(self.model(images.unsqueeze(1).float() / 255), self.head, self.temperature)


def to_onnx(model: Classifier, card: ModelCard, typical: Typical, path: Path) -> None:
    """Write a model with input `images` (N, S, S) uint8 and output `probabilities` (N, K), N free.

    The metadata hold `model.json` and what training images are like: all that a prediction needs. What the model takes
    beside the image is left unknown.
    """
    side = card.enhance.size
    example = torch.zeros(2, side, side, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            # Channels last would leave its strides in the file.
            _Whole(model, card).eval().to(memory_format=torch.contiguous_format),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_shapes={"images": {0: torch.export.Dim("n")}},
        )
    assert program is not None
    proto = program.model_proto
    describe(proto, card, typical)
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))


def describe(proto: onnx.ModelProto, card: ModelCard, typical: Typical) -> None:
    """Put the description into the metadata, and take out what the exporter noted of this machine's files."""
    del proto.metadata_props[:]
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in proto.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""
    about: dict[str, Any] = card.model_dump(mode="json") | {"typical": typical.model_dump(mode="json")}
    proto.metadata_props.add(key=KEY, value=json.dumps(about, ensure_ascii=False, sort_keys=True))


def mark_unfit(path: Path) -> None:
    """Note in a file's metadata that it is worse than its model."""
    proto = onnx.load(str(path))
    for entry in proto.metadata_props:
        if entry.key == KEY:
            entry.value = json.dumps(json.loads(entry.value) | {"fit": False}, ensure_ascii=False, sort_keys=True)
    onnx.save(proto, str(path))


class _Images(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, images: Gray) -> None:
        self.batches: Iterator[Gray] = iter([images[k : k + BATCH] for k in range(0, len(images), BATCH)])

    def get_next(self) -> dict[str, Gray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch}


def to_int8(path: Path, images: Gray, out: Path) -> None:
    """Quantize an exported file: weights by channel, activations with the ranges that these images give.

    Args:
        images: (N, S, S) uint8, enhanced training images.
    """
    about = list(onnx.load(str(path)).metadata_props)
    prepared = out.with_suffix(".prepared")
    level = logging.getLogger().level
    try:
        logging.getLogger().setLevel(logging.ERROR)  # it advises to do what was just done
        quant_pre_process(str(path), str(prepared))
        nodes = onnx.load(str(prepared)).graph.node
        head = max(k for k, node in enumerate(nodes) if node.op_type in ("Gemm", "MatMul"))
        quantize_static(
            str(prepared),
            str(out),
            _Images(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # The head costs nothing, and probabilities in steps of 1/255 would be no probabilities.
            nodes_to_exclude=[node.name for node in nodes[head:]],
        )
    finally:
        logging.getLogger().setLevel(level)
        prepared.unlink(missing_ok=True)
    proto = onnx.load(str(out))
    del proto.metadata_props[:]
    proto.metadata_props.extend(about)
    onnx.save(proto, str(out))
