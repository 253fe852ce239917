"""One whole run: train by a recipe, look at the test set once, keep everything in a folder."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygrad_mnist.data import load, load_mnist, load_mnist_test, refuse_overlap
from tinygrad_mnist.evaluation import (
    Predictions,
    examine,
    figures,
    html_report,
    model_card,
    predict,
    score,
    to_markdown,
)
from tinygrad_mnist.export import write_npz, write_safetensors
from tinygrad_mnist.training import checkpoint
from tinygrad_mnist.training.environment import environment
from tinygrad_mnist.training.folder import (
    RunFolderError,
    is_empty,
    locked,
    prepare,
    resume_command,
    write,
)
from tinygrad_mnist.training.loop import DivergenceError, Result, Training
from tinygrad_mnist.training.threads import blas_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from tinygrad_mnist.training.recipe import Recipe

SHARE = 0.01
"""Of the time, so much at most goes into checkpoints."""


class Sets(NamedTuple):
    """What to train and to test on, images and labels each."""

    train: tuple[NDArray[Any], NDArray[np.int64]]
    test: tuple[NDArray[Any], NDArray[np.int64]]
    files: dict[str, str]  # what replaces MNIST's, by the name of the option


def own_sets(
    data: Path | None = None,
    labels: Path | None = None,
    test_data: Path | None = None,
    test_labels: Path | None = None,
) -> Sets:
    """Read the files to train on and those to test on, as `tinygrad_mnist.data.load` does.

    MNIST is in place of images not given; its test images are read here only to see that none is
    trained on.

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

    This is `started`, then `Run.complete`.
    """
    with started(recipe, folder, sets) as new:
        return new.complete(on_batch=on_batch, on_epoch=on_epoch, should_stop=should_stop)


@contextmanager
def started(recipe: Recipe, folder: Path, sets: Sets | None = None) -> Iterator[Run]:
    """A new run, and the lock on its folder.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    folder : Path
        Where to keep the result; made if missing, must be empty. Removed if nothing gets into it.
    sets : Sets, optional
        Data of your own; by default MNIST.

    Raises
    ------
    RunFolderError
        If the folder cannot be used.
    DataError
        If there are too few images to hold some out.
    """
    prepare(folder)
    try:
        with locked(folder):
            if not is_empty(folder):
                begun = any(folder.glob("checkpoint*.npz"))
                found = "go on with --resume" if begun else "remove it"
                raise RunFolderError(
                    f"{folder}: not empty. Nothing is overwritten: "
                    f"choose another --out, or {found}."
                )
            data = {}
            if sets:
                here = str(Path.cwd())
                data = {"files": sets.files, "folder": here, "sha256": fingerprint(sets)}
            yield Run(folder, Training(recipe, *training_set(sets)), sets, data)
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise


def training_set(sets: Sets | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Images and labels to train on: those given, or MNIST's."""
    return sets.train if sets else load_mnist(None)


def fingerprint(sets: Sets) -> str:
    """SHA-256 of what is trained on."""
    return " ".join(map(checkpoint.digest, sets.train))


