"""Where the trials of a sweep are kept: a journal in its folder, or a database of many machines."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

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


def opened(folder: Path, url: str = "") -> BaseStorage:
    """The storage in a folder that this process has locked, or the one at an address.

    Raises
    ------
    StorageError
        If it cannot be opened, or is something else.
    """
    if url:
        return _database(url)
    path = folder / JOURNAL
    try:
        Path(f"{path}.lock").unlink(missing_ok=True)  # of a sweep that was killed
        _end_with_a_line(path)
        return JournalStorage(_Journal(str(path), lock_obj=JournalFileOpenLock(str(path))))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}.") from error
    except (ValueError, LookupError, TypeError) as error:
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
    except ArgumentError as error:
        raise StorageError(
            f"{shown}: not the address of a database. Write it as "
            "postgresql+psycopg://USER@HOST/DATABASE"
        ) from error
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


def _database(url: str) -> BaseStorage:
    with told(url):
        for _ in range(ATTEMPTS - 1):
            try:
                return RDBStorage(url, {"pool_pre_ping": True})
            except ArgumentError:
                raise
            except SQLAlchemyError:
                time.sleep(PAUSE)
        return RDBStorage(url, {"pool_pre_ping": True})
