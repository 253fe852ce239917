"""The command `tinygrad-mnist`: parse, call, print."""

from __future__ import annotations

import json as json_module
import os
import shlex
import signal
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from tinygrad_mnist.store import Prediction

USAGE_ERROR, DIVERGED = 2, 3
BROKEN_PIPE = 13
"""The signal that ends a program whose reader is gone: ``tinygrad-mnist recipes | head -1``."""

app = App(
    name="tinygrad-mnist",
    help="Backpropagation derived twice: "
    "train a network for handwritten digits by hand and by machine.",
    help_format="plaintext",
)

SEVERAL = Parameter(negative="", consume_multiple=True)
HIDDEN = Parameter(show_default=False)
Settings = Annotated[tuple[str, ...], SEVERAL, HIDDEN, Parameter(name="--set")]
Overrides = Annotated[tuple[str, ...], SEVERAL, HIDDEN, Parameter(name="--override")]
Positions = Annotated[tuple[int, ...], SEVERAL, HIDDEN]
Shapes = Annotated[tuple[str, ...], SEVERAL]
Seeds = Annotated[tuple[int, ...], SEVERAL]
Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def examples(*commands: str) -> str:
    """The end of a help text."""
    return "\n".join(["Examples:", *(f"  {command}" for command in commands)])


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    With 0 if it is done, 1 if a check failed, 2 for wrong input, 3 if a training diverged,
    128 + n if signal n ended it.
    """
    from tinygrad_mnist.data import DataError
    from tinygrad_mnist.export import ExportError
    from tinygrad_mnist.store import StoreError
    from tinygrad_mnist.training import DivergenceError, RecipeError, RunFolderError

    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
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


@app.command(
    help_epilogue=examples(
        "tinygrad-mnist train",
        "tinygrad-mnist train seed-a --set epochs=5 --set hidden=[300] --out runs/wide",
        "tinygrad-mnist train --data mine.csv --test-data mine-test.csv",
        "tinygrad-mnist train --resume runs/default",
    )
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
        f"{metrics['epochs']} epochs in {metrics['training_seconds']:.1f} s, "
        f"{metrics['parameters']:,} parameters. Everything is in {folder}."
    )


def verdict(name: str, test: dict[str, Any], images: str = "test images") -> str:
    """How a network did on some images, in one line."""
    return (
        f"{name}: {100 * test['accuracy']:.2f} % of the {images} right "
        f"({test['correct']:,} correct, {test['incorrect']:,} incorrect), "
        f"cross-entropy {test['cross_entropy']:.4f}."
    )


@app.command(
    help_epilogue=examples(
        "tinygrad-mnist evaluate runs/default",
        "tinygrad-mnist evaluate --weights mlp_weights_biases_1hidden.npz --normalize seed",
        "tinygrad-mnist evaluate runs/default --data mine.csv",
    )
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


@app.command(
    help_epilogue=examples(
        "tinygrad-mnist export runs/default --format onnx --out digits.onnx",
        "tinygrad-mnist export runs/seed-a --ancestor",
    )
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
        onnx (needs the package onnx), safetensors (the default), or npz.
    out
        The file, replaced if it exists.
        By default model.onnx, model.safetensors or weights.npz in the run folder.
    ancestor
        Write config.json and train_history.json into the run folder, as the notebook of seed-a did.
    """
    import io
    from dataclasses import asdict

    from tinygrad_mnist import export as exports
    from tinygrad_mnist.training import folder, load_trained, read_history

    if ancestor and (format or out):
        raise UserFileError(
            "--ancestor writes two JSON files into the run folder: "
            "it takes neither --format nor --out."
        )
    trained = load_trained(run)
    if ancestor:
        history = exports.ancestor_history(map(asdict, read_history(run)))
        config = exports.ancestor_config(trained.settings)
        for name, values in (("config.json", config), ("train_history.json", history)):
            folder.write(run / name, json_module.dumps(values, indent=2) + "\n")
            print(run / name)
        return
    content, about = io.BytesIO(), {"recipe": trained.settings}
    if format == "npz":
        exports.write_npz(trained.model, content)
    elif format == "onnx":
        exports.write_onnx(trained.model, content, about=about)
    else:
        exports.write_safetensors(trained.model, content, about)
    path = out or run / ("weights.npz" if format == "npz" else f"model.{format or 'safetensors'}")
    folder.prepare(path.parent)
    folder.write(path, lambda file: file.write(content.getvalue()))
    print(path)


