"""The command `tinygrad-mnist`: parse, call, print."""

from __future__ import annotations

import json as json_module
import os
import shlex
import signal
import sys
import warnings
from contextlib import nullcontext, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar

from cyclopts import App, CycloptsError, Parameter

from tinygrad_mnist.words import counted, reflowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from tinygrad_mnist.store import Prediction, PredictionLog
    from tinygrad_mnist.training import Trained

F = TypeVar("F", bound="Callable[..., Any]")
USAGE_ERROR, DIVERGED = 2, 3
MOST_ROUNDS = 1000
"""Of a benchmark."""
BROKEN_PIPE = 13
"""The signal that ends a program whose reader is gone: ``tinygrad-mnist recipes | head -1``."""

app = App(
    name="tinygrad-mnist",
    help="Backpropagation derived twice: "
    "train a network for handwritten digits by hand and by machine.",
    help_format="plaintext",
)

app.register_install_completion_command(
    help="Make the Tab key complete commands, options and choices in your shell."
)

SEVERAL = Parameter(negative="", consume_multiple=True)
HIDDEN = Parameter(show_default=False)
Settings = Annotated[tuple[str, ...], SEVERAL, HIDDEN, Parameter(name="--set")]
Overrides = Annotated[tuple[str, ...], SEVERAL, HIDDEN, Parameter(name="--override")]
Positions = Annotated[tuple[int, ...], SEVERAL, HIDDEN]
Shapes = Annotated[tuple[str, ...], SEVERAL]
Arguments = Annotated[tuple[str, ...], SEVERAL, HIDDEN]
Seeds = Annotated[tuple[int, ...], SEVERAL]
Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def command(*examples: str) -> Callable[[F], F]:
    """Make a function a command: its docstring becomes the help text, and examples its end."""

    def register(function: F) -> F:
        function.__doc__ = reflowed(function.__doc__)
        epilogue = "\n".join(["Examples:", *(f"  {line}" for line in examples)])
        app.command(function, help_epilogue=epilogue if examples else None)
        return function

    return register


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    With 0 if it is done, 1 if a check failed, 2 for wrong input, 3 if a training diverged,
    128 + n if signal n ended it.
    """
    from tinygrad_mnist.data import DataError, DataWarning
    from tinygrad_mnist.export import ExportError
    from tinygrad_mnist.store import StoreError
    from tinygrad_mnist.training import DivergenceError, RecipeError, RunFolderError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DataWarning)
            warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
            code = app(
                arguments, exit_on_error=False, print_error=False, result_action="return_value"
            )
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        sys.exit(128 + BROKEN_PIPE)
    except (CycloptsError, UserFileError) as error:
        fail(error, USAGE_ERROR)
    except (RecipeError, RunFolderError, DataError, ExportError, StoreError) as error:
        fail(error, USAGE_ERROR)
    except DivergenceError as error:
        fail(error, DIVERGED)
    except MemoryError:
        fail(MemoryError("the memory is not enough for this. Ask for less at once."), USAGE_ERROR)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except OSError as error:  # all others have been told apart: this one is of standard output
        discard_output()
        fail(error, USAGE_ERROR)
    sys.exit(code)


def discard_output() -> None:
    """Let Python forget what nobody reads: at the end it would complain of it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(error: Exception, code: int) -> NoReturn:
    """Print one line and exit."""
    with suppress(OSError):
        print(f"error: {error}", file=sys.stderr)
    sys.exit(code)


