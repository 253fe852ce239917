"""The log of predictions: an SQLite file for several processes, without half-written rows."""

from __future__ import annotations

import csv
import io
import json
import os
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
VERSION = 2
PATIENCE = 60
"""Seconds to wait for another process that is writing."""

LONGEST = 3 << 19
"""Texts and images of more bytes are neither read from a file nor written to it."""

TABLES_1 = """
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
"""The schema of version 1, which held MNIST's digits and nothing about shape and classes."""

TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    recipe TEXT NOT NULL CHECK (json_valid(recipe)),
    shape TEXT NOT NULL CHECK (json_array_length(shape) = 2),
    classes TEXT NOT NULL CHECK (json_array_length(classes) > 0),
    created_at TEXT NOT NULL,
    UNIQUE (name, recipe, shape, classes)
) STRICT;
CREATE TABLE predictions (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    model_hash TEXT NOT NULL,
    source TEXT NOT NULL,
    image BLOB NOT NULL CHECK (length(image) > 0),
    label INTEGER CHECK (label >= 0),
    predicted INTEGER NOT NULL CHECK (predicted >= 0),
    probabilities TEXT NOT NULL CHECK (json_array_length(probabilities) > predicted),
    created_at TEXT NOT NULL
) STRICT;
CREATE VIEW predictions_as_text (id, input, predicted) AS
    SELECT id, '[' || (
        WITH RECURSIVE positions (n) AS (
            SELECT 1 UNION ALL SELECT n + 1 FROM positions WHERE n < length(image)
        )
        SELECT group_concat(
            16 * instr('123456789ABCDEF', substr(digits, 1, 1)) \
+ instr('123456789ABCDEF', substr(digits, 2, 1)), ', '
        ) FROM (SELECT hex(substr(image, n, 1)) AS digits FROM positions ORDER BY n)
    ) || ']', predicted FROM predictions
"""
SCHEMAS = {
    version: [statement.strip() for statement in tables.split(";\n")]
    for version, tables in ((1, TABLES_1), (VERSION, TABLES))
}
"""The exact schema of a log, by version; a file with any other schema is not opened.

