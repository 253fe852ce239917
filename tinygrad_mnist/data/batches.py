"""From examples to batches: pixel ranges, one-hot rows, a seeded split, mini-batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.data.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MEAN, STD = 0.1307, 0.3081
"""Mean and standard deviation of the training pixels in [0, 1]."""

RANGES = {"unit": (0.0, 1.0), "seed": (0.01, 1.0), "standardize": (-MEAN / STD, (1 - MEAN) / STD)}
"""Normalisation -> what a black and a white pixel become."""


def normalize(images: NDArray[Any], how: str = "unit") -> NDArray[Any]:
    """Map pixels to a range; those already in it are left alone.

    Parameters
    ----------
    images : ndarray
        Bytes 0-255; or floats in 0-255, in [0, 1], or already normalised.
    how : {"unit", "seed", "standardize"}
        To [0, 1]; to [0.01, 1]; or to the training set's mean 0 and standard deviation 1.

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
    if how not in RANGES:
        raise ValueError(f"Unknown normalisation {how!r}. Choose from {', '.join(RANGES)}.")
    black, white = RANGES[how]
    if images.dtype == np.uint8:
        scaled: NDArray[Any] = images * np.float32((white - black) / 255)
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


def one_hot(labels: NDArray[np.integer[Any]], classes: int = 10) -> NDArray[np.float32]:
    """Rows of zeros with a 1 at the label: (n,) -> (n, classes) of float32."""
    return np.eye(classes, dtype=np.float32)[labels]


def split(
    examples: int, validation: float, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw row numbers for training and validation: together all examples, none in both.

    Parameters
    ----------
    examples : int
        How many there are.
    validation : float
        The fraction kept for validation, rounded to whole examples.
    rng : numpy.random.Generator
        Decides which.
    """
    order = rng.permutation(examples)
    held_out = round(examples * validation)
    return order[held_out:], order[:held_out]


def minibatches(
    examples: int, batch_size: int, rng: np.random.Generator | None = None
) -> Iterator[NDArray[np.intp]]:
    """Row numbers, batch by batch, until each example came once.

    They are shuffled if `rng` is given. The last batch is smaller if `batch_size` does not divide
    the number of examples.
    """
    order = np.arange(examples) if rng is None else rng.permutation(examples)
    return (order[start : start + batch_size] for start in range(0, examples, batch_size))
