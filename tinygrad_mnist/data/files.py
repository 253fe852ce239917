"""Your own images: one function reads every format, another makes sure that test images are new."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.data.csv import read_csv, read_csv_labels
from tinygrad_mnist.data.dataset import Dataset, Found, are_digits, checked_names, default_names
from tinygrad_mnist.data.errors import DataError
from tinygrad_mnist.data.idx import read_idx
from tinygrad_mnist.data.npz import read_npz
from tinygrad_mnist.data.plausible import (
    check_images,
    refuse_other_formats,
    warn_of_unused_labels,
)
from tinygrad_mnist.data.stream import opened
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from tinygrad_mnist.data.dataset import Kind


def load_dataset(
    path: str | PathLike[str],
    labels: str | PathLike[str] | None = None,
    *,
    part: str = "train",
    classes: Sequence[str] | None = None,
    shape: tuple[int, int] | None = None,
    like: Kind | None = None,
) -> Dataset:
    """Read images of any size and any classes from CSV, IDX or npz files.

    The format is detected from the content.

    Parameters
    ----------
    path : path
        CSV lines of a label and pixels; an npz file with ``x_train, y_train, x_test, y_test`` or
        ``images, labels``, and maybe ``classes``; or images only, as an IDX file or CSV lines of
        pixels. CSV and IDX may be compressed with gzip.
    labels : path, optional
        The labels, if the file holds images only: an IDX file, or a CSV file of one column.
    part : {"train", "test"}
        Which arrays to read from an npz file that holds both.
    classes : sequence of str, optional
        The names of the classes in the order of the labels. By default those in the npz file;
        otherwise the digits for images of 28 x 28 whose labels are digits; otherwise the labels
        themselves.
    shape : tuple of int, optional
        Rows and columns. By default those of the arrays, or of a square if the file does not say.
    like : Dataset, optional
        The data that a network was trained on, if these images are to test it: their shape, names
        and the meaning of their labels must be the same.

    Returns
    -------
    Dataset
        Its images are uint8 from 0 to 255 or float32 from 0 to 1: if no pixel exceeds 1, they count
        as floats, whatever their type in the file. Its labels are positions from 0, even if the
        labels in the file count from 1.

    Raises
    ------
    DataError
        If a file is not as described; the message names the file, the place in it, and the value
        found there.

    Warns
    -----
    DataWarning
        If the file can be read but looks wrong: dark digits on white, blank images, another scale
        or mixed scales, classes without an image.
    """
    return _load(path, labels, part, classes, shape, like)


def load(
    path: str | PathLike[str], labels: str | PathLike[str] | None = None, *, part: str = "train"
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Read images and their labels; arguments, errors and warnings are those of `load_dataset`.

    Returns
    -------
    images : ndarray, (n, pixels), uint8 from 0 to 255 or float32 from 0 to 1
    labels : ndarray of int64, (n,)
        Positions of the classes, from 0.
    """
    data = _load(path, labels, part, None, None, None)
    return data.images, data.labels


def _load(
    path: str | PathLike[str],
    labels: str | PathLike[str] | None,
    part: str,
    classes: Sequence[str] | None,
    shape: tuple[int, int] | None,
    like: Kind | None,
) -> Dataset:
    path, label_path = Path(path), None if labels is None else Path(labels)
    found = _read_images(path, part, like.shape if like else shape)
    numbers = _labels_beside(path, label_path, found)
    where = label_path or path
    if like is None:
        names, first = _classes_of(where, numbers, found, classes)
    else:
        names, first = like.classes, like.first
        _refuse_others(where, numbers, like)
        if classes is None and found.names not in (None, names):
            raise DataError(
                f"{path}: its classes are not those trained on, so its labels may mean others. "
                "Save it with the same names in the same order, or without names."
            )
    images = _bytes_or_floats(found.images)
    data = Dataset.of(images, numbers - first, found.shape, names, first=first)
    check_images(path, data, part)
    if like is None:
        warn_of_unused_labels(path, data)
    return data


