"""The run folder on disk: where it is, and who may write to it."""

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
except ImportError:  # Windows has other locks: there a second trainer is not noticed
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tinygrad_mnist.training.recipe import Recipe

LONGEST_LOCK = 20
"""Bytes of a process number and the end of its line."""
LONGEST_COMMAND = 4000
"""Characters of a command that are shown."""


def free_folder(name: str) -> Path:
    """``runs/NAME``, or with a number behind it the first such folder that does not exist."""
    number = 1
    while os.path.lexists(folder := Path("runs") / (name if number == 1 else f"{name}-{number}")):
        number += 1
    return folder


def resume_command(
    folder: Path, recipe: Recipe | None = None, files: Mapping[str, str] | None = None
) -> str:
    """What to type to go on with a run.

    A network of one's own has to be named again, and so have files, by the name of their option;
    by default those that ``config.toml`` names.
    """
    own = own_options(recipe) if recipe else ""
    if files is None:
        files = {}
        with suppress(RecipeError, DataError):
            files = read_config(folder)[1].files
    named = (f" --{key.replace('_', '-')} {quoted(file)}" for key, file in files.items())
    command = f"tinygrad-mnist train --resume {quoted(str(folder))}{own}{''.join(named)}"
    return printable(command, LONGEST_COMMAND)


def own_options(recipe: Recipe) -> str:
    """What to add to a command, so that it may run the code that a recipe names."""
    return "".join(f" --{key} {quoted(reference)}" for key, reference in recipe.own.items())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other trainers out of a folder, and clear away what a killed one left unfinished.

    The folder is known to be a run of ours, or empty. The operating system holds the lock and drops
    it when this process ends, however it ends; so the file that a killed process leaves behind
    locks nothing. The process number in the file is for people.

    Raises
    ------
    RunFolderError
        If another process has the lock, the lock is no file of ours, or the folder cannot be
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

    A file that its holder removed meanwhile locks nothing: then the next one is tried.
    """
    while True:
        refuse_link(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o666)
        try:
            status = os.fstat(descriptor)
            refuse_other_places(path, status)
            if status.st_size > LONGEST_LOCK:
                raise RunFolderError(f"{path}: no lock of a training: it is too long. Remove it?")
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
    """Who has a lock, in words."""
    number = ""
    with suppress(OSError), opened(path) as file:
        number = file.read(LONGEST_LOCK).decode(errors="replace").strip()
    return f"process {number}" if number.isdecimal() else "another process"
