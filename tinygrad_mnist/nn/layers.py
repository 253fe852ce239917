"""The layers of a fully connected network.

Activations and dropout work on any shape and keep it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.nn import arguments
from tinygrad_mnist.nn import functional as F
from tinygrad_mnist.nn.arguments import operand, whole
from tinygrad_mnist.nn.module import Module, Parameter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from tinygrad_mnist.autodiff import Tensor


class Linear(Module):
    """x @ weight + bias.

    `weight` is (in_features, out_features), so that the module reads as it does on paper,
    Z = XW + b. PyTorch stores the transpose.

    Parameters
    ----------
    in_features, out_features : int
        Length of a row of the input and of the output.
    bias : bool
        Whether to add a bias.
    dtype : dtype
        Of the parameters.
    rng : numpy.random.Generator, optional
        Draws the initial values, uniform in ±1/sqrt(in_features); by default a fresh, unseeded one.

    Raises
    ------
    TypeError
        If a length is not a whole number, or `bias` is neither True nor False.
    ValueError
        If a length is negative; also when called on an input whose last axis does not have
        length `in_features`.
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
        width = "must be a whole number, 0 or more"
        self.in_features = whole(in_features, f"in_features {width}", least=0)
        self.out_features = whole(out_features, f"out_features {width}", least=0)
        if not isinstance(bias, bool | np.bool_):
            raise TypeError(
                f"bias must be True or False, but is {arguments.seen(bias)}. "
                "A Linear is one layer; for several use nn.Sequential or nn.MLP."
            )
        shape = (self.in_features, self.out_features)
        bound = 1 / np.sqrt(self.in_features) if self.in_features else 0.0
        rng = arguments.generator(rng)
        self.weight = Parameter(rng.uniform(-bound, bound, shape).astype(dtype))
        self.bias = Parameter(rng.uniform(-bound, bound, shape[1:]).astype(dtype)) if bias else None

    def forward(self, input: Any) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        return F.linear(input, self.weight, self.bias)


class ReLU(Module):
    """max(x, 0), elementwise."""

    def forward(self, input: Any) -> Tensor:
        return F.relu(input)


class LeakyReLU(Module):
    """x where it is positive, elsewhere negative_slope * x.

    Parameters
    ----------
    negative_slope : float
        Slope on the left of 0, and at 0.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = arguments.slope(negative_slope)

    def forward(self, input: Any) -> Tensor:
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise."""

    def forward(self, input: Any) -> Tensor:
        return F.sigmoid(input)


class Tanh(Module):
    """Hyperbolic tangent, elementwise."""

    def forward(self, input: Any) -> Tensor:
        return F.tanh(input)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along an axis.

    For training use CrossEntropyLoss on the logits: it contains its own softmax.

    Parameters
    ----------
    dim : int
        The axis along which the results add up to 1.
    """

    def __init__(self, dim: int) -> None:
        self.dim = arguments.axis(dim)

    def forward(self, input: Any) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """log(softmax(x)) along an axis, finite for every finite x.

    Parameters
    ----------
    dim : int
        The axis along which the exponentials of the results add up to 1.
    """

    def __init__(self, dim: int) -> None:
        self.dim = arguments.axis(dim)

    def forward(self, input: Any) -> Tensor:
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Identity(Module):
    """Return the input unchanged: takes the place of a layer that is switched off."""

    def forward(self, input: Any) -> Any:
        return input


class Flatten(Module):
    """(n, 28, 28) -> (n, 784): all axes but the first become one."""

    def forward(self, input: Any) -> Any:
        """(n, ...) -> (n, product of the rest)."""
        input = operand(input, "Flatten")
        if not input.ndim:
            raise ValueError("Flatten takes a batch (n, ...), but was given a single number.")
        return input.reshape((input.shape[0], int(np.prod(input.shape[1:]))))


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
        self.p = arguments.fraction(p)
        self.rng = arguments.generator(rng)

    def forward(self, input: Any) -> Any:
        return F.dropout(input, self.p, self.training, rng=self.rng)

    def extra_repr(self) -> str:
        return f"p={self.p}"
