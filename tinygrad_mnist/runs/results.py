"""The files that are written when a training is done: measures, weights, figures and reports."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tinygrad_mnist import nn
from tinygrad_mnist.autodiff import program
from tinygrad_mnist.data import DataError, normalize
from tinygrad_mnist.evaluation import (
    Predictions,
    Subject,
    examine,
    figures,
    html_report,
    model_card,
    predict,
    score,
    to_markdown,
)
from tinygrad_mnist.export import write_npz, write_safetensors
from tinygrad_mnist.nn.module import evaluating
from tinygrad_mnist.runs import checkpoint
from tinygrad_mnist.runs.entries import (
    HISTORY,
    METRICS,
    make_figures,
    not_numbers,
    read_json,
    refuse_links,
    write,
)
from tinygrad_mnist.runs.environment import environment
from tinygrad_mnist.runs.sets import Sets, test_set
from tinygrad_mnist.training.build import build_loss
from tinygrad_mnist.training.recipe import OF_MODEL, OF_OPTIMIZER, OPTIONS, default_of

if TYPE_CHECKING:
    from pathlib import Path

    from tinygrad_mnist.runs.about import About
    from tinygrad_mnist.training.history import Result
    from tinygrad_mnist.training.recipe import Recipe


NUMBERS = {"epochs": int, "parameters": int, "training_seconds": float}
SCORES = {"accuracy": float, "correct": int, "incorrect": int, "cross_entropy": float}
"""Keys that ``metrics.json`` must have for a finished training, and under ``test``."""


def write_results(
    folder: Path, recipe: Recipe, about: About, result: Result, sets: Sets | None
) -> dict[str, Any]:
    """Open the test set and write the results of the training.

    ``metrics.json`` is written last, to show that everything is there.

    Returns
    -------
    dict
        The content of ``metrics.json``.
    """
    refuse_links(folder)
    test = open_test_set(recipe, result, sets)
    own = {"files": sets.files, "images": len(sets.train)} if sets else {}
    metrics = measure(recipe, result, test) | own
    if test is not None:
        metrics["test"] = examine(test.probabilities, test.labels, about.classes)
    history = [asdict(epoch) for epoch in result.history]
    write(folder / HISTORY, json.dumps(history, indent=1) + "\n")
    if isinstance(result.model, nn.MLP):
        write(folder / "weights.npz", lambda file: write_npz(result.model, file))
    content = {"recipe": asdict(recipe), "trained": about.table}
    write(
        folder / "model.safetensors",
        lambda file: write_safetensors(result.model, file, content),
    )
    if test is not None:
        present(folder, recipe, about, result, metrics, test)
    write(folder / METRICS, json.dumps(metrics, indent=1) + "\n")
    if test is not None:
        checkpoint.drop_previous(folder)
    return metrics


def read_metrics(folder: Path, recipe: Recipe) -> dict[str, Any]:
    """The content of ``metrics.json``, which `write_results` wrote at the end of a training.

    Raises
    ------
    DataError
        If it is missing or damaged, or was changed to something that is not valid.
    """
    path = folder / METRICS
    metrics = read_json(path, "the results of a run")
    if wrong := _wrong(metrics, recipe):
        raise DataError(
            f"{path}: not what this training wrote: {wrong} makes no sense. "
            "Remove it: --resume writes it anew."
        )
    return metrics | {"test": metrics.get("test")}


def _wrong(metrics: Any, recipe: Recipe) -> str:
    """The first entry of ``metrics.json`` that a training by the recipe cannot have written."""
    if not isinstance(metrics, dict):
        return "all of it"
    if metrics.get("recipe") != recipe.name:
        return "recipe"
    test = metrics.get("test")
    return not_numbers(metrics, NUMBERS) or ("" if test is None else not_numbers(test, SCORES))


def open_test_set(recipe: Recipe, result: Result, sets: Sets | None = None) -> Predictions | None:
    """The predictions for the test set, opened once; None if the training was interrupted."""
    if result.interrupted:
        return None
    test = test_set(sets)
    classifier = nn.Classifier(result.model)
    return Predictions(test.images, test.labels, predict(classifier, test.images, recipe.normalize))


def measure(recipe: Recipe, result: Result, test: Predictions | None) -> dict[str, Any]:
    """The content of ``metrics.json``: accuracies, losses, time and size of a training."""
    kept = result.history[result.kept_epoch - 1] if result.kept_epoch else None
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "interrupted": result.interrupted,
        "parameters": sum(p.size for p in result.model.parameters()),
        "epochs": len(result.history),
        "kept_epoch": result.kept_epoch,
        "training_seconds": round(sum(epoch.seconds for epoch in result.history), 3),
        "training": kept and {"accuracy": kept.accuracy, "loss": kept.loss},
        "validation": kept and {"accuracy": kept.validation_accuracy, "loss": kept.validation_loss},
        "test": test and score(test.probabilities, test.labels),
    }


def present(
    folder: Path,
    recipe: Recipe,
    about: About,
    result: Result,
    metrics: dict[str, Any],
    test: Predictions,
) -> None:
    """Write the files for people to read: figures, report, model card."""
    values, where = settings_of(recipe), environment(recipe.threads)
    own = {key: about.sum_of(key, reference) for key, reference in recipe.own.items()}
    model = type(result.model).__name__
    subject = Subject(about.shape, about.classes, own, model, repr(result.model))
    history = [asdict(epoch) for epoch in result.history]
    classifier = nn.Classifier(result.model)
    pictures = figures.draw(classifier, recipe.normalize, history, metrics, test, subject)
    place = make_figures(folder)
    for name, png in pictures.items():
        write(place / f"{name}.png", png)
    listing = listing_of(recipe, result.model, test)
    write(folder / "report.html", html_report(values, metrics, where, pictures, subject, listing))
    card = model_card(values, metrics, where, subject)
    write(folder / "model_card.json", json.dumps(card, indent=1) + "\n")
    write(folder / "MODEL_CARD.md", to_markdown(card))


def listing_of(recipe: Recipe, model: nn.Module, test: Predictions) -> str:
    """The trained network as a program, for one batch; "" if a network of your own has none.

    Its ops may work on arrays only, for example, and a report must not fail because of that.
    """
    x, y = (part[: recipe.batch_size] for part in (test.images, test.labels))
    try:
        with evaluating(model):
            loss = build_loss(recipe, test.probabilities.shape[1])
            return str(program(loss, model, normalize(x, recipe.normalize), y))
    except Exception:  # your own code may raise anything
        if "model" in recipe.own:
            return ""
        raise


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """The values of a recipe, without keys that its network and optimizer do not have."""
    values = asdict(recipe)
    absent = [table for table in OPTIONS.values() if not values[table]]
    if "model" in recipe.own:
        absent += OF_MODEL
    if "optimizer" in recipe.own:  # it receives only values that differ from the default
        absent += [key for key in OF_OPTIMIZER if values[key] == default_of(key)]
    return {key: value for key, value in values.items() if key not in absent}
