"""A run: a training and its folder, with checkpoints during the training and results at the end."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygrad_mnist.files import WriteError, prepare
from tinygrad_mnist.owncode import OwnCodeError, told
from tinygrad_mnist.runs import checkpoint
from tinygrad_mnist.runs.about import About
from tinygrad_mnist.runs.config import write_config
from tinygrad_mnist.runs.entries import CONFIG, METRICS, RunFolderError, is_empty
from tinygrad_mnist.runs.environment import environment
from tinygrad_mnist.runs.folder import locked, resume_command
from tinygrad_mnist.runs.results import read_metrics, write_results
from tinygrad_mnist.runs.sets import Sets, fingerprint, training_set
from tinygrad_mnist.training.build import build_training, refuse_unnamed, with_own
from tinygrad_mnist.training.divergence import DivergenceError
from tinygrad_mnist.training.loop import Training
from tinygrad_mnist.training.state import take
from tinygrad_mnist.training.threads import blas_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tinygrad_mnist.training.build import Model, Rule
    from tinygrad_mnist.training.recipe import Recipe

SHARE = 0.01
"""The largest fraction of the time that is spent on checkpoints."""


class Own(NamedTuple):
    """A network and an optimizer of your own, in place of those in the package."""

    model: Model | None = None
    optimizer: Rule | None = None


NOTHING_OWN = Own()


def run(
    recipe: Recipe,
    folder: Path,
    sets: Sets | None = None,
    own: Own = NOTHING_OWN,
    *,
    on_batch: Callable[..., object] = lambda *_: None,
    on_epoch: Callable[..., object] = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train by a recipe, evaluate on the test set, and write all results to a new folder.

    This is `new_run`, then `Run.complete`.
    """
    with new_run(recipe, folder, sets, own) as new:
        return new.complete(on_batch=on_batch, on_epoch=on_epoch, should_stop=should_stop)


@contextmanager
def new_run(
    recipe: Recipe, folder: Path, sets: Sets | None = None, own: Own = NOTHING_OWN
) -> Iterator[Run]:
    """A new run, and the lock on its folder.

    Parameters
    ----------
    recipe : Recipe
        The training to run.
    folder : Path
        The folder for the results, which must be empty. It is made if missing, and removed again
        if nothing is written to it.
    sets : Sets, optional
        Data of your own; by default MNIST.
    own : Own, optional
        A network and an optimizer of your own, as for `tinygrad_mnist.training.train`.

    Raises
    ------
    WriteError
        If the folder cannot be used: a RunFolderError if something is in it, or another process
        trains there.
    DataError
        If there are too few images to hold some out.
    OwnCodeError, RecipeError
        As for `tinygrad_mnist.training.train`.
    """
    recipe = with_own(recipe, *own)
    refuse_unnamed(recipe, **own._asdict())
    _refuse_full(folder)
    there = folder.exists()
    prepare(folder)
    try:
        with locked(folder):
            _refuse_full(folder)  # check again: another process may have been faster
            data, origin = training_set(sets), {}
            if sets:
                here = str(Path.cwd())
                origin = {"files": sets.files, "folder": here, "sha256": fingerprint(sets)}
            about = About.of(data, sets.files if sets else {}, **own._asdict())
            yield Run(folder, recipe, about, build_training(recipe, data, *own), sets, origin)
    except BaseException:
        with suppress(OSError):
            if not there:
                folder.rmdir()
        raise


def _refuse_full(folder: Path) -> None:
    """Refuse a folder that holds something, before anything is written to it."""
    try:
        full = folder.is_dir() and not is_empty(folder)
    except OSError as error:
        raise RunFolderError(
            f"{folder}: cannot be written to: {error.strerror}. Choose another --out."
        ) from error
    if full:
        begun = any(folder.glob("checkpoint*.npz"))
        found = "continue with --resume" if begun else "remove it"
        raise RunFolderError(
            f"{folder}: not empty. Nothing is overwritten: choose another --out, or {found}."
        )


@contextmanager
def own_code_told(training: Training, recipe: Recipe) -> Iterator[None]:
    """Turn errors of your own network or optimizer into an OwnCodeError.

    Errors of the caller's `on_batch` and the like are not changed.
    """
    network, rule = training.model, training.optimizer
    of_rule = (type(rule).step, type(rule).state_dict)
    of_training = (Training.step, Training.find_gradients, Training.validate, Training.totals)
    of_network = (type(network).__call__, *of_training)
    with ExitStack() as stack:
        if "model" in recipe.own:
            stack.enter_context(told(network, within=of_network))
        if "optimizer" in recipe.own:
            stack.enter_context(told(rule, within=of_rule))
        yield


