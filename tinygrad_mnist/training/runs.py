"""One whole run: train by a recipe, look at the test set once, keep everything in a folder."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.data import load, load_mnist, load_mnist_test, refuse_overlap
from tinygrad_mnist.evaluation import Predictions, examine, figures, html_report, model_card, predict, score, to_markdown
from tinygrad_mnist.export import write_npz, write_safetensors
from tinygrad_mnist.training.loop import Result, train

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tinygrad_mnist.training.recipe import Recipe


class RunFolderError(OSError):
    """The folder for a run cannot be used; the message says why and what could."""


class Sets(NamedTuple):
    """What to train and to test on, images and labels each, and the files that replace MNIST's, by the name of their option."""

    train: tuple[NDArray[Any], NDArray[np.int64]]
    test: tuple[NDArray[Any], NDArray[np.int64]]
    files: dict[str, str]


def own_sets(data: Path | None = None, labels: Path | None = None, test_data: Path | None = None, test_labels: Path | None = None) -> Sets:
    """Read the files to train on and those to test on, as `tinygrad_mnist.data.load` does; MNIST in place of images not given.

    MNIST's test images are read here only to see that none is trained on.

    Raises
    ------
    DataError
        If a file is not what it should be, or a test image is a training image.
    """
    train_set = load(data, labels) if data else load_mnist(None)
    test_set = load(test_data, test_labels, part="test") if test_data else load_mnist_test(None)
    refuse_overlap(train_set[0], test_set[0])
    files = {"data": data, "labels": labels, "test_data": test_data, "test_labels": test_labels}
    return Sets(train_set, test_set, {name: str(path) for name, path in files.items() if path})


def free_folder(name: str) -> Path:
    """``runs/NAME``, or with a number behind it the first such folder that does not exist."""
    number = 1
    while (folder := Path("runs") / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def prepare(folder: Path, *, empty: bool = True) -> None:
    """Make a folder and make sure that files can be written there; for a new run it must be `empty`.

    Raises
    ------
    RunFolderError
        If it cannot be made or written to, or holds something already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if empty and any(folder.iterdir()):
            raise RunFolderError(f"{folder}: not empty. Nothing is overwritten: choose another --out, or remove it.")
        tempfile.TemporaryFile(dir=folder).close()
    except RunFolderError:
        raise
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be written to: {error.strerror}. Choose another --out.") from error


def write(path: Path, content: Callable[[Any], object] | str | bytes) -> None:
    """Write a file whole or not at all: beside its place first, then moved there.

    Raises
    ------
    RunFolderError
        If it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            content(file) if callable(content) else file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise RunFolderError(f"{path}: cannot be written: {error.strerror}.") from error
        raise


def run(
    recipe: Recipe,
    folder: Path,
    sets: Sets | None = None,
    *,
    on_batch: Callable[..., object] = lambda *_: None,
    on_epoch: Callable[..., object] = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train by a recipe, look at the test set, and write all that came of it to a new folder.

    The folder gets ``config.toml, history.json, weights.npz, model.safetensors, metrics.json`` and, if the training was not interrupted,
    ``figures/*.png, report.html, MODEL_CARD.md, model_card.json``.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    folder : Path
        Where to keep the result; made if missing, must be empty.
    sets : Sets, optional
        Data of your own, which ``metrics.json`` then names; by default MNIST.
    on_batch, on_epoch, should_stop : callable
        As for `train`.

    Returns
    -------
    dict
        What ``metrics.json`` holds. ``test`` is None if the training was interrupted: the test set stays closed then.

    Raises
    ------
    RunFolderError
        Before training, if the folder cannot be used.
    DataError
        If there are too few images to hold some out.
    DivergenceError
        If the loss becomes infinite or NaN; nothing is written, and the folder is removed again.
    """
    prepare(folder)
    try:
        result = train(recipe, *(sets.train if sets else load_mnist(None)), on_batch=on_batch, on_epoch=on_epoch, should_stop=should_stop)
        test = open_test_set(recipe, result, sets)
        metrics = measure(recipe, result, test) | ({"files": sets.files} if sets else {})
        if test is not None:
            metrics["test"] = examine(test.probabilities, test.labels)
        write(folder / "config.toml", recipe.to_toml())
        write(folder / "history.json", json.dumps([asdict(epoch) for epoch in result.history], indent=1) + "\n")
        write(folder / "weights.npz", lambda file: write_npz(result.model, file))
        write(folder / "model.safetensors", lambda file: write_safetensors(result.model, file, {"recipe": asdict(recipe)}))
        write(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
        if test is not None:
            present(folder, recipe, result, metrics, test)
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise
    return metrics


def open_test_set(recipe: Recipe, result: Result, sets: Sets | None = None) -> Predictions | None:
    """The one look at the test set, or None if the training was interrupted: it stays closed then."""
    if result.interrupted:
        return None
    images, labels = sets.test if sets else load_mnist_test(None)
    return Predictions(images, labels, predict(result.model, images, recipe.normalize))


def measure(recipe: Recipe, result: Result, test: Predictions | None) -> dict[str, Any]:
    """What there is to say of a training in a few numbers."""
    kept = result.history[result.kept_epoch - 1] if result.kept_epoch else None
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "interrupted": result.interrupted,
        "parameters": sum(p.size for p in result.model.parameters()),
        "epochs": len(result.history),
        "kept_epoch": result.kept_epoch,
        "training_seconds": round(sum(epoch.seconds for epoch in result.history), 3),
        "training": kept and {"accuracy": kept.accuracy, "loss": kept.loss},
        "validation": kept and {"accuracy": kept.validation_accuracy, "loss": kept.validation_loss},
        "test": test and score(test.probabilities, test.labels),
    }


def present(folder: Path, recipe: Recipe, result: Result, metrics: dict[str, Any], test: Predictions) -> None:
    """Write what people look at: figures, report, model card."""
    values, where = asdict(recipe), environment()
    pictures = figures.draw(result.model, recipe.normalize, [asdict(epoch) for epoch in result.history], metrics, test)
    (folder / "figures").mkdir()
    for name, png in pictures.items():
        write(folder / "figures" / f"{name}.png", png)
    write(folder / "report.html", html_report(values, metrics, where, pictures))
    card = model_card(values, metrics, where)
    write(folder / "model_card.json", json.dumps(card, indent=1) + "\n")
    write(folder / "MODEL_CARD.md", to_markdown(card))


def environment() -> dict[str, Any]:
    """Software and machine, as far as a result may depend on them."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    limits = (os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"))
    return {
        "tinygrad_mnist": version("tinygrad-mnist"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": " ".join(str(blas[key]) for key in ("name", "version") if key in blas),
        "blas threads": next(filter(None, limits), "not limited"),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
    }
