"""Numbers of every kind, as an op takes them: dtypes that fit together, and nothing but numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.autodiff.variable import Variable

SCALARS = (float, int, bool)
NOT_PYTHONS = (Variable, np.ndarray, np.generic)


def agree(args: tuple[Any, ...]) -> bool:
    """Whether all tensors and arrays are of one dtype, and all else are Python's numbers."""
    dtype = None
    for x in args:
        array = x._data if isinstance(x, Variable) else x
        if type(array) is np.ndarray:
            if dtype is not None and array.dtype is not dtype:
                return False
            dtype = array.dtype
        elif type(array) not in SCALARS:
            return False
    return True


def settled_params(params: dict[str, Any], name: str) -> dict[str, Any]:
    """Parameters with NumPy's numbers as Python's, which never widen an array."""
    for key, value in params.items():
        if not isinstance(value, NOT_PYTHONS):
            continue
        if isinstance(value, Variable):
            raise TypeError(
                f"{name} takes {key} as a number, through which no gradient passes, but was given "
                f"a tensor. Pass {key}.item(), or write it with operators on tensors."
            )
        if value.ndim == 0:
            params = params | {key: value.item()}
    return params


def numbers(x: Any, name: str) -> Any:
    """An array of numbers, or a Python number."""
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} works on numbers, but was given {x!r}, a {type(x).__name__}.")
    return array if array.ndim else array.item()