@command(
    "tinygrad-mnist train",
    "tinygrad-mnist train seed-a --set epochs=5 --set hidden=[300] --out runs/wide",
    "tinygrad-mnist train --data mine.csv --test-data mine-test.csv",
    "tinygrad-mnist train --resume runs/default",
)
def train(
    recipe: str | None = None,
    *,
    settings: Settings = (),
    data: Path | None = None,
    labels: Path | None = None,
    test_data: Path | None = None,
    test_labels: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    override: Overrides = (),
    threads: int | None = None,
    json: Json = False,
) -> int:
    """Train a network and look at the 10 000 test images once.

    Parameters
    ----------
    recipe
        A name listed by `tinygrad-mnist recipes`, or the path of a TOML file; by default, default.
    settings
        key=value: replaces a value of the recipe. May be repeated.
    data
        Train on images of your own: CSV, npz or IDX, as `tinygrad_mnist.data.load` reads them.
    labels
        Their labels, if that file holds images only.
    test_data
        Test on images of your own instead; none may be a training image.
    test_labels
        Their labels, if that file holds images only.
    out
        Folder for the result; by default a new one, runs/RECIPE.
    resume
        Go on with the training in this run folder, with its recipe and data, where it stopped.
    override
        key=value: with --resume, replaces epochs, lr or patience from there on. May be repeated.
    threads
        Of the matrix products, the same as --set threads=N; by default 1. More gain little on an
        idle machine, and lose much on a busy one. The last bits of the result may differ.
    json
        Print the result as JSON on standard output, and progress on standard error.
    """
    from tinygrad_mnist.training import (
        Recipe,
        free_folder,
        own_sets,
        progress,
        resume_command,
        resumed,
        started,
    )

    if threads is not None:
        settings = (*settings, f"threads={threads}")
    refuse_ending(out, "", "a folder")
    named = {"data": data, "labels": labels, "test_data": test_data, "test_labels": test_labels}
    files = {name: path for name, path in named.items() if path}
    if override and not resume:
        raise UserFileError("--override belongs to --resume RUN. For a new training, use --set.")
    if resume:
        if out:
            raise UserFileError(f"--resume goes on in its own folder, {resume}: leave out --out.")
        given = Recipe.load(recipe) if recipe else None
        opened = resumed(resume, given, settings, overrides=override, files=files)
    else:
        if (labels and not data) or (test_labels and not test_data):
            raise UserFileError(
                "--labels belongs to --data, and --test-labels to --test-data: name the images too."
            )
        chosen = Recipe.load(recipe or "default").changed(settings)
        sets = own_sets(**files) if files else None
        opened = started(chosen, out or free_folder(chosen.name), sets)
    stream = sys.stderr if json else sys.stdout
    with opened as run, StopOnSignal() as stop:
        for notice in run.notices:
            print(f"warning: {notice}", file=sys.stderr)
        show = progress.show(run.training.recipe, stream, len(run.training.images))
        try:
            metrics = run.complete(
                on_batch=stop.guard(show.on_batch),
                on_epoch=stop.guard(show.on_epoch),
                should_stop=stop.asked,
            )
        finally:
            show.close()
    text, values = summary(metrics, run.folder), metrics | {"out": str(run.folder)}
    if metrics["interrupted"]:
        again = resume_command(run.folder)
        text, values = f"{text}\n{again}", values | {"resume": again}
    print(json_module.dumps(values) if json else text)
    return 128 + stop.requested if metrics["interrupted"] else 0


