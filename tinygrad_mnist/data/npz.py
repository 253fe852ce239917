"""Digits in NumPy's npz: a zip file of arrays. Each is looked at before it is unpacked, and nothing in it is executed."""

from __future__ import annotations

import warnings
from math import prod
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from tinygrad_mnist.data.errors import DataError
from tinygrad_mnist.data.stream import LARGEST, PIXELS, read_exactly

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

MOST_BYTES = 2 * LARGEST
"""Of one array: enough for the training images in float64."""


def read_npz(path: Path, part: str = "train") -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Read images and labels from an npz file: the arrays ``x_PART`` and ``y_PART``, as Keras calls them, or ``images`` and ``labels``.

    Parameters
    ----------
    path : Path
        The file, as `numpy.savez` or `numpy.savez_compressed` writes it.
    part : {"train", "test"}
        Which of the two pairs, if the file has Keras' keys.

    Returns
    -------
    images : ndarray, (n, 784), of bools, integers or floats, all from 0 to 255
    labels : ndarray of int64, (n,)

    Raises
    ------
    DataError
        If an array is missing, of the wrong type or shape, or too large, a pixel not a number from 0 to 255, a label not a
        digit, or the file cannot be read.
    """
    try:
        with ZipFile(path) as archive, warnings.catch_warnings(action="ignore"):
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            image_key, label_key = _keys(path, members, part)
            images = _array(path, archive, members[image_key], "buif")
            labels = _array(path, archive, members[label_key], "uif")
    except DataError:
        raise
    except Exception as error:  # on damaged files, zipfile and NumPy's reader of headers raise many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise DataError(f"{path}: damaged, or not written by NumPy: {reason}.") from error
    if prod(images.shape[1:]) != PIXELS:
        raise DataError(f"{path}: {image_key} has shape {images.shape}, expected (n, 28, 28) or (n, {PIXELS}).")
    if labels.ndim != 1:
        raise DataError(f"{path}: {label_key} has shape {labels.shape}, expected (n,). Are the labels one-hot? Save labels.argmax(axis=1).")
    _refuse(path, image_key, images, (images >= 0) & (images <= 255), "a number from 0 to 255")
    _refuse(path, label_key, labels, np.isin(labels, range(10)), "a digit from 0 to 9")
    return images.reshape(len(images), PIXELS), labels.astype(np.int64)


def _keys(path: Path, members: Iterable[str], part: str) -> tuple[str, str]:
    for keys in ((f"x_{part}", f"y_{part}"), ("images", "labels")):
        if set(keys) <= set(members):
            return keys
    found = ", ".join(map(repr, sorted(members)))[:100] or "nothing"
    raise DataError(f"{path}: holds {found}; expected x_{part} and y_{part}, or images and labels.")


def _array(path: Path, archive: ZipFile, info: ZipInfo, kinds: str) -> NDArray[Any]:
    """An array of the archive, if its header says a plain type and a size that may be."""
    name = f"{path}: {info.filename}"
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise DataError(f"{name} is compressed in a way that NumPy does not use.")
    with archive.open(info) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise DataError(f"{name} is not a plain array.")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
        if dtype.kind not in kinds:
            raise DataError(f"{name} has elements of type {dtype}, expected numbers.")
        size = prod(shape) * dtype.itemsize
        if not 0 < size <= MOST_BYTES:
            raise DataError(f"{name} announces {' x '.join(map(str, shape))[:60]} elements, which cannot be right.")
        return np.frombuffer(read_exactly(name, member, size), dtype).reshape(shape, order="F" if fortran else "C")


def _refuse(path: Path, key: str, values: NDArray[Any], right: NDArray[np.bool_], expected: str) -> None:
    """Name the first value that is not right."""
    if not right.all():
        index = np.unravel_index(right.argmin(), right.shape)
        raise DataError(f"{path}: {key}[{', '.join(map(str, index))}] is {values[index]}, not {expected}.")
