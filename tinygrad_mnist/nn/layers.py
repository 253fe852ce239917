"""The layers of a fully connected network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import Tensor, ops
from tinygrad_mnist.nn.module import Module, Parameter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


class Linear(Module):
    """x @ weight + bias.

    `weight` is (in_features, out_features), so that the module reads as on paper, Z = XW + b.
    PyTorch stores the transpose.

    Parameters
    ----------
    in_features, out_features : int
        Length of a row of the input, and of the output.
    bias : bool
        Whether to add a bias.
    dtype : dtype
        Of the parameters.
    rng : numpy.random.Generator, optional
        Draws the initial values, uniform in ±1/sqrt(in_features); by default a fresh, unseeded one.

    Raises
    ------
    ValueError
        When called on an input whose last axis is not in_features long.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = rng or np.random.default_rng()
        bound = 1 / np.sqrt(in_features) if in_features else 0.0
        self.weight = Parameter(rng.uniform(-bound, bound, (in_features, out_features)).astype(dtype))
        self.bias = Parameter(rng.uniform(-bound, bound, out_features).astype(dtype)) if bias else None

    def forward(self, x: Any) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        features = self.weight.shape[0]
        if x.shape[-1:] != (features,):
            hint = " Flatten 28x28 images with nn.Flatten() first?" if x.ndim > 1 and features == x.shape[-2] * x.shape[-1] else ""
            raise ValueError(
                f"x of shape {x.shape} has {x.shape[-1] if x.ndim else 'no'} features, "
                f"but this Linear expects {features} (weight is {self.weight.shape}).{hint}"
            )
        if self.bias is None:
            return ops.matmul(x, self.weight)
        if x.ndim == 1:
            return ops.linear(x.reshape((1, -1)), self.weight, self.bias).reshape(self.bias.shape)
        return ops.linear(x, self.weight, self.bias)


class ReLU(Module):
    """max(x, 0), elementwise."""

    def forward(self, x: Any) -> Tensor:
        """Any shape, kept."""
        return ops.relu(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise."""

    def forward(self, x: Any) -> Tensor:
        """Any shape, kept."""
        return ops.sigmoid(x)


class Tanh(Module):
    """Hyperbolic tangent, elementwise."""

    def forward(self, x: Any) -> Tensor:
        """Any shape, kept."""
        return ops.tanh(x)


class Flatten(Module):
    """(n, 28, 28) -> (n, 784): everything but the first axis in one row."""

    def forward(self, x: Any) -> Any:
        """(n, ...) -> (n, product of the rest)."""
        return x.reshape((x.shape[0], int(np.prod(x.shape[1:]))))


class Dropout(Module):
    """In training, set each element to 0 with probability `p` and scale the rest by 1 / (1 - p).

    Parameters
    ----------
    p : float
        Probability of dropping, in [0, 1).
    rng : numpy.random.Generator, optional
        Draws the masks; by default a fresh, unseeded one.

    References
    ----------
    Srivastava et al., "Dropout", JMLR 15 (2014).
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout drops a fraction p of the elements, 0 <= p < 1, but p is {p}.")
        self.p = p
        self.rng = rng or np.random.default_rng()

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        if not self.training or self.p == 0:
            return x
        keep = self.rng.random(x.shape, dtype=np.float32) >= self.p
        return ops.mul(x, keep * np.asarray(1 / (1 - self.p), x.dtype))

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
