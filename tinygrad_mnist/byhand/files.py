"""Parameters in an npz file, which may come from a stranger: everything in it is checked."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np

if TYPE_CHECKING:
    from os import PathLike
    from typing import IO

    from numpy.typing import NDArray

SMALL, DENSEST = 1 << 22, 30
"""The most bytes of arrays a file may hold: SMALL, or DENSEST times its own size if larger."""


def read_arrays(path: str | PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file, as a dict from their names.

    Memory use is in proportion to the size of the file, and no code in it is run.

    Raises
    ------
    ValueError
        If it is not an npz file of floats, is damaged, or was made to fill the memory.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with Path(path).open("rb") as stream:
        try:
            size = stream.seek(0, 2)
            room = max(SMALL, DENSEST * size)
            with ZipFile(stream) as archive:
                members = archive.infolist()
                if sum(info.compress_size for info in members) > size:
                    raise ValueError("its members overlap, or one is longer than the file")
                for info in members:
                    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                        raise ValueError("compressed in a way that NumPy does not use")
                    with archive.open(info) as member:
                        array = _read_array(member, room)
                    room -= array.nbytes
                    arrays[info.filename.removesuffix(".npy")] = array
        except Exception as error:  # damaged files make NumPy and zipfile raise many kinds
            raise ValueError(f"{path}: not an npz file of arrays ({error!r:.100}).") from error
    return arrays


def _read_array(member: IO[bytes], room: int) -> NDArray[Any]:
    """An array of at most `room` bytes, whose header is checked before the rest is read."""
    np.lib.format.read_magic(member)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
    size = prod(shape) * dtype.itemsize
    if dtype.kind != "f" or not 0 < size <= room:
        raise ValueError(f"{shape} of {dtype} would unpack to {size} bytes, of {room} at most")
    content = bytearray(member.read(size))
    if len(content) < size or member.read(1):
        raise ValueError(f"the header says {shape} of {dtype}, but there are more or fewer bytes")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
