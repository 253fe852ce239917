"""The run folder on disk: where it is, and which process may write to it."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tinygrad_mnist.data import DataError
from tinygrad_mnist.data.errors import printable
from tinygrad_mnist.runs.config import read_config
from tinygrad_mnist.runs.entries import (
    LOCK,
    NO_FOLLOW,
    RunFolderError,
    opened,
    refuse_link,
    refuse_other_places,
    unfinished,
)
from tinygrad_mnist.training.recipe import RecipeError
from tinygrad_mnist.words import quoted

try:
    import fcntl
except ImportError:  # Windows has other locks, so a second trainer is not noticed there
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tinygrad_mnist.training.recipe import Recipe

LONGEST_LOCK = 20
"""The most bytes of a process number and the end of its line."""
LONGEST_COMMAND = 4000
"""The most characters of a command that are shown."""


def free_folder(name: str) -> Path:
    """``runs/NAME``, or if it exists the first free name with a number appended."""
    number = 1
    while os.path.lexists(folder := Path("runs") / (name if number == 1 else f"{name}-{number}")):
        number += 1
    return folder


def resume_command(
    folder: Path,
    recipe: Recipe | None = None,
    files: Mapping[str, str] | None = None,
    processes: int = 1,
) -> str:
    """The command that continues a run.

    It must name your own network again, and your own files, by the name of their option; by default
    those in ``config.toml``.
    """
    own = own_options(recipe) if recipe else ""
    if files is None:
        files = {}
        with suppress(RecipeError, DataError):
            files = read_config(folder)[1].files
    named = (f" --{key.replace('_', '-')} {quoted(file)}" for key, file in files.items())
    command = f"tinygrad-mnist train --resume {quoted(str(folder))}{own}{''.join(named)}"
    if processes > 1:
        command = f"mpiexec -n {processes} {command} --mpi"
    return printable(command, LONGEST_COMMAND)


def own_options(recipe: Recipe) -> str:
    """The options that allow a command to run the code that a recipe names."""
    return "".join(f" --{key} {quoted(reference)}" for key, reference in recipe.own.items())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other trainers out of a folder, and remove files that a killed one left unfinished.

    The folder must be one of our runs, or empty. The operating system holds the lock and drops it
    when this process ends, however it ends; so a file that a killed process leaves behind locks
    nothing. The process number in the file is for people.

    Raises
    ------
    RunFolderError
        If another process has the lock, the lock is not one of our files, or the folder cannot be
        written to.
    """
    path = folder / LOCK
    try:
        descriptor = _lock(path)
    except BlockingIOError:
        raise RunFolderError(
            f"{folder}: {_holder(path)} is training there. "
            "Wait until it ends, or choose another folder."
        ) from None
    except RunFolderError:
        raise
    except OSError as error:
        raise RunFolderError(
            f"{folder}: cannot be written to: {error.strerror}. Choose another --out."
        ) from error
    with os.fdopen(descriptor, "rb"):
        try:
            for stale in unfinished(folder):
                with suppress(OSError):
                    stale.unlink()
            yield
        finally:
            with suppress(OSError):
                if _is_at(path, descriptor):
                    path.unlink()


def _lock(path: Path) -> int:
    """A descriptor of the lock file, locked.

    A file that its holder has just removed locks nothing, so we then try again with a new file.
    """
    while True:
        refuse_link(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o666)
        try:
            status = os.fstat(descriptor)
            refuse_other_places(path, status)
            if status.st_size > LONGEST_LOCK:
                raise RunFolderError(f"{path}: too long for the lock of a training. Remove it?")
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                os.truncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    """A description of the process that has a lock."""
    number = ""
    with suppress(OSError), opened(path) as file:
        number = file.read(LONGEST_LOCK).decode(errors="replace").strip()
    return f"process {number}" if number.isdecimal() else "another process"
