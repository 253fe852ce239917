"""The command that lists predictions: log."""

from __future__ import annotations

import re
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import Parameter

from tinygrad_mnist.cli.app import Flag, Json, UserFileError, command, make_room, refuse_ending
from tinygrad_mnist.cli.listing import show_list
from tinygrad_mnist.cli.stop import ended_at_once
from tinygrad_mnist.cli.streams import say, tell
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tinygrad_mnist.store import Prediction, PredictionLog


@command(
    "tinygrad-mnist log runs/default --wrong",
    "tinygrad-mnist log my.db --class 7 --csv sevens.csv",
)
def log(
    where: Path | None = None,
    *,
    wrong: Flag = False,
    run: str | None = None,
    named: Annotated[str | None, Parameter(name=["--class", "--digit"])] = None,
    csv: Path | None = None,
    json: Json = False,
) -> None:
    """List logged predictions, oldest first.

    Parameters
    ----------
    where
        A run folder, or the file of a log; by default the only run below runs/.
    wrong
        Only predictions that are known to be wrong.
    run
        Only predictions of the run of this name; a log may hold several runs.
    named
        Only images of the class of this name, and images read as it. For MNIST it is a digit.
    csv
        Write them to this file instead, which is replaced if it exists: one column per class with
        its probability, but no image.
    json
        Print them as JSON.
    """
    from tinygrad_mnist.runs import find_run
    from tinygrad_mnist.store import PredictionLog

    refuse_ending(csv, ".csv", "CSV")
    path = where if where and not where.is_dir() else find_run(where) / "predictions.db"
    with ExitStack() as stack:
        stack.enter_context(ended_at_once())
        opened = stack.enter_context(PredictionLog(path))
        refuse_unknown(opened, run, named)
        listed = cast("Any", opened.predictions(run=run, named=named, wrong=wrong))
        found: Iterator[Prediction] = stack.enter_context(closing(listed))
        first = next(found, None)
        rows = found if first is None else chain([first], found)
        if first is None:
            tell(f"note: {nothing_found(opened, run, named, wrong)}")
        if not csv:
            show_list(rows, json)
            return
        write_list(rows, csv, opened.classes(run))


def write_list(rows: Iterable[Prediction], path: Path, classes: Sequence[str]) -> None:
    """Write predictions to a CSV file, which is replaced only when the new one is complete."""
    from tinygrad_mnist.files import write
    from tinygrad_mnist.store import write_csv

    make_room(path)
    counts: list[int] = []
    cells, names = map(as_cells, rows), [as_cell(name) for name in classes]
    write(path, lambda file: counts.append(write_csv(cells, file, names)))
    say(f"{counted(counts[0], 'prediction')} in {path}")


FORMULA = re.compile(r"[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)


def as_cell(text: str) -> str:
    """A text that no spreadsheet reads, and runs, as a formula (CWE-1236).

    Examples
    --------
    >>> as_cell("=1+1"), as_cell("-1"), as_cell("shirt")
    ("'=1+1", '-1', 'shirt')
    """
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def as_cells(row: Prediction) -> Prediction:
    """A prediction whose texts are safe in a spreadsheet."""
    classes = tuple(as_cell(name) for name in row.classes)
    return row._replace(run=as_cell(row.run), source=as_cell(row.source), classes=classes)


def refuse_unknown(log: PredictionLog, run: str | None, named: str | None) -> None:
    """Check that a log has a run of this name, and a class of this name."""
    from tinygrad_mnist.evaluation.names import listed

    asked = {"run": (run, log.runs()), "class": (named, log.classes(run))}
    for kind, (name, known) in asked.items():
        if name is not None and name not in known:
            there = f"Those in it: {listed(known, 12)[:200]}" if known else "It is empty"
            raise UserFileError(f"{log.path}: no prediction is of a {kind} {name!r:.80}. {there}.")


def nothing_found(log: PredictionLog, run: str | None, named: str | None, wrong: bool) -> str:
    """A sentence that says why a list of predictions is empty."""
    given = {"--run": run, "--class": named, "--wrong": wrong or None}
    filters = [name for name, value in given.items() if value is not None]
    if not log.runs():
        return f"{log.path} is empty. `tinygrad-mnist predict` adds to it."
    return (
        f"none of the predictions in {log.path} is listed with {' '.join(filters)}. "
        "Leave that out to see all."
    )