A change of the schema needs a new `VERSION`.
"""

MNIST_SHAPE, DIGITS = (28, 28), tuple("0123456789")
"""Shape and classes of all predictions in a log of version 1."""

MNIST = json.dumps(MNIST_SHAPE), json.dumps(DIGITS)

FROM_1 = [
    "DROP VIEW predictions_as_text",
    "ALTER TABLE predictions RENAME TO predictions_1",
    "ALTER TABLE runs RENAME TO runs_1",
    *SCHEMAS[VERSION],
    f"INSERT INTO runs SELECT id, name, recipe, '{MNIST[0]}', '{MNIST[1]}', created_at FROM runs_1",
    "INSERT INTO predictions SELECT * FROM predictions_1",
    "DROP TABLE predictions_1",
    "DROP TABLE runs_1",
    f"PRAGMA user_version = {VERSION}",
]
"""The statements that update a log from version 1 to this version."""

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
    image : ndarray of uint8, (pixels,)
        The image that the network saw, before normalisation.
    label : int or None
        The position of its class among `classes`, if it is known.
    predicted : int
        The position of the most probable class.
    probabilities : list of float
        The probability of each class.
    created_at : str
        ISO 8601, UTC.
    shape : tuple of int
        Rows and columns of the image.
    classes : tuple of str
        The names of the classes.
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
    shape: tuple[int, int]
    classes: tuple[str, ...]


class PredictionLog:
    """An open log; a context manager that closes it.

    Parameters
    ----------
    path : path
        The file.
    create : bool
        Create the file if it does not exist. Without this, a missing file is an error.

    Raises
    ------
    StoreError
        If the file is not a log of predictions or cannot be opened.
    """

    def __init__(self, path: str | PathLike[str], *, create: bool = False) -> None:
        self.path = Path(path)
        if not create and not self.path.exists():
            raise StoreError(
                f"{self.path}: there is no such log. `tinygrad-mnist predict` makes one."
            )
        with self._explained():
            uri = f"{self.path.absolute().as_uri()}?mode={self._mode(create)}"
            self._db = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
            self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        try:
            with self._explained():
                self._prepare(create)
        except BaseException:
            self._db.close()
            raise

    def _mode(self, create: bool) -> str:
        """The mode to open the file in: read-only if SQLite may not write to it or beside it."""
        path = Path(os.path.realpath(self.path))  # SQLite writes beside the file, not beside a link
        if create or (_writable(path) and _writable(path.parent)):
            return "rwc" if create else "rw"
        newest, index = (Path(f"{path}-{ending}") for ending in ("wal", "shm"))
        if not newest.exists():
            return "ro&immutable=1"
        if not index.exists() and not _writable(path.parent):
            raise StoreError(
                f"{self.path}: its last predictions are in {newest.name}, and SQLite reads them "
                "only in a folder that can be written to. Copy both files to one."
            )
        return "rw"

    def _prepare(self, create: bool) -> None:
        """Turn an empty file into a log, and refuse any file that is not one."""
        if self._is_empty() and create:
            with self._transaction():
                if self._is_empty():  # check again: another process may have been faster
                    self._fill()
        with self._transaction("DEFERRED"):  # a consistent view of the file
            self._refuse_others()
        self._db.execute("PRAGMA foreign_keys = ON")
        if create:
            # This fails if other processes have the file open: here SQLite does not wait for them.
            with suppress(sqlite3.OperationalError):
                self._db.execute("PRAGMA journal_mode = WAL")

    def _fill(self) -> None:
        for statement in SCHEMAS[VERSION]:
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
        if version not in SCHEMAS:
            raise StoreError(
                f"{self.path}: a log of version {version}, but this program knows versions "
                f"up to {VERSION}. Choose another file."
            )
        if self.path.stat().st_size % page:
            raise StoreError(
                f"{self.path}: damaged: the last of its pages is not whole. Was the file cut short?"
            )
        tables = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
        if self._column(tables) != SCHEMAS[version]:
            raise StoreError(
                f"{self.path}: damaged, or changed by another program: its tables are not those "
                "of a log of predictions."
            )

    def _version(self) -> int:
        return int(self._column("PRAGMA user_version")[0])

    def _is_empty(self) -> bool:
        return self._column("SELECT count(*) FROM sqlite_schema") == [0]

    def _column(self, query: str) -> list[Any]:
        cursor = self._db.execute(query)
        with closing(cursor) as rows:  # an open cursor would keep the file open after an error
            return [value for (value,) in rows]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        # A damaged name or length raises the last two.
        except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
            raise StoreError(f"{self.path}: {_shown(str(error)) or 'damaged'}.") from error

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        self._db.execute(f"BEGIN {kind}")
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
        *,
        shape: tuple[int, int] = MNIST_SHAPE,
        classes: Sequence[str] = DIGITS,
    ) -> list[Prediction]:
        """Write predictions in one transaction: all of them or, if anything fails, none.

        A log of an older version is brought up to date in the same transaction.

        Parameters
        ----------
        run, recipe : str, mapping
            The run's name and settings.
        model_hash : str
            A hash that identifies its weights.
        sources : sequence of str, (n,)
            Where each image came from.
        images : ndarray of uint8, (n, pixels)
            The images that the network saw.
        probabilities : ndarray, (n, classes)
            The probability of each class.
        labels : sequence of int or None, (n,)
            The true classes, where they are known.
        shape : tuple of int
            Rows and columns of an image.
        classes : sequence of str
            The names of the classes.

        Returns
        -------
        list of Prediction
            The rows written.

        Raises
        ------
        ValueError
            If the arrays do not have these shapes and types, a label is not a class, or a
            probability is not finite.
        StoreError
            If the file cannot be written to.
        """
        kind = (int(shape[0]), int(shape[1])), tuple(map(_text, classes))
        _check_shapes(len(sources), images, probabilities, labels, *kind)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        run, as_json = _text(run), json.dumps(dict(recipe), sort_keys=True)
        with self._explained(), self._transaction():
            if self._version() == 1:
                for statement in FROM_1:
                    self._db.execute(statement)
            run_id = self._id_of_run(run, as_json, kind, now)
            rows = []
            for source, image, p, label in zip(sources, images, probabilities, labels, strict=True):
                truth = None if label is None else int(label)  # NumPy's would be stored as bytes
                known = _text(source), image, truth, int(p.argmax()), p.tolist(), now
                id = self._insert(run_id, model_hash, *known)
                rows.append(Prediction(id, run, model_hash, *known, *kind))
        return rows

    def _insert(
        self,
        run_id: int,
        model_hash: str,
        source: str,
        image: NDArray[np.uint8],
        label: int | None,
        predicted: int,
        probabilities: list[float],
        now: str,
    ) -> int:
        """Write one row, and return its number."""
        as_stored = image.tobytes(), label, predicted, json.dumps(probabilities), now
        return self._db.execute(INSERT, (run_id, model_hash, source, *as_stored)).lastrowid or 0

    def _id_of_run(
        self, name: str, recipe: str, kind: tuple[tuple[int, int], tuple[str, ...]], now: str
    ) -> int:
        """The row number of a run, which is added if it is missing."""
        shape, classes = json.dumps(kind[0]), json.dumps(kind[1], ensure_ascii=False)
        insert = (
            "INSERT INTO runs (name, recipe, shape, classes, created_at) VALUES (?, ?, ?, ?, ?)"
        )
        values = (name, recipe, shape, classes)
        self._db.execute(f"{insert} ON CONFLICT DO NOTHING", (*values, now))
        select = "SELECT id FROM runs WHERE name = ? AND recipe = ? AND shape = ? AND classes = ?"
        (found,) = self._db.execute(select, values).fetchone()
        return int(found)

    def predictions(
        self, *, run: str | None = None, named: str | None = None, wrong: bool = False
    ) -> Iterator[Prediction]:
        """The rows of the log, oldest first.

        Parameters
        ----------
        run : str, optional
            Only predictions of runs of this name.
        named : str, optional
            Only predictions whose label or predicted class has this name.
        wrong : bool
            Only predictions whose label is known and differs from the predicted class.

        Raises
        ------
        StoreError
            If the file cannot be read.
        """
        select = """
            SELECT p.id, r.name, model_hash, source, image, label, predicted, probabilities,
                   p.created_at, p.run
            FROM predictions AS p JOIN runs AS r ON p.run = r.id
            WHERE (:run IS NULL OR r.name = :run)
              AND (NOT :wrong OR label <> predicted)
              AND (:positions IS NULL OR EXISTS (
                  SELECT 1 FROM json_each(:positions) AS class
                  WHERE CAST(class.key AS INTEGER) = p.run AND class.value IN (label, predicted)))
            ORDER BY p.id
        """
        with self._explained():
            kinds = {id: (shape, classes) for id, _, shape, classes in self._runs()}
            positions = {
                id: classes.index(named) for id, (_, classes) in kinds.items() if named in classes
            }
            chosen = None if named is None else json.dumps(positions)
            values = {"run": run, "wrong": wrong, "positions": chosen}
            cursor = self._db.execute(select, values)
            with closing(cursor) as rows:
                for *row, run_id in rows:
                    if run_id not in kinds:  # written by another process meanwhile
                        kinds = {id: (shape, classes) for id, _, shape, classes in self._runs()}
                    yield self._checked(row, *kinds[run_id])

    def _runs(self) -> list[tuple[int, str, tuple[int, int], tuple[str, ...]]]:
        """Number, name, shape and classes of every run, checked like predictions."""
        kind = "shape, classes" if self._version() > 1 else f"'{MNIST[0]}', '{MNIST[1]}'"
        with closing(self._db.execute(f"SELECT id, name, {kind} FROM runs ORDER BY id")) as rows:
            return [self._checked_run(row) for row in rows]

    def _checked_run(self, row: Sequence[Any]) -> tuple[int, str, tuple[int, int], tuple[str, ...]]:
        id, name, shape, classes = row
        try:
            rows, columns = json.loads(shape)
            names = json.loads(classes)
            right = (
                isinstance(name, str)
                and all(isinstance(n, int) and n > 0 for n in (rows, columns))
                and isinstance(names, list)
                and names
                and all(isinstance(c, str) for c in names)
            )
            if right:
                return id, name, (rows, columns), tuple(names)
        except (ValueError, TypeError, RecursionError):
            pass
        raise StoreError(f"{self.path}: run {id} is damaged.")

    def classes(self, run: str | None = None) -> list[str]:
        """The names of the classes of all runs, or of the runs of one name, each once.

        Raises
        ------
        StoreError
            If the file cannot be read.
        """
        with self._explained():
            found = [classes for _, name, _, classes in self._runs() if run in (None, name)]
        return list(dict.fromkeys(name for classes in found for name in classes))

    def runs(self) -> list[str]:
        """The names of the runs that have predictions.

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

    def _checked(
        self, row: Sequence[Any], shape: tuple[int, int], classes: tuple[str, ...]
    ) -> Prediction:
        """Check that a row is as it was written, since SQLite does not notice changed bytes."""
        id, run, model_hash, source, image, label, predicted, text, at = row
        try:
            p = json.loads(text)
            right = (
                all(isinstance(value, str) for value in (run, model_hash, source, text, at))
                and (label is None or (isinstance(label, int) and 0 <= label < len(classes)))
                and isinstance(image, bytes)
                and len(image) == shape[0] * shape[1]
                and np.shape(p) == (len(classes),)
                and np.isfinite(p).all()
                and isinstance(predicted, int)
                and predicted == np.argmax(p)
            )
            if right:
                pixels = np.frombuffer(image, np.uint8)
                known = (id, run, model_hash, source, pixels, label, predicted, p, at)
                return Prediction(*known, shape, classes)
        except (ValueError, TypeError, RecursionError):
            pass
        raise StoreError(f"{self.path}: prediction {id} is damaged.")


