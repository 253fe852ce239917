"""Learning rates that change during training. Call `step` after each epoch, or after each batch for OneCycleLR."""

from __future__ import annotations

from math import cos, pi
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinygrad_mnist.optim.optimizer import Optimizer


class LRScheduler:
    """Sets every group's ``lr`` to `rate` of the steps taken so far; a schedule defines `rate`."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.last_epoch = 0
        self._apply()

    def rate(self, step: int, initial_lr: float) -> float:
        """The learning rate after `step` steps."""
        raise NotImplementedError(f"{type(self).__name__} has no rate method.")

    def step(self) -> None:
        """Move on by one step."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The current learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def _apply(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.last_epoch, group["initial_lr"])


class ExponentialLR(LRScheduler):
    """Multiply the learning rate by `gamma` at each step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, step: int, initial_lr: float) -> float:
        """initial_lr * gamma^step."""
        return initial_lr * self.gamma**step


class OneCycleLR(LRScheduler):
    """Rise from max_lr / div_factor to max_lr, then fall to a tiny rate, along two half cosines.

    With `cycle_momentum`, momentum (for Adam: the first beta) moves the opposite way between
    `max_momentum` and `base_momentum`.

    Parameters
    ----------
    optimizer : Optimizer
        Whose groups are scheduled.
    max_lr : float
        The highest learning rate.
    total_steps : int
        Number of optimizer steps of the whole training.
    pct_start : float
        Fraction of the steps spent rising.
    cycle_momentum : bool
        Whether momentum moves too.
    base_momentum, max_momentum : float
        Its range.
    div_factor : float
        max_lr / first learning rate.
    final_div_factor : float
        First / last learning rate.

    References
    ----------
    Smith and Topin, "Super-convergence", 2018; the defaults are PyTorch's.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        if not 0 < pct_start < 1 or total_steps < 1:
            raise ValueError(f"A cycle needs total_steps >= 1 and 0 < pct_start < 1, but was given {total_steps} and {pct_start}.")
        self.total_steps = total_steps
        self.peak = pct_start * total_steps - 1
        self.rates = (max_lr / div_factor, max_lr, max_lr / div_factor / final_div_factor)
        self.momenta = (max_momentum, base_momentum, max_momentum) if cycle_momentum else None
        super().__init__(optimizer)

    def _cycle(self, step: int, start: float, middle: float, end: float) -> float:
        if step < self.peak:
            return _half_cosine(start, middle, step / self.peak)
        return _half_cosine(middle, end, (step - self.peak) / (self.total_steps - 1 - self.peak))

    def rate(self, step: int, initial_lr: float) -> float:
        """Raises ValueError past `total_steps`."""
        if step > self.total_steps:
            raise ValueError(f"This cycle has {self.total_steps} steps, but was asked for step {step}. Was total_steps counted in epochs?")
        return self._cycle(step, *self.rates)

    def _apply(self) -> None:
        super()._apply()
        if self.momenta is None:
            return
        momentum = self._cycle(self.last_epoch, *self.momenta)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            else:
                group["momentum"] = momentum


def _half_cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2 * (1 + cos(pi * fraction))
