"""Images in NumPy's npz, a zip file of arrays: checked before unpacking, and never executed."""

from __future__ import annotations

import warnings
from math import prod
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from tinygrad_mnist.data.dataset import (
    MOST_CLASSES,
    Found,
    checked_names,
    refuse_too_many,
    shape_of,
)
from tinygrad_mnist.data.errors import DataError, cause, printable
from tinygrad_mnist.data.plausible import expected_arrays
from tinygrad_mnist.data.stream import largest, read_exactly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from typing import IO

    from numpy.typing import NDArray


def read_npz(path: Path, part: str = "train", shape: tuple[int, int] | None = None) -> Found:
    """Read images and labels from an npz file, and the names of their classes if it has them.

    The arrays are ``x_PART`` and ``y_PART``, as Keras calls them, or ``images`` and ``labels``; the
    names are in ``classes``.

    Parameters
    ----------
    path : Path
        The file, as `numpy.savez` or `numpy.savez_compressed` writes it.
    part : {"train", "test"}
        Which of the two pairs, if the file has Keras' keys.
    shape : tuple of int, optional
        Rows and columns that the images must have; by default those of the array, or of a square
        if it is (n, pixels).

    Returns
    -------
    Found
        Its images are of bools, integers or floats, all from 0 to 255.

    Raises
    ------
    DataError
        If an array is missing, too large, or of the wrong type or shape, if a pixel is not a number
        from 0 to 255 or a label not a whole number of at least 0, or if the file cannot be read.
    """

    def choose(names: list[str]) -> dict[str, str]:
        image_key, label_key = _keys(path, names, part)
        kinds = {image_key: "buif", label_key: "uif"}
        return kinds | ({"classes": "Uui"} if "classes" in names else {})

    arrays = read_arrays(path, choose)
    (image_key, images), (label_key, labels) = list(arrays.items())[:2]
    found = shape_of(images.shape[1:], shape)
    if found is None:
        expected = expected_arrays(images.shape, shape)
        raise DataError(f"{path}: {image_key} has shape {images.shape}, {expected}")
    labels = labels.reshape(-1) if labels.shape[1:] == (1,) else labels
    if labels.ndim != 1:
        raise DataError(
            f"{path}: {label_key} has shape {labels.shape}, expected (n,). "
            "Are the labels one-hot? Save labels.argmax(axis=1)."
        )
    if not (images.min() >= 0 and images.max() <= 255):
        _refuse(path, image_key, images, (images >= 0) & (images <= 255), "a number from 0 to 255")
    whole = (labels >= 0) & (labels < MOST_CLASSES) & (labels == np.floor(labels))
    _refuse(path, label_key, labels, whole, f"a whole number from 0 to {MOST_CLASSES - 1}")
    names = _names(path, arrays["classes"]) if "classes" in arrays else None
    return Found(images.reshape(len(images), -1), found, labels, names)


def _names(path: Path, names: NDArray[Any]) -> tuple[str, ...]:
    try:
        refuse_too_many(names.size)
        return checked_names([str(name) for name in names.ravel()])
    except (DataError, ValueError, SystemError) as error:  # NumPy, for invalid letters
        raise DataError(f"{path}: classes: {error}") from error


def _keys(path: Path, members: Iterable[str], part: str) -> tuple[str, str]:
    for keys in ((f"x_{part}", f"y_{part}"), ("images", "labels")):
        if set(keys) <= set(members):
            return keys
    found = ", ".join(map(repr, sorted(members)))[:100] or "nothing"
    raise DataError(f"{path}: holds {found}; expected x_{part} and y_{part}, or images and labels.")


def read_arrays(
    path: Path, choose: Callable[[list[str]], Mapping[str, str]]
) -> dict[str, NDArray[Any]]:
    """Arrays of an npz file, as a dict from their names.

    Parameters
    ----------
    path : Path
        The file.
    choose : callable
        Takes the names in the file, and returns those to read with the kinds of numbers that each
        may hold, as in `read_array`.

    Raises
    ------
    DataError
        If it is not an npz file, is damaged, or unpacks to more than a file of its size should.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with ZipFile(path) as archive:
            room = largest(path)
            members = members_of(path, archive)
            for key, kinds in choose(list(members)).items():
                with archive.open(members[key]) as member:
                    name = f"{path}: {members[key].filename}"
                    arrays[key] = read_array(name, member, kinds, room)
                room -= arrays[key].nbytes
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    except Exception as error:  # damaged files make NumPy and zipfile raise many kinds
        raise DataError(
            f"{path}: not an npz file of arrays, or damaged: {cause(error)}."
        ) from error
    return arrays


def members_of(path: Path, archive: ZipFile) -> dict[str, ZipInfo]:
    """The members of an npz file by their names; their content is not checked yet.

    Raises
    ------
    DataError
        If members share a name or bytes, so that a small file could unpack to a large one, or are
        compressed in a way that NumPy does not use.
    """
    infos = archive.infolist()
    members = {info.filename.removesuffix(".npy"): info for info in infos}
    packed = sum(info.compress_size for info in infos)
    if len(members) < len(infos) or packed > path.stat().st_size:
        raise DataError(f"{path}: damaged, or no npz file: its members overlap.")
    for info in infos:
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise DataError(
                f"{path}: {printable(info.filename)} is compressed "
                "in a way that NumPy does not use."
            )
    return members


def read_array(name: str, stream: IO[bytes], kinds: str, most: int) -> NDArray[Any]:
    """The array in an npy stream; its header is checked before anything else is read.

    Parameters
    ----------
    name : str
        Its name in error messages.
    stream : binary file
        Open at its start.
    kinds : str
        The allowed letters of NumPy's ``dtype.kind``, from "Ubuif".
    most : int
        Arrays of more bytes are not read.

    Raises
    ------
    DataError
        If it is another kind of array, too large, empty, or not as long as its header says. A
        damaged header may raise any other error.
    """
    if np.lib.format.read_magic(stream) != (1, 0):
        raise DataError(f"{name} is not a plain array.")
    with warnings.catch_warnings(action="ignore"):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in kinds:
        expected = {"f": "floating-point numbers", "U": "text"}.get(kinds[0], "numbers")
        raise DataError(f"{name} has elements of type {dtype}, expected {expected}.")
    size = prod(shape) * dtype.itemsize
    if not 0 < size <= most:
        elements = " x ".join(map(str, shape))[:60]
        raise DataError(
            f"{name} announces {elements} elements, which cannot be right for a file of this size."
        )
    bools = dtype.kind == "b"
    array = np.frombuffer(read_exactly(name, stream, size), np.uint8 if bools else dtype)
    array = array.reshape(shape, order="F" if fortran else "C")
    return array != 0 if bools else array  # a byte other than 0 and 1 is not a valid bool


def _refuse(
    path: Path, key: str, values: NDArray[Any], right: NDArray[np.bool_], expected: str
) -> None:
    """Raise a DataError that names the first wrong value, if there is one."""
    if not right.all():
        index = np.unravel_index(right.argmin(), right.shape)
        raise DataError(
            f"{path}: {key}[{', '.join(map(str, index))}] is {values[index]}, not {expected}."
        )
