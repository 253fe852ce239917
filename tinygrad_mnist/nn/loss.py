"""Loss functions: the number that training makes small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinygrad_mnist.nn import arguments
from tinygrad_mnist.nn import functional as F
from tinygrad_mnist.nn.module import Module

if TYPE_CHECKING:
    from tinygrad_mnist.autodiff import Tensor


class CrossEntropyLoss(Module):
    """-log softmax(logits)[target], averaged over the examples: softmax is part of the loss.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        How the losses of the examples are combined.
    label_smoothing : float
        Share of each label, 0 to 1, that is spread evenly over all classes.

    Raises
    ------
    ValueError
        If a setting is not allowed; when called, as for `functional.cross_entropy`.
    """

    def __init__(self, *early: Any, reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__(*early)
        self.reduction = arguments.reduction(reduction)
        self.label_smoothing = arguments.smoothing(label_smoothing)

    def forward(self, input: Any, target: Any) -> Tensor:
        """Logits (n, classes), class numbers (n,) -> one number, or with "none" (n,)."""
        return F.cross_entropy(
            input, target, reduction=self.reduction, label_smoothing=self.label_smoothing
        )


class MSELoss(Module):
    """(input - target)^2, averaged over all elements.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        How the squares are combined.

    Raises
    ------
    ValueError
        If `reduction` is not allowed; when called, as for `functional.mse_loss`.
    """

    def __init__(self, *early: Any, reduction: str = "mean") -> None:
        super().__init__(*early)
        self.reduction = arguments.reduction(reduction)

    def forward(self, input: Any, target: Any) -> Tensor:
        """Two arrays of the same shape -> one number, or with "none" that shape."""
        return F.mse_loss(input, target, reduction=self.reduction)
