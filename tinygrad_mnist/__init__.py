"""Backpropagation derived twice: by hand, and by a reverse-mode tape over NumPy."""

from tinygrad_mnist import start as start  # isort: skip  before anything that takes time
from tinygrad_mnist import autodiff, func, nn, optim
from tinygrad_mnist.autodiff import Tensor, grad, no_grad, program, tensor

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "__version__",
    "autodiff",
    "func",
    "grad",
    "nn",
    "no_grad",
    "optim",
    "program",
    "tensor",
]
