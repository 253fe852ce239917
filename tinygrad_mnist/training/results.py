"""Every recipe over several seeds: the only source of the accuracies that the documentation quotes."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.data import load_mnist
from tinygrad_mnist.training.loop import train
from tinygrad_mnist.training.runs import measure, open_test_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tinygrad_mnist.training.recipe import Recipe


def reproduce(recipes: Iterable[Recipe], seeds: Sequence[int], report: Callable[[str], object] = lambda line: None) -> list[dict[str, Any]]:
    """Train each recipe with each seed, and look at the test set once a training.

    Parameters
    ----------
    recipes : iterable of Recipe
        What to train; their own seeds are replaced.
    seeds : sequence of int
        At least one.
    report : callable
        Given a line of text after each training.

    Returns
    -------
    list of dict
        For each recipe its name as ``recipe`` and its ``runs``: what `measure` says, a seed after the other.
    """
    images, labels = load_mnist(None)
    results = []
    for recipe in recipes:
        runs = []
        for seed in seeds:
            seeded = replace(recipe, seed=seed)
            result = train(seeded, images, labels)
            runs.append(measure(seeded, result, open_test_set(seeded, result)))
            report(f"{recipe.name}, seed {seed}: {100 * runs[-1]['test']['accuracy']:.2f} % in {runs[-1]['training_seconds']:.1f} s")
        results.append({"recipe": recipe.name, "runs": runs})
    return results


def table(results: Iterable[dict[str, Any]]) -> str:
    """The results as a Markdown table: mean ± standard deviation over the seeds, median time."""
    lines = ["| recipe | test accuracy, % | seeds | training, s |", "|---|---|---|---|"]
    for result in results:
        runs = result["runs"]
        accuracies = [100 * run["test"]["accuracy"] for run in runs]
        spread = f" ± {stdev(accuracies):.2f}" if len(runs) > 1 else ""
        seeds = ", ".join(str(run["seed"]) for run in runs)
        seconds = median(run["training_seconds"] for run in runs)
        lines.append(f"| `{result['recipe']}` | {mean(accuracies):.2f}{spread} | {seeds} | {seconds:.1f} |")
    return "\n".join(lines)