class StopOnSignal:
    """Turns the first Ctrl-C or SIGTERM into a request that the training loop asks for.

    A second one ends the program at once.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.requested = 0

    def __enter__(self) -> Self:
        self.before = {number: signal.signal(number, self._request) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _request(self, number: int, _: Any) -> None:
        if self.requested:
            sys.exit(128 + number)
        self.requested = number

    def asked(self) -> bool:
        """Whether there was one."""
        return self.requested != 0

    def guard(self, show: Callable[..., None]) -> Callable[..., None]:
        """The same, but when nobody reads what it prints, that too is a request to stop."""

        def guarded(*values: Any) -> None:
            try:
                show(*values)
            except BrokenPipeError:
                self.requested = BROKEN_PIPE

        return guarded


def summary(metrics: dict[str, Any], folder: Path) -> str:
    """The outcome of a run in two lines."""
    test = metrics["test"]
    if test is None:
        return (
            f"Interrupted {metrics['interrupted']}.\n"
            f"The weights so far are in {folder}; the test set was not opened. To go on:"
        )
    return (
        f"{verdict(metrics['recipe'], test)}\n"
        f"{counted(metrics['epochs'], 'epoch')} in {metrics['training_seconds']:.1f} s, "
        f"{counted(metrics['parameters'], 'parameter')}. Everything is in {folder}."
    )


def verdict(name: str, test: dict[str, Any], images: str = "test images") -> str:
    """How a network did on some images, in one line."""
    return (
        f"{name}: {100 * test['accuracy']:.2f} % of the {images} right "
        f"({test['correct']:,} correct, {test['incorrect']:,} incorrect), "
        f"cross-entropy {test['cross_entropy']:z.4f}."
    )


@command(
    "tinygrad-mnist evaluate runs/default",
    "tinygrad-mnist evaluate --weights mlp_weights.npz --normalize seed",
    "tinygrad-mnist evaluate runs/default --data mine.csv",
)
def evaluate(
    run: Path | None = None,
    *,
    weights: Path | None = None,
    normalize: Literal["unit", "seed", "standardize"] | None = None,
    data: Path | None = None,
    labels: Path | None = None,
    json: Json = False,
) -> None:
    """Say how many of the 10 000 test images, or of your own, a trained network gets right.

    Parameters
    ----------
    run
        Its folder; by default the only one below runs/.
    weights
        An npz or safetensors file, or another run folder, instead of the weights of the run.
        Its recipe is that of the run, if named, else in the file, else the config.toml beside it.
        An npz file on its own is read as sigmoid units and softmax.
    normalize
        The range of the pixels; by default that of the recipe, or unit: [0, 1]. seed is [0.01, 1].
    data
        Images of your own instead: CSV, npz or IDX, as `tinygrad_mnist.data.load` reads them.
    labels
        Their labels, if that file holds images only.
    json
        Print the result as JSON.
    """
    from tinygrad_mnist import evaluation
    from tinygrad_mnist.data import load, load_mnist_test
    from tinygrad_mnist.training import load_trained

    if labels and not data:
        raise UserFileError("--labels belongs to --data: name the images too.")
    trained = load_trained(run, weights)
    pixels = normalize or trained.normalize
    images = load(data, labels, part="test") if data else load_mnist_test(None)
    test = evaluation.evaluate(trained.model, *images, pixels)
    found = {
        **test,
        "data": str(data) if data else "test images",
        "weights": str(trained.weights),
        "layers": trained.layers,
        "normalize": pixels,
        "model_hash": trained.hash,
    }
    name = f"{trained.weights} ({trained.layers}, pixels normalised as {pixels!r})"
    text = verdict(name, test, f"images in {data}" if data else "test images")
    print(json_module.dumps(found) if json else text)


@command(
    "tinygrad-mnist export runs/default --out digits.onnx",
    "tinygrad-mnist export runs/seed-a --ancestor",
)
def export(
    run: Path,
    *,
    format: Literal["onnx", "safetensors", "npz"] | None = None,
    out: Path | None = None,
    ancestor: Flag = False,
) -> None:
    """Write the network of a run in a form that other programs read.

    Parameters
    ----------
    run
        Its folder.
    format
        onnx (needs the package onnx), safetensors, or npz; by default what the ending of --out
        says, or safetensors.
    out
        The file, replaced if it exists. By default model.onnx, model.safetensors or weights.npz
        in the run folder.
    ancestor
        Write config.json and train_history.json into the run folder, as the notebook of seed-a did.
    """
    from dataclasses import asdict

    from tinygrad_mnist import export as exports
    from tinygrad_mnist.training import folder, load_trained, read_history

    if ancestor and (format or out):
        raise UserFileError(
            "--ancestor writes two JSON files into the run folder: "
            "it takes neither --format nor --out."
        )
    if not ancestor:
        path = out or run / DEFAULT_FILES[exports.format_of(None, format)]
        write_network(load_trained(run), exports.format_of(out, format), path)
        print(path)
        return
    trained = load_trained(run)
    history = exports.ancestor_history(map(asdict, read_history(run)))
    config = exports.ancestor_config(trained.settings)
    for name, values in (("config.json", config), ("train_history.json", history)):
        folder.write(run / name, json_module.dumps(values, indent=2) + "\n")
        print(run / name)


DEFAULT_FILES = {"onnx": "model.onnx", "safetensors": "model.safetensors", "npz": "weights.npz"}


def write_network(trained: Trained, format: str, path: Path) -> None:
    """Write a network to a file, which is replaced only when all of the new one is there."""
    import io

    from tinygrad_mnist import export as exports
    from tinygrad_mnist.training import folder

    content, about = io.BytesIO(), {"recipe": trained.settings}
    if format == "npz":
        exports.write_npz(trained.model, content)
    elif format == "onnx":
        exports.write_onnx(trained.model, content, about=about)
    else:
        exports.write_safetensors(trained.model, content, about)
    folder.prepare(path.parent)
    folder.write(path, lambda file: file.write(content.getvalue()))


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
        or - for standard input.
    test
        Positions of MNIST test images, from 0 to 9999.
    db
        The log; by default predictions.db in the run folder. Made if it does not exist.
    json
        Print the predictions as JSON.
    """
    from tinygrad_mnist.data import normalize
    from tinygrad_mnist.store import PredictionLog
    from tinygrad_mnist.training import load_trained

    refuse_ending(db, ".db", "an SQLite log")
    trained = load_trained(run)
    sources, images, labels = digits_to_read(files, test)
    probabilities = trained.model.predict_proba(normalize(images, trained.normalize))
    path = db or run / "predictions.db"
    known = (run.resolve().name, trained.settings, trained.hash)
    with PredictionLog(path, create=True) as log:
        rows = log.add(*known, sources, images, probabilities, labels)
    sys.stdout.writelines(show(rows, json))


