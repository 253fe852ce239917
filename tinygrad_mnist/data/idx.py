"""The IDX format of MNIST: a magic number, the length of each axis, then the bytes.

Nothing in a header is trusted.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinygrad_mnist.data.errors import DataError
from tinygrad_mnist.data.stream import largest, opened, read_exactly
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from os import PathLike
    from typing import BinaryIO

    from numpy.typing import NDArray

UNSIGNED_BYTE = 8


def read_idx(path: str | PathLike[str], ndim: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or compressed with gzip.

    Parameters
    ----------
    path : path
        The file. Its first bytes, not its name, tell whether it is compressed.
    ndim : int
        The number of axes it must have: 3 for images (n, rows, columns), 1 for labels (n,).

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    DataError
        If it cannot be read, or its magic number, element type, axes or length are wrong.
    """
    path = Path(path)
    with opened(path) as stream:
        shape = _read_header(path, stream, ndim)
        return np.frombuffer(read_exactly(path, stream, prod(shape)), np.uint8).reshape(shape)


def _read_header(path: Path, stream: BinaryIO, ndim: int) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(
            f"{path}: not an IDX file: it starts with {magic.hex(' ') or 'nothing'}, "
            f"expected 00 00 08 {ndim:02x}."
        )
    if magic[2] != UNSIGNED_BYTE:
        raise DataError(
            f"{path}: elements of type {magic[2]:#04x}, expected unsigned bytes (0x08)."
        )
    if magic[3] != ndim:
        raise DataError(
            f"{path}: {magic[3]} {'axis' if magic[3] == 1 else 'axes'}, "
            f"expected {ndim}. Were images and labels exchanged?"
        )
    lengths = stream.read(4 * ndim)
    if len(lengths) < 4 * ndim:
        raise DataError(f"{path}: ends inside the header.")
    shape = tuple(int(n) for n in np.frombuffer(lengths, ">u4"))
    if not 0 < prod(shape) <= largest(path):
        raise DataError(
            f"{path}: the header says {' x '.join(map(str, shape))} elements, "
            "which cannot be right for a file of this size."
        )
    return shape


def read_idx_pair(
    images: str | PathLike[str], labels: str | PathLike[str]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read images and their labels, and check that their numbers are equal.

    Returns
    -------
    images : ndarray of uint8, (n, rows * columns)
        One image per row.
    labels : ndarray of int64, (n,)

    Raises
    ------
    DataError
        If a file is damaged, or the counts differ.
    """
    pixels, numbers = read_idx(images, 3), read_idx(labels, 1)
    if len(pixels) != len(numbers):
        raise DataError(
            f"{images} holds {counted(len(pixels), 'image')}, "
            f"but {labels} {counted(len(numbers), 'label')}."
        )
    return pixels.reshape(len(pixels), -1), numbers.astype(np.int64)
