"""Whether a model is right as often as it claims: reliability bins, expected calibration error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]


class Bin(NamedTuple):
    """The predictions with a confidence in (low, high]."""

    low: float
    high: float
    predictions: int  # their number
    confidence: float | None  # their mean confidence; None if there are no predictions
    accuracy: float | None  # the fraction that is right; None if there are no predictions


def reliability(probabilities: Array, labels: Array, bins: int = 15) -> list[Bin]:
    """Sort predictions into bins of equal width by confidence.

    The confidence is the probability of the predicted class.

    Parameters
    ----------
    probabilities : ndarray, (n, classes)
        The probability of each class.
    labels : ndarray of int, (n,)
        The true classes.
    bins : int
        The number of bins. Bins are open below and closed above, so a
        confidence of 1 belongs to the last one. 0 belongs to the first.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence) - 1, 0, bins - 1)
    found = []
    for i in range(bins):
        here = place == i
        count, low, high = int(here.sum()), float(edges[i]), float(edges[i + 1])
        if count:
            means = float(confidence[here].mean()), float(right[here].mean())
            found.append(Bin(low, high, count, *means))
        else:
            found.append(Bin(low, high, 0, None, None))
    return found


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """The mean of |accuracy - mean confidence| over the bins, weighted by their predictions.

    Naeini, Cooper, Hauskrecht: Obtaining Well Calibrated Probabilities Using
    Bayesian Binning, AAAI 2015.
    """
    gaps = [
        b.predictions * abs(b.accuracy - b.confidence)
        for b in bins
        if b.accuracy is not None and b.confidence is not None
    ]
    return sum(gaps) / max(sum(b.predictions for b in bins), 1)
