"""Initial values that preserve a signal's variance from layer to layer.

Functions ending in ``_`` overwrite a tensor of shape (fan_in, fan_out) in place and return it.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import Tensor
from tinygrad_mnist.nn.arguments import generator, number, one_of, seen
from tinygrad_mnist.nn.module import overwrite

if TYPE_CHECKING:
    from collections.abc import Callable


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights are enlarged to suit the nonlinearity that follows them.

    It preserves the variance, or is a rule of thumb.

    Parameters
    ----------
    nonlinearity : {"linear", "sigmoid", "tanh", "relu", "leaky_relu"}
        1, 1, 5/3, sqrt(2) and sqrt(2 / (1 + param^2)): PyTorch's table.
    param : float, optional
        Negative slope of leaky_relu, by default 0.01.

    Raises
    ------
    ValueError
        If the nonlinearity is not one of these.
    """
    slope = 0.01 if param is None else number(param, "The negative slope must be a finite number")
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": sqrt(2),
        "leaky_relu": sqrt(2 / (1 + slope**2)),
    }
    return gains[one_of(nonlinearity, "nonlinearity", gains)]


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, *, rng: np.random.Generator | None = None
) -> Tensor:
    """Uniform in ±gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16)."""
    bound = _gain(gain) * sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, rng=rng)


def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, *, rng: np.random.Generator | None = None
) -> Tensor:
    """Normal with variance gain^2 * 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""
    std = _gain(gain) * sqrt(2 / sum(_fans(tensor)))
    return normal_(tensor, 0.0, std, rng=rng)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """Uniform in ±gain * sqrt(3 / fan), with the variance of `kaiming_normal_` (He et al. 2015)."""
    bound = sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, rng=rng)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan) (He et al. 2015).

    Parameters
    ----------
    tensor : Tensor, (fan_in, fan_out)
    a : float
        Negative slope, if the nonlinearity is leaky_relu; 0 means relu.
    mode : {"fan_in", "fan_out"}
        Whether to preserve the variance of signals on their way forward, or of gradients on their
        way back.
    nonlinearity : str
        Decides the gain: see `calculate_gain`.
    rng : numpy.random.Generator, optional
        By default a fresh, unseeded one.

    Raises
    ------
    ValueError
        If the tensor is not a matrix, or `mode` or `nonlinearity` is not one of these.
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), rng=rng)


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, *, rng: np.random.Generator | None = None
) -> Tensor:
    """Uniform from `a` to `b`."""
    number(a, "a, the lower bound, must be a finite number")
    number(b, f"b, the upper bound, must be a number from a = {a} on", lambda b: a <= b < np.inf)
    return _draw(tensor, lambda shape: generator(rng).uniform(a, b, shape))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: np.random.Generator | None = None
) -> Tensor:
    """Normal with the given mean and standard deviation."""
    number(mean, "mean must be a finite number")
    number(std, "std must be a finite number, 0 or more", lambda std: 0 <= std < np.inf)
    return _draw(tensor, lambda shape: generator(rng).normal(mean, std, shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Set all elements to `val`."""
    overwrite(_checked(tensor), number(val, "val must be a number", lambda val: True))
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Set all elements to 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Set all elements to 1."""
    return constant_(tensor, 1.0)


def _draw(tensor: Tensor, draw: Callable[[tuple[int, ...]], Any]) -> Tensor:
    if _checked(tensor).dtype.kind != "f":
        raise TypeError(
            f"Random initial values are fractions, but this tensor is {tensor.dtype}, "
            "which would cut them off. Make it from floats: [1.0, 2.0]."
        )
    overwrite(tensor, draw(tensor.shape))
    return tensor


def _checked(tensor: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"Initial values are written into a tensor, but this is {seen(tensor)}. "
            "Pass a parameter, such as layer.weight."
        )
    return tensor


def _fans(tensor: Tensor) -> tuple[int, int]:
    if _checked(tensor).ndim != 2:
        raise ValueError(
            "Fan-in and fan-out are those of a weight matrix (fan_in, fan_out), "
            f"but this has shape {tensor.shape}."
        )
    return tensor.shape[0], tensor.shape[1]


def _gain(gain: float) -> float:
    claim = "gain must be a number, 0 or more, as nn.init.calculate_gain('relu') returns"
    return number(gain, claim, lambda gain: 0 <= gain < np.inf)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(tensor), strict=True))
    fan = fans[one_of(mode, "mode", fans)]
    return calculate_gain(nonlinearity, a) / sqrt(max(fan, 1))
