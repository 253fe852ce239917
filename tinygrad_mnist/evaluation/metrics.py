"""Measures of how good predictions are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.data import class_numbers, minibatches, normalize
from tinygrad_mnist.evaluation.calibration import expected_calibration_error, reliability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_CROSSED = 500
"""With more classes, the confusion matrix is not written down: it would be too long.
"""


class Predictions(NamedTuple):
    """Images (n, pixels), their true classes (n,), and a model's probabilities (n, classes)."""

    images: NDArray[Any]
    labels: NDArray[Any]
    probabilities: NDArray[Any]


def predict(model: Any, images: NDArray[Any], how: str = "unit") -> NDArray[Any]:
    """The probability of each class, computed in batches: (n, pixels) -> (n, classes).

    Parameters
    ----------
    model : object
        Has ``predict_proba``, as the networks of both derivations do.
    images : ndarray, (n, pixels)
        Bytes or floats.
    how : {"unit", "seed", "standardize"}
        The normalisation the model was trained with, see `tinygrad_mnist.data.normalize`.
    """
    batches = minibatches(len(images), 1000)
    found = [model.predict_proba(normalize(images[rows], how)) for rows in batches]
    return np.concatenate(found)


def score(probabilities: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
    """Compare predicted probabilities with the truth.

    Parameters
    ----------
    probabilities : ndarray, (n, classes)
        The probability of each class; they need not add up to 1.
    labels : ndarray of int, (n,)
        The true classes.

    Returns
    -------
    dict
        ``accuracy`` in [0, 1], counts ``correct`` and ``incorrect``, and ``cross_entropy``, the
        mean of -log(probability of the true class) in nats, without any penalty on weights. A
        probability of 0 counts as the smallest positive number of the dtype.
    """
    labels = class_numbers(labels, probabilities.shape[1])
    correct = int((probabilities.argmax(axis=1) == labels).sum())
    p = probabilities[np.arange(len(labels)), labels]
    # Rounding gives probabilities above 1, whose -log is negative; and -log(1) is -0.
    within = np.clip(p, np.finfo(p.dtype).smallest_subnormal, 1).astype(np.float64)
    return {
        "accuracy": correct / len(labels),
        "correct": correct,
        "incorrect": len(labels) - correct,
        "cross_entropy": 0.0 - float(np.log(within).mean()),
    }


def confusion_matrix(
    predicted: NDArray[Any], labels: NDArray[Any], classes: int = 10
) -> NDArray[np.intp]:
    """How often each class (row) was read as each (column): (n,), (n,) -> (classes, classes)."""
    labels, predicted = class_numbers(labels, classes), class_numbers(predicted, classes)
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def classification_report(
    confusion: NDArray[Any], classes: Sequence[str] | None = None
) -> dict[str, Any]:
    """Precision, recall and F1 of every class, and their averages.

    Precision is the fraction of the images read as a class that belong to it, recall the fraction
    of the images of a class that were read as it; F1 = 2 precision recall / (precision + recall).
    0 / 0 counts as 0.

    Parameters
    ----------
    confusion : ndarray of int, (classes, classes)
        As returned by `confusion_matrix`.
    classes : sequence of str, optional
        Their names; by default their numbers.

    Returns
    -------
    dict
        ``per_class``, a list of dicts with ``class, precision, recall, f1, support``; ``macro`` and
        ``weighted``, dicts with the means of ``precision, recall, f1`` over classes, unweighted or
        weighted by support.
    """
    return _report(confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0), classes)


def _report(
    hits: NDArray[Any],
    support: NDArray[Any],
    read_as: NDArray[Any],
    classes: Sequence[str] | None,
) -> dict[str, Any]:
    """The report, from counts per class: images rightly read, in the class, and read as it."""
    measures = {
        "precision": hits / np.maximum(read_as, 1),
        "recall": hits / np.maximum(support, 1),
        "f1": 2 * hits / np.maximum(read_as + support, 1),
    }
    columns = measures | {"support": support}
    per_class = [
        {"class": name} | {key: values[c].item() for key, values in columns.items()}
        for c, name in enumerate(classes or range(len(hits)))
    ]
    images = max(support.sum(), 1)
    return {
        "per_class": per_class,
        "macro": {name: float(values.mean()) for name, values in measures.items()},
        "weighted": {name: float(values @ support / images) for name, values in measures.items()},
    }


def evaluate(
    model: Any, images: NDArray[Any], labels: NDArray[Any], how: str = "unit"
) -> dict[str, float]:
    """The `score` of a model's predictions; arguments are as for `predict`."""
    return score(predict(model, images, how), labels)


def examine(
    probabilities: NDArray[Any], labels: NDArray[Any], classes: Sequence[str] | None = None
) -> dict[str, Any]:
    """Every measure of predictions, as a dict that is ready for JSON.

    Parameters and first entries are those of `score`. They are followed by ``ece`` and
    ``reliability`` (see `calibration`), the entries of `classification_report` with the names of
    the classes if they are given, the ten most frequent ``confusions``, and ``confusion_matrix``,
    which is left out if there are more than 500 classes.
    """
    count = probabilities.shape[1]
    labels, predicted = class_numbers(labels, count), probabilities.argmax(axis=1)
    bins = reliability(probabilities, labels)
    found = {
        **score(probabilities, labels),
        "ece": expected_calibration_error(bins),
        **_report(
            np.bincount(labels[predicted == labels], minlength=count),
            np.bincount(labels, minlength=count),
            np.bincount(predicted, minlength=count),
            classes,
        ),
        "confusions": _confusions(predicted, labels, classes),
        "reliability": [b._asdict() for b in bins],
    }
    if count <= MOST_CROSSED:
        found["confusion_matrix"] = confusion_matrix(predicted, labels, count).tolist()
    return found


def _confusions(
    predicted: NDArray[Any], labels: NDArray[Any], classes: Sequence[str] | None, most: int = 10
) -> list[dict[str, Any]]:
    """The most frequent confusions: a class, the class it was read as, and how often."""
    wrong = predicted != labels
    pairs = np.stack((labels[wrong], predicted[wrong]), axis=1)
    pairs, counts = np.unique(pairs, axis=0, return_counts=True)
    first = np.argsort(-counts, kind="stable")[:most]
    return [
        {
            "class": classes[label] if classes else int(label),
            "read_as": classes[guess] if classes else int(guess),
            "images": int(count),
        }
        for (label, guess), count in zip(pairs[first], counts[first], strict=True)
    ]
