"""Opening data files, plain or compressed, and reading no more of them than they may hold."""

from __future__ import annotations

import gzip
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.data.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO, BinaryIO

PIXELS = 784
"""Of an image, 28 x 28."""
LARGEST = 1 << 28
"""No file of more elements is read: more than five times the training images."""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file open for reading, unpacked on the way if its first bytes are gzip's; whatever fails meanwhile is a `DataError`."""
    try:
        with path.open("rb") as plain:
            compressed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            stream: Any = gzip.GzipFile(fileobj=plain) if compressed else plain
            yield stream
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read: {reason}.") from error


def read_exactly(path: Path | str, stream: IO[bytes], expected: int) -> bytes:
    """So many bytes, which must be the rest of the file."""
    chunks, missing = [], expected
    while missing and (chunk := stream.read(min(missing, 1 << 20))):
        chunks.append(chunk)
        missing -= len(chunk)
    if missing:
        raise DataError(f"{path}: the header announces {expected} bytes, but {missing} of them are missing. Was the file cut short?")
    if stream.read(1):
        raise DataError(f"{path}: more data follows the {expected} bytes that the header announces.")
    return b"".join(chunks)
