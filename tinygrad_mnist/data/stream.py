"""Open data files, plain or compressed, and read no more than they may hold."""

from __future__ import annotations

import gzip
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.data.errors import DataError, cause
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO, BinaryIO

LARGEST = 1 << 29
"""Files of more elements or bytes, unpacked, are not read; MNIST's images in float64 fit."""
DENSEST = 30
"""Binary images pack 25 to 1. A large file that packs better was made to fill the memory."""
SMALL = 1 << 22


def largest(path: Path) -> int:
    """The most elements or bytes that a file of this size may hold, whatever its header says."""
    return min(LARGEST, max(SMALL, DENSEST * path.stat().st_size))


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file open for reading, unpacked if it is gzip; errors in the block become a `DataError`."""
    try:
        with path.open("rb") as plain:
            compressed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            stream: Any = gzip.GzipFile(fileobj=plain) if compressed else plain
            yield stream
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or cause(error)
        raise DataError(f"{path}: cannot be read: {why}.") from error


def read_exactly(path: Path | str, stream: IO[bytes], expected: int) -> bytearray:
    """The `expected` bytes, which must be the rest of the file; memory grows only as they come."""
    content = bytearray()
    while (missing := expected - len(content)) and (chunk := stream.read(min(missing, 1 << 20))):
        content += chunk
    if missing:
        raise DataError(
            f"{path}: the header announces {counted(expected, 'byte')}, "
            f"but {missing:,} of them {'is' if missing == 1 else 'are'} missing. "
            "Was the file cut short?"
        )
    if stream.read(1):
        raise DataError(
            f"{path}: more data follows the {counted(expected, 'byte')} that the header announces."
        )
    return content
