"""Initial values that keep a signal's variance from layer to layer.

Functions ending in ``_`` overwrite a tensor of shape (fan_in, fan_out) in place and return it.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tinygrad_mnist.autodiff import Tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Factor by which weights must be larger for the nonlinearity behind them: one that keeps the variance, or a rule of thumb.

    Parameters
    ----------
    nonlinearity : {"linear", "sigmoid", "tanh", "relu", "leaky_relu"}
        1, 1, 5/3, sqrt(2) and sqrt(2 / (1 + param^2)): PyTorch's table.
    param : float, optional
        Negative slope of leaky_relu, by default 0.01.

    Raises
    ------
    ValueError
        For another nonlinearity.
    """
    slope = 0.01 if param is None else param
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": sqrt(2),
        "leaky_relu": sqrt(2 / (1 + slope**2)),
    }
    if nonlinearity not in gains:
        raise ValueError(f"No gain is known for {nonlinearity!r}. Choose from {', '.join(gains)}.")
    return gains[nonlinearity]


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, *, rng: np.random.Generator | None = None
) -> Tensor:
    """Uniform in ±gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16)."""
    bound = gain * sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, rng=rng)


def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, *, rng: np.random.Generator | None = None
) -> Tensor:
    """Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return normal_(tensor, 0.0, gain * sqrt(2 / sum(_fans(tensor))), rng=rng)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """Uniform in ±gain * sqrt(3 / fan), so that the variance is that of `kaiming_normal_` (He et al. 2015)."""
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
        Whether to keep the variance of signals on their way forward, or of gradients on their way back.
    nonlinearity : str
        Gives the gain, see `calculate_gain`.
    rng : numpy.random.Generator, optional
        By default a fresh, unseeded one.

    Raises
    ------
    ValueError
        If the tensor is no matrix, or for another mode or nonlinearity.
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), rng=rng)


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, *, rng: np.random.Generator | None = None
) -> Tensor:
    """Uniform from `a` to `b`."""
    return _fill(tensor, (rng or np.random.default_rng()).uniform(a, b, tensor.shape))


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: np.random.Generator | None = None
) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return _fill(tensor, (rng or np.random.default_rng()).normal(mean, std, tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """All equal to `val`."""
    return _fill(tensor, np.full(tensor.shape, val))


def zeros_(tensor: Tensor) -> Tensor:
    """All zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """All ones."""
    return constant_(tensor, 1.0)


def _fill(tensor: Tensor, values: Any) -> Tensor:
    tensor.data = values.astype(tensor.dtype)
    return tensor


def _fans(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim != 2:
        raise ValueError(
            f"Fan-in and fan-out are those of a weight matrix (fan_in, fan_out), but this has shape {tensor.shape}."
        )
    return tensor.shape[0], tensor.shape[1]


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(tensor), strict=True))
    if mode not in fans:
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', but is {mode!r}.")
    return calculate_gain(nonlinearity, a) / sqrt(max(fans[mode], 1))
