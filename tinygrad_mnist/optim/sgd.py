"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from collections.abc import Iterable


class SGD(Optimizer):
    r"""Step along the negative gradient: :math:`v \leftarrow \mu v + (1-\tau) g`, :math:`p \leftarrow p - \eta v`.

    Here g is the gradient plus weight_decay * p. The first step has v = g. With Nesterov the step is along
    g + momentum * v. The same formulas as PyTorch's.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with their own settings.
    lr : float
        Learning rate.
    momentum : float
        How much of the last velocity stays.
    dampening : float
        How much of the gradient is held back from the velocity.
    weight_decay : float
        Adds weight_decay * p to the gradient: the derivative of weight_decay/2 * sum(p^2).
    nesterov : bool
        Look ahead along the velocity. Needs momentum, and no dampening.

    References
    ----------
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov looks ahead along the velocity: it needs momentum > 0 and dampening = 0.")
        settings = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__(params, settings)
        for group in self.param_groups:
            group["velocity"] = [None] * len(group["params"])

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            lr, momentum, velocity = group["lr"], group["momentum"], group["velocity"]
            for i, p in enumerate(group["params"]):
                if p.grad is None:
                    continue
                g = p.grad.data
                if group["weight_decay"]:
                    g = g + group["weight_decay"] * p.data
                if momentum:
                    if velocity[i] is None:
                        velocity[i] = np.array(g)
                    else:
                        velocity[i] *= momentum
                        velocity[i] += (1 - group["dampening"]) * g
                    g = g + momentum * velocity[i] if group["nesterov"] else velocity[i]
                p.data -= lr * g