class Run:
    """A training and the folder that only it writes to.

    Parameters
    ----------
    folder : Path
        The folder, locked by this process.
    recipe : Recipe
        The recipe of the training.
    about : About
        The images and classes of the training.
    training : Training
        New, or with the state of a checkpoint.
    sets : Sets or None
        Data of your own; its files are named in ``metrics.json``.
    origin : dict
        How to find that data again, as in `checkpoint.Checkpoint`.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        about: About,
        training: Training,
        sets: Sets | None,
        origin: dict[str, Any],
    ) -> None:
        self.folder, self.recipe, self.about = folder, recipe, about
        self.training, self.sets, self.origin = training, sets, origin
        self.notices: tuple[str, ...] = ()
        self.environment = environment(recipe.threads)
        self.saved = ""
        self.next_save = 0.0

    @property
    def outcome(self) -> dict[str, Any] | None:
        """The content of ``metrics.json`` if the training is finished and it is written; else None.

        Raises
        ------
        DataError
            If that file holds anything else.
        """
        if not self.training.finished or not (self.folder / METRICS).exists():
            return None
        metrics = read_metrics(self.folder, self.recipe)
        current = metrics["test"] and metrics["epochs"] == len(self.training.history)
        return metrics if current else None

    @property
    def resume_command(self) -> str:
        """The command that continues this run, on as many ranks."""
        return resume_command(self.folder, self.recipe, self.about.files, self.training.processes)

    def complete(
        self,
        *,
        on_batch: Callable[..., object] = lambda *_: None,
        on_epoch: Callable[..., object] = lambda *_: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """Train to the end, evaluate on the test set, and write everything to the folder.

        Checkpoints are written during the training. The folder then holds ``checkpoint.npz,
        config.toml, history.json, model.safetensors, metrics.json``, for the built-in network
        ``weights.npz``, and if the training was not interrupted ``figures/*.png, report.html,
        MODEL_CARD.md, model_card.json``.

        Parameters
        ----------
        on_batch, on_epoch, should_stop : callable
            As for `train`.

        Returns
        -------
        dict
            The content of ``metrics.json``. ``test`` is None if the training was interrupted, since
            the test set then stays closed.

        Raises
        ------
        WriteError
            If a file cannot be written; the last checkpoint stays.
        DataError
            If ``metrics.json`` says that the training is finished, but not how it ended.
        DivergenceError
            If the loss becomes infinite or NaN; the last checkpoint stays.
        OwnCodeError
            If code of your own fails; the last checkpoint stays.
        """
        if self.outcome is not None:
            return self.outcome

        def after_batch(*at: int) -> None:
            if time.perf_counter() >= self.next_save:
                self.save()
            on_batch(*at)

        own_code = own_code_told(self.training, self.recipe)
        with self._advised(), blas_threads(self.recipe.threads), own_code:
            self._begin()
            interrupted = self.training.run(
                on_batch=after_batch, on_epoch=on_epoch, should_stop=should_stop
            )
            self.save()
            result = self.training.result(interrupted)
            return write_results(self.folder, self.recipe, self.about, result, self.sets)

    def _begin(self) -> None:
        """Write the recipe and the first checkpoint.

        A new run writes a checkpoint before anything else. A run that continues, perhaps with
        another recipe, writes that recipe first: if it is killed in between, the same command can
        be repeated.
        """
        begun = (self.folder / CONFIG).exists()
        if not begun:
            self.save()
        write_config(self.folder, self.recipe, self.about)
        if begun:
            self.save()

    @contextmanager
    def _advised(self) -> Iterator[None]:
        """Add to errors how to continue from the last checkpoint."""
        try:
            yield
        except (DivergenceError, OwnCodeError, WriteError) as error:
            if not self.saved:
                raise
            command = self.resume_command
            if isinstance(error, DivergenceError):
                command += f" --override lr={self.recipe.lr / 10:.3g}"
            stays = f"The checkpoint of {self.saved} stays: {command}"
            raise type(error)(f"{error}\n{stays}") from error

    def save(self) -> None:
        """Write a checkpoint, and decide when the next one may follow."""
        began = time.perf_counter()
        training = self.training
        here = self.environment | {"processes": training.processes}
        content = (self.recipe, take(training), here, self.origin, self.about.table)
        checkpoint.save(self.folder, checkpoint.Checkpoint(*content))
        self.saved = f"epoch {training.epoch} after batch {training.under_way.batch}"
        ended = time.perf_counter()
        self.next_save = ended + (ended - began) / SHARE