def refuse_overlap(train_images: NDArray[Any], test_images: NDArray[Any]) -> None:
    """Raise an error if a test image is a training image.

    Parameters
    ----------
    train_images, test_images : ndarray, (n, pixels)
        As `load` returns them; bytes and floats are compared as bytes.

    Raises
    ------
    DataError
        If a test image equals a training image, pixel by pixel.
    """
    seen = {row.tobytes() for row in _as_bytes(train_images)}
    shared = [n for n, row in enumerate(_as_bytes(test_images)) if row.tobytes() in seen]
    if shared:
        are = "is also a training image" if len(shared) == 1 else "are also training images"
        same = " Is it the same file?" if len(shared) == len(test_images) else ""
        raise DataError(
            f"{len(shared)} of the {len(test_images)} test images {are}, "
            f"the first of them number {shared[0] + 1}.{same} Remove them from one of the two: "
            "a test counts only on images that were not trained on."
        )


def _read_images(path: Path, part: str, shape: tuple[int, int] | None) -> Found:
    start = _start(path)
    refuse_other_formats(path, start)
    if start.startswith(b"PK"):
        return read_npz(path, part, shape)
    if not start.startswith(b"\0"):
        return read_csv(path, shape)
    images = read_idx(path, 3)
    rows, columns = images.shape[1:]
    if shape not in (None, (rows, columns)):
        raise DataError(
            f"{path}: images of {rows} x {columns} pixels, expected {' x '.join(map(str, shape))}."
        )
    return Found(images.reshape(len(images), -1), (rows, columns))


def _labels_beside(path: Path, label_path: Path | None, found: Found) -> NDArray[np.int64]:
    """The labels of images, one per image, from the same file or from another."""
    labels = found.labels
    if label_path is not None:
        if labels is not None:
            raise DataError(f"{path}: holds labels of its own. Leave out {label_path}.")
        labels = _read_labels(label_path)
    elif labels is None:
        raise DataError(f"{path}: holds images only. Name the file of their labels too.")
    if len(found.images) != len(labels):
        raise DataError(
            f"{path} holds {counted(len(found.images), 'image')}, "
            f"but {label_path or 'it'} {counted(len(labels), 'label')}."
        )
    return labels.astype(np.int64)  # not earlier: many labels for few images would take much memory


def _read_labels(path: Path) -> NDArray[Any]:
    start = _start(path)
    refuse_other_formats(path, start)
    if not start.startswith(b"\0"):
        return read_csv_labels(path)
    return read_idx(path, 1)


def _classes_of(
    path: Path, labels: NDArray[np.int64], found: Found, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], int]:
    """The names of the classes, and the label that the first of them has in the file: 0 or 1."""
    smallest, largest = int(labels.min()), int(labels.max())
    given = found.names if classes is None else checked_names(classes)
    if given is None:
        first = int(smallest == 1 and not are_digits(found.shape, largest))
        return default_names(found.shape, largest, first), first
    first = int(smallest > 0 and largest == len(given))
    needed = largest + 1 - int(smallest == 1)
    if largest - first + 1 != len(given):
        raise DataError(
            f"{path}: {counted(len(given), 'class name')}, but labels from {smallest} to "
            f"{largest}: name {needed} classes, in the order of the labels."
        )
    return given, first


def _refuse_others(path: Path, labels: NDArray[np.int64], like: Kind) -> None:
    """Refuse labels that are not among the classes trained on."""
    last = like.first + len(like.classes) - 1
    known = (labels >= like.first) & (labels <= last)
    if not known.all():
        raise DataError(
            f"{path}: label {labels[known.argmin()]} of image {known.argmin() + 1} is none of the "
            f"{len(like.classes)} classes trained on, whose labels are {like.first} to {last}."
        )


def _start(path: Path) -> bytes:
    with opened(path) as stream:
        return stream.read(2)


def _bytes_or_floats(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels from 0 to 255 of any type, as bytes if they are whole numbers, else floats up to 1."""
    if pixels.max() <= 1:
        return pixels.astype(np.float32)
    if pixels.dtype == np.uint8:
        return pixels
    whole = pixels.astype(np.uint8)
    return whole if (whole == pixels).all() else (pixels / 255).astype(np.float32)


def _as_bytes(images: NDArray[Any]) -> NDArray[np.uint8]:
    return images if images.dtype == np.uint8 else np.rint(255 * images).astype(np.uint8)
