"""Derivatives by central differences, with which every derivative rule has to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinygrad_mnist.autodiff.variable import Array


def central_differences(f: Callable[[], float], x: Array, eps: float = 1e-6) -> Array:
    """The derivative of `f()` with respect to each element of `x`, an array that `f` reads.

    The error is in O(eps^2).
    """
    slope = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        middle = x[at]
        x[at] = middle + eps
        above = f()
        x[at] = middle - eps
        slope[at] = (above - f()) / (2 * eps)
        x[at] = middle
    return slope


def close(a: Array, b: Array) -> bool:
    """Whether `a` and `b` are equal, as far as central differences can tell."""
    if a.shape != b.shape or not np.isfinite(a).all():
        return False
    return bool(np.abs(a - b).max(initial=0) <= 1e-5 * np.abs(b).max(initial=0))


def near(a: Array, b: Array) -> bool:
    """Whether the largest difference is below 1e-5, relative to b where b exceeds 1."""
    return bool(np.abs(a - b).max(initial=0) <= 1e-5 * max(1.0, np.abs(b).max(initial=0)))