def digits_to_read(
    files: tuple[Path, ...], test: tuple[int, ...]
) -> tuple[list[str], Any, list[int | None]]:
    """Where each image comes from, the images as bytes (n, 784), and their labels if known."""
    import numpy as np

    from tinygrad_mnist.data import DataError, load_mnist_test, read_images
    from tinygrad_mnist.data.images import MOST_BYTES

    if not files and not test:
        raise UserFileError(
            "Nothing to read: name picture files, or positions of test images after --test."
        )
    sources: list[str] = []
    images: list[Any] = []
    labels: list[int | None] = []
    for file in files:
        name = "standard input" if str(file) == "-" else str(file)
        try:
            with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as stream:
                found = read_images(stream.read(MOST_BYTES + 1), name)
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
    from tinygrad_mnist.store import PredictionLog, write_csv
    from tinygrad_mnist.training import find_run, folder

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
        folder.prepare(csv.parent)
        counts: list[int] = []
        folder.write(csv, lambda file: counts.append(write_csv(rows, file)))
        print(f"{counted(counts[0], 'prediction')} in {csv}")


FORMATS = (".csv", ".db", ".json", ".npz", ".npy", ".onnx", ".safetensors", ".png", ".jpg")


def refuse_ending(path: Path | None, right: str, what: str) -> None:
    """Refuse a file name that says another format than what is written."""
    ending = path.suffix.lower() if path else ""
    if ending in FORMATS and ending != right:
        raise UserFileError(
            f"{path}: {what} is written here, but the name ends in {ending}. "
            f"Call it {path and path.stem}{right}."
        )


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


@command()
def recipes(*, json: Json = False) -> None:
    """List the recipes.

    Parameters
    ----------
    json
        Print them with all their values as JSON.
    """
    from dataclasses import asdict

    from tinygrad_mnist.training import Recipe, recipe_names

    every = [Recipe.load(name) for name in recipe_names()]
    if json:
        print(json_module.dumps([asdict(recipe) for recipe in every]))
    else:
        print("\n".join(f"{recipe.name:<20}{recipe.description}" for recipe in every))


@command("tinygrad-mnist reproduce default seed-a --out artifacts/results.json")
def reproduce(
    *recipes: str, seeds: Seeds = (0, 1, 2, 3, 4), out: Path | None = None, json: Json = False
) -> None:
    """Train recipes over several seeds and print a table of mean ± standard deviation.

    Parameters
    ----------
    recipes
        Names of recipes; by default all of them.
    seeds
        One training each.
    out
        JSON file for the single results; replaced if it exists.
    json
        Print the single results as JSON instead of the table; progress is on standard error.
    """
    from tinygrad_mnist import training

    refuse_ending(out, ".json", "JSON")
    chosen = [training.Recipe.load(name) for name in recipes or training.recipe_names()]
    if out is not None:
        training.folder.prepare(out.parent)
    results = training.reproduce(
        chosen, seeds, lambda line: print(line, file=sys.stderr, flush=True)
    )
    if out is not None:
        training.folder.write(out, json_module.dumps(results, indent=1) + "\n")
    print(json_module.dumps(results) if json else training.results.table(results))


@command("tinygrad-mnist compare seed-a-two-hidden")
def compare(recipe: str = "default", *, settings: Settings = (), json: Json = False) -> int:
    """Hold the hand derivation against the tape, term by term, on one batch of digits in float64.

    Parameters
    ----------
    recipe
        Whose network, loss and L2 penalty to use; without dropout.
    settings
        key=value: replaces a value of the recipe. May be repeated.
    json
        Print the table as JSON.
    """
    import numpy as np

    from tinygrad_mnist import bridge
    from tinygrad_mnist.data import load_mnist
    from tinygrad_mnist.training import Recipe, build_model

    chosen = Recipe.load(recipe).changed(settings)
    images, labels = load_mnist(chosen.normalize)
    model = build_model(chosen, images.shape[1], np.random.default_rng(chosen.seed))
    paper = bridge.to_paper(model, chosen.activation, chosen.weight_decay, dtype=np.float64)
    batch = slice(chosen.batch_size)
    comparison = bridge.compare(paper, images[batch].astype(np.float64), labels[batch])
    print(json_module.dumps([row._asdict() for row in comparison.rows]) if json else comparison)
    return 0 if comparison.first_divergence is None else 1