def _writable(path: Path) -> bool:
    """Whether this process may write to a file, or into a folder."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _check_shapes(
    n: int,
    images: NDArray[Any],
    probabilities: NDArray[Any],
    labels: Sequence[Any],
    shape: tuple[int, int],
    classes: tuple[str, ...],
) -> None:
    """Check that the arrays fit together, and that each label is the position of a class."""
    pixels, count = shape[0] * shape[1], len(classes)
    shapes = images.shape, probabilities.shape, (len(labels),)
    if images.dtype != np.uint8 or shapes != ((n, pixels), (n, count), (n,)):
        raise ValueError(
            f"{n} sources need images (n, {pixels}) of uint8, probabilities (n, {count}) and n "
            f"labels, but these are {images.shape} of {images.dtype}, {probabilities.shape} "
            f"and {len(labels)}."
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("The probabilities are not all finite numbers.")
    for label in labels:
        if label is not None and not 0 <= int(label) < count:
            raise ValueError(f"The labels of {count} classes are from 0 to {count - 1}: {label}.")


def _shown(text: str) -> str:
    """The start of a text from a file, without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:80])


def _text(name: str) -> str:
    """A name as text: the name of a file may hold bytes that are not text."""
    return name.encode(errors="replace").decode()


def write_csv(
    predictions: Iterable[Prediction],
    file: BinaryIO,
    classes: Sequence[str] = DIGITS,
) -> int:
    """Write predictions as CSV, one by one, and return their number.

    Everything but the image is written; label and prediction are given as class names.

    Parameters
    ----------
    predictions : iterable of Prediction
        The predictions.
    file : binary file
        Open for writing.
    classes : sequence of str
        The names of all classes, as `PredictionLog.classes` returns them. There is one column of
        probabilities per class: p0, ..., p9 for the digits, otherwise p(name). It is empty where a
        run has no such class.
    """
    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"p{name}" if name in DIGITS else f"p({name})" for name in classes]
    writer.writerow([*PLAIN, *columns])
    count = 0
    for row in predictions:
        names, p = row.classes, dict(zip(row.classes, row.probabilities, strict=True))
        values = row._asdict() | {
            "label": None if row.label is None else names[row.label],
            "predicted": names[row.predicted],
        }
        writer.writerow([*(values[key] for key in PLAIN), *(p.get(name) for name in classes)])
        count += 1
    text.detach()
    return count


PLAIN = [
    name
    for name in Prediction._fields
    if name not in ("image", "probabilities", "shape", "classes")
]
"""The columns of a CSV file besides the probabilities."""
