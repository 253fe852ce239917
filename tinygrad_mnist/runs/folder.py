"""The run folder on disk: where it is, and who may write to it."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tinygrad_mnist.files import UNFINISHED, WriteError

try:
    import fcntl
except ImportError:  # Windows has other locks: there a second trainer is not noticed
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinygrad_mnist.training.recipe import Recipe

LOCK = ".lock"


class RunFolderError(WriteError):
    """A run's folder cannot be used; the message says why and what can."""


def free_folder(name: str) -> Path:
    """``runs/NAME``, or with a number behind it the first such folder that does not exist."""
    number = 1
    while (folder := Path("runs") / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def resume_command(folder: Path, recipe: Recipe | None = None) -> str:
    """What to type to go on with a run; a network of one's own has to be named again."""
    own = own_options(recipe) if recipe else ""
    return f"tinygrad-mnist train --resume {shlex.quote(str(folder))}{own}"


def own_options(recipe: Recipe) -> str:
    """What to add to a command, so that it may run the code that a recipe names."""
    return "".join(f" --{key} {shlex.quote(reference)}" for key, reference in recipe.own.items())


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
