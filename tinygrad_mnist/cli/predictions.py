"""The commands that read images and list what was read: predict, log."""

from __future__ import annotations

import json as json_module
import sys
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tinygrad_mnist.cli.app import (
    Flag,
    Json,
    Positions,
    UserFileError,
    command,
    refuse_ending,
    warn,
)
from tinygrad_mnist.cli.own import opened_own, other_names
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tinygrad_mnist.runs import About
    from tinygrad_mnist.store import Prediction, PredictionLog

WIDEST = 24
"""Columns that a class name takes in a list."""


@command(
    "tinygrad-mnist predict runs/default --test 0 1 2",
    "tinygrad-mnist predict runs/default photo.jpg drawing.png digits.npy",
    "tinygrad-mnist predict runs/default - < digits.npy",
)
def predict(
    run: Path,
    /,
    *files: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    test: Positions = (),
    model: str | None = None,
    db: Path | None = None,
    json: Json = False,
) -> None:
    """Read images, and log what was read.

    Parameters
    ----------
    run
        The folder of the run whose network reads them.
    files
        PNG or JPEG pictures of one digit each, of any size, dark on bright or bright on dark;
        npy arrays of images as MNIST has them, (28, 28), (784,), (n, 28, 28) or (n, 784);
        or - for standard input. A network of images of another size reads arrays of that size,
        and pictures are scaled to it.
    test
        Positions of MNIST test images, from 0 to 9999, for a network trained on MNIST.
    model
        FILE.py:NAME of a network of your own, if the run is of one. The file is run.
    db
        The log; by default predictions.db in the run folder. Made if it does not exist.
    json
        Print the predictions as JSON.
    """
    from tinygrad_mnist.data import normalize
    from tinygrad_mnist.runs import load_trained
    from tinygrad_mnist.store import PredictionLog

    refuse_ending(db, ".db", "an SQLite log")
    if not files and not test:
        raise UserFileError(
            "Nothing to read: name picture files, or positions of test images after --test."
        )
    with opened_own(model) as own:
        trained = load_trained(run, model=own.model)
        warn((*trained.notices, *other_names(trained.recipe, model=model)))
        sources, images, labels = images_to_read(files, test, trained.about)
        probabilities = trained.classifier.predict_proba(normalize(images, trained.normalize))
    shape, classes = trained.about.shape, trained.about.classes
    path = db or run / "predictions.db"
    known = (run.resolve().name, trained.settings, trained.hash)
    with PredictionLog(path, create=True) as log:
        rows = log.add(*known, sources, images, probabilities, labels, shape=shape, classes=classes)
    sys.stdout.writelines(show(rows, json))


def images_to_read(
    files: tuple[Path, ...], test: tuple[int, ...], about: About
) -> tuple[list[str], Any, list[int | None]]:
    """Where each image comes from, the images as bytes (n, pixels), and their labels if known."""
    import numpy as np

    sources: list[str] = []
    images: list[Any] = []
    labels: list[int | None] = []
    for file in files:
        name = "standard input" if str(file) == "-" else str(file)
        found = images_in(file, name, about)
        sources += [name] if len(found) == 1 else [f"{name}[{i}]" for i in range(len(found))]
        images.append(found)
        labels += [None] * len(found)
    if test:
        found, truth = test_images(test, about)
        sources += [f"test {i}" for i in test]
        images.append(found)
        labels += truth
    return sources, np.concatenate(images), labels


def images_in(file: Path, name: str, about: About) -> Any:
    """The images in a file, or in standard input if it is -."""
    from tinygrad_mnist.data import DataError, read_images
    from tinygrad_mnist.data.images import MOST_BYTES

    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as stream:
            return read_images(stream.read(MOST_BYTES + 1), name, about.shape)
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}.") from error


def test_images(positions: tuple[int, ...], about: About) -> tuple[Any, list[int]]:
    """Those of MNIST at these positions, and their labels."""
    from tinygrad_mnist.data import load_mnist_test

    if not about.on_mnist:
        raise UserFileError(
            "--test reads MNIST's test images, but this network was trained on "
            f"{about.files['data']}. Name files of such images."
        )
    every, truth = load_mnist_test(None)
    for i in positions:
        if not 0 <= i < len(every):
            raise UserFileError(
                f"There is no test image {i}: they are numbered from 0 to {len(every) - 1}."
            )
    return every[list(positions)], truth[list(positions)].tolist()


