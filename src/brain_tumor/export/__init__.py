"""Export to ONNX, and exported models without torch."""
