"""Digits of your own: one function reads every format, another keeps test images apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.data.csv import read_csv, read_csv_labels
from tinygrad_mnist.data.errors import DataError
from tinygrad_mnist.data.idx import read_idx
from tinygrad_mnist.data.npz import read_npz
from tinygrad_mnist.data.plausible import check_digits, refuse_other_formats
from tinygrad_mnist.data.stream import PIXELS, opened
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray


def load(
    path: str | PathLike[str], labels: str | PathLike[str] | None = None, *, part: str = "train"
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Read images of 28 x 28 pixels and their labels from CSV, IDX or npz files.

    The format is detected from the content.

    Parameters
    ----------
    path : path
        CSV lines of a label and 784 pixels; an npz file with ``x_train, y_train, x_test, y_test``
        or ``images, labels``; or images only, as an IDX file or CSV lines of 784 pixels. CSV and
        IDX may be compressed with gzip.
    labels : path, optional
        The labels, if the file holds images only: an IDX file, or a CSV file of one column.
    part : {"train", "test"}
        Which arrays of an npz file that holds both.

    Returns
    -------
    images : ndarray, (n, 784), uint8 from 0 to 255 or float32 from 0 to 1
        One image per row. Pixels of which none exceeds 1 count as floats, whatever their type in
        the file.
    labels : ndarray of int64, (n,)

    Raises
    ------
    DataError
        If a file is not what it should be; the message names it, the place in it, and the value
        found there.

    Warns
    -----
    DataWarning
        If the file can be read but looks wrong: dark digits on white, blank images, another
        scale, or two.
    """
    path, label_path = Path(path), None if labels is None else Path(labels)
    pixels, digits = _read_images(path, part)
    if label_path is not None:
        if digits is not None:
            raise DataError(f"{path}: holds labels of its own. Leave out {label_path}.")
        digits = _read_labels(label_path)
    elif digits is None:
        raise DataError(f"{path}: holds images only. Name the file of their labels too.")
    if len(pixels) != len(digits):
        raise DataError(
            f"{path} holds {counted(len(pixels), 'image')}, "
            f"but {label_path or 'it'} {counted(len(digits), 'label')}."
        )
    images = _bytes_or_floats(pixels)
    check_digits(path, images, digits, part)
    return images, digits


def refuse_overlap(train_images: NDArray[Any], test_images: NDArray[Any]) -> None:
    """Make sure that no test image is a training image.

    Parameters
    ----------
    train_images, test_images : ndarray, (n, 784)
        As `load` returns them: bytes and floats are compared as bytes.

    Raises
    ------
    DataError
        If a test image is, pixel by pixel, among the training images.
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


def _read_images(path: Path, part: str) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    start = _start(path)
    refuse_other_formats(path, start)
    if start.startswith(b"PK"):
        return read_npz(path, part)
    if not start.startswith(b"\0"):
        return read_csv(path)
    images = read_idx(path, 3)
    if images.shape[1:] != (28, 28):
        raise DataError(
            f"{path}: images of {images.shape[1]} x {images.shape[2]} pixels, expected 28 x 28."
        )
    return images.reshape(len(images), PIXELS), None


def _read_labels(path: Path) -> NDArray[np.int64]:
    start = _start(path)
    refuse_other_formats(path, start)
    if not start.startswith(b"\0"):
        return read_csv_labels(path)
    labels = read_idx(path, 1)
    if labels.max() > 9:
        raise DataError(
            f"{path}: label {labels.max()} at position {labels.argmax()} "
            "is not a digit from 0 to 9."
        )
    return labels.astype(np.int64)


def _start(path: Path) -> bytes:
    with opened(path) as stream:
        return stream.read(2)


def _bytes_or_floats(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels from 0 to 255 of any type, as bytes if they are whole, otherwise floats up to 1."""
    if pixels.max() <= 1:
        return pixels.astype(np.float32)
    if pixels.dtype == np.uint8:
        return pixels
    whole = pixels.astype(np.uint8)
    return whole if (whole == pixels).all() else (pixels / 255).astype(np.float32)


def _as_bytes(images: NDArray[Any]) -> NDArray[np.uint8]:
    return images if images.dtype == np.uint8 else np.rint(255 * images).astype(np.uint8)
