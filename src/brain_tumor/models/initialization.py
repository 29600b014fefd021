"""Random initial weights as torchvision draws them, for networks whose published training began with these."""

from typing import Literal

from torch import nn

Init = Literal["timm", "torchvision"]


def initialize_like_torchvision(net: nn.Module) -> None:
    """Draw new weights for all convolutions, norm layers and linear layers, in place.

    Convolutions as torchvision's EfficientNet and ResNet: normal, with the variance 2 / fan-out, where the fan-out of a
    grouped convolution counts all output channels (timm divides it by the number of groups). Linear layers as PyTorch's
    default, which a new `nn.Linear` has that replaces the classifier of a torchvision model.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            module.reset_parameters()
