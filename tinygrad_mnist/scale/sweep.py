"""A sweep over settings of a recipe: Optuna proposes and prunes, and processes train.

Only the process of the command speaks to Optuna. Those that train tell it their accuracy after each
epoch, and hear whether to go on.
"""

from __future__ import annotations

import hashlib
import json
import platform
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.trial import TrialState

from tinygrad_mnist.data import load_mnist
from tinygrad_mnist.files import UNFINISHED, WriteError, prepare, write
from tinygrad_mnist.runs.code import from_anywhere, sums_at
from tinygrad_mnist.runs.entries import is_empty
from tinygrad_mnist.runs.folder import locked
from tinygrad_mnist.runs.workers import Lost, in_processes
from tinygrad_mnist.scale.results import counting, results_of, write_results
from tinygrad_mnist.scale.space import changed, settings_of, space_of, text_of
from tinygrad_mnist.scale.storage import database, journal, told, without_password
from tinygrad_mnist.scale.trial import Ended, in_process, trained
from tinygrad_mnist.training.build import refuse_unnamed
from tinygrad_mnist.training.recipe import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from optuna.trial import FrozenTrial, Trial

    from tinygrad_mnist.scale.space import Space
    from tinygrad_mnist.scale.trial import News, Task
    from tinygrad_mnist.training import Recipe

DEFINITION = "sweep.json"
NOTHING: Mapping[str, str] = {}
STATES = {
    "finished": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,  # to the sampler, worse than all that have a value
    "impossible": TrialState.PRUNED,
    "lost": TrialState.FAIL,
}
"""How a training ended -> what Optuna is told."""
UNSIGNED = timedelta(minutes=1)
"""After this time, a trial that names no place was begun by a process that is no more."""


