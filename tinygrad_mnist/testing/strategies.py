"""Hypothesis strategies for the arguments of ops: readable numbers, shapes, memory layouts."""

from __future__ import annotations

from fractions import Fraction
from math import floor, log2
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]
    Shape = tuple[int, ...]

POINTS = 32
"""The least number of steps into which a range is divided; at most twice as many."""


class Call(NamedTuple):
    """The arguments of a call of an op.

    Attributes
    ----------
    arguments : tuple
        Arrays and numbers, passed by position. Floats are differentiated.
    params : dict
        Everything else (an axis, a shape), passed by keyword.
    """

    arguments: tuple[Any, ...]
    params: dict[str, Any]


def numbers(
    low: float = -2.0, high: float = 2.0, away_from: float | Sequence[float] = ()
) -> st.SearchStrategy[float]:
    """Numbers on a grid of halves, quarters, eighths, ..., which shrink to small whole numbers.

    Parameters
    ----------
    low, high : float
        The smallest and the largest number, if they are on the grid. The grid divides the range
        into 32 parts or more: from -2 to 2 it has steps of an eighth.
    away_from : float or sequence of float
        Kinks and poles: each number is at least a step away from them.

    Raises
    ------
    ValueError
        If there is no such number.

    Examples
    --------
    >>> from hypothesis import find
    >>> from tinygrad_mnist.testing import numbers
    >>> find(numbers(), lambda x: x % 1 > 0)
    0.5
    >>> find(numbers(0, 1, away_from=0), lambda x: True)
    1.0
    """
    if not low < high:
        raise ValueError(f"low must be less than high, but they are {low} and {high}.")
    step = 2.0 ** floor(log2((high - low) / POINTS))
    kinks = np.atleast_1d(np.asarray(away_from, dtype=float))
    grid = [
        float(v)
        for v in step * np.arange(np.ceil(low / step), np.floor(high / step) + 1)
        if not (np.abs(v - kinks) < step).any()
    ]
    if not grid:
        raise ValueError(f"No number from {low} to {high} is a step of {step} from {away_from}.")
    grid.sort(key=lambda v: (Fraction(v).denominator, abs(v), v < 0))
    return st.sampled_from(grid)


def shapes(
    min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 4
) -> st.SearchStrategy[Shape]:
    """Shapes of arrays: () for a single number, (2, 3), and now and then one without elements.

    Parameters
    ----------
    min_dims, max_dims : int
        The number of axes.
    min_side, max_side : int
        The length of each axis. With 0, some of the shapes have no elements.
    """
    full = hnp.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=max(min_side, 1), max_side=max_side
    )
    if min_side > 0 or max_dims == 0:
        return full
    some = hnp.array_shapes(
        min_dims=max(min_dims, 1), max_dims=max_dims, min_side=0, max_side=max_side
    )
    return full | full | some


def arrays(
    low: float = -2.0,
    high: float = 2.0,
    away_from: float | Sequence[float] = (),
    *,
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    dtype: DTypeLike = np.float64,
    unique: bool = False,
) -> st.SearchStrategy[Array]:
    """Arrays of `numbers`, of any shape and memory layout.

    Parameters
    ----------
    low, high, away_from
        As for `numbers`.
    shape : tuple of int or strategy, optional
        By default any of `shapes`.
    dtype : dtype
        A float type.
    unique : bool
        Whether no number comes twice: for an op with ties, such as a maximum.

    Examples
    --------
    >>> from hypothesis import find
    >>> from tinygrad_mnist.testing import arrays
    >>> find(arrays(shape=(2, 2)), lambda x: x.any())
    array([[0., 0.],
           [0., 1.]])
    """
    elements = numbers(low, high, away_from)
    shaped = shapes() if shape is None else shape
    each = None if unique else st.nothing()  # drawn one by one: equal numbers hide mistakes
    return layouts(hnp.arrays(dtype, shaped, elements=elements, fill=each, unique=unique))


def broadcastable(
    n: int,
    low: float = -2.0,
    high: float = 2.0,
    away_from: float | Sequence[float] = (),
    *,
    max_dims: int = 3,
    max_side: int = 3,
) -> st.SearchStrategy[tuple[Array, ...]]:
    """Tuples of `n` arrays whose shapes broadcast: (2, 3), (3,) and (2, 1), for example.

    Parameters
    ----------
    n : int
        The number of arrays.
    low, high, away_from
        As for `numbers`.
    max_dims, max_side : int
        The number of axes, and their length.
    """
    drawn = hnp.mutually_broadcastable_shapes(
        num_shapes=n, max_dims=max_dims, min_side=1, max_side=max_side
    )
    return drawn.flatmap(
        lambda found: st.tuples(
            *(arrays(low, high, away_from, shape=shape) for shape in found.input_shapes)
        )
    )


def calls(*arguments: st.SearchStrategy[Any], **params: Any) -> st.SearchStrategy[Call]:
    """Calls of an op, from one strategy per argument, and strategies or values for keywords.

    Examples
    --------
    >>> from hypothesis import find, strategies as st
    >>> from tinygrad_mnist.testing import arrays, calls
    >>> find(calls(arrays(shape=(2,)), axis=st.sampled_from([0, -1])), lambda call: True)
    Call(arguments=(array([0., 0.]),), params={'axis': 0})
    """
    named = {
        name: value if isinstance(value, st.SearchStrategy) else st.just(value)
        for name, value in params.items()
    }
    return st.builds(Call, st.tuples(*arguments), st.fixed_dictionaries(named))


LAYOUTS = ("rows", "columns", "every second", "backward")


def layouts(drawn: st.SearchStrategy[Array]) -> st.SearchStrategy[Array]:
    """The same arrays, laid out in memory by rows, by columns, with gaps, or backward."""
    return st.builds(laid_out, drawn, st.sampled_from(LAYOUTS))


def laid_out(array: Array, layout: str) -> Array:
    """An array of the same values in another memory layout: one of `LAYOUTS`."""
    if layout == "columns" and array.ndim > 1:
        return np.asfortranarray(array)
    if layout == "every second" and array.ndim:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if layout == "backward" and array.ndim:
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    return array
