"""Files that are whole or absent, whatever fails while they are written."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

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
    path: Path,
    content: Callable[[Any], object] | str | bytes,
    keep: Path | None = None,
    *,
    follow: bool = True,
) -> None:
    """Write a file whole or not at all, whatever fails meanwhile and even if the power does.

    The new file is written beside its place, forced to the disk, and moved there. It has the
    permissions of the file that it replaces, or else those that the umask leaves.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists.
    content : str, bytes or callable
        What to write, or a function that writes it to an open binary file.
    keep : Path, optional
        Where the file that is replaced stays, in the same folder.
    follow : bool
        Behind a symbolic link, write the file that it names; to a device such as ``/dev/stdout``,
        write directly. Otherwise either is replaced by the file.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    try:
        place = Path(os.path.realpath(path)) if follow else path
        if follow and place.exists() and not place.is_file() and not place.is_dir():
            with place.open("wb") as device:
                _fill(device, content)
        else:
            _put(place, content, keep)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}.") from error


def _put(
    place: Path, content: Callable[[Any], object] | str | bytes, keep: Path | None = None
) -> None:
    """Write a file beside its place, and move it there when it is whole."""
    unfinished = place.with_name(f".{place.name}.{os.getpid()}{UNFINISHED}")
    unfinished.unlink(missing_ok=True)
    try:
        with unfinished.open("xb") as file:
            _take_mode(unfinished, place, keep)  # before there is anything to read
            _fill(file, content)
            os.fsync(file.fileno())
        if keep and os.path.lexists(place):
            place.replace(keep)
        unfinished.replace(place)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    _sync(place.parent)


def _take_mode(file: Path, *olds: Path | None) -> None:
    """Give a file the permissions of the one that it replaces, or else of the one before that."""
    for old in filter(None, olds):
        with suppress(FileNotFoundError):
            mode = old.lstat().st_mode
            if stat.S_ISREG(mode):
                file.chmod(stat.S_IMODE(mode))
                return


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
