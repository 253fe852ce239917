"""The data set: images, labels, and what the package may ask of both."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.data.batches import class_numbers
from tinygrad_mnist.data.errors import DataError
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

DIGITS = tuple("0123456789")
MNIST_SHAPE = (28, 28)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and the class that each belongs to.

    Attributes
    ----------
    images : ndarray, (n, rows * columns)
        One image per row, bytes from 0 to 255 or floats.
    labels : ndarray of int64, (n,)
        The position of each image's class in `classes`.
    shape : tuple of int
        Rows and columns of an image.
    classes : tuple of str
        Their names.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]
    shape: tuple[int, int] = MNIST_SHAPE
    classes: tuple[str, ...] = DIGITS

    @property
    def inputs(self) -> int:
        """How many pixels an image has."""
        return self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def of(
        cls,
        images: NDArray[Any],
        labels: ArrayLike,
        shape: tuple[int, int] | None = None,
        classes: Sequence[str] | None = None,
    ) -> Dataset:
        """A data set from arrays, if they fit together.

        Parameters
        ----------
        images : ndarray, (n, pixels) or (n, rows, columns)
            Bytes or floats.
        labels : array_like of int, (n,)
            From 0.
        shape : tuple of int, optional
            Rows and columns; by default those of the images, else square, else one row.
        classes : sequence of str, optional
            Their names; by default the digits for images like MNIST's, else the numbers from 0 to
            the largest label.

        Raises
        ------
        DataError
            If they do not fit together.
        """
        labels, flat = np.asarray(labels), images.reshape(len(images), -1)
        if len(flat) != len(labels):
            raise DataError(
                f"{counted(len(flat), 'image')}, but {counted(len(labels), 'label')}: "
                "each image has one."
            )
        shape = shape or _shape_of(images)
        if shape[0] * shape[1] != flat.shape[1]:
            raise DataError(f"Images of {flat.shape[1]} pixels are not {shape[0]} x {shape[1]}.")
        largest = int(labels.max()) if labels.size else -1
        if classes is None:
            digits = shape == MNIST_SHAPE and largest < len(DIGITS)
            classes = DIGITS if digits else tuple(map(str, range(largest + 1)))
        names = tuple(map(str, classes))
        if len(set(names)) < len(names) or not all(names):
            raise DataError(
                "Each class has a name of its own, but here one is empty or comes twice."
            )
        if largest >= len(names):
            raise DataError(
                f"{counted(len(names), 'class name')} for labels up to {largest}: "
                f"{largest + 1} are needed, in the order of the labels."
            )
        try:
            numbers = class_numbers(labels, len(names)).astype(np.int64)
        except (TypeError, ValueError) as error:
            raise DataError(str(error)) from error
        return cls(flat, numbers, shape, names)


def _shape_of(images: NDArray[Any]) -> tuple[int, int]:
    if images.ndim == 3:
        return images.shape[1], images.shape[2]
    side = isqrt(images.shape[1])
    return (side, side) if side * side == images.shape[1] else (1, images.shape[1])
