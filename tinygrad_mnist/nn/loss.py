"""What a network is trained to make small."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.autodiff import Tensor, ops
from tinygrad_mnist.nn.module import Module


class CrossEntropyLoss(Module):
    """Mean over the examples of -log softmax(logits)[target]: softmax is part of the loss.

    Raises
    ------
    ValueError
        When the shapes are not (n, classes) and (n,), or a target is not a class.
    """

    def forward(self, logits: Any, target: Any) -> Tensor:
        """Logits (n, classes), class numbers (n,) -> one number."""
        target = target.data if isinstance(target, Tensor) else np.asarray(target)
        if logits.ndim != 2 or target.shape != logits.shape[:1]:
            raise ValueError(
                f"Cross-entropy takes logits (n, classes) and class numbers (n,), but was given {logits.shape} and {target.shape}."
            )
        if target.dtype.kind not in "iu" or (target.size and not 0 <= target.min() <= target.max() < logits.shape[1]):
            raise ValueError(f"Targets must be whole class numbers from 0 to {logits.shape[1] - 1}, but the first few are {target[:5]}.")
        return ops.cross_entropy(logits, target).mean()


class MSELoss(Module):
    """Mean over all elements of (input - target)^2.

    Raises
    ------
    ValueError
        When the shapes differ: broadcasting here is nearly always a mistake.
    """

    def forward(self, input: Any, target: Any) -> Tensor:
        """Two arrays of the same shape -> one number."""
        if input.shape != target.shape:
            raise ValueError(f"The input has shape {input.shape} but the target {target.shape}. Are class numbers to be one-hot rows?")
        return ops.squared_error(input, target).mean()
