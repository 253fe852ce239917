"""The wrong answers that a model is surest about: hard images, or doubtful labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def most_confident_mistakes(
    probabilities: NDArray[Any], labels: NDArray[Any], count: int = 25
) -> NDArray[np.intp]:
    """Row numbers of wrong predictions, the most confident first, at most `count`.

    Shapes: (n, classes), (n,) -> (mistakes,).
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:count]
