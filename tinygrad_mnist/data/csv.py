"""Digits as text: one image per line, cells separated by commas.

Blocks of whole numbers are read fast, all else cell by cell.
"""

from __future__ import annotations

import io
import warnings
from functools import lru_cache
from itertools import chain, count, islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.data.errors import DataError
from tinygrad_mnist.data.plausible import (
    hint_of_width,
    label_column,
    refuse_label_among_pixels,
    refuse_labels_at_the_end,
)
from tinygrad_mnist.data.stream import PIXELS, largest, opened
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from numpy.typing import NDArray

LONGEST_LINE = 32 * (PIXELS + 1)
BLOCK = 1000
"""Lines that are read at a time."""
_remembered = lru_cache(1024)(float)
"""Scaled bytes have 256 values, and a look in a table is faster than reading 17 digits."""


def read_csv(path: Path) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """Read images, and labels if there are any, from a CSV file, plain or compressed with gzip.

    Parameters
    ----------
    path : Path
        Each line is an image: 784 pixels; or 785 cells, of which the first is the label, unless a
        header calls another one ``label``, ``class``, ``target``, ``digit`` or ``y``. There may be
        no header.

    Returns
    -------
    images : ndarray, (n, 784), uint8 if all cells are whole numbers, otherwise float32
    labels : ndarray of int64, (n,), or None

    Raises
    ------
    DataError
        If a pixel is not a number from 0 to 255, a label not a digit, a line of another length than
        the first, or the file cannot be read; file, line, column and value are named.
    """
    rows, label = _read_rows(path, {PIXELS: "pixels", PIXELS + 1: "a label and pixels"})
    if label is None:
        return rows, None
    return np.delete(rows, label, axis=1), rows[:, label].astype(np.int64)


def read_csv_labels(path: Path) -> NDArray[np.int64]:
    """Read a CSV file whose lines are labels and nothing else; otherwise as `read_csv`."""
    return _read_rows(path, {1: "a label"})[0][:, 0].astype(np.int64)


def _read_rows(path: Path, widths: dict[int, str]) -> tuple[NDArray[Any], int | None]:
    """All cells, and the column of the labels; `widths` says what a line of each width means."""
    with opened(path) as stream, io.TextIOWrapper(stream, "utf-8-sig", errors="replace") as file:
        lines = _lines(path, file, largest(path) // min(widths))
        first = next(lines, None)
        if first is None:
            raise DataError(f"{path}: empty.")
        number, text = first
        cells = text.split(",")
        if len(cells) not in widths:
            expected = " or ".join(f"{width} ({meaning})" for width, meaning in widths.items())
            raise DataError(
                f"{path}: line {number} has {counted(len(cells), 'column')}, expected {expected}. "
                f"It starts with {text[:20]!r}.{hint_of_width(len(cells), widths)}"
            )
        header = cells if _is_header(cells) else None
        label = _columns(path, len(cells), header)
        if header is None:
            lines = chain([first], lines)
        blocks = list(_blocks(path, lines, len(cells), label))
    if not blocks:
        raise DataError(f"{path}: a header, and no line below it.")
    rows = np.concatenate(blocks)
    if header is None and len(cells) == PIXELS + 1:
        refuse_labels_at_the_end(path, rows)
    return rows, label


def _blocks(
    path: Path, lines: Iterator[tuple[int, str]], width: int, label: int | None
) -> Iterator[NDArray[Any]]:
    """The rows of the lines, so many at a time."""
    while block := list(islice(lines, BLOCK)):
        rows = _fast(block, width, label)
        if rows is None:
            slow = [_slow(path, *line, width, label) for line in block]
            yield np.array(slow, np.float32)
        else:
            yield rows


def _lines(path: Path, file: TextIO, most: int) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers."""
    for number in count(1):
        line = file.readline(LONGEST_LINE + 1)
        if not line:
            return
        if len(line) > LONGEST_LINE:
            raise DataError(
                f"{path}: line {number} has more than {LONGEST_LINE} characters. "
                f"It starts with {line[:20]!r}. Is this a CSV file?"
            )
        if "\0" in line:
            raise DataError(
                f"{path}: line {number} holds a zero byte. "
                "Not a text file, or saved as UTF-16? Save it as UTF-8."
            )
        if number > most:
            raise DataError(
                f"{path}: more than {most} lines, which cannot be right for a file of this size."
            )
        if not line.isspace():
            yield number, line.rstrip("\n")


def _columns(path: Path, width: int, header: list[str] | None) -> int | None:
    """The column of the labels in lines of so many cells; None if they are pixels only."""
    if width == PIXELS + 1:
        return label_column(path, header)
    if header is not None and width == PIXELS:
        refuse_label_among_pixels(path, header)
    return None if width == PIXELS else 0


def _is_header(cells: list[str]) -> bool:
    """Whether most cells are words, or their numbers count the columns: ``label,0,1,2,...``."""
    numbers = [number for cell in cells if (number := _number(cell)) is not None]
    words = sum(1 for cell in cells if cell.strip()) - len(numbers)
    counted = len(numbers) > 1 and all(b - a == 1 for a, b in pairwise(numbers))
    return 2 * words > len(cells) or counted


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _fast(block: list[tuple[int, str]], width: int, label: int | None) -> NDArray[np.uint8] | None:
    """The rows of a block if all is right with them and all cells are whole numbers."""
    texts = [text for _, text in block]
    try:
        with warnings.catch_warnings(action="error"):
            rows = np.loadtxt(texts, np.uint8, delimiter=",", comments=None, ndmin=2)
    except (ValueError, Warning):
        return None
    right = rows.shape == (len(block), width) and (label is None or rows[:, label].max() <= 9)
    return rows if right else None


def _slow(path: Path, number: int, text: str, width: int, label: int | None) -> NDArray[np.float64]:
    """The row of a line, or what is wrong with it."""
    cells = text.split(",")
    if len(cells) != width:
        raise DataError(
            f"{path}: line {number} has {counted(len(cells), 'column')}, "
            f"but the first line has {width}."
        )
    try:
        row = np.fromiter(map(_remembered, cells), np.float64, width)
    except ValueError:
        row = np.array([np.nan if (value := _number(cell)) is None else value for cell in cells])
    right = (row >= 0) & (row <= 255)
    if label is not None:
        right[label] = row[label] in range(10)
    if right.all():
        return row
    column = int(right.argmin())
    what = "label" if column == label else "pixel"
    range_ = "a digit from 0 to 9" if column == label else "a number from 0 to 255"
    found = cells[column].strip()[:20]
    raise DataError(
        f"{path}: line {number}, column {column + 1}: {what} {found!r} is not {range_}."
    )