class Run:
    """A training and the folder that it alone writes to.

    Parameters
    ----------
    folder : Path
        Locked by this process.
    training : Training
        New, or with the state of a checkpoint.
    sets : Sets or None
        Data of your own, which ``metrics.json`` then names.
    data : dict
        How to find that data again, as for `checkpoint.Checkpoint`.
    notices : sequence of str
        What people should know.
    """

    def __init__(
        self,
        folder: Path,
        training: Training,
        sets: Sets | None,
        data: dict[str, Any],
        notices: tuple[str, ...] = (),
    ) -> None:
        self.folder, self.training, self.sets = folder, training, sets
        self.data, self.notices = data, notices
        self.environment = environment(training.recipe.threads)
        self.saved = ""
        self.next_save = 0.0

    @property
    def outcome(self) -> dict[str, Any] | None:
        """What ``metrics.json`` holds, if the training is finished and that was written down."""
        try:
            metrics = json.loads((self.folder / "metrics.json").read_text(encoding="utf-8"))
            epochs = len(self.training.history)
            current = metrics["interrupted"] == "" and metrics["epochs"] == epochs
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return metrics if self.training.finished and current else None

    def complete(
        self,
        *,
        on_batch: Callable[..., object] = lambda *_: None,
        on_epoch: Callable[..., object] = lambda *_: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """Train to the end, look at the test set, and write everything to the folder.

        Now and then a checkpoint is written. The folder gets ``checkpoint.npz, config.toml,
        history.json, weights.npz, model.safetensors, metrics.json`` and, if the training was not
        interrupted, ``figures/*.png, report.html, MODEL_CARD.md, model_card.json``.

        Parameters
        ----------
        on_batch, on_epoch, should_stop : callable
            As for `train`.

        Returns
        -------
        dict
            What ``metrics.json`` holds. ``test`` is None if the training was interrupted: the test
            set stays closed then.

        Raises
        ------
        RunFolderError
            If something cannot be written; the last checkpoint stays.
        DivergenceError
            If the loss becomes infinite or NaN; the last checkpoint stays.
        """
        if self.outcome is not None:
            return self.outcome

        def after_batch(*at: int) -> None:
            if time.perf_counter() >= self.next_save:
                self.save()
            on_batch(*at)

        try:
            self.save()
            write(self.folder / "config.toml", self.training.recipe.to_toml())
            with blas_threads(self.training.recipe.threads):
                interrupted = self.training.run(
                    on_batch=after_batch, on_epoch=on_epoch, should_stop=should_stop
                )
                self.save()
                return self.write_results(self.training.result(interrupted))
        except DivergenceError as error:
            smaller = f"{self.training.recipe.lr / 10:.3g}"
            advice = f"{resume_command(self.folder)} --override lr={smaller}"
            stays = f"The checkpoint of {self.saved} stays: {advice}"
            raise DivergenceError(f"{error}\n{stays}") from error
        except RunFolderError as error:
            if not self.saved:
                raise
            stays = f"The checkpoint of {self.saved} stays: {resume_command(self.folder)}"
            raise RunFolderError(f"{error}\n{stays}") from error

    def save(self) -> None:
        """Write a checkpoint, and see when the next one may follow."""
        began = time.perf_counter()
        training = self.training
        content = (training.recipe, training.state(), self.environment, self.data)
        checkpoint.save(self.folder, checkpoint.Checkpoint(*content))
        self.saved = f"epoch {training.epoch} after batch {training.under_way.batch}"
        ended = time.perf_counter()
        self.next_save = ended + (ended - began) / SHARE

    def write_results(self, result: Result) -> dict[str, Any]:
        """Open the test set and write what came of the training.

        ``metrics.json`` is last: it says that all is there.
        """
        folder, recipe = self.folder, self.training.recipe
        test = open_test_set(recipe, result, self.sets)
        own = {"files": self.sets.files, "images": len(self.training.labels)} if self.sets else {}
        metrics = measure(recipe, result, test) | own
        if test is not None:
            metrics["test"] = examine(test.probabilities, test.labels)
        history, about = [asdict(epoch) for epoch in result.history], {"recipe": asdict(recipe)}
        write(folder / "history.json", json.dumps(history, indent=1) + "\n")
        write(folder / "weights.npz", lambda file: write_npz(result.model, file))
        write(
            folder / "model.safetensors", lambda file: write_safetensors(result.model, file, about)
        )
        if test is not None:
            present(folder, recipe, result, metrics, test)
        write(folder / "metrics.json", json.dumps(metrics, indent=1) + "\n")
        if test is not None:
            (folder / checkpoint.PREVIOUS).unlink(missing_ok=True)
        return metrics


def open_test_set(recipe: Recipe, result: Result, sets: Sets | None = None) -> Predictions | None:
    """The one look at the test set; None if the training was interrupted: it stays closed then."""
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


def present(
    folder: Path, recipe: Recipe, result: Result, metrics: dict[str, Any], test: Predictions
) -> None:
    """Write what people look at: figures, report, model card."""
    values, where = asdict(recipe), environment(recipe.threads)
    history = [asdict(epoch) for epoch in result.history]
    pictures = figures.draw(result.model, recipe.normalize, history, metrics, test)
    (folder / "figures").mkdir(exist_ok=True)
    for name, png in pictures.items():
        write(folder / "figures" / f"{name}.png", png)
    write(folder / "report.html", html_report(values, metrics, where, pictures))
    card = model_card(values, metrics, where)
    write(folder / "model_card.json", json.dumps(card, indent=1) + "\n")
    write(folder / "MODEL_CARD.md", to_markdown(card))
