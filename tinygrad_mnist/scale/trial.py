"""One trial of a sweep: a training that tells its accuracy after each epoch, and may be pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tinygrad_mnist.data import load_mnist
from tinygrad_mnist.owncode import OwnCodeError
from tinygrad_mnist.runs.code import opened_code
from tinygrad_mnist.training.build import train
from tinygrad_mnist.training.divergence import DivergenceError
from tinygrad_mnist.training.progress_of_several import hundredths
from tinygrad_mnist.training.recipe import RecipeError
from tinygrad_mnist.training.threads import blas_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from tinygrad_mnist.training import Recipe
    from tinygrad_mnist.training.history import Epoch, Result

    Task = tuple[str, Recipe, Mapping[str, str]]
    """The name of a trial, what it trains, and references to code of your own."""
    News = float | tuple[int, float]
    """The part of the training that is done, or an epoch and the accuracy after it."""


class Ended(NamedTuple):
    """How a trial ended.

    Attributes
    ----------
    how : {"finished", "pruned", "diverged", "impossible", "lost"}
        Impossible if the recipe cannot have all these settings together, lost if its process was
        killed.
    epoch : int
        The epoch whose weights the training keeps, or the last one before it was pruned; else 0.
    accuracy : float or None
        On the validation images, after that epoch.
    why : str
        What was wrong; "" if nothing was.
    """

    how: str
    epoch: int = 0
    accuracy: float | None = None
    why: str = ""


def in_process(task: Task, news: Callable[[News], Any]) -> Ended | None:
    """`trained`, in a process that has yet to read the images."""
    return trained(task, load_mnist(None), news)


def trained(
    task: Task,
    data: tuple[NDArray[Any], NDArray[Any]],
    news: Callable[[News], Any],
    should_stop: Callable[[], bool] = lambda: False,
) -> Ended | None:
    """Train for a trial; return how it ended, or None if it was asked to stop.

    `news` returns True in answer to an accuracy if the trial is to be pruned. The loop asks whether
    to stop after each step, so one step is still taken.

    Raises
    ------
    OwnCodeError
        If code of your own fails; the message names the trial.
    """
    name, recipe, code = task
    pruned = False

    def on_epoch(epoch: Epoch) -> None:
        nonlocal pruned
        pruned = news((epoch.epoch, epoch.validation_accuracy))

    hooks: dict[str, Any] = {
        "on_batch": hundredths(recipe, news),
        "on_epoch": on_epoch,
        "should_stop": lambda: pruned or should_stop(),
    }
    try:
        with opened_code(code) as own, blas_threads(recipe.threads):
            images, labels = data
            result = train(recipe, images, labels, **own, **hooks)
    except DivergenceError as error:
        return Ended("diverged", why=str(error))
    except RecipeError as error:
        return Ended("impossible", why=str(error))
    except OwnCodeError as error:
        raise OwnCodeError(f"{name}: {error}") from error
    return None if result.interrupted and not pruned else _ended(result)


def _ended(result: Result) -> Ended:
    if result.interrupted:
        last = result.history[-1]
        return Ended("pruned", last.epoch, last.validation_accuracy)
    kept = result.history[result.kept_epoch - 1]
    return Ended("finished", kept.epoch, kept.validation_accuracy)
