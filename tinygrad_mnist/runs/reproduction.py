"""Every recipe over several seeds: the only source of the accuracies that the pages quote."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.data import load_mnist
from tinygrad_mnist.runs.results import measure, open_test_set
from tinygrad_mnist.training.build import train
from tinygrad_mnist.training.recipe import RecipeError
from tinygrad_mnist.training.threads import blas_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tinygrad_mnist.training.recipe import Recipe


def reproduce(
    recipes: Iterable[Recipe],
    seeds: Sequence[int],
    report: Callable[[str], object] = lambda line: None,
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

    Raises
    ------
    RecipeError
        Before anything is trained, if there is no seed, or one comes twice or is not valid.

    Returns
    -------
    list of dict
        For each recipe its name as ``recipe``, its ``published`` result or None, and its ``runs``:
        the results of `measure`, one per seed.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise RecipeError(
            f"The seeds must be different numbers, at least one, but are {list(seeds)!r:.80}."
        )
    all_seeded = [(recipe, [replace(recipe, seed=seed) for seed in seeds]) for recipe in recipes]
    images, labels = load_mnist(None)
    results = []
    for recipe, every in all_seeded:
        runs = []
        for seeded in every:
            with blas_threads(seeded.threads):
                result = train(seeded, images, labels)
                run = measure(seeded, result, open_test_set(seeded, result))
            runs.append(run)
            accuracy, seconds = 100 * run["test"]["accuracy"], run["training_seconds"]
            report(f"{recipe.name}, seed {seeded.seed}: {accuracy:.2f} % in {seconds:.1f} s")
        published = _known(recipe) if recipe.published_in else None
        results.append({"recipe": recipe.name, "published": published, "runs": runs})
    return results


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
