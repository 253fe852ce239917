"""Marks of ink on flat paper: which of them make one digit, which are dirt, and in which order."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from tinygrad_mnist.data.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinygrad_mnist.data.morphology import Box

MOST_MARKS = 64
"""A picture with more marks shows something other than digits."""
SPECK = 0.15
"""Parts smaller than this fraction of the largest part are dirt and belong to no mark."""
SMALLEST = 0.3
"""Marks smaller than this fraction of the largest mark are not digits."""


class Mark(NamedTuple):
    """What is probably one digit: parts of ink and the box around them."""

    parts: tuple[int, ...]
    box: Box

    @property
    def height(self) -> int:
        """In pixels."""
        return self.box[0].stop - self.box[0].start

    @property
    def width(self) -> int:
        """In pixels."""
        return self.box[1].stop - self.box[1].start

    @property
    def size(self) -> int:
        """The longer side of the box."""
        return max(self.height, self.width)

    def joined(self, other: Mark) -> Mark:
        """Both as one."""
        rows, columns = (
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(self.box, other.box, strict=True)
        )
        return Mark(self.parts + other.parts, (rows, columns))


def marks(boxes: Sequence[Box], least: float) -> list[Mark]:
    """Join parts of ink into marks, and leave out specks.

    Parameters
    ----------
    boxes : sequence of (slice, slice)
        Rows and columns of the parts, number 1 first.
    least : float
        The size of the smallest digit, in pixels.

    Returns
    -------
    list of Mark
        Row by row, each from left to right; empty if all are too small.

    Raises
    ------
    DataError
        If there are more than `MOST_MARKS`.
    """
    found = [Mark((number,), box) for number, box in enumerate(boxes, 1)]
    largest = max((mark.size for mark in found), default=0)
    found = [mark for mark in found if mark.size >= max(SPECK * largest, least / 2)]
    if len(found) > MOST_MARKS:
        raise DataError(
            f"{len(found):,} separate marks, at most {MOST_MARKS} are read. "
            "Is it a picture of a few digits on plain paper?"
        )
    whole = _joined(found)
    largest = max((mark.size for mark in whole), default=0)
    return in_order([mark for mark in whole if mark.size >= max(SMALLEST * largest, least)])


def one_mark(boxes: Sequence[Box]) -> Mark:
    """All parts of ink as one digit."""
    return reduce(Mark.joined, (Mark((number,), box) for number, box in enumerate(boxes, 1)))


def _joined(found: list[Mark]) -> list[Mark]:
    """Marks with their small neighbours, the tallest first."""
    whole: list[Mark] = []
    for mark in sorted(found, key=lambda mark: -mark.height):
        for i, taller in enumerate(whole):
            if belongs(mark, taller):
                whole[i] = taller.joined(mark)
                break
        else:
            whole.append(mark)
    return whole


def belongs(mark: Mark, taller: Mark) -> bool:
    """Whether they are one digit: `mark` is flat and close, like the bar of a 5, or above it.

    Digits in a row are side by side and about equally high, so they stay apart.
    """
    below, beside = (
        max(a.start, b.start) - min(a.stop, b.stop)
        for a, b in zip(mark.box, taller.box, strict=True)
    )
    size = taller.joined(mark).size
    if mark.height < 0.45 * taller.height:
        return below < 0.2 * size and beside < 0.1 * size
    return below < 0.1 * size and -beside > 0.4 * min(mark.width, taller.width)


def in_order(found: list[Mark]) -> list[Mark]:
    """Row by row, each from left to right.

    A mark continues a row if it and the row's last mark share at least half of the height of the
    smaller one; so a row may rise or fall.
    """
    rows: list[list[Mark]] = []
    for mark in sorted(found, key=lambda mark: mark.box[1].start):
        for row in rows:
            a, b = mark.box[0], row[-1].box[0]
            shared = min(a.stop, b.stop) - max(a.start, b.start)
            if 2 * shared >= min(mark.height, row[-1].height):
                row.append(mark)
                break
        else:
            rows.append([mark])
    rows.sort(key=lambda row: sum(m.box[0].start + m.box[0].stop for m in row) / len(row))
    return [mark for row in rows for mark in row]
