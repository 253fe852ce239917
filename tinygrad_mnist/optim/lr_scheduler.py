"""Learning rates that change during training.

Call `step` after each epoch, or after each batch for OneCycleLR.
"""

from __future__ import annotations

from math import cos, inf, pi
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.optim.optimizer import Optimizer, check_mapping, number, python_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping


class LRScheduler:
    """Sets the ``lr`` of every group to `rate`, which each schedule defines.

    The rate is a function of the number of steps taken and of the first rate, which the groups
    keep as ``initial_lr``. If one optimizer has two schedules, the last one to step decides the
    rate; PyTorch's schedules would multiply.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                "A schedule changes the learning rate of an optimizer, but was given "
                f"a {type(optimizer).__name__}. Pass the optimizer itself: optim.SGD(...)."
            )
        self.optimizer = optimizer
        self.last_epoch = 0
        self._apply()

    def rate(self, step: int, initial_lr: float) -> float:
        """The learning rate after `step` steps."""
        raise NotImplementedError(f"{type(self).__name__} has no rate method.")

    def step(self) -> None:
        """Take one step."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The current learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The steps taken and the schedule's settings, in numbers.

        The learning rates are in the optimizer's `state_dict`.
        """
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from where `state_dict` was taken; on any error, nothing is changed.

        The optimizer is not changed: load its own `state_dict` too, or the rate changes only at
        the next `step`.

        Raises
        ------
        KeyError
            If the state belongs to another kind of schedule.
        TypeError
            If the state is not a mapping.
        """
        check_mapping(state_dict)
        own = self.state_dict().keys()
        if own != state_dict.keys():
            raise KeyError(
                f"The state_dict is not of a {type(self).__name__}: "
                f"missing {sorted(own - state_dict.keys())}, "
                f"unexpected {sorted(state_dict.keys() - own)}."
            )
        vars(self).update({name: python_numbers(value) for name, value in state_dict.items()})

    def _apply(self) -> None:
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = float(self.rate(self.last_epoch, group["initial_lr"]))


class StepLR(LRScheduler):
    """Multiply the learning rate by `gamma` every `step_size` steps.

    Raises ValueError if `step_size` is not positive.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = _steps(step_size, "step_size")
        self.gamma = _size(gamma, "gamma")
        super().__init__(optimizer)

    def rate(self, step: int, initial_lr: float) -> float:
        """initial_lr * gamma^floor(step / step_size)."""
        return initial_lr * self.gamma ** (step // self.step_size)


class ExponentialLR(LRScheduler):
    """Multiply the learning rate by `gamma` at each step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = _size(gamma, "gamma")
        super().__init__(optimizer)

    def rate(self, step: int, initial_lr: float) -> float:
        """initial_lr * gamma^step."""
        return initial_lr * self.gamma**step


class CosineAnnealingLR(LRScheduler):
    """Fall from the first learning rate to `eta_min` along half a cosine of `T_max` steps.

    Then rise again, and so on. Raises ValueError if `T_max` is not positive.

    References
    ----------
    Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5; the cosine continues where the paper
    restarts it.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = _steps(T_max, "T_max")
        self.eta_min = _size(eta_min, "eta_min")
        super().__init__(optimizer)

    def rate(self, step: int, initial_lr: float) -> float:
        """eta_min + (initial_lr - eta_min) (1 + cos(pi step / T_max)) / 2."""
        return _half_cosine(initial_lr, self.eta_min, step / self.T_max)


class OneCycleLR(LRScheduler):
    """Rise from max_lr / div_factor to max_lr, then fall to a tiny rate, along two half cosines.

    With `cycle_momentum`, momentum (for Adam: the first beta) moves the opposite way between
    `max_momentum` and `base_momentum`.

    Parameters
    ----------
    optimizer : Optimizer
        The optimizer whose groups are scheduled.
    max_lr : float
        The highest learning rate.
    total_steps : int, optional
        Number of optimizer steps of the whole training.
    epochs, steps_per_epoch : int, optional
        Their product is used for `total_steps` if that is not given.
    pct_start : float
        Fraction of the steps spent rising, below 1.
    cycle_momentum : bool
        Whether momentum moves too.
    base_momentum, max_momentum : float
        The range of momentum.
    div_factor : float
        max_lr / first learning rate.
    final_div_factor : float
        First / last learning rate.

    Raises
    ------
    ValueError
        If the number of steps is not given or not positive, or `pct_start` is out of range.

    References
    ----------
    Smith and Topin, "Super-convergence", 2018; the defaults are PyTorch's.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        *,
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        self.total_steps = _length(total_steps, epochs, steps_per_epoch)
        self.peak = _fraction(pct_start, "pct_start") * self.total_steps - 1
        first = _size(max_lr, "max_lr") / _divisor(div_factor, "div_factor")
        self.rates = (first, max_lr, first / _divisor(final_div_factor, "final_div_factor"))
        self.cycle_momentum = cycle_momentum
        highest = _fraction(max_momentum, "max_momentum")
        self.momenta = (highest, _fraction(base_momentum, "base_momentum"), highest)
        super().__init__(optimizer)

    def _cycle(self, step: int, start: float, middle: float, end: float) -> float:
        if step < self.peak:
            return _half_cosine(start, middle, step / self.peak)
        return _half_cosine(middle, end, (step - self.peak) / (self.total_steps - 1 - self.peak))

    def rate(self, step: int, initial_lr: float) -> float:
        """Raises ValueError past `total_steps`."""
        if step > self.total_steps:
            raise ValueError(
                f"This cycle ends with step {self.total_steps}, but was asked for step {step}. "
                "Was total_steps counted in epochs?"
            )
        return self._cycle(step, *self.rates)

    def _apply(self) -> None:
        super()._apply()
        if not self.cycle_momentum:
            return
        momentum = self._cycle(self.last_epoch, *self.momenta)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            else:
                group["momentum"] = momentum


def _half_cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2 * (1 + cos(pi * fraction))


def _steps(value: Any, name: str) -> int:
    claim = f"{name} must be a whole number, 1 or more"
    return int(number(value, claim, lambda steps: steps >= 1 and steps % 1 == 0))


def _length(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    if total_steps is not None:
        return _steps(total_steps, "total_steps")
    if epochs is None or steps_per_epoch is None:
        raise ValueError(
            "A cycle needs to know its length: pass total_steps, or epochs and steps_per_epoch."
        )
    return _steps(epochs, "epochs") * _steps(steps_per_epoch, "steps_per_epoch")


def _size(value: Any, name: str) -> Any:
    return number(value, f"{name} must be a finite number, 0 or more", lambda x: 0 <= x < inf)


def _divisor(value: Any, name: str) -> Any:
    return number(value, f"{name} must be a finite number above 0", lambda x: 0 < x < inf)


def _fraction(value: Any, name: str) -> Any:
    return number(value, f"{name} must be a number from 0 up to below 1", lambda x: 0 <= x < 1)
