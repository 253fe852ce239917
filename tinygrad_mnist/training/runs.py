"""One whole run: train by a recipe, look at the test set once, keep everything in a folder."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.data import load_mnist, load_mnist_test
from tinygrad_mnist.evaluation import evaluate
from tinygrad_mnist.export import write_npz
from tinygrad_mnist.training.loop import Result, train

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinygrad_mnist.training.recipe import Recipe


class RunFolderError(OSError):
    """The folder for a run cannot be used; the message says why and what could."""


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


def write(path: Path, content: Callable[[Any], object] | str) -> None:
    """Write a file whole or not at all: beside its place first, then moved there.

    Raises
    ------
    RunFolderError
        If it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            content(file) if callable(content) else file.write(content.encode())
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
    *,
    on_batch: Callable[..., object] = lambda *_: None,
    on_epoch: Callable[..., object] = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train by a recipe and write ``config.toml, history.json, weights.npz, metrics.json`` to a new folder.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    folder : Path
        Where to keep the result; made if missing, must be empty.
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
    DivergenceError
        If the loss becomes infinite or NaN; nothing is written, and the folder is removed again.
    """
    prepare(folder)
    try:
        result = train(recipe, *load_mnist(None), on_batch=on_batch, on_epoch=on_epoch, should_stop=should_stop)
        metrics = measure(recipe, result)
        write(folder / "config.toml", recipe.to_toml())
        write(folder / "history.json", json.dumps([asdict(epoch) for epoch in result.history], indent=1) + "\n")
        write(folder / "weights.npz", lambda file: write_npz(result.model, file))
        write(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise
    return metrics


def measure(recipe: Recipe, result: Result) -> dict[str, Any]:
    """What there is to say of a training, with one look at the test set unless it was interrupted."""
    kept = result.history[result.kept_epoch - 1] if result.kept_epoch else None
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "interrupted": result.interrupted,
        "parameters": sum(p.size for p in result.model.parameters()),
        "epochs": len(result.history),
        "kept_epoch": result.kept_epoch,
        "training_seconds": round(sum(epoch.seconds for epoch in result.history), 3),
        "validation": kept and {"accuracy": kept.validation_accuracy, "loss": kept.validation_loss},
        "test": None if result.interrupted else evaluate(result.model, *load_mnist_test(None), recipe.normalize),
    }
