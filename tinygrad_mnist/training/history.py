"""What is written down of a training: a row an epoch, the epoch under way, and the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinygrad_mnist import nn


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training examples came to.

    Attributes
    ----------
    epoch : int
        From 1.
    loss, accuracy : float
        Means over the epoch's training batches, as they were seen: with dropout, before each step,
        without L2 penalty.
    validation_loss, validation_accuracy : float
        On the held-out examples, after the epoch.
    lr : float
        The learning rate of the last step.
    seconds : float
        Wall time of the epoch, validation included.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    lr: float
    seconds: float


@dataclass
class UnderWay:
    """How far an epoch has come."""

    batch: int = 0  # how many are done
    loss_sum: float = 0.0  # over their examples
    correct: int = 0
    lr: float = 0.0  # of the last step
    seconds: float = 0.0  # of wall time


@dataclass(frozen=True)
class Result:
    """A trained model and how it came about.

    Attributes
    ----------
    model : nn.Module
        With the final weights: after early stopping the best ones.
    history : list of Epoch
        One entry a finished epoch.
    kept_epoch : int
        The epoch whose weights the model has.
    interrupted : str
        Where training was asked to stop, or "".
    """

    model: nn.Module
    history: list[Epoch]
    kept_epoch: int
    interrupted: str

    def _repr_html_(self) -> str:
        from tinygrad_mnist.training.html import of_result

        return of_result(self)
