"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinygrad_mnist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinygrad_mnist.autodiff import Tensor
    from tinygrad_mnist.autodiff.variable import Array


class SGD(Optimizer):
    """Step along the negative gradient, with a velocity v.

    First ``v = momentum * v + (1 - dampening) * g``, then ``p = p - lr * v``. Here g is the
    gradient plus weight_decay * p. The first step has v = g. With Nesterov the step is along
    g + momentum * v. The formulas are PyTorch's.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with their own settings.
    lr : float
        Learning rate.
    momentum : float
        The fraction of the last velocity that is kept.
    dampening : float
        The fraction of the gradient that is kept out of the velocity.
    weight_decay : float
        Adds weight_decay * p to the gradient: the derivative of weight_decay/2 * sum(p^2).
    nesterov : bool
        Look ahead along the velocity. Needs momentum and no dampening.

    Raises
    ------
    ValueError
        If a setting is out of range, or `nesterov` has nothing to look ahead along.

    References
    ----------
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML
    2013.
    """

    remembers: ClassVar = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        settings = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, settings)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError(
                "Nesterov looks ahead along the velocity: it needs momentum > 0 and dampening = 0."
            )

    def update(self, p: Tensor, g: Array, group: dict[str, Any], state: dict[str, Any]) -> None:
        """The velocity, then a step along it."""
        momentum = group["momentum"]
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p.data
        if momentum:
            if "momentum_buffer" in state:
                v = state["momentum_buffer"]
                v *= momentum
                v += (1 - group["dampening"]) * g if group["dampening"] else g
            else:
                v = state["momentum_buffer"] = np.array(g)
            g = g + momentum * v if group["nesterov"] else v
        p.data -= group["lr"] * g
