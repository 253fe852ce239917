"""Images as text: one image per line, cells separated by commas.

Blocks of whole numbers are read fast, everything else cell by cell.
"""

from __future__ import annotations

import io
import re
import warnings
from functools import lru_cache, partial
from itertools import chain, count, islice, pairwise
from math import isnan, nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.data.dataset import MOST_CLASSES, Found, shape_of
from tinygrad_mnist.data.errors import DataError
from tinygrad_mnist.data.plausible import (
    expected_columns,
    expected_label,
    label_column,
    refuse_label_among_pixels,
    refuse_labels_at_the_end,
)
from tinygrad_mnist.data.stream import largest, opened
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

    from numpy.typing import NDArray

LONGEST_LINE = 1 << 20
"""In characters."""
LONGEST_CELL = 32
"""On average."""
LINES, CELLS = 1000, 1 << 19
"""At most this many lines, and this many cells, are read at a time."""
NUMBER = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?[ \t]*", re.ASCII | re.IGNORECASE)
"""A number as every program writes it; Python also reads ``2_5_5``, and digits of any script."""


class Layout(NamedTuple):
    """The form of a line: its number of cells, the column of the label if any, the image shape."""

    width: int
    label: int | None
    shape: tuple[int, int]


def read_csv(path: Path, shape: tuple[int, int] | None = None) -> Found:
    """Read images, and labels if there are any, from a CSV file, plain or compressed with gzip.

    Parameters
    ----------
    path : Path
        Each line is an image: its pixels, row by row; or a label and the pixels, unless a header
        calls another column ``label``, ``class``, ``target``, ``digit`` or ``y``. A header is
        optional.
    shape : tuple of int, optional
        Rows and columns of the images; by default those of a square.

    Returns
    -------
    Found
        Its images are uint8 if all cells are whole numbers, otherwise float32.

    Raises
    ------
    DataError
        If a pixel is not a number from 0 to 255, a label is not a whole number of at least 0, a
        line has another length than the first, or the file cannot be read. The message names file,
        line, column and value.
    """
    rows, layout, header = _read_rows(path, partial(_layout_of, shape))
    if layout.label is None:
        return Found(rows, layout.shape)
    if not header:
        refuse_labels_at_the_end(path, rows)
    labels = rows[:, layout.label]
    return Found(np.delete(rows, layout.label, axis=1), layout.shape, labels)


def read_csv_labels(path: Path) -> NDArray[Any]:
    """Read a CSV file whose lines are labels and nothing else; otherwise as `read_csv`."""
    rows, _, _ = _read_rows(path, _layout_of_labels)
    return rows[:, 0]


def _read_rows(
    path: Path, layout_of: Callable[[Path, int, list[str], bool], Layout]
) -> tuple[NDArray[Any], Layout, bool]:
    """All cells, the layout of a line, and whether there is a header."""
    with opened(path) as stream, io.TextIOWrapper(stream, "utf-8-sig", errors="replace") as file:
        first = next(_lines(path, file, 1, largest(path), LONGEST_LINE), None)
        if first is None:
            raise DataError(f"{path}: empty.")
        number, text = first
        cells = text.split(",")
        header = _is_header(cells)
        layout = layout_of(path, number, cells, header)
        most = largest(path) // layout.width
        lines = _lines(path, file, number + 1, most, LONGEST_CELL * (layout.width + 1))
        blocks = list(_blocks(path, lines if header else chain([first], lines), layout))
    if not blocks:
        raise DataError(f"{path}: a header, and no line below it.")
    return np.concatenate(blocks), layout, header


def _layout_of(
    shape: tuple[int, int] | None, path: Path, number: int, cells: list[str], header: bool
) -> Layout:
    """The layout of lines of pixels, with or without a label."""
    width = len(cells)
    if found := shape_of((width - 1,), shape):
        return Layout(width, label_column(path, cells if header else None), found)
    if found := shape_of((width,), shape):
        if header:
            refuse_label_among_pixels(path, cells)
        return Layout(width, None, found)
    raise DataError(
        f"{path}: line {number} has {counted(width, 'column')}, {expected_columns(cells, shape)}"
    )


def _layout_of_labels(path: Path, number: int, cells: list[str], header: bool) -> Layout:
    if len(cells) != 1:
        raise DataError(f"{path}: line {number} has {len(cells)} columns, {expected_label(cells)}")
    return Layout(1, 0, (1, 1))


def _blocks(path: Path, lines: Iterator[tuple[int, str]], layout: Layout) -> Iterator[NDArray[Any]]:
    """The rows of the lines, in blocks."""
    at_once = max(1, min(LINES, CELLS // layout.width))
    while block := list(islice(lines, at_once)):
        rows = _fast(block, layout.width)
        if rows is None:
            slow = [_slow(path, *line, layout) for line in block]
            yield np.array(slow, np.float32)
        else:
            yield rows


def _lines(
    path: Path, file: TextIO, start: int, most: int, longest: int
) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers, counted from `start`."""
    for number in count(start):
        line = file.readline(longest + 1)
        if not line:
            return
        if len(line) > longest:
            raise DataError(
                f"{path}: line {number} has more than {longest} characters. "
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


def _is_header(cells: list[str]) -> bool:
    """Whether most cells are words, or their numbers count the columns: ``label,0,1,2,...``."""
    numbers = [number for cell in cells if not isnan(number := _number(cell))]
    words = sum(1 for cell in cells if cell.strip()) - len(numbers)
    counted = len(numbers) > 1 and all(b - a == 1 for a, b in pairwise(numbers))
    return 2 * words > len(cells) or counted


@lru_cache(1024)  # scaled bytes have 256 values, and looking one up is faster than parsing it
def _number(cell: str) -> float:
    """The number that a cell holds, or NaN."""
    return float(cell) if NUMBER.fullmatch(cell) else nan


def _fast(block: list[tuple[int, str]], width: int) -> NDArray[np.uint8] | None:
    """The rows of a block if every line is valid and every cell is a byte; otherwise None."""
    texts = [text for _, text in block]
    if not all(map(str.isascii, texts)):  # NumPy also accepts other characters as spaces
        return None
    try:
        with warnings.catch_warnings(action="error"):
            rows = np.loadtxt(texts, np.uint8, delimiter=",", comments=None, ndmin=2)
    except (ValueError, Warning):
        return None
    return rows if rows.shape == (len(block), width) else None


def _slow(path: Path, number: int, text: str, layout: Layout) -> NDArray[np.float64]:
    """The row of a line; raises a DataError that says what is wrong with it."""
    cells = text.split(",")
    if len(cells) != layout.width:
        raise DataError(
            f"{path}: line {number} has {counted(len(cells), 'column')}, "
            f"but the first line has {layout.width}."
        )
    row = np.fromiter(map(_number, cells), np.float64, layout.width)
    right = (row >= 0) & (row <= 255)
    if layout.label is not None:
        right[layout.label] = row[layout.label] in range(MOST_CLASSES)
    if right.all():
        return row
    column = int(right.argmin())
    is_label = column == layout.label
    what = "label" if is_label else "pixel"
    whole = f"a whole number from 0 to {MOST_CLASSES - 1}"
    range_ = whole if is_label else "a number from 0 to 255"
    found = cells[column].strip(" \t\n")[:20]
    raise DataError(
        f"{path}: line {number}, column {column + 1}: {what} {found!r} is not {range_}."
    )
