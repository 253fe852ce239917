"""List predictions as a table or as JSON."""

from __future__ import annotations

import json as json_module
from itertools import chain
from typing import TYPE_CHECKING

from tinygrad_mnist.cli.streams import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tinygrad_mnist.store import Prediction

WIDEST = 24
"""The most columns that a class name takes in a list."""


def show_list(rows: Iterable[Prediction], json: bool) -> None:
    """Print predictions one by one; JSON is printed unchanged, since it is ASCII."""
    for line in listing(rows, json):
        if json:
            print(line)
        else:
            say(line)


def listing(rows: Iterable[Prediction], json: bool) -> Iterator[str]:
    """The lines of predictions as JSON, or as a table with one line per prediction.

    A line has the number, class, confidence, whether that is right, and the image's source.
    """
    yield from as_json(rows) if json else as_lines(rows)


def as_json(rows: Iterable[Prediction]) -> Iterator[str]:
    """A list with one object per line: a prediction without its image, with class names."""
    before = "["
    for row in rows:
        values = row._asdict()
        for key in ("image", "shape", "classes"):
            del values[key]
        values["predicted_class"] = row.classes[row.predicted]
        values["label_class"] = None if row.label is None else row.classes[row.label]
        yield before + json_module.dumps(values)
        before = ","
    yield "[]" if before == "[" else "]"


def as_lines(rows: Iterable[Prediction]) -> Iterator[str]:
    """A table whose columns are wide enough for the class names of the first row."""
    from tinygrad_mnist.evaluation.names import kind_of, shown, width

    def cell(text: str, wide: int) -> str:
        return text + " " * (wide - width(text))

    rows = iter(rows)
    first = next(rows, None)
    names = first.classes if first else tuple("0123456789")
    longest = max(width(shown(name, WIDEST)) for name in names)
    wide = max(longest, 5)
    label = cell("label", max(longest + 6, 8))
    yield f"    id  {kind_of(names):>{wide}}    sure  {label}  source"
    for row in chain([first] if first else [], rows):
        named = shown(row.classes[row.predicted], WIDEST)
        outcome = "right" if row.label == row.predicted else "wrong"
        label = "-" if row.label is None else f"{shown(row.classes[row.label], WIDEST)} {outcome}"
        sure = 100 * row.probabilities[row.predicted]
        gap = " " * (wide - width(named))
        yield (
            f"{row.id:6}  {gap}{named}  {sure:5.1f}%  "
            f"{cell(label, max(longest + 6, 8))}  {row.source}"
        )
