"""The records of a training: one per epoch, the epoch under way, and the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinygrad_mnist import nn


@dataclass(frozen=True)
class Epoch:
    """The results of one pass over the training examples.

    Attributes
    ----------
    epoch : int
        From 1.
    loss, accuracy : float
        Means over the epoch's training batches, measured before each step, with dropout and without
        the L2 penalty.
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

    batch: int = 0  # the number of batches done
    loss_sum: float = 0.0  # over the examples of these batches
    correct: int = 0
    lr: float = 0.0  # of the last step
    seconds: float = 0.0  # of wall time


@dataclass(frozen=True)
class Result:
    """A trained model and the history of its training.

    Attributes
    ----------
    model : nn.Module
        The model with its final weights; after early stopping, the best ones.
    history : list of Epoch
        One entry per finished epoch.
    kept_epoch : int
        The epoch whose weights the model has.
    interrupted : str
        Where the training was stopped, or "".
    """

    model: nn.Module
    history: list[Epoch]
    kept_epoch: int
    interrupted: str

    def _repr_html_(self) -> str:
        from tinygrad_mnist.training.html import of_result

        return of_result(self)
