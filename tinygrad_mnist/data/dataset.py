"""The data set: images, labels, shape and class names, checked once and used everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from tinygrad_mnist.data.batches import class_numbers
from tinygrad_mnist.data.errors import DataError
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

DIGITS = tuple("0123456789")
MNIST_SHAPE = (28, 28)
MOST_PIXELS, MOST_CLASSES, LONGEST_NAME = 1 << 20, 10_000, 100
"""Limits: pixels of an image, classes of a data set, characters of a class name."""


class Kind(Protocol):
    """The kind of images: shape and classes, which a `Dataset` and a trained network know."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of an image."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""

    @property
    def first(self) -> int:
        """The label that files give to the first class."""


def is_of_digits(kind: Kind) -> bool:
    """Whether images have the shape and the classes of MNIST."""
    return (kind.shape, kind.classes) == (MNIST_SHAPE, DIGITS)


class Found(NamedTuple):
    """The content of a file: images (n, pixels), rows and columns; labels and class names if any.

    The labels are whole numbers of any type.
    """

    images: NDArray[Any]
    shape: tuple[int, int]
    labels: NDArray[Any] | None = None
    names: tuple[str, ...] | None = None


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
        The names of the classes.
    first : int
        The label of the first class in files: 1 if they count from 1, as EMNIST's letters do.
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]
    shape: tuple[int, int] = MNIST_SHAPE
    classes: tuple[str, ...] = DIGITS
    first: int = 0

    @property
    def inputs(self) -> int:
        """The number of pixels of an image."""
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
        *,
        first: int = 0,
    ) -> Dataset:
        """A data set from arrays, which must fit together.

        Parameters
        ----------
        images : ndarray, (n, pixels) or (n, rows, columns)
            Bytes or floats.
        labels : array_like of int, (n,)
            The position of each image's class, from 0.
        shape : tuple of int, optional
            Rows and columns; by default those of the images, or of a square, or one row.
        classes : sequence of str, optional
            The names of the classes; by default the digits for images like MNIST's, otherwise the
            numbers from 0 to the largest label.
        first : int, optional
            The label of the first class in files.

        Raises
        ------
        DataError
            If the arrays do not fit together.
        """
        labels, flat = np.asarray(labels), images.reshape(len(images), -1)
        if len(flat) != len(labels):
            raise DataError(
                f"{counted(len(flat), 'image')}, but {counted(len(labels), 'label')}: "
                "each image has one."
            )
        shape = shape or shape_of(images.shape[1:]) or (1, flat.shape[1])
        if shape[0] * shape[1] != flat.shape[1]:
            raise DataError(f"Images of {flat.shape[1]} pixels are not {shape[0]} x {shape[1]}.")
        largest = int(labels.max()) if labels.size else -1
        if largest >= MOST_CLASSES:
            raise DataError(f"Label {largest}, but there may be {MOST_CLASSES:,} classes at most.")
        names = checked_names(default_names(shape, largest) if classes is None else classes)
        return cls(flat, _positions(labels, largest, names), shape, names, first)


def _positions(labels: NDArray[Any], largest: int, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Labels as positions in `names`; raises a DataError if names are missing."""
    if largest >= len(names):
        raise DataError(
            f"{counted(len(names), 'class name')} for labels up to {largest}: "
            f"{largest + 1} are needed, in the order of the labels."
        )
    try:
        return class_numbers(labels, len(names)).astype(np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(str(error)) from error


def are_digits(shape: tuple[int, int], largest: int) -> bool:
    """Whether images count as digits like MNIST's, judged by shape and largest label."""
    return shape == MNIST_SHAPE and largest < len(DIGITS)


def default_names(shape: tuple[int, int], largest: int, first: int = 0) -> tuple[str, ...]:
    """The names of classes if none are given: the digits, or the labels themselves."""
    if are_digits(shape, largest):
        return DIGITS
    return tuple(map(str, range(first, largest + 1)))


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of classes; each must be printable and different from the others.

    Raises
    ------
    DataError
        If a name is empty, comes twice, is too long, or there are too many.
    """
    refuse_too_many(len(names))
    seen: set[str] = set()
    for number, name in enumerate(map(str, names), 1):
        if not name or not name.isprintable() or len(name) > LONGEST_NAME:
            raise DataError(
                f"Class name {number} is {name[:20]!r}; expected 1 to {LONGEST_NAME} characters "
                "that can be printed."
            )
        if name in seen:
            raise DataError(
                f"The class name {name!r} comes twice. Each class has a name of its own."
            )
        seen.add(name)
    return tuple(map(str, names))


def refuse_too_many(names: int) -> None:
    """Raise a DataError for more class names than there may be."""
    if names > MOST_CLASSES:
        raise DataError(f"{names:,} class names, and {MOST_CLASSES:,} are possible.")


def shape_of(
    axes: tuple[int, ...], expected: tuple[int, int] | None = None
) -> tuple[int, int] | None:
    """Rows and columns of images in an array with these axes; None if it cannot hold images.

    Parameters
    ----------
    axes : tuple of int
        (rows, columns), also with an axis of length 1 before or after; or (pixels,), which mean a
        square unless `expected` says otherwise.
    expected : tuple of int, optional
        The only shape that is accepted.
    """
    if len(axes) == 3 and 1 in (axes[0], axes[2]):
        axes = axes[:2] if axes[2] == 1 else axes[1:]
    if len(axes) == 1:
        side = isqrt(max(0, axes[0]))
        rows, columns = expected or (side, side)
        axes = (rows, columns) if 1 < rows * columns == axes[0] else axes
    possible = len(axes) == 2 and axes == (expected or axes)
    return (axes[0], axes[1]) if possible and 0 < axes[0] * axes[1] <= MOST_PIXELS else None
