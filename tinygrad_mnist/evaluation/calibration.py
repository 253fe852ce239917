"""Whether a model is as often right as it says: reliability bins and the expected calibration error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Bin(NamedTuple):
    """The predictions with a confidence in (low, high]: how many, their mean confidence, and the part that is right; None if empty."""

    low: float
    high: float
    predictions: int
    confidence: float | None
    accuracy: float | None


def reliability(probabilities: NDArray[Any], labels: NDArray[Any], bins: int = 15) -> list[Bin]:
    """Sort predictions into bins of equal width by confidence, the probability of the predicted class.

    Parameters
    ----------
    probabilities : ndarray, (n, classes)
        Of each class.
    labels : ndarray of int, (n,)
        The true classes.
    bins : int
        How many. Bins are open below and closed above, so a confidence of 1 lies in the last one; 0 in the first.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence) - 1, 0, bins - 1)
    found = []
    for i in range(bins):
        here = place == i
        means = (
            (float(confidence[here].mean()), float(right[here].mean()))
            if here.any()
            else (None, None)
        )
        found.append(Bin(float(edges[i]), float(edges[i + 1]), int(here.sum()), *means))
    return found


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """The mean over predictions of |accuracy - mean confidence| of their bin, in [0, 1].

    Naeini, Cooper, Hauskrecht: Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015.
    """
    gaps = [
        b.predictions * abs(b.accuracy - b.confidence)
        for b in bins
        if b.accuracy is not None and b.confidence is not None
    ]
    return sum(gaps) / max(sum(b.predictions for b in bins), 1)
