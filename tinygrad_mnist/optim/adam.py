"""Adam: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from collections.abc import Iterable


class Adam(Optimizer):
    r"""Step by :math:`\eta\,\hat m / (\sqrt{\hat v} + \epsilon)` along averages of g and of g^2, corrected for starting at 0.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with their own settings.
    lr : float
        Learning rate: about the size of a step.
    betas : tuple of float
        How much of each average stays at a step.
    eps : float
        Keeps the division finite.
    weight_decay : float
        Adds weight_decay * p to the gradient.

    References
    ----------
    Kingma and Ba, "Adam", ICLR 2015, algorithm 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        for group in self.param_groups:
            group["steps"] = [0] * len(group["params"])
            group["m"] = [np.zeros_like(p.data) for p in group["params"]]
            group["v"] = [np.zeros_like(p.data) for p in group["params"]]

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for i, (p, m, v) in enumerate(zip(group["params"], group["m"], group["v"], strict=True)):
                if p.grad is None:
                    continue
                group["steps"][i] += 1
                t = group["steps"][i]
                g = p.grad.data
                if group["weight_decay"]:
                    g = g + group["weight_decay"] * p.data
                m *= beta1
                m += (1 - beta1) * g
                v *= beta2
                v += (1 - beta2) * g * g
                m_hat_scale = 1 / (1 - beta1**t)
                v_hat_scale = 1 / (1 - beta2**t)
                p.data -= group["lr"] * m_hat_scale * m / (np.sqrt(v * v_hat_scale) + group["eps"])
