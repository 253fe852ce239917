"""Numbers that say how good predictions are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.data import minibatches, normalize

if TYPE_CHECKING:
    from numpy.typing import NDArray


def score(probabilities: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
    """Compare predicted probabilities with the truth.

    Parameters
    ----------
    probabilities : ndarray, (n, classes)
        Of each class; need not add up to 1.
    labels : ndarray of int, (n,)
        The true classes.

    Returns
    -------
    dict
        ``accuracy`` in [0, 1], counts ``correct`` and ``incorrect``, and ``cross_entropy``, the mean of
        -log(probability of the true class) in nats, without any penalty on weights.
    """
    correct = int((probabilities.argmax(axis=1) == labels).sum())
    p = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "accuracy": correct / len(labels),
        "correct": correct,
        "incorrect": len(labels) - correct,
        "cross_entropy": float(-np.log(np.maximum(p, np.finfo(np.float64).tiny)).mean()),
    }


def evaluate(model: Any, images: NDArray[Any], labels: NDArray[Any], how: str = "unit") -> dict[str, float]:
    """`score` of a model on images (n, 784), normalised as `how` says, a thousand at a time."""
    rows = minibatches(len(images), 1000)
    return score(np.concatenate([model.predict_proba(normalize(images[batch], how)) for batch in rows]), labels)
