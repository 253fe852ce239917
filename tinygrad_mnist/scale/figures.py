"""Pictures of a sweep: which setting matters, and which values go together in good trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tinygrad_mnist.evaluation.figures import BLUE, GREY, ORANGE, WIDTH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution

    from tinygrad_mnist.scale.space import Space

LEAST_ERROR = 1e-2
"""Fewer errors, in percent, are drawn as these: no logarithm has a 0."""
BETWEEN_AXES = 1.2
"""In inches."""


def importance(importances: Mapping[str, float]) -> Figure:
    """A bar for each setting: the part of the differences between the trials that it explains."""
    from matplotlib.figure import Figure

    names = list(importances)[::-1]
    values = [100 * importances[name] for name in names]
    figure = Figure((WIDTH, 0.9 + 0.35 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(names, values, color=BLUE, height=0.6)
    axes.bar_label(bars, fmt="{:.0f} %", padding=4)
    axes.set(xlabel="importance, %", xlim=(0, 1.15 * max(*values, 1)))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def parallel(
    finished: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], space: Space
) -> Figure:
    """Each trial as a line through its settings to its error on the validation images.

    The fewer errors, the darker the line. Lines of trials that did not finish are dotted, and end
    before the last axis.

    Parameters
    ----------
    finished, others : sequence of dict
        Trials as in the results of a sweep. Of those that finished there is at least one, and the
        best is first.
    space : dict of BaseDistribution
        What the sweep varies.
    """
    from matplotlib.figure import Figure

    figure = Figure((max(WIDTH, BETWEEN_AXES * (len(space) + 1)), 3.6), layout="constrained")
    axes = figure.add_subplot()
    errors = [max(100 * (1 - trial["accuracy"]), LEAST_ERROR) for trial in finished]
    scale = FloatDistribution(0.9 * min(errors), 1.1 * max(errors), log=True)
    heights = 1 - _places(scale, errors)  # the fewer, the higher
    for trial in others:
        axes.plot(_line(trial, space), color=GREY, lw=0.6, ls=":")
    for trial, height in [*zip(finished, heights, strict=True)][::-1]:
        line = [*_line(trial, space), height]
        if trial is finished[0]:
            axes.plot(line, color=ORANGE, lw=2.2)
        else:
            axes.plot(line, color=BLUE, alpha=0.2 + 0.8 * height, lw=1)
    for x, distribution in enumerate(space.values()):
        ticks = _ticks(distribution)
        _draw_axis(axes, x, ticks, _places(distribution, ticks))
    _draw_axis(axes, len(space), _ticks(scale), 1 - _places(scale, _ticks(scale)))
    axes.set_xticks(range(len(space) + 1), [*space, "error, %"])
    axes.set(yticks=[], xlim=(-0.1, len(space) + 0.35), ylim=(-0.04, 1.06))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _explain(axes)
    return figure


def _draw_axis(axes: Axes, x: int, labels: Sequence[str], places: NDArray[Any]) -> None:
    axes.axvline(x, color=GREY, lw=0.8)
    ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5}
    for label, y in zip(labels, places, strict=True):
        axes.text(x + 0.02, y + 0.015, label, fontsize=8, bbox=ground, zorder=3)


def _explain(axes: Axes) -> None:
    """A legend above."""
    lines = {"best": (ORANGE, "-"), "finished": (BLUE, "-"), "ended early": (GREY, ":")}
    for label, (color, style) in lines.items():
        axes.plot([], [], color=color, ls=style, label=label)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)


def _line(trial: Mapping[str, Any], space: Space) -> list[float]:
    """Where the settings of a trial are on their axes."""
    return [_places(space[key], [text])[0] for key, text in trial["settings"].items()]


def _places(
    distribution: BaseDistribution, values: Sequence[str] | Sequence[float]
) -> NDArray[Any]:
    """Where values, or texts of them, are on an axis from 0 to 1."""
    if isinstance(distribution, CategoricalDistribution):
        indices = [distribution.choices.index(value) for value in values]
        return (np.array(indices) + 0.5) / len(distribution.choices)
    numbers = np.array([distribution.low, distribution.high, *map(float, values)])
    low, high, *places = np.log(numbers) if distribution.log else numbers
    return (np.array(places) - low) / (high - low)


def _ticks(distribution: BaseDistribution) -> list[str]:
    """Labels of an axis: the choices, or both ends of a range and what is in the middle."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    spaced = np.geomspace if distribution.log else np.linspace
    numbers = spaced(distribution.low, distribution.high, 3)
    if isinstance(distribution, IntDistribution):
        return [str(round(number)) for number in numbers]
    return [f"{number:.3g}" for number in numbers]
