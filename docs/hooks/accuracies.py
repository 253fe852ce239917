"""What `tinygrad-mnist reproduce` has measured, for the pages: a number, a table and a chart."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from figures import BLUE, ORANGE, subplots, svg

MEASURED = Path(__file__).parent.parent.parent / "artifacts" / "results.json"
CAPTION = (
    "Each small dot is a training with a seed of its own, and the bar their mean. A diamond is the "
    "published result for the same network, if it was measured on the test images as well. The "
    "axis is logarithmic: a step to the left removes the same share of the errors everywhere."
)


def measured() -> list[dict[str, Any]]:
    """All recipes with their trainings, the most accurate first."""
    results = json.loads(MEASURED.read_text(encoding="utf-8"))
    return sorted(results, key=lambda result: -mean(accuracies(result)))


def accuracies(result: dict[str, Any], part: str = "test") -> list[float]:
    """Of the trainings of a recipe, in percent."""
    return [100 * run[part]["accuracy"] for run in result["runs"]]


def accuracy(recipe: str) -> str:
    """The mean test accuracy of a recipe, as in "98.38 %"."""
    for result in measured():
        if result["recipe"] == recipe:
            return f"{mean(accuracies(result)):.2f} %"
    raise LookupError(f"artifacts/results.json has no {recipe!r}.")


def table() -> str:
    """All recipes as a Markdown table."""
    lines = [
        "| recipe | test accuracy, % | published, % | parameters | training, s |",
        "|---|--:|---|--:|--:|",
    ]
    for result in measured():
        runs = result["runs"]
        cells = [
            f"`{result['recipe']}`",
            spread(accuracies(result)),
            published(result),
            f"{runs[0]['parameters']:,}",
            f"{median(run['training_seconds'] for run in runs):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """The mean and the standard deviation."""
    return f"{mean(values):.2f} ± {stdev(values):.2f}"


def published(result: dict[str, Any]) -> str:
    """What others got; if not on the test images, beside what we get on the same images."""
    known = result["published"]
    if not known:
        return ""
    theirs, part = f"{100 * known['accuracy']:.2f}", known["on"]
    if part == "test":
        return theirs
    return f"{theirs} on {part} images; here {spread(accuracies(result, part))}"


def chart() -> str:
    """The test errors of all recipes, as an HTML figure."""
    results = measured()
    figure, axes = subplots(1, 1, width=4.6, height=0.26 * len(results) + 0.8)
    for row, result in enumerate(reversed(results)):
        errors = [100 - value for value in accuracies(result)]
        axes.plot(errors, [row] * len(errors), "o", color=BLUE, alpha=0.5, markersize=4)
        axes.plot(mean(errors), row, "|", color=BLUE, markersize=14)
        known = result["published"]
        if known and known["on"] == "test":
            theirs = 100 - 100 * known["accuracy"]
            axes.plot(theirs, row, "D", color=ORANGE, fillstyle="none", markersize=6)
    axes.set_xscale("log")
    ticks = [0.5, 1, 2, 5, 10, 20, 50]
    axes.set_xticks(ticks, [f"{tick:g} %" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(results)), [result["recipe"] for result in reversed(results)])
    axes.grid(axis="x", alpha=0.25)
    axes.set_xlabel("test images read wrongly")
    best, worst = results[0], results[-1]
    label = (
        f"Test errors of {len(results)} recipes, from {100 - mean(accuracies(best)):.2f} % of "
        f"{best['recipe']} to {100 - mean(accuracies(worst)):.1f} % of {worst['recipe']}."
    )
    return svg(figure, label, caption=CAPTION)
