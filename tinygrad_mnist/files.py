"""Files that are whole or absent, whatever fails while they are written."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNFINISHED = ".unfinished"
"""How the name of a file ends that is not whole yet."""


class WriteError(OSError):
    """A file or folder cannot be written; the message says why and what can."""


def prepare(folder: Path) -> None:
    """Make a folder and make sure that files can be written there.

    Raises
    ------
    WriteError
        If it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise WriteError(
            f"{folder}: cannot be written to: {error.strerror}. Choose another --out."
        ) from error


def write(
    path: Path, content: Callable[[Any], object] | str | bytes, keep: Path | None = None
) -> None:
    """Write a file whole or not at all, whatever fails meanwhile and even if the power does.

    The new file is written beside its place, forced to the disk, and moved there. A device such as
    ``/dev/stdout`` is written to directly.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists. Behind a symbolic link, the file that it names.
    content : str, bytes or callable
        What to write, or a function that writes it to an open binary file.
    keep : Path, optional
        Where the file that is replaced stays, in the same folder.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    try:
        place = path.resolve()
        if place.exists() and not place.is_file() and not place.is_dir():
            with place.open("wb") as device:
                _fill(device, content)
            return
        unfinished = place.with_name(f".{place.name}.{os.getpid()}{UNFINISHED}")
        unfinished.unlink(missing_ok=True)
        try:
            with unfinished.open("xb") as file:
                _fill(file, content)
                os.fsync(file.fileno())
            if keep and place.exists():
                place.replace(keep)
            unfinished.replace(place)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
        _sync(place.parent)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}.") from error


def _fill(file: Any, content: Callable[[Any], object] | str | bytes) -> None:
    if callable(content):
        content(file)
    else:
        file.write(content.encode() if isinstance(content, str) else content)
    file.flush()


def _sync(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can do that."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
