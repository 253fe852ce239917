"""From examples to batches: pixel ranges, one-hot rows, a seeded split, mini-batches."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.data.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

MEAN, STD = 0.1307, 0.3081
"""Mean and standard deviation of the training pixels in [0, 1]."""

RANGES = {"unit": (0.0, 1.0), "seed": (0.01, 1.0), "standardize": (-MEAN / STD, (1 - MEAN) / STD)}
"""Normalisation -> the values of a black and a white pixel."""


def normalize(images: NDArray[Any], how: str | None = "unit") -> NDArray[Any]:
    """Map pixels to a range; pixels that are already in it are left unchanged.

    Parameters
    ----------
    images : ndarray
        Bytes 0-255; or floats in 0-255, in [0, 1], or already normalised.
    how : {"unit", "seed", "standardize"} or None
        To [0, 1]; to [0.01, 1]; or to the training set's mean 0 and standard deviation 1. None
        leaves everything as it is.

    Returns
    -------
    ndarray of float32 for bytes, otherwise of the dtype given

    Raises
    ------
    DataError
        If pixels lie outside all these ranges.
    ValueError
        If `how` is unknown.
    """
    if how is None:
        return images
    if how not in RANGES:
        raise ValueError(f"Unknown normalisation {how!r}. Choose from {', '.join(RANGES)}.")
    black, white = RANGES[how]
    if images.dtype == np.uint8:
        scaled: NDArray[Any] = images * np.float32((white - black) / 255)
        if black:
            scaled += np.float32(black)
        return scaled
    low, high = (images.min(), images.max()) if images.size else (0, 0)
    if black <= low and high <= white and not black < 0 <= low:
        return images
    if not (low >= 0 and high <= 255):
        raise DataError(
            f"Pixels from {low} to {high} are neither bytes, nor in [0, 1], "
            f"nor normalised as {how!r}."
        )
    return images * ((white - black) / (255 if high > 1 else 1)) + black


def one_hot(labels: ArrayLike, classes: int) -> NDArray[np.float32]:
    """One row per label, with a 1 at the label and zeros elsewhere: (n,) -> (n, classes), float32.

    Raises
    ------
    TypeError, ValueError
        If `labels` are not whole numbers from 0 to ``classes - 1``, or not in one axis.
    """
    classes = _whole(classes, "classes, the length of a row", least=1)
    return np.eye(classes, dtype=np.float32)[class_numbers(labels, classes)]


def class_numbers(labels: ArrayLike, classes: int) -> NDArray[np.intp]:
    """Labels that are safe to use as positions; NumPy would count negative ones from the end.

    Parameters
    ----------
    labels : array_like of int, (n,)
        Whole numbers from 0 to ``classes - 1``.
    classes : int
        The number of classes.

    Raises
    ------
    TypeError
        If they are not whole numbers.
    ValueError
        If they do not have exactly one axis, or one of them is not a class.
    """
    numbers = np.asarray(labels)
    if numbers.ndim != 1:
        hint = " Of one-hot rows, pass labels.argmax(axis=1)." if numbers.ndim == 2 else ""
        raise ValueError(
            f"Labels are one class number per example, (n,), but these have the shape "
            f"{numbers.shape}.{hint}"
        )
    if not numbers.size:
        return numbers.astype(np.intp)
    if numbers.dtype.kind not in "iu":
        raise TypeError(
            f"Labels are whole numbers from 0 to {classes - 1}, but these are {numbers.dtype}. "
            "Were labels and images exchanged? If they are whole, pass labels.astype(int)."
        )
    wrong = (numbers < 0) | (numbers >= classes)
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(
            f"The label at position {at} is {numbers[at]}, but classes are numbered from 0 "
            f"to {classes - 1}."
        )
    return numbers.astype(np.intp)


def split(
    examples: int, validation: float, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw row numbers for training and validation, which together are all examples, each once.

    Parameters
    ----------
    examples : int
        The number of examples.
    validation : float
        The fraction kept for validation, between 0 and 1, rounded to whole examples.
    rng : numpy.random.Generator
        Draws the rows that are held out.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """
    examples = _whole(examples, "examples, the number of rows", least=0)
    held_out = round(examples * _fraction(validation, examples))
    order = _generator(rng).permutation(examples)
    return order[held_out:], order[:held_out]


def minibatches(
    examples: int, batch_size: int, rng: np.random.Generator | None = None
) -> Iterator[NDArray[np.intp]]:
    """Row numbers, batch by batch, until each example has come once.

    They are shuffled if `rng` is given. The last batch is smaller if `batch_size` does not divide
    the number of examples. A `batch_size` above that number gives a single batch.

    Raises
    ------
    TypeError, ValueError
        If `examples` is not a whole number of at least 0, `batch_size` not one of at least 1, or
        `rng` not a generator. This is raised at once, not when the first batch is drawn.
    """
    examples = _whole(examples, "examples, the number of rows", least=0)
    batch_size = _whole(batch_size, "batch_size, the rows per step", least=1)
    order = np.arange(examples) if rng is None else _generator(rng).permutation(examples)
    return (order[start : start + batch_size] for start in range(0, examples, batch_size))


def _whole(value: Any, name: str, least: int) -> int:
    """A whole number of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        hint = " Pass len(...) of it." if np.ndim(value) else ""
        found = f"an array of shape {np.shape(value)}" if np.ndim(value) else repr(value)
        raise TypeError(f"{name}, must be a whole number, but is {found}.{hint}")
    if number < least:
        raise ValueError(f"{name}, must be at least {least}, but is {number}.")
    return number


def _fraction(value: Any, examples: int) -> float:
    """The fraction that is held out."""
    try:
        fraction = float(value)
    except (TypeError, ValueError):
        fraction = None
    if fraction is None or isinstance(value, bool | str):
        raise TypeError(
            f"validation, the fraction held out, must be a number between 0 and 1, "
            f"but is {value!r:.80}."
        )
    if not 0 < fraction < 1:
        count = 1 <= fraction < examples
        hint = f" For {value} of {examples} examples, pass {value} / {examples}." if count else ""
        raise ValueError(
            f"validation, the fraction held out, must lie between 0 and 1, but is {value}.{hint}"
        )
    return fraction


def _generator(rng: Any) -> np.random.Generator:
    if not hasattr(rng, "permutation"):
        raise TypeError(
            f"rng must be a generator of random numbers, but is {rng!r:.80}. "
            "Make one from a seed with np.random.default_rng(seed)."
        )
    return rng
