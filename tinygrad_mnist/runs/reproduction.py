"""Every recipe over several seeds: the only source of the accuracies that the pages quote."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.data import load_mnist
from tinygrad_mnist.owncode import OwnCodeError
from tinygrad_mnist.runs.code import from_anywhere, opened_code, sums_at
from tinygrad_mnist.runs.kept import Kept, identity
from tinygrad_mnist.runs.results import measure, open_test_set
from tinygrad_mnist.runs.workers import Lost, in_processes
from tinygrad_mnist.training.build import refuse_unnamed, train
from tinygrad_mnist.training.divergence import DivergenceError
from tinygrad_mnist.training.progress_of_several import hundredths
from tinygrad_mnist.training.recipe import RecipeError
from tinygrad_mnist.training.threads import blas_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tinygrad_mnist.training.recipe import Recipe

    Task = tuple[Recipe, Mapping[str, str]]

NOTHING: Mapping[str, str] = {}


class UnfinishedError(Exception):
    """Some trainings have no result; the message says which and why.

    Attributes
    ----------
    results : list of dict
        What the others came to, as `reproduce` returns it.
    """

    def __init__(self, message: str, results: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.results = results


def reproduce(
    recipes: Iterable[Recipe],
    seeds: Sequence[int],
    report: Callable[[str], object] = lambda line: None,
    *,
    jobs: int = 1,
    code: Mapping[str, str] = NOTHING,
    unfinished: Path | None = None,
    watch: Callable[[str, float], object] = lambda name, part: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:
    """Train each recipe with each seed, and use the test set once per training.

    Parameters
    ----------
    recipes : iterable of Recipe
        The recipes to train; their own seeds are replaced.
    seeds : sequence of int
        At least one, all different: with the same training twice, the spread would be too small.
    report : callable
        Called with a line of text after each training.
    jobs : int
        How many trainings run at once, each in a process of its own. The results are the same for
        any number. A script that asks for more than 1 calls this under
        ``if __name__ == "__main__":``, for every process imports it.
    code : mapping of str
        Code of your own that recipes name, and that is run: ``{"model": "my_net.py:Net"}``.
    unfinished : Path, optional
        Where each result is kept as soon as it is there. What this file has of an earlier call,
        with the same recipe, seed, code and software, is not trained again. Nothing removes it.
    watch : callable
        Given the name of a training and the part of it that is done, from 0 to 1.
    should_stop : callable
        Asked again and again; once it says True, no training goes on.

    Raises
    ------
    RecipeError
        Before anything is trained, if there is no seed, one comes twice, or is no seed; if `jobs`
        is below 1; or if a recipe names code that `code` does not.
    DivergenceError, OwnCodeError
        As soon as this happens in a training; the message says in which.
    UnfinishedError
        If it was asked to stop, or a process was killed; the other trainings go on then.
    WriteError
        If `unfinished` cannot be written, or is something else.

    Returns
    -------
    list of dict
        For each recipe its name as ``recipe``, its ``published`` result or None, and its ``runs``:
        the results of `measure`, one per seed.
    """
    _refuse(seeds, jobs)
    all_seeded = [(recipe, [replace(recipe, seed=seed) for seed in seeds]) for recipe in recipes]
    for recipe, _ in all_seeded:
        refuse_unnamed(recipe, model=code.get("model"), optimizer=code.get("optimizer"))
    places = {key: from_anywhere(reference) for key, reference in code.items()}
    tasks = [
        (seeded, {key: places[key] for key in seeded.own if key in places})
        for _, every in all_seeded
        for seeded in every
    ]
    runs, lost = _all_runs(tasks, jobs, Kept(unfinished), report, watch, should_stop)
    results = []
    for at, (recipe, every) in enumerate(all_seeded):
        published = _known(recipe) if recipe.published_in else None
        every_place = range(at * len(every), (at + 1) * len(every))
        done = [runs[place] for place in every_place if place in runs]
        results.append({"recipe": recipe.name, "published": published, "runs": done})
    if len(runs) < len(tasks):
        raise UnfinishedError(_missing(len(runs), len(tasks), lost, unfinished), results)
    return results


def _refuse(seeds: Sequence[int], jobs: int) -> None:
    if not seeds or len(set(seeds)) < len(seeds):
        raise RecipeError(
            f"The seeds must be different numbers, at least one, but are {list(seeds)!r:.80}."
        )
    if jobs < 1:
        raise RecipeError(f"jobs, the trainings at once, must be at least 1, but is {jobs}.")


def _missing(done: int, every: int, lost: Sequence[str], unfinished: Path | None) -> str:
    stays = f"kept in {unfinished}: the same command goes on from there"
    have = "none has" if not done else "1 has" if done == 1 else f"{done} have"
    lines = [*lost] or ["Interrupted."]
    lines.append(f"Of {every} trainings {have} finished.")
    if done:
        lost_now = "not kept: name a file with --out, and the same command goes on from there"
        lines[-1] = f"{lines[-1][:-1]}, {stays if unfinished else lost_now}."
    return "\n".join(lines)


def _all_runs(
    tasks: Sequence[Task],
    jobs: int,
    kept: Kept,
    report: Callable[[str], object],
    watch: Callable[[str, float], object],
    should_stop: Callable[[], bool],
) -> tuple[dict[int, dict[str, Any]], list[str]]:
    """What each training came to, by its position, and sentences on those that were lost."""
    identities = _identities(tasks)
    found = {at: kept.find(each) for at, each in enumerate(identities)}
    runs = {at: run for at, run in found.items() if run is not None}
    for at, run in runs.items():
        report(_line(tasks[at][0], run, f", from {kept.path}"))
    missing, lost = [at for at in found if at not in runs], []
    todo = [tasks[at] for at in missing]
    for task, outcome in _outcomes(todo, jobs, watch, should_stop):
        recipe = todo[task][0]
        watch(_name(recipe), 1.0)
        if isinstance(outcome, Lost):
            line = f"{_name(recipe)}: {outcome}"
            lost.append(line)
        else:
            line = _line(recipe, outcome)
            runs[missing[task]] = outcome
            kept.add(identities[missing[task]], outcome)
        report(line)
    return runs, lost


def _outcomes(
    tasks: Sequence[Task],
    jobs: int,
    watch: Callable[[str, float], object],
    should_stop: Callable[[], bool],
) -> Iterator[tuple[int, Any]]:
    """The position of a task and what it came to, in the order in which they are done."""

    def on_news(task: int, part: float) -> None:
        watch(_name(tasks[task][0]), part)

    if jobs > 1 and len(tasks) > 1:
        yield from in_processes(_in_process, tasks, jobs, on_news, should_stop)
    elif tasks:
        data = load_mnist(None)
        for at, task in enumerate(tasks):
            run = _trained(task, data, partial(on_news, at), should_stop)
            if run is None:
                return
            yield at, run


def _identities(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """All that decides each; code of one's own is run for that, and seen to be there."""
    references = {reference for _, code in tasks for reference in code.values()}
    sums = {reference: sums_at(reference) for reference in references}
    return [
        identity(recipe, {key: sums[reference] for key, reference in code.items()})
        for recipe, code in tasks
    ]


