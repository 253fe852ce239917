"""Layers built from the ops: a layer is attributes plus `forward`."""

from tinygrad_mnist.nn import init
from tinygrad_mnist.nn.layers import Dropout, Flatten, Linear, ReLU, Sigmoid, Tanh
from tinygrad_mnist.nn.loss import CrossEntropyLoss, MSELoss
from tinygrad_mnist.nn.mlp import MLP
from tinygrad_mnist.nn.module import Module, Parameter, Sequential

__all__ = [
    "MLP",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Linear",
    "MSELoss",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "init",
]
