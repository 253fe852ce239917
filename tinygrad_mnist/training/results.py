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


def reproduce(
    recipes: Iterable[Recipe],
    seeds: Sequence[int],
    report: Callable[[str], object] = lambda line: None,
) -> list[dict[str, Any]]:
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
        For each recipe its name as ``recipe``, what is ``published`` of it, or None, and its ``runs``: what `measure`
        says, a seed after the other.
    """
    images, labels = load_mnist(None)
    results = []
    for recipe in recipes:
        runs = []
        for seed in seeds:
            seeded = replace(recipe, seed=seed)
            result = train(seeded, images, labels)
            runs.append(measure(seeded, result, open_test_set(seeded, result)))
            report(
                f"{recipe.name}, seed {seed}: {100 * runs[-1]['test']['accuracy']:.2f} % in {runs[-1]['training_seconds']:.1f} s"
            )
        known = {
            "accuracy": 1 - recipe.published_error / 100,
            "on": recipe.published_on,
            "in": recipe.published_in,
        }
        results.append(
            {
                "recipe": recipe.name,
                "published": known if recipe.published_in else None,
                "runs": runs,
            }
        )
    return results


def table(results: Iterable[dict[str, Any]]) -> str:
    """The results as a Markdown table: what is published, mean ± standard deviation over the seeds, median time."""
    lines = [
        "| recipe | published, % | test accuracy, % | seeds | training, s |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        runs = result["runs"]
        published = _published(result["published"], runs) if result["published"] else ""
        seeds = ", ".join(str(run["seed"]) for run in runs)
        seconds = median(run["training_seconds"] for run in runs)
        lines.append(
            f"| `{result['recipe']}` | {published} | {_mean(runs, 'test')} | {seeds} | {seconds:.1f} |"
        )
    return "\n".join(lines)


def _published(known: dict[str, Any], runs: Sequence[dict[str, Any]]) -> str:
    where = (
        ""
        if known["on"] == "test"
        else f" on {known['on']} images; here {_mean(runs, known['on'])}"
    )
    return f"{100 * known['accuracy']:.2f}{where}"


def _mean(runs: Sequence[dict[str, Any]], part: str) -> str:
    accuracies = [100 * run[part]["accuracy"] for run in runs]
    spread = f" ± {stdev(accuracies):.2f}" if len(runs) > 1 else ""
    return f"{mean(accuracies):.2f}{spread}"