@app.command(
    help_epilogue=examples(
        "tinygrad-mnist predict runs/default --test 0 1 2",
        "tinygrad-mnist predict runs/default photo.jpg drawing.png digits.npy",
        "tinygrad-mnist predict runs/default - < digits.npy",
    )
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
        - for standard input.
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


@app.command(
    help_epilogue=examples(
        "tinygrad-mnist log runs/default --wrong",
        "tinygrad-mnist log my.db --digit 7 --csv sevens.csv",
    )
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

    path = where if where and not where.is_dir() else find_run(where) / "predictions.db"
    with PredictionLog(path) as opened:
        rows = opened.predictions(run=run, digit=digit, wrong=wrong)
        if not csv:
            sys.stdout.writelines(show(rows, json))
            return
        folder.prepare(csv.parent)
        counts: list[int] = []
        folder.write(csv, lambda file: counts.append(write_csv(rows, file)))
        print(f"{counts[0]} predictions in {csv}")


@app.command
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


@app.command(
    help_epilogue=examples("tinygrad-mnist reproduce default seed-a --out artifacts/results.json")
)
def reproduce(*recipes: str, seeds: Seeds = (0, 1, 2, 3, 4), out: Path | None = None) -> None:
    """Train recipes over several seeds and print a table of mean ± standard deviation.

    Parameters
    ----------
    recipes
        Names of recipes; by default all of them.
    seeds
        One training each.
    out
        JSON file for the single results; replaced if it exists.
    """
    from tinygrad_mnist import training

    chosen = [training.Recipe.load(name) for name in recipes or training.recipe_names()]
    if out is not None:
        training.folder.prepare(out.parent)
    results = training.reproduce(
        chosen, seeds, lambda line: print(line, file=sys.stderr, flush=True)
    )
    if out is not None:
        training.folder.write(out, json_module.dumps(results, indent=1) + "\n")
    print(training.results.table(results))


@app.command(help_epilogue=examples("tinygrad-mnist compare seed-a-two-hidden"))
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


@app.command(help_epilogue=examples("tinygrad-mnist gradcheck my_ops.py:cube --shape 3,4"))
def gradcheck(
    function: str,
    *,
    shape: Shapes,
    seed: int = 0,
) -> int:
    """Check the first and second derivatives of a function of your own against central differences.

    Parameters
    ----------
    function
        FILE.py:NAME of a function that takes tensors and returns one.
    shape
        Shape of an argument, as 3,4; repeated for each argument.
        Values are drawn from a normal distribution.
    seed
        Decides the values.
    """
    import numpy as np

    from tinygrad_mnist import autodiff

    called = load_function(function)
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=parse_shape(text)) for text in shape]
    for derivatives, check in (("first", autodiff.gradcheck), ("second", autodiff.gradgradcheck)):
        try:
            check(called, inputs, rng=rng)
        except autodiff.GradcheckError as error:
            print(f"{function}: {derivatives} derivatives: {error}")
            return 1
        except Exception as error:
            raise UserFileError(f"{function} raised {type(error).__name__}: {error}") from error
        print(f"{function}: {derivatives} derivatives agree with central differences.")
    return 0


@app.command(
    help_epilogue=examples("tinygrad-mnist bench", "tinygrad-mnist bench --rounds 3 --json")
)
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

    if rounds < 1:
        raise UserFileError(f"At least one round is needed for a median, but --rounds is {rounds}.")
    measured = benchmark.report(benchmark.Training(*load_mnist()), rounds)
    print(json_module.dumps(measured, indent=1) if json else benchmark.text(measured))


@app.command(
    help_epilogue=examples(
        "tinygrad-mnist tutorials",
        "tinygrad-mnist tutorials my-notebooks",
        "tinygrad-mnist tutorials --solutions",
    )
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
    print(f"{len(written)} notebooks are in {folder}. Open them in your editor, or in the browser:")
    print(f"pip install notebook && jupyter notebook {shlex.quote(str(folder))}")


class UserFileError(Exception):
    """Something in a file or value that the user named; the message says what."""


def parse_shape(text: str) -> tuple[int, ...]:
    """``"3,4"`` as (3, 4)."""
    try:
        return tuple(int(n) for n in text.split(",") if n)
    except ValueError as error:
        raise UserFileError(f"A shape is written as 3,4, but this is {text!r}.") from error


def load_function(reference: str) -> Any:
    """The function that ``FILE.py:NAME`` names; runs the file."""
    import runpy

    file, _, name = reference.rpartition(":")
    if not Path(file).is_file():
        raise UserFileError(f"Write FILE.py:NAME; there is no file {file or reference!r}.")
    try:
        found = runpy.run_path(file)
    except Exception as error:
        raise UserFileError(
            f"{file} raised {type(error).__name__} when it was run: {error}"
        ) from error
    if not callable(found.get(name)):
        own = [key for key, value in found.items() if module_of(value) == "<run_path>"]
        raise UserFileError(f"{file} has no function {name!r}. It has {', '.join(own) or 'none'}.")
    return found[name]


def module_of(value: Any) -> str:
    """Where a function, or that of an op, was written."""
    return str(getattr(getattr(value, "forward", value), "__module__", ""))
