"""The derivation by machine: reverse-mode automatic differentiation over NumPy arrays."""

from tinygrad_mnist.autodiff.check import GradcheckError, gradcheck, gradgradcheck
from tinygrad_mnist.autodiff.gradient import grad
from tinygrad_mnist.autodiff.graph import Op, op
from tinygrad_mnist.autodiff.mode import no_grad
from tinygrad_mnist.autodiff.program import Program, program
from tinygrad_mnist.autodiff.tensor import Tensor, tensor

__all__ = [
    "GradcheckError",
    "Op",
    "Program",
    "Tensor",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "no_grad",
    "op",
    "program",
    "tensor",
]