@command(
    "tinygrad-mnist gradcheck my_ops.py:cube --shape 3,4",
    "tinygrad-mnist gradcheck my_ops.py:conv --shape 2,8 --shape 3 --arg stride=2",
    "tinygrad-mnist gradcheck my_layers.py:Scale --shape 5,3 --arg features=3",
)
def gradcheck(
    function: str,
    *,
    shape: Shapes,
    arg: Arguments = (),
    seed: int = 0,
    json: Json = False,
) -> int:
    """Check the first and second derivatives of code of your own against central differences.

    Parameters
    ----------
    function
        FILE.py:NAME of a function that takes tensors and returns one; or of a module or its class,
        whose parameters are checked as well. The file is run.
    shape
        Shape of an argument, as 3,4; repeated for each argument. Values are drawn from a normal
        distribution.
    arg
        NAME=VALUE: what else the function takes by name, or the class to make a module; a Python
        value. May be repeated.
    seed
        Decides the values.
    json
        Print the result as JSON.
    """
    from tinygrad_mnist import checking

    if seed < 0:
        raise UserFileError(f"--seed is a whole number from 0 up, but is {seed}.")
    try:
        shapes, options = [checking.shape_of(text) for text in shape], checking.options_of(arg)
        with checking.defined(function) as target:
            found = checking.check(target, shapes, options, seed)
    except checking.OwnCodeError as error:
        raise UserFileError(str(error)) from error
    if json:
        print(json_module.dumps({"function": function, **found._asdict()}))
        return 1 if found.problem else 0
    parameters = len(found.names) - len(shapes)
    also = f" of {counted(len(shapes), 'input')} and {counted(parameters, 'parameter')}"
    for order, agrees in (("first", found.first), ("second", found.second)):
        what = f"{function}: {order} derivatives{also if parameters else ''}"
        if agrees:
            print(f"{what} agree with central differences.")
        elif agrees is not None:
            print(f"{what}: {found.problem}")
    return 1 if found.problem else 0


@command("tinygrad-mnist bench", "tinygrad-mnist bench --rounds 3 --json")
def bench(*, rounds: int = 7, json: Json = False) -> None:
    """Measure the speed on this machine: an epoch of training, one op, the import, an answer.

    This takes about half a minute.

    Parameters
    ----------
    rounds
        How often each is measured; the median counts.
    json
        Print the measurements as JSON.
    """
    from tinygrad_mnist import benchmark
    from tinygrad_mnist.data import load_mnist

    if not 1 <= rounds <= MOST_ROUNDS:
        raise UserFileError(f"--rounds must lie between 1 and {MOST_ROUNDS}, but is {rounds}.")
    measured = benchmark.report(benchmark.Training(*load_mnist()), rounds)
    print(json_module.dumps(measured, indent=1) if json else benchmark.text(measured))


@command(
    "tinygrad-mnist tutorials",
    "tinygrad-mnist tutorials my-notebooks",
    "tinygrad-mnist tutorials --solutions",
)
def tutorials(folder: Path = Path("notebooks"), *, solutions: Flag = False) -> None:
    """Write the tutorials as notebooks for Jupyter.

    Parameters
    ----------
    folder
        Where to; made if it does not exist. Nothing is overwritten.
    solutions
        Write the notebooks with the exercises solved, as NAME-solutions.ipynb.
    """
    from tinygrad_mnist.tutorials import write_notebooks

    try:
        written = write_notebooks(folder, solutions=solutions)
    except FileExistsError as error:
        raise UserFileError(str(error)) from error
    except OSError as error:
        raise UserFileError(
            f"{folder}: cannot be written to: {error.strerror}. Name another folder."
        ) from error
    notebooks = counted(len(written), "notebook")
    print(f"{notebooks} are in {folder}. Open them in your editor, or in the browser:")
    print(f"pip install notebook && jupyter notebook {shlex.quote(str(folder))}")


class UserFileError(Exception):
    """Something in a file or value that the user named; the message says what."""
