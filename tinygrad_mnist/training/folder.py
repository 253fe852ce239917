"""The run folder on disk: where it is, who may write to it, and files that are whole or absent."""

from __future__ import annotations

import os
import shlex
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import fcntl
except ImportError:  # Windows has other locks: there a second trainer is not noticed
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCK = ".lock"
UNFINISHED = ".unfinished"


class RunFolderError(OSError):
    """A run's folder, or a file to write, cannot be used; the message says why and what can."""


def free_folder(name: str) -> Path:
    """``runs/NAME``, or with a number behind it the first such folder that does not exist."""
    number = 1
    while (folder := Path("runs") / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def resume_command(folder: Path) -> str:
    """What to type to go on with a run."""
    return f"tinygrad-mnist train --resume {shlex.quote(str(folder))}"


def prepare(folder: Path) -> None:
    """Make a folder and make sure that files can be written there.

    Raises
    ------
    RunFolderError
        If it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise RunFolderError(
            f"{folder}: cannot be written to: {error.strerror}. Choose another --out."
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other trainers out of a folder, and clear away what a killed one left unfinished.

    The operating system holds the lock and drops it when this process ends, however it ends; so
    the file that a killed process leaves behind locks nothing. The process number in the file is
    for people.

    Raises
    ------
    RunFolderError
        If another process has the lock, or the folder cannot be written to.
    """
    path = folder / LOCK
    try:
        descriptor = _lock(path)
    except BlockingIOError:
        holder = path.read_text(errors="replace").strip()[:20] or "another"
        raise RunFolderError(
            f"{folder}: process {holder} is training there. "
            "Wait until it ends, or choose another folder."
        ) from None
    except OSError as error:
        raise RunFolderError(
            f"{folder}: cannot be written to: {error.strerror}. Choose another --out."
        ) from error
    try:
        for stale in folder.rglob(f".*{UNFINISHED}"):
            stale.unlink(missing_ok=True)
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _lock(path: Path) -> int:
    """A descriptor of the lock file, locked.

    A file that its holder removed meanwhile locks nothing: then the next one is tried.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                os.truncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def is_empty(folder: Path) -> bool:
    """Whether there is nothing in a folder but a lock."""
    return all(path.name == LOCK for path in folder.iterdir())


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
    RunFolderError
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
        raise RunFolderError(f"{path}: cannot be written: {error.strerror or error}.") from error


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