def show(rows: Iterable[Prediction], json: bool) -> Iterator[str]:
    """Predictions as JSON, or one line each.

    A line has number, class, how sure, whether that is right, and where the image came from.
    """
    yield from as_json(rows) if json else as_lines(rows)


def as_json(rows: Iterable[Prediction]) -> Iterator[str]:
    """A list with one object a line: all of a prediction but its image, and the names."""
    before = "["
    for row in rows:
        values = row._asdict()
        for key in ("image", "shape", "classes"):
            del values[key]
        values["predicted_class"] = row.classes[row.predicted]
        values["label_class"] = None if row.label is None else row.classes[row.label]
        yield before + json_module.dumps(values)
        before = ",\n"
    yield "[]\n" if before == "[" else "]\n"


def as_lines(rows: Iterable[Prediction]) -> Iterator[str]:
    """A table, whose columns are as wide as the names of the first row's classes ask for."""
    from tinygrad_mnist.evaluation.names import kind_of, shown, width

    rows = iter(rows)
    first = next(rows, None)
    names = first.classes if first else tuple("0123456789")
    longest = max(width(shown(name, WIDEST)) for name in names)
    wide, label_wide = max(longest, 5), max(longest + 6, 8)
    yield f"    id  {kind_of(names):>{wide}}    sure  {'label':<{label_wide}}  source\n"
    for row in chain([first] if first else [], rows):
        name = shown(row.classes[row.predicted], WIDEST)
        outcome = "right" if row.label == row.predicted else "wrong"
        label = "-" if row.label is None else f"{shown(row.classes[row.label], WIDEST)} {outcome}"
        source = "".join(c if c.isprintable() else "?" for c in row.source)
        sure = 100 * row.probabilities[row.predicted]
        before, after = " " * (wide - width(name)), " " * (label_wide - width(label))
        yield f"{row.id:6}  {before}{name}  {sure:5.1f}%  {label}{after}  {source}\n"


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
        Only those that are known to be wrong.
    run
        Only those of the run of this name: a log may hold several.
    named
        Only those of the class of this name, and those taken for it. For MNIST it is a digit.
    csv
        Write them to this file instead, replaced if it exists: the probability of each class in a
        column, but no image.
    json
        Print them as JSON.
    """
    from tinygrad_mnist.files import prepare, write
    from tinygrad_mnist.runs import find_run
    from tinygrad_mnist.store import PredictionLog, write_csv

    refuse_ending(csv, ".csv", "CSV")
    path = where if where and not where.is_dir() else find_run(where) / "predictions.db"
    with PredictionLog(path) as opened:
        refuse_unknown(opened, run, named)
        rows = opened.predictions(run=run, named=named, wrong=wrong)
        first = next(rows, None)
        rows = rows if first is None else chain([first], rows)
        if first is None:
            print(f"note: {nothing_found(opened, run, named, wrong)}", file=sys.stderr)
        if not csv:
            sys.stdout.writelines(show(rows, json))
            return
        prepare(csv.parent)
        counts: list[int] = []
        classes = opened.classes(run)
        write(csv, lambda file: counts.append(write_csv(rows, file, classes)))
        print(f"{counted(counts[0], 'prediction')} in {csv}")


def refuse_unknown(log: PredictionLog, run: str | None, named: str | None) -> None:
    """See that there is a run of this name in a log, and a class of this name."""
    from tinygrad_mnist.evaluation.names import listed

    asked = {"run": (run, log.runs()), "class": (named, log.classes(run))}
    for kind, (name, known) in asked.items():
        if name is not None and name not in known:
            there = f"Those in it: {listed(known, 12)[:200]}" if known else "It is empty"
            raise UserFileError(f"{log.path}: no prediction is of a {kind} {name!r:.80}. {there}.")


def nothing_found(log: PredictionLog, run: str | None, named: str | None, wrong: bool) -> str:
    """Why a list of predictions is empty."""
    given = {"--run": run, "--class": named, "--wrong": wrong or None}
    filters = [name for name, value in given.items() if value is not None]
    if not log.runs():
        return f"{log.path} is empty. `tinygrad-mnist predict` adds to it."
    return (
        f"none of the predictions in {log.path} is listed with {' '.join(filters)}. "
        "Leave that out to see all."
    )
