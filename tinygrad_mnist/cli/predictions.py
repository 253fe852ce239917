"""The commands that read digits and list what was read: predict, log."""

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
    """Read digits, and log what was read.

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
    with opened_own(model) as own:
        trained = load_trained(run, model=own.model)
        warn((*trained.notices, *other_names(trained.recipe, model=model)))
        sources, images, labels = digits_to_read(files, test, trained.about)
        probabilities = trained.classifier.predict_proba(normalize(images, trained.normalize))
    path = db or run / "predictions.db"
    known = (run.resolve().name, trained.settings, trained.hash)
    with PredictionLog(path, create=True) as log:
        rows = log.add(*known, sources, images, probabilities, labels)
    sys.stdout.writelines(show(rows, json))


def digits_to_read(
    files: tuple[Path, ...], test: tuple[int, ...], about: About
) -> tuple[list[str], Any, list[int | None]]:
    """Where each image comes from, the images as bytes (n, pixels), and their labels if known."""
    import numpy as np

    from tinygrad_mnist.data import DataError, load_mnist_test, read_images
    from tinygrad_mnist.data.images import MOST_BYTES

    if not files and not test:
        raise UserFileError(
            "Nothing to read: name picture files, or positions of test images after --test."
        )
    if test and not about.on_mnist:
        raise UserFileError(
            f"--test reads MNIST's test images, but this network was trained on "
            f"{about.files['data']}. Name files of such images."
        )
    sources: list[str] = []
    images: list[Any] = []
    labels: list[int | None] = []
    for file in files:
        name = "standard input" if str(file) == "-" else str(file)
        try:
            with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as stream:
                found = read_images(stream.read(MOST_BYTES + 1), name, about.shape)
        except OSError as error:
            raise DataError(f"{name}: cannot be read: {error.strerror}.") from error
        sources += [name] if len(found) == 1 else [f"{name}[{i}]" for i in range(len(found))]
        images.append(found)
        labels += [None] * len(found)
    if test:
        every, truth = load_mnist_test(None)
        for i in test:
            if not 0 <= i < len(every):
                raise UserFileError(
                    f"There is no test image {i}: they are numbered from 0 to {len(every) - 1}."
                )
        sources += [f"test {i}" for i in test]
        images.append(every[list(test)])
        labels += truth[list(test)].tolist()
    return sources, np.concatenate(images), labels


def show(rows: Iterable[Prediction], json: bool) -> Iterator[str]:
    """Predictions as JSON, or one line each.

    A line has number, digit, how sure, whether that is right, and where the image came from.
    """
    if json:
        before = "["
        for row in rows:
            values = row._asdict()
            del values["image"]
            yield before + json_module.dumps(values)
            before = ",\n"
        yield "[]\n" if before == "[" else "]\n"
        return
    yield "    id  digit    sure  label     source\n"
    for row in rows:
        outcome = "right" if row.label == row.predicted else "wrong"
        label = "-" if row.label is None else f"{row.label} {outcome}"
        source = "".join(c if c.isprintable() else "?" for c in row.source)
        sure = 100 * row.probabilities[row.predicted]
        yield f"{row.id:6}  {row.predicted:5}  {sure:5.1f}%  {label:<8}  {source}\n"


@command(
    "tinygrad-mnist log runs/default --wrong",
    "tinygrad-mnist log my.db --digit 7 --csv sevens.csv",
)
def log(
    where: Path | None = None,
    *,
    wrong: Flag = False,
    run: str | None = None,
    digit: int | None = None,
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
    digit
        Only those of this digit, and those taken for it.
    csv
        Write them to this file instead, replaced if it exists: all probabilities, but no image.
    json
        Print them as JSON.
    """
    from tinygrad_mnist.files import prepare, write
    from tinygrad_mnist.runs import find_run
    from tinygrad_mnist.store import PredictionLog, write_csv

    refuse_ending(csv, ".csv", "CSV")
    if digit is not None and not 0 <= digit <= 9:
        raise UserFileError(f"--digit is one of 0 to 9, but is {digit}.")
    path = where if where and not where.is_dir() else find_run(where) / "predictions.db"
    with PredictionLog(path) as opened:
        refuse_unknown_run(opened, run)
        rows = opened.predictions(run=run, digit=digit, wrong=wrong)
        first = next(rows, None)
        rows = rows if first is None else chain([first], rows)
        if first is None:
            print(f"note: {nothing_found(opened, run, digit, wrong)}", file=sys.stderr)
        if not csv:
            sys.stdout.writelines(show(rows, json))
            return
        prepare(csv.parent)
        counts: list[int] = []
        write(csv, lambda file: counts.append(write_csv(rows, file)))
        print(f"{counted(counts[0], 'prediction')} in {csv}")


def refuse_unknown_run(log: PredictionLog, name: str | None) -> None:
    """See that there is a run of this name in a log."""
    known = log.runs()
    if name is not None and name not in known:
        there = f"Those in it: {', '.join(known)[:200]}" if known else "It is empty"
        raise UserFileError(f"{log.path}: no prediction is of a run {name!r:.80}. {there}.")


def nothing_found(log: PredictionLog, run: str | None, digit: int | None, wrong: bool) -> str:
    """Why a list of predictions is empty."""
    given = {"--run": run, "--digit": digit, "--wrong": wrong or None}
    filters = [name for name, value in given.items() if value is not None]
    if not log.runs():
        return f"{log.path} is empty. `tinygrad-mnist predict` adds to it."
    return (
        f"none of the predictions in {log.path} is listed with {' '.join(filters)}. "
        "Leave that out to see all."
    )
