"""Pretrained weights of backbones."""
