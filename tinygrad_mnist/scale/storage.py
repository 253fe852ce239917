"""Where the trials of a sweep are kept: a journal in its folder, or a database of many machines."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from tinygrad_mnist.files import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.storages import BaseStorage

JOURNAL = "trials.log"
ATTEMPTS, PAUSE = 3, 1.0
"""How often a database is opened, and the seconds between: two machines that make its tables at the
same moment are in each other's way once."""


class StorageError(WriteError):
    """The trials of a sweep cannot be read or written; the message says why, and what to do."""


def journal(folder: Path) -> BaseStorage:
    """The journal in a folder that this process has locked; a new one if there is none.

    Raises
    ------
    StorageError
        If it cannot be written, or is something else.
    """
    path = folder / JOURNAL
    try:
        Path(f"{path}.lock").unlink(missing_ok=True)  # of a sweep that was killed
        _end_with_a_line(path)
        return JournalStorage(_Journal(str(path), lock_obj=JournalFileOpenLock(str(path))))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}.") from error
    except (ValueError, LookupError, TypeError, AssertionError) as error:
        raise StorageError(
            f"{path}: not the journal of a sweep. Choose another --out, or remove the folder."
        ) from error


class _Journal(JournalFileBackend):
    """The file that every change is appended to, and at once forced to the disk."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        try:
            super().append_logs(logs)
        except OSError as error:
            raise StorageError(
                f"{self._file_path}: cannot be written: {error.strerror}. "
                "Once it can, the same command goes on."
            ) from error


def _end_with_a_line(path: Path) -> None:
    """Drop what a failing disk left of a last line; the next would be appended to it."""
    if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def database(url: str) -> BaseStorage:
    """The storage at an address; a new database gets its tables here.

    Raises
    ------
    StorageError
        If it cannot be reached, or the address is none.
    """
    with told(url):
        for _ in range(ATTEMPTS - 1):
            with suppress(DBAPIError):
                return _at(url)
            time.sleep(PAUSE)
        return _at(url)


def _at(url: str) -> BaseStorage:
    try:
        return RDBStorage(url, {"pool_pre_ping": True})
    except (ArgumentError, ValueError, TypeError) as error:
        raise StorageError(
            f"{without_password(url)}: not the address of a database. Write it as "
            "postgresql+psycopg://USER@HOST/DATABASE"
        ) from error


def without_password(url: str) -> str:
    """The address of a database as it may be shown: without password and options.

    Examples
    --------
    >>> without_password("postgresql://me:secret@host/sweeps?sslmode=require")
    'postgresql://me:***@host/sweeps'
    """
    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return "--storage"


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn the errors of a database into a StorageError, which shows no password."""
    shown = without_password(url)
    try:
        yield
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None) or "its driver"
        raise StorageError(
            f"{shown}: Python has no module {missing}, which talks to this database. Install it."
        ) from error
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
        for secret in _secrets(url):
            why = why.replace(secret, "***")
        raise StorageError(
            f"{shown}: {why.rstrip('.')}. Once the database answers, the same command goes on."
        ) from error


def _secrets(url: str) -> Iterator[str]:
    """The password of an address, decoded and as it was typed."""
    if password := make_url(url).password:
        yield str(password)
        yield url.partition("://")[2].rpartition("@")[0].partition(":")[2]
