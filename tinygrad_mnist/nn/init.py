"""Initial values that keep a signal's variance from layer to layer.

Functions ending in ``_`` overwrite a tensor of shape (fan_in, fan_out) in place and return it.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tinygrad_mnist.autodiff import Tensor


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, *, rng: np.random.Generator | None = None) -> Tensor:
    """Uniform in ±gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16)."""
    return _uniform(tensor, gain * sqrt(6 / sum(_fans(tensor))), rng)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, *, rng: np.random.Generator | None = None) -> Tensor:
    """Normal with standard deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return _normal(tensor, gain * sqrt(2 / sum(_fans(tensor))), rng)


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, *, rng: np.random.Generator | None = None) -> Tensor:
    """Uniform in ±sqrt(6 / ((1 + a^2) fan_in)), for ReLU with negative slope `a` (He et al. 2015)."""
    return _uniform(tensor, sqrt(6 / ((1 + a**2) * _fans(tensor)[0])), rng)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, *, rng: np.random.Generator | None = None) -> Tensor:
    """Normal with standard deviation sqrt(2 / ((1 + a^2) fan_in)), for ReLU with negative slope `a` (He et al. 2015)."""
    return _normal(tensor, sqrt(2 / ((1 + a**2) * _fans(tensor)[0])), rng)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: np.random.Generator | None = None) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return _fill(tensor, (rng or np.random.default_rng()).normal(mean, std, tensor.shape))


def zeros_(tensor: Tensor) -> Tensor:
    """All zeros."""
    return _fill(tensor, np.zeros(tensor.shape))


def _uniform(tensor: Tensor, bound: float, rng: np.random.Generator | None) -> Tensor:
    return _fill(tensor, (rng or np.random.default_rng()).uniform(-bound, bound, tensor.shape))


def _normal(tensor: Tensor, std: float, rng: np.random.Generator | None) -> Tensor:
    return normal_(tensor, 0.0, std, rng=rng)


def _fill(tensor: Tensor, values: Any) -> Tensor:
    tensor.data = values.astype(tensor.dtype)
    return tensor


def _fans(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim != 2:
        raise ValueError(f"Fan-in and fan-out are those of a weight matrix (fan_in, fan_out), but this has shape {tensor.shape}.")
    return tensor.shape[0], tensor.shape[1]
