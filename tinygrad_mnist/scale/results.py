"""What a sweep has found: its trials as JSON and as a table, the best as a recipe, and figures."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from tinygrad_mnist.evaluation.figures import png
from tinygrad_mnist.evaluation.style import as_shipped
from tinygrad_mnist.files import write
from tinygrad_mnist.scale.figures import importance, parallel
from tinygrad_mnist.scale.space import changed, settings_of
from tinygrad_mnist.scale.trial import Ended
from tinygrad_mnist.training.recipe import ABOUT_MODEL, default_of
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import optuna
    from optuna.trial import FrozenTrial

    from tinygrad_mnist.scale.space import Space
    from tinygrad_mnist.training import Recipe

TRIALS, BEST = "trials.json", "best.toml"
MOST_SHOWN = 10
"""The most trials in the table."""


def counting(study: optuna.Study) -> list[FrozenTrial]:
    """The trials of a study, but for those that still wait, or that another has replaced."""
    every = study.get_trials(deepcopy=False)
    replaced = {trial.user_attrs.get("again") for trial in every}
    return [
        trial
        for trial in every
        if trial.state != TrialState.WAITING and trial.number not in replaced
    ]


def results_of(study: optuna.Study, recipe: Recipe) -> dict[str, Any]:
    """All that a sweep has found, as it is written to ``trials.json``.

    Returns
    -------
    dict
        The name of the ``recipe``; the ``trials``, each with its number as ``trial``, its
        ``settings`` as texts, the fields of `trial.Ended` (``how`` is running for one on another
        machine), and the accuracies after all its ``epochs``; the number of the ``best`` trial or
        None; and the ``importance`` of each setting: the part of the differences between finished
        trials that it explains. There is none if no two accuracies differ.
    """
    running = Ended("running")._asdict()
    trials = [
        {
            "trial": trial.number,
            "settings": settings_of(trial.params),
            **trial.user_attrs.get("ended", running),
            "epochs": list(trial.intermediate_values.values()),
        }
        for trial in counting(study)
    ]
    finished = ranked(trials)
    differ = len({trial["accuracy"] for trial in finished}) > 1
    return {
        "recipe": recipe.name,
        "trials": trials,
        "best": finished[0]["trial"] if finished else None,
        "importance": _importance(study) if differ else {},
    }


def ranked(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The finished trials, the most accurate first."""
    finished = [trial for trial in trials if trial["how"] == "finished"]
    return sorted(finished, key=lambda trial: -trial["accuracy"])


def _importance(study: optuna.Study) -> dict[str, float]:
    """The part of the variance of the accuracy that a forest of trees explains by each setting."""
    parts = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {key: float(part) for key, part in parts.items()}


def write_results(results: Mapping[str, Any], folder: Path, recipe: Recipe, space: Space) -> None:
    """Write the trials, and if one has finished, the best recipe and the figures.

    Raises
    ------
    WriteError
        If a file cannot be written.
    """
    write(folder / TRIALS, json.dumps(results, indent=1) + "\n")
    finished = ranked(results["trials"])
    if not finished:
        return
    others = [trial for trial in results["trials"] if trial not in finished]
    write(folder / BEST, best_recipe(results, recipe).to_toml())
    with as_shipped():
        write(folder / "parallel.png", png(parallel(finished, others, space)))
        if results["importance"]:
            write(folder / "importance.png", png(importance(results["importance"])))


def best_recipe(results: Mapping[str, Any], recipe: Recipe) -> Recipe:
    """The recipe of the best trial, with a name of its own and without published results."""
    best = ranked(results["trials"])[0]
    accuracy = 100 * best["accuracy"]
    described = {key: default_of(key) for key in ABOUT_MODEL} | {
        "name": f"{recipe.name[:55]}-best",
        "description": f"trial {best['trial']} of a sweep: {accuracy:.2f} % of the validation "
        f"images right after epoch {best['epoch']}",
    }
    return replace(changed(recipe, best["settings"]), **described)


def table(results: Mapping[str, Any]) -> list[str]:
    """The best trials as the lines of a Markdown table."""
    best = ranked(results["trials"])[:MOST_SHOWN]
    if not best:
        return []
    keys = list(best[0]["settings"])
    lines = [
        f"| trial | validation accuracy, % | {' | '.join(keys)} |",
        f"|{'---|' * (len(keys) + 2)}",
    ]
    for trial in best:
        values = [_short(text) for text in trial["settings"].values()]
        accuracy = f"{100 * trial['accuracy']:.2f}"
        lines.append(f"| {' | '.join((str(trial['trial']), accuracy, *values))} |")
    return lines


def _short(text: str) -> str:
    try:
        return text if text.isdecimal() else f"{float(text):.3g}"
    except ValueError:
        return text


def summary(results: Mapping[str, Any]) -> str:
    """How many trials there are, and how they ended, in one line."""
    ends = Counter(trial["how"] for trial in results["trials"])
    told = ", ".join(f"{number} {how}" for how, number in ends.most_common())
    return f"{counted(len(results['trials']), 'trial')}: {told or 'none begun'}."
