"""Layers built from the ops: a layer is attributes plus `forward`."""

from tinygrad_mnist.nn import functional, init, utils
from tinygrad_mnist.nn.classifier import Classifier
from tinygrad_mnist.nn.layers import (
    Dropout,
    Flatten,
    Identity,
    LeakyReLU,
    Linear,
    LogSoftmax,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from tinygrad_mnist.nn.loss import CrossEntropyLoss, MSELoss
from tinygrad_mnist.nn.mlp import MLP
from tinygrad_mnist.nn.module import Module, ModuleList, Parameter, Sequential

__all__ = [
    "MLP",
    "Classifier",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "init",
    "utils",
]
