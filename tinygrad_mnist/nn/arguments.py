"""Checks of the arguments of layers, losses and initial values, with errors that explain."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tinygrad_mnist.autodiff.variable import Array


def seen(value: Any) -> str:
    """A value as a message shows it: its repr if that is short, otherwise its type."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, np.ndarray | Tensor):
        return f"a {type(value).__name__} of shape {value.shape} in {value.dtype}"
    text = repr(value)
    short = len(text) <= 40 and "\n" not in text and not text.startswith("<")
    return text if short else f"a {type(value).__name__}"


# ---------------------------------------------------------------- numbers to compute with


def array_of(value: Any, whose: str) -> Array:
    """The array of a tensor, an array or a list of numbers."""
    try:
        array = value.data if isinstance(value, Tensor) else np.asarray(value)
        if array.dtype.kind in "biuf":
            return array
    except ValueError:  # rows of different lengths
        pass
    raise TypeError(
        f"{whose} takes a tensor, an array, or numbers in rows of equal length, "
        f"but was given {seen(value)}."
    )


def operand(value: Any, whose: str, like: Any = None) -> Tensor | Array:
    """Tensors and arrays unchanged; a list as a tensor, in the floats of `like`, or float32."""
    if isinstance(value, Tensor) or (type(value) is np.ndarray and value.dtype.kind in "biuf"):
        return value
    if value is None:
        raise TypeError(f"{whose} was given None. Does the forward before it lack its return?")
    array = array_of(value, whose)
    if not hasattr(value, "dtype"):
        known = like is not None and like.dtype.kind == "f"
        if known or array.dtype.kind == "f":
            array = array.astype(like.dtype if known else np.float32)
    return Tensor(array)


def classes(value: Any, scores: Any, whose: str) -> Array:
    """An array of class numbers, one per row of scores."""
    numbers = array_of(value, f"The second argument of {whose}")
    if scores.ndim != 2 or numbers.shape != scores.shape[:1]:
        one_hot = numbers.shape == scores.shape
        hint = " For one-hot rows, pass target.argmax(axis=1)." if one_hot else ""
        raise ValueError(
            f"{whose} takes logits (n, classes) and class numbers (n,), "
            f"but was given {scores.shape} and {numbers.shape}.{hint}"
        )
    count = scores.shape[1]
    whole = numbers.dtype.kind in "iu"
    # Read as unsigned, a negative number is a large one.
    if not whole or (numbers.size and numbers.astype(np.uint64).max() >= count):
        raise ValueError(
            f"Targets must be whole class numbers from 0 to {count - 1}, "
            f"but the first few are {numbers[:5]}."
        )
    return numbers


# ---------------------------------------------------------------- settings


def whole(value: Any, claim: str, least: float = -np.inf) -> int:
    """A whole number, Python's or NumPy's, of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        hint = " Make it whole with // or int(...)." if isinstance(value, float) else ""
        raise TypeError(f"{claim}, but is {seen(value)}.{hint}")
    if number < least:
        raise ValueError(f"{claim}, but is {number}.")
    return number


def number(value: Any, claim: str, fits: Callable[[Any], bool] = np.isfinite) -> Any:
    """A number, Python's or NumPy's, for which `fits` is true."""
    scalar = isinstance(value, np.ndarray | np.generic) and value.ndim == 0
    known = isinstance(value, int | float) or (scalar and value.dtype.kind in "iuf")
    if not known or isinstance(value, bool):
        raise TypeError(f"{claim}, but is {seen(value)}.")
    if not fits(value):
        raise ValueError(f"{claim}, but is {value}.")
    return value


def one_of(value: Any, name: str, known: Collection[str]) -> str:
    """One of the words that are known."""
    if not isinstance(value, str) or value not in known:
        *first, last = map(repr, known)
        raise ValueError(f"{name} must be {', '.join(first)} or {last}, but is {seen(value)}.")
    return value


def generator(rng: Any) -> np.random.Generator:
    """The given generator, or a fresh, unseeded one for None."""
    if rng is None:
        return np.random.default_rng()
    if not (hasattr(rng, "random") or hasattr(rng, "uniform") or hasattr(rng, "normal")):
        raise TypeError(
            f"rng must be a generator of random numbers, but is {seen(rng)}. "
            "Make one from a seed with np.random.default_rng(seed)."
        )
    return rng


def axis(dim: Any) -> int:
    """The `dim` of a softmax."""
    return whole(dim, "dim must be the number of an axis, such as -1 for the last")


def fraction(p: Any) -> float:
    """The `p` of dropout."""
    claim = "p is the fraction of elements that Dropout drops, 0 <= p < 1"
    return number(p, claim, lambda p: 0 <= p < 1)


def reduction(value: Any) -> str:
    """The `reduction` of a loss: how the losses of its rows are combined."""
    return one_of(value, "reduction", ("mean", "sum", "none"))


def smoothing(value: Any) -> float:
    """The `label_smoothing` of cross-entropy."""
    claim = "label_smoothing is the share of the label that is spread, 0 to 1"
    return number(value, claim, lambda share: 0 <= share <= 1)


def slope(value: Any) -> float:
    """The `negative_slope` of a leaky ReLU."""
    return number(value, "negative_slope must be a finite number")