def _name(recipe: Recipe) -> str:
    return f"{recipe.name}, seed {recipe.seed}"


def _line(recipe: Recipe, run: Mapping[str, Any], where: str = "") -> str:
    accuracy, seconds = 100 * run["test"]["accuracy"], run["training_seconds"]
    return f"{_name(recipe)}: {accuracy:.2f} % in {seconds:.1f} s{where}"


def _in_process(task: Task, news: Callable[[float], object]) -> dict[str, Any] | None:
    return _trained(task, load_mnist(None), news)


def _trained(
    task: Task,
    data: tuple[NDArray[Any], NDArray[Any]],
    news: Callable[[float], object],
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """What a training comes to; None if it was asked to stop."""
    recipe, code = task
    with _named(recipe), opened_code(code) as own, blas_threads(recipe.threads):
        hooks: dict[str, Any] = {"on_batch": hundredths(recipe, news), "should_stop": should_stop}
        images, labels = data
        result = train(recipe, images, labels, **own, **hooks)
        test = open_test_set(recipe, result)
        return None if test is None else measure(recipe, result, test)


@contextmanager
def _named(recipe: Recipe) -> Iterator[None]:
    """What goes wrong says in which training."""
    try:
        yield
    except (DivergenceError, OwnCodeError) as error:
        raise type(error)(f"{_name(recipe)}: {error}") from error


def _known(recipe: Recipe) -> dict[str, Any]:
    accuracy = 1 - recipe.published_error / 100
    return {"accuracy": accuracy, "on": recipe.published_on, "in": recipe.published_in}


def table(results: Iterable[dict[str, Any]]) -> str:
    """The results as a Markdown table.

    Its columns are the published result, mean ± standard deviation over the seeds, the seeds, and
    the median time.
    """
    lines = [
        "| recipe | published, % | test accuracy, % | seeds | training, s |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        runs = result["runs"]
        published = _published(result["published"], runs) if result["published"] else ""
        seeds = ", ".join(str(run["seed"]) for run in runs)
        seconds = f"{median(run['training_seconds'] for run in runs):.1f}"
        cells = (f"`{result['recipe']}`", published, _mean(runs, "test"), seeds, seconds)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _published(known: dict[str, Any], runs: Sequence[dict[str, Any]]) -> str:
    accuracy, part = f"{100 * known['accuracy']:.2f}", known["on"]
    if part == "test":
        return accuracy
    return f"{accuracy} on {part} images; here {_mean(runs, part)}"


def _mean(runs: Sequence[dict[str, Any]], part: str) -> str:
    accuracies = [100 * run[part]["accuracy"] for run in runs]
    spread = f" ± {stdev(accuracies):.2f}" if len(runs) > 1 else ""
    return f"{mean(accuracies):.2f}{spread}"
