"""What an op accepts as arguments: numbers only, of dtypes that fit together."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.autodiff.variable import Variable

SCALARS = (float, int, bool)
NOT_PYTHONS = (Variable, np.ndarray, np.generic)


def look_at(args: tuple[Any, ...]) -> tuple[list[Any], bool, bool, bool]:
    """Everything an op has to know about its arguments, found in one pass.

    Returns their arrays and numbers; whether one is a tensor; whether one requires grad; and
    whether all arrays have one dtype and all numbers are Python's, so that `settle` can be skipped.
    """
    arrays: list[Any] = []
    dtype, tensors, wanted, agree = None, False, False, True
    for x in args:
        array = x
        if isinstance(x, Variable):
            array, tensors, wanted = x._data, True, wanted or x._requires_grad
        arrays.append(array)
        if type(array) is np.ndarray:
            dtype = dtype or array.dtype
            agree = agree and array.dtype is dtype
        elif type(array) not in SCALARS:
            agree = False
    return arrays, tensors, wanted, agree


def settled_params(params: dict[str, Any], name: str) -> dict[str, Any]:
    """The parameters, with NumPy's numbers turned into Python's, which never widen an array."""
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
