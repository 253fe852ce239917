"""Write files so that they are whole or absent, whatever fails meanwhile."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.words import fault

if TYPE_CHECKING:
    from collections.abc import Callable

UNFINISHED = ".unfinished"
"""The ending of the name of a file that is not complete yet."""
PATIENCE, PAUSE = 2.0, 0.05
"""Seconds to wait for other programs that have a file open, and between two attempts."""
IN_USE = (5, 32)
"""Windows' error numbers for a file that another program has open."""


class WriteError(OSError):
    """A file or folder cannot be written; the message says why, and what to do."""


def refuse_names(path: Path) -> None:
    """Refuse to make files or folders that could not be copied to Windows.

    Raises
    ------
    WriteError
        If a file or folder in it does not exist and has a name that Windows cannot have.
    """
    for place in (path, *path.parents):
        why = place.name != ".." and fault(place.name)
        if why and not os.path.lexists(place):
            raise WriteError(
                f"{place.name!r:.80} cannot name a file or folder on Windows: {why}. "
                "Choose another, so that the result can be opened everywhere."
            )


def prepare(folder: Path) -> None:
    """Make a folder if it is missing, and make sure that files can be written there.

    Raises
    ------
    WriteError
        If it cannot be made or written to.
    """
    refuse_names(folder)
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
    """Write a file whole or not at all, whatever fails meanwhile, even the power.

    The new file is written beside its final place, forced to the disk, and then moved. It has the
    permissions of the file that it replaces, or those that the umask allows.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists.
    content : str, bytes or callable
        The content, or a function that writes it to an open binary file.
    keep : Path, optional
        A name in the same folder under which the replaced file is kept.
    follow : bool
        If `path` is a symbolic link, write the file that it names; if it is a device such as
        ``/dev/stdout``, write to it directly. Without this, the file replaces the link or device.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    refuse_names(path)
    try:
        if follow and path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as device:  # a pipe has no other name
                _fill(device, content)
        else:
            _put(Path(os.path.realpath(path)) if follow else path, content, keep)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error.strerror or error}.") from error


def _put(
    place: Path, content: Callable[[Any], object] | str | bytes, keep: Path | None = None
) -> None:
    """Write a file beside its final place, and move it there when it is complete."""
    unfinished = place.with_name(f".{place.name}.{os.getpid()}{UNFINISHED}")
    unfinished.unlink(missing_ok=True)
    try:
        with unfinished.open("xb") as file:
            _take_mode(unfinished, place, keep)  # before it has content that others could read
            _fill(file, content)
            os.fsync(file.fileno())
        if keep and os.path.lexists(place):
            replace(place, keep)
        replace(unfinished, place)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    _sync(place.parent)


def replace(file: Path, place: Path) -> None:
    """Move a file to a place, and replace the file that is there.

    Windows refuses while another program, such as a virus scanner, has one of them open. We then
    try again for up to 2 s.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            file.replace(place)
            return
        except PermissionError as error:
            if getattr(error, "winerror", None) not in IN_USE or time.monotonic() > end:
                raise
        time.sleep(PAUSE)


def _take_mode(file: Path, *olds: Path | None) -> None:
    """Give a file the permissions of the first of the old files that exists."""
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
        file.write(content.encode(errors="replace") if isinstance(content, str) else content)
    file.flush()


def _sync(folder: Path) -> None:
    """Force the names in a folder to the disk, if the system supports it."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
