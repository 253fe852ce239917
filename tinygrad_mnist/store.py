"""The log of predictions: an SQLite file for several processes, each prediction whole or not."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from os import PathLike
    from typing import BinaryIO, Self

    from numpy.typing import NDArray

APPLICATION_ID = 0x6D6E6973  # "mnis"
VERSION = 1
PATIENCE = 60
"""Seconds to wait for another process that is writing."""

LONGEST = 1 << 20
"""No text or image of more bytes is taken out of a file."""

TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    recipe TEXT NOT NULL CHECK (json_valid(recipe)),
    created_at TEXT NOT NULL,
    UNIQUE (name, recipe)
) STRICT;
CREATE TABLE predictions (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    model_hash TEXT NOT NULL,
    source TEXT NOT NULL,
    image BLOB NOT NULL CHECK (length(image) = 784),
    label INTEGER CHECK (label BETWEEN 0 AND 9),
    predicted INTEGER NOT NULL CHECK (predicted BETWEEN 0 AND 9),
    probabilities TEXT NOT NULL CHECK (json_array_length(probabilities) = 10),
    created_at TEXT NOT NULL
) STRICT;
CREATE VIEW predictions_as_text (id, input, predicted) AS
    WITH RECURSIVE positions (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM positions WHERE n < 784)
    SELECT id, '[' || (
        SELECT group_concat(
            16 * instr('123456789ABCDEF', substr(digits, 2 * n - 1, 1)) \
+ instr('123456789ABCDEF', substr(digits, 2 * n, 1)), ', '
        ) FROM (SELECT hex(image) AS digits, n FROM positions ORDER BY n)
    ) || ']', predicted FROM predictions
"""
SCHEMA = [statement.strip() for statement in TABLES.split(";\n")]
"""What is in a log, word by word; one with anything else in it is not opened.

Another schema is another `VERSION`.
"""


COLUMNS = "run, model_hash, source, image, label, predicted, probabilities, created_at"
INSERT = f"INSERT INTO predictions ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class StoreError(Exception):
    """A log that cannot be opened, read or written; the message names the file and the cause."""


class Prediction(NamedTuple):
    """A row of the log.

    Attributes
    ----------
    id : int
        From 1, in the order of writing.
    run, model_hash : str
        Name of the run, and a hash of its weights.
    source : str
        Where the image came from.
    image : ndarray of uint8, (784,)
        As the network saw it, before normalisation.
    label : int or None
        The true digit, if it is known.
    predicted : int
        The most probable digit.
    probabilities : list of float
        Of each digit.
    created_at : str
        ISO 8601, UTC.
    """

    id: int
    run: str
    model_hash: str
    source: str
    image: NDArray[np.uint8]
    label: int | None
    predicted: int
    probabilities: list[float]
    created_at: str


