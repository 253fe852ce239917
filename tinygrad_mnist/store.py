"""The log of predictions: an SQLite file that several processes may write to, each prediction whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from os import PathLike
    from typing import Self

    from numpy.typing import NDArray

APPLICATION_ID = 0x6D6E6973  # "mnis"
VERSION = 1
PATIENCE = 60
"""Seconds to wait for another process that is writing."""

SCHEMA = f"""
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
            16 * instr('123456789ABCDEF', substr(digits, 2 * n - 1, 1)) + instr('123456789ABCDEF', substr(digits, 2 * n, 1)), ', '
        ) FROM (SELECT hex(image) AS digits, n FROM positions ORDER BY n)
    ) || ']', predicted FROM predictions;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""


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
            raise StoreError(f"{self.path}: there is no such log. `tinygrad-mnist predict` makes one.")
        with self._explained():
            uri = f"{self.path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
            self._db = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
        try:
            with self._explained():
                self._prepare(create)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, create: bool) -> None:
        """Check that the file is ours, before anything in it is changed; or make it so if it is empty."""
        if self._is_empty() and create:
            self._db.execute("PRAGMA journal_mode = WAL")
            with self._transaction():
                if self._is_empty():  # still: another process may have been faster
                    for statement in SCHEMA.split(";\n"):
                        self._db.execute(statement)
        identity, version = (self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if identity != APPLICATION_ID:
            tables = ", ".join(name for (name,) in self._db.execute("SELECT name FROM sqlite_schema ORDER BY name")) or "nothing"
            raise StoreError(f"{self.path}: a database, but not a log of predictions: it holds {tables[:80]}. Choose another file.")
        if version != VERSION:
            raise StoreError(f"{self.path}: a log of version {version}, but this program knows version {VERSION}. Choose another file.")
        self._db.execute("PRAGMA foreign_keys = ON")

    def _is_empty(self) -> bool:
        return self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}.") from error

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
        n = len(sources)
        if images.dtype != np.uint8 or images.shape != (n, 784) or probabilities.shape != (n, 10) or len(labels) != n:
            raise ValueError(
                f"{n} sources need images (n, 784) of uint8, probabilities (n, 10) and n labels, but these are "
                f"{images.shape} of {images.dtype}, {probabilities.shape} and {len(labels)}."
            )
        if not np.isfinite(probabilities).all():
            raise ValueError("The probabilities are not all finite numbers.")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        known = (_text(run), json.dumps(dict(recipe), sort_keys=True))
        with self._explained(), self._transaction():
            self._db.execute("INSERT INTO runs (name, recipe, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (*known, now))
            (run_id,) = self._db.execute("SELECT id FROM runs WHERE name = ? AND recipe = ?", known).fetchone()
            rows = []
            for source, image, p, label in zip(map(_text, sources), images, probabilities, labels, strict=True):
                truth = None if label is None else int(label)  # NumPy's integers would be stored as bytes
                values = (run_id, model_hash, source, image.tobytes(), truth, int(p.argmax()), json.dumps(p.tolist()), now)
                names = "run, model_hash, source, image, label, predicted, probabilities, created_at"
                cursor = self._db.execute(f"INSERT INTO predictions ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
                rows.append(Prediction(cursor.lastrowid or 0, known[0], model_hash, source, image, truth, values[5], p.tolist(), now))
        return rows

    def predictions(self, *, run: str | None = None, digit: int | None = None, wrong: bool = False) -> Iterator[Prediction]:
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
        with self._explained():
            rows = self._db.execute(
                """
                SELECT p.id, r.name, model_hash, source, image, label, predicted, probabilities, p.created_at
                FROM predictions AS p JOIN runs AS r ON p.run = r.id
                WHERE (:run IS NULL OR r.name = :run)
                  AND (:digit IS NULL OR :digit IN (label, predicted))
                  AND (NOT :wrong OR label <> predicted)
                ORDER BY p.id
                """,
                {"run": run, "digit": digit, "wrong": wrong},
            )
            for row in map(Prediction._make, rows):
                yield row._replace(image=np.frombuffer(row.image, np.uint8), probabilities=json.loads(str(row.probabilities)))


def _text(name: str) -> str:
    """A name as text: those of files may hold bytes that are none."""
    return name.encode(errors="replace").decode()


def to_csv(predictions: Iterable[Prediction]) -> str:
    """Predictions as CSV: all but the image, with the probabilities in columns p0, ..., p9."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    plain = [name for name in Prediction._fields if name not in ("image", "probabilities")]
    writer.writerow([*plain, *(f"p{digit}" for digit in range(10))])
    writer.writerows([*(getattr(row, name) for name in plain), *row.probabilities] for row in predictions)
    return text.getvalue()
