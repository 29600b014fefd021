"""Export of a trained model to ONNX files: float32, and int8 calibrated on training images."""

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# First: it keeps the ONNX runtime from reporting its use.
from brain_tumor.export.onnx_model import METADATA_KEY

# isort: split
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from brain_tumor.core.types import Gray
from brain_tumor.export.out_of_distribution import OodReference
from brain_tumor.models.calibration import to_probabilities
from brain_tumor.models.classifier import Classifier, ModelConfig

for noisy_logger in ("onnx_ir", "onnxscript", "torch.onnx"):
    logging.getLogger(noisy_logger).setLevel(logging.WARNING)
BATCH_SIZE = 16  # images


class EndToEndModel(nn.Module):
    """Gray pixels (N, S, S) uint8 → calibrated probabilities (N, K): normalization, model and temperature in one."""

    def __init__(self, model: Classifier, config: ModelConfig) -> None:
        super().__init__()
        self.model, self.head, self.temperature = model, config.head, config.calibration.temperature

    def forward(self, images: Tensor) -> Tensor:
        return to_probabilities(self.model(images.unsqueeze(1).float() / 255), self.head, self.temperature)


def export_onnx(model: Classifier, config: ModelConfig, ood_reference: OodReference, path: Path) -> None:
    """Write a model with the input `images` (N, S, S) uint8 and the output `probabilities` (N, K), for any N.

    The file's metadata contain `model.json` and the reference of the out-of-distribution check. Clinical features
    are not an input: all of them count as missing.

    Args:
        model: model in evaluation mode, on the CPU.
        config: its `model.json`.
        ood_reference: statistics of the preprocessed training images.
        path: file to write.
    """
    side = config.preprocess.size
    example = torch.zeros(2, side, side, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            # Channels last would leave its strides in the file.
            EndToEndModel(model, config).eval().to(memory_format=torch.contiguous_format),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_shapes={"images": {0: torch.export.Dim("n")}},
        )
    assert program is not None
    proto = program.model_proto
    replace_metadata(proto, config, ood_reference)
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))


def replace_metadata(proto: onnx.ModelProto, config: ModelConfig, ood_reference: OodReference) -> None:
    """Write the model's description into the metadata, and remove the exporter's notes on files of this machine."""
    del proto.metadata_props[:]
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in proto.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""
    description: dict[str, Any] = config.model_dump(mode="json")
    description["ood_reference"] = ood_reference.model_dump(mode="json")
    proto.metadata_props.add(key=METADATA_KEY, value=json.dumps(description, ensure_ascii=False, sort_keys=True))


def mark_failed_check(path: Path) -> None:
    """Set `passes_quality_check` to false in the metadata of an exported file."""
    proto = onnx.load(str(path))
    for entry in proto.metadata_props:
        if entry.key == METADATA_KEY:
            description = json.loads(entry.value) | {"passes_quality_check": False}
            entry.value = json.dumps(description, ensure_ascii=False, sort_keys=True)
    onnx.save(proto, str(path))


class _CalibrationImages(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, images: Gray) -> None:
        self.batches: Iterator[Gray] = iter([images[k : k + BATCH_SIZE] for k in range(0, len(images), BATCH_SIZE)])

    def get_next(self) -> dict[str, Gray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch}


def quantize_int8(path: Path, images: Gray, out: Path) -> None:
    """Quantize an exported file: weights per channel, activations by the ranges measured on images.

    Args:
        path: path of the float32 file.
        images: (N, S, S) preprocessed training images.
        out: path of the int8 file.
    """
    metadata = list(onnx.load(str(path)).metadata_props)
    prepared = out.with_suffix(".prepared")
    level = logging.getLogger().level
    try:
        logging.getLogger().setLevel(logging.ERROR)  # it recommends the preparation that was just made
        quant_pre_process(str(path), str(prepared))
        nodes = onnx.load(str(prepared)).graph.node
        head = max(k for k, node in enumerate(nodes) if node.op_type in ("Gemm", "MatMul"))
        quantize_static(
            str(prepared),
            str(out),
            _CalibrationImages(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # The head stays float32: it is cheap, and 8 bits would round probabilities to steps of 1/255.
            nodes_to_exclude=[node.name for node in nodes[head:]],
        )
    finally:
        logging.getLogger().setLevel(level)
        prepared.unlink(missing_ok=True)
    proto = onnx.load(str(out))
    del proto.metadata_props[:]
    proto.metadata_props.extend(metadata)
    onnx.save(proto, str(out))