class PredictionLog:
    """An open log; a context manager that closes it.

    Parameters
    ----------
    path : path
        The file.
    create : bool
        Make it if it does not exist. Otherwise that is an error.

    Raises
    ------
    StoreError
        If the file is no such log or cannot be opened.
    """

    def __init__(self, path: str | PathLike[str], *, create: bool = False) -> None:
        self.path = Path(path)
        if not create and not self.path.exists():
            raise StoreError(
                f"{self.path}: there is no such log. `tinygrad-mnist predict` makes one."
            )
        with self._explained():
            uri = f"{self.path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
            self._db = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
            self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        try:
            with self._explained():
                self._prepare(create)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, create: bool) -> None:
        """Make an empty file a log, and any file open only if it is one."""
        if self._is_empty() and create:
            with self._transaction():
                if self._is_empty():  # still: another process may have been faster
                    self._fill()
        self._refuse_others()
        self._db.execute("PRAGMA foreign_keys = ON")
        if create:
            # Fails if others have it open: this once SQLite does not wait for them.
            with suppress(sqlite3.OperationalError):
                self._db.execute("PRAGMA journal_mode = WAL")

    def _fill(self) -> None:
        for statement in SCHEMA:
            self._db.execute(statement)
        self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._db.execute(f"PRAGMA user_version = {VERSION}")

    def _refuse_others(self) -> None:
        """Check that the file is ours, before anything in it is changed."""
        identity, version, page = (
            self._column(f"PRAGMA {name}")[0]
            for name in ("application_id", "user_version", "page_size")
        )
        if identity != APPLICATION_ID:
            names = self._column("SELECT name FROM sqlite_schema ORDER BY name")
            raise StoreError(
                f"{self.path}: a database, but not a log of predictions: it holds "
                f"{_shown(', '.join(names) or 'nothing')}. Choose another file."
            )
        if version != VERSION:
            raise StoreError(
                f"{self.path}: a log of version {version}, but this program knows version "
                f"{VERSION}. Choose another file."
            )
        if self.path.stat().st_size % page:
            raise StoreError(
                f"{self.path}: damaged: the last of its pages is not whole. Was the file cut short?"
            )
        tables = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
        if self._column(tables) != SCHEMA:
            raise StoreError(
                f"{self.path}: damaged, or changed by another program: its tables are not those "
                "of a log of predictions."
            )

    def _is_empty(self) -> bool:
        return self._column("SELECT count(*) FROM sqlite_schema") == [0]

    def _column(self, query: str) -> list[Any]:
        cursor = self._db.execute(query)
        with closing(cursor) as rows:  # open, it would keep the file open after an error
            return [value for (value,) in rows]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        # The last two are raised for a damaged name or length.
        except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
            raise StoreError(f"{self.path}: {_shown(str(error)) or 'damaged'}.") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(
        self,
        run: str,
        recipe: Mapping[str, Any],
        model_hash: str,
        sources: Sequence[str],
        images: NDArray[np.uint8],
        probabilities: NDArray[np.floating[Any]],
        labels: Sequence[Any],
    ) -> list[Prediction]:
        """Write predictions in one transaction: all of them or, if anything fails, none.

        Parameters
        ----------
        run, recipe : str, mapping
            The run's name and settings.
        model_hash : str
            Tells its weights from others.
        sources : sequence of str, (n,)
            Where each image came from.
        images : ndarray of uint8, (n, 784)
            What the network saw.
        probabilities : ndarray, (n, 10)
            What it said.
        labels : sequence of int or None, (n,)
            The truth, as far as it is known.

        Returns
        -------
        list of Prediction
            The rows written.

        Raises
        ------
        ValueError
            If the arrays do not have these shapes and types, or a probability is not finite.
        StoreError
            If the file cannot be written to.
        """
        _check_shapes(len(sources), images, probabilities, labels)
        if not np.isfinite(probabilities).all():
            raise ValueError("The probabilities are not all finite numbers.")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        run = _text(run)
        with self._explained(), self._transaction():
            run_id = self._id_of_run(run, json.dumps(dict(recipe), sort_keys=True), now)
            rows = []
            for name, image, row, label in zip(sources, images, probabilities, labels, strict=True):
                source, predicted, p = _text(name), int(row.argmax()), row.tolist()
                truth = None if label is None else int(label)  # NumPy's would be stored as bytes
                pixels, text = image.tobytes(), json.dumps(p)
                values = (run_id, model_hash, source, pixels, truth, predicted, text, now)
                id = self._db.execute(INSERT, values).lastrowid or 0
                written = (id, run, model_hash, source, image, truth, predicted, p, now)
                rows.append(Prediction(*written))
        return rows

    def _id_of_run(self, name: str, recipe: str, now: str) -> int:
        """The row of a run, which is made if it is not there."""
        columns, values = "name, recipe, created_at", (name, recipe, now)
        insert = f"INSERT INTO runs ({columns}) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        self._db.execute(insert, values)
        select = "SELECT id FROM runs WHERE name = ? AND recipe = ?"
        (found,) = self._db.execute(select, (name, recipe)).fetchone()
        return int(found)

    def predictions(
        self, *, run: str | None = None, digit: int | None = None, wrong: bool = False
    ) -> Iterator[Prediction]:
        """The rows of the log, oldest first.

        Parameters
        ----------
        run : str, optional
            Only those of runs of this name.
        digit : int, optional
            Only those that are this digit or were taken for it.
        wrong : bool
            Only those whose label is known and not what was predicted.

        Raises
        ------
        StoreError
            If the file cannot be read.
        """
        select = """
            SELECT p.id, r.name, model_hash, source, image, label, predicted, probabilities,
                   p.created_at
            FROM predictions AS p JOIN runs AS r ON p.run = r.id
            WHERE (:run IS NULL OR r.name = :run)
              AND (:digit IS NULL OR :digit IN (label, predicted))
              AND (NOT :wrong OR label <> predicted)
            ORDER BY p.id
        """
        with self._explained():
            cursor = self._db.execute(select, {"run": run, "digit": digit, "wrong": wrong})
            with closing(cursor) as rows:
                for row in rows:
                    yield self._checked(row)

    def runs(self) -> list[str]:
        """The names of the runs that there are predictions of.

        Raises
        ------
        StoreError
            If the file cannot be read.
        """
        with self._explained():
            names = self._column(
                "SELECT DISTINCT name FROM runs WHERE id IN (SELECT run FROM predictions) "
                "ORDER BY name"
            )
        return [str(name) for name in names]

    def _checked(self, row: Sequence[Any]) -> Prediction:
        """A row as it was written: SQLite does not notice changed bytes, so we look."""
        id, run, model_hash, source, image, label, predicted, text, at = row
        try:
            p = json.loads(text)
            right = (
                all(isinstance(value, str) for value in (run, model_hash, source, text, at))
                and (label is None or (isinstance(label, int) and 0 <= label <= 9))
                and isinstance(image, bytes)
                and len(image) == 784
                and np.shape(p) == (10,)
                and np.isfinite(p).all()
                and isinstance(predicted, int)
                and predicted == np.argmax(p)
            )
            if right:
                pixels = np.frombuffer(image, np.uint8)
                return Prediction(id, run, model_hash, source, pixels, label, predicted, p, at)
        except (ValueError, TypeError, RecursionError):
            pass
        raise StoreError(f"{self.path}: prediction {id} is damaged.")


def _check_shapes(
    n: int, images: NDArray[Any], probabilities: NDArray[Any], labels: Sequence[Any]
) -> None:
    shapes = images.shape, probabilities.shape, (len(labels),)
    if images.dtype != np.uint8 or shapes != ((n, 784), (n, 10), (n,)):
        raise ValueError(
            f"To n = {n} sources belong images (n, 784) of uint8, probabilities (n, 10) and n "
            f"labels, but these are {images.shape} of {images.dtype}, {probabilities.shape} "
            f"and {len(labels)}."
        )


def _shown(text: str) -> str:
    """The start of a text out of a file, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text[:80])


def _text(name: str) -> str:
    """A name as text: those of files may hold bytes that are none."""
    return name.encode(errors="replace").decode()


def write_csv(predictions: Iterable[Prediction], file: BinaryIO) -> int:
    """Write predictions as CSV, one by one, and return how many.

    All but the image is written, the probabilities in columns p0, ..., p9.
    """
    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    plain = [name for name in Prediction._fields if name not in ("image", "probabilities")]
    writer.writerow([*plain, *(f"p{digit}" for digit in range(10))])
    count = 0
    for row in predictions:
        writer.writerow([*(getattr(row, name) for name in plain), *row.probabilities])
        count += 1
    text.detach()
    return count
