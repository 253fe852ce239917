"""Layers and networks that use only the public parts of the package, as your own would."""

from tinygrad_mnist.examples.lenet import Conv2d, Images, LeNet, MaxPool2d
from tinygrad_mnist.examples.norm import BatchNorm1d, LayerNorm
from tinygrad_mnist.examples.residual import ResidualBlock, ResMLP

__all__ = [
    "BatchNorm1d",
    "Conv2d",
    "Images",
    "LayerNorm",
    "LeNet",
    "MaxPool2d",
    "ResMLP",
    "ResidualBlock",
]