def sweep(
    recipe: Recipe,
    vary: Sequence[str],
    folder: Path,
    *,
    trials: int = 30,
    jobs: int = 1,
    seed: int = 0,
    storage: str = "",
    code: Mapping[str, str] = NOTHING,
    report: Callable[[str], object] = lambda line: None,
    watch: Callable[[str, float], object] = lambda name, part: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train a recipe with other settings again and again, and find those that are best.

    A trial is worth the accuracy on the held-out validation images, with the weights that its
    training keeps. The test set stays closed. After the first third of its epochs, a trial is
    ended, or *pruned*, as soon as its best accuracy so far is below the median of the finished
    trials at that epoch. The first five trials are not.

    If the sweep is interrupted, the same call goes on: what is finished is not trained again, and
    what was under way begins anew with the same settings.

    Parameters
    ----------
    recipe : Recipe
        What all trials have in common.
    vary : sequence of str
        What they have not, as `tinygrad_mnist.scale.space.space_of` reads it.
    folder : Path
        The folder of the sweep, new or of the same sweep. Afterwards it has ``trials.json``,
        ``best.toml``, ``importance.png`` and ``parallel.png``.
    trials : int
        How many trials the sweep has in all, those of earlier calls and other machines included.
    jobs : int
        How many trainings run at once, each in a process of its own. A script that asks for more
        than 1 calls this under ``if __name__ == "__main__":``, for every process imports it.
    seed : int
        Decides what is proposed. With one job, the same seed gives the same trials, also after an
        interruption.
    storage : str
        The address of a database in which machines share the trials; by default a journal in the
        folder. Where the recipe, `vary` and `code` are the same, it is the same sweep.
    code : mapping of str
        Code of your own that the recipe names, and that is run: ``{"model": "my_net.py:Net"}``.
    report : callable
        Called with a line of text after each trial.
    watch : callable
        Given the name of a trial and the part of it that is done, from 0 to 1.
    should_stop : callable
        Asked again and again; once it says True, no training goes on.

    Raises
    ------
    RecipeError
        If `vary` is not valid, or `trials` or `jobs` is below 1; or if the recipe names code that
        `code` does not.
    WriteError
        If the folder cannot be written, or has something else: also another sweep. A
        `tinygrad_mnist.scale.storage.StorageError` if the storage cannot be reached.
    OwnCodeError
        As soon as code of your own fails; the message says in which trial.

    Returns
    -------
    dict
        The content of ``trials.json``, as `tinygrad_mnist.scale.results.results_of` makes it.
    """
    _refuse(trials, jobs)
    refuse_unnamed(recipe, model=code.get("model"), optimizer=code.get("optimizer"))
    space = space_of(vary, recipe)
    sums = {key: sums_at(reference) for key, reference in code.items()}
    definition = _definition(recipe, space, sums)
    name = f"{recipe.name} {hashlib.sha256(json.dumps(definition).encode()).hexdigest()[:8]}"
    with _quiet(), told(storage), ExitStack() as stack:
        shared = database(storage) if storage else None
        prepare(folder)
        stack.enter_context(locked(folder))
        shown = {"address": storage and without_password(storage)}
        _begin(folder, definition | {"storage": shown})
        study = optuna.create_study(
            storage=shared or journal(folder),
            study_name=name,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=1 + recipe.epochs // 3),
            load_if_exists=True,
        )
        where = f"{platform.node()}:{folder.resolve()}" if storage else ""
        places = {key: from_anywhere(reference) for key, reference in code.items()}
        course = _Course(study, recipe, space, places, trials, seed, where, report, watch)
        course.give_back()
        try:
            course.run(jobs, should_stop)
        finally:
            course.give_back()
        results = results_of(study, recipe)
        write_results(results, folder, recipe, space)
    return results


def _refuse(trials: int, jobs: int) -> None:
    for name, what, number in (
        ("trials", "those of the sweep in all", trials),
        ("jobs", "the trainings at once", jobs),
    ):
        if number < 1:
            raise RecipeError(f"{name}, {what}, must be at least 1, but is {number}.")


def _definition(recipe: Recipe, space: Space, sums: Mapping[str, Any]) -> dict[str, Any]:
    """All that makes trials comparable, as JSON has it."""
    varied = {key: text_of(distribution) for key, distribution in space.items()}
    whole = {"recipe": asdict(recipe), "varied": varied, "code": sums}
    definition: dict[str, Any] = json.loads(json.dumps(whole, default=str))
    return definition


def _begin(folder: Path, definition: dict[str, Any]) -> None:
    """Write what the sweep is to a new folder; refuse one that has anything else.

    Raises
    ------
    WriteError
        If it has; the message says what.
    """
    path = folder / DEFINITION
    for stale in folder.glob(f".*{UNFINISHED}"):
        stale.unlink()
    if not path.exists():
        if not is_empty(folder):
            raise WriteError(f"{folder}: not empty, and no sweep. Choose another --out.")
        write(path, json.dumps(definition, indent=1) + "\n")
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        found = [
            f"{table} {key} is {there[table].get(key)!r:.60}, now {values.get(key)!r:.60}"
            for table, values in definition.items()
            for key in there[table] | values
            if there[table].get(key) != values.get(key)
        ]
    except OSError as error:
        raise WriteError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WriteError(f"{path}: not what a sweep writes. Choose another --out.") from error
    if found:
        raise WriteError(
            f"{folder}: has another sweep ({found[0]}). Choose another --out, or remove it."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Have Optuna say warnings only; each trial is reported here."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


class _Course:
    """The course of a sweep: which trials are asked for, and what Optuna is told of them."""

    def __init__(
        self,
        study: optuna.Study,
        recipe: Recipe,
        space: Space,
        code: Mapping[str, str],
        trials: int,
        seed: int,
        where: str,
        report: Callable[[str], object],
        watch: Callable[[str, float], object],
    ) -> None:
        self.study, self.recipe, self.space, self.code = study, recipe, space, code
        self.trials, self.seed, self.where = trials, seed, where
        self.report, self.watch = report, watch
        self.asked: list[Trial] = []  # by the position of their task

    def run(self, jobs: int, should_stop: Callable[[], bool]) -> None:
        """Train until there are as many trials as there should be, or until asked to stop."""
        if jobs > 1:
            ended = in_processes(in_process, self.tasks(), jobs, self.hear, should_stop)
        else:
            ended = self._one_by_one(should_stop)
        for position, how in ended:
            self.conclude(
                self.asked[position], Ended("lost", why=str(how)) if isinstance(how, Lost) else how
            )

    def _one_by_one(self, should_stop: Callable[[], bool]) -> Iterator[tuple[int, Ended]]:
        data = load_mnist(None)
        for position, task in enumerate(self.tasks()):
            ended = trained(task, data, partial(self.hear, position), should_stop)
            if ended is None:
                return
            yield position, ended

    def tasks(self) -> Iterator[Task]:
        """The trainings, each with what is proposed once it is asked for."""
        while (number := len(counting(self.study))) < self.trials:
            draws = np.random.SeedSequence((self.seed, number))
            self.study.sampler = optuna.samplers.TPESampler(seed=int(draws.generate_state(1)[0]))
            trial = self.study.ask(self.space)
            if self.where:
                trial.set_user_attr("where", self.where)
            try:
                recipe = changed(self.recipe, settings_of(trial.params))
            except RecipeError as error:
                self.conclude(trial, Ended("impossible", why=str(error)))
                continue
            self.asked.append(trial)
            yield (
                _name(trial),
                recipe,
                {key: self.code[key] for key in recipe.own if key in self.code},
            )

    def hear(self, position: int, news: News) -> bool:
        """What a training tells: the part that is done, or the accuracy after an epoch.

        The answer to the latter is whether the training ends here.
        """
        trial = self.asked[position]
        if isinstance(news, float):
            self.watch(_name(trial), news)
            return False
        epoch, accuracy = news
        trial.report(accuracy, epoch)
        return trial.should_prune()

    def conclude(self, trial: Trial, ended: Ended) -> None:
        """Tell Optuna how a trial ended, and people too."""
        trial.set_user_attr("ended", ended._asdict())
        finished = ended.how == "finished"
        self.study.tell(trial, ended.accuracy if finished else None, STATES[ended.how])
        self.watch(_name(trial), 1.0)
        settings = " ".join(f"{key}={text}" for key, text in settings_of(trial.params).items())
        self.report(f"{_name(trial)}: {_line(ended)}: {settings}")

    def give_back(self) -> None:
        """Have trials begin anew that were under way here when a sweep ended, however it did."""
        begun = {trial.user_attrs.get("again") for trial in self.study.get_trials(deepcopy=False)}
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._is_of_here(trial):
                if trial.number not in begun:
                    self.study.enqueue_trial(trial.params, {"again": trial.number})
                self.study.tell(trial.number, state=TrialState.FAIL)

    def _is_of_here(self, trial: FrozenTrial) -> bool:
        """Whether a trial was begun in this folder, or somewhere that could not even sign it."""
        if self.where and "where" not in trial.user_attrs:
            return datetime.now() - (trial.datetime_start or datetime.now()) > UNSIGNED
        return bool(trial.user_attrs.get("where", "") == self.where)


def _name(trial: Trial) -> str:
    return f"trial {trial.number}"


def _line(ended: Ended) -> str:
    accuracy = f"{100 * ended.accuracy:.2f} %" if ended.accuracy is not None else ""
    if ended.how == "finished":
        return accuracy
    if ended.how == "pruned":
        return f"pruned after epoch {ended.epoch} at {accuracy}"
    return f"{ended.how}: {ended.why.partition('. ')[0].rstrip('.')}"
