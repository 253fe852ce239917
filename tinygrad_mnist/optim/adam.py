"""Adam and AdamW: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinygrad_mnist.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinygrad_mnist.autodiff import Tensor
    from tinygrad_mnist.autodiff.variable import Array


class Adam(Optimizer):
    """Step along ``-m / (sqrt(v) + eps)``, times the learning rate.

    Here m and v are running averages of g and of g^2, corrected for starting at 0.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them with their own settings.
    lr : float
        Learning rate: about the size of a step.
    betas : tuple of float
        The fraction of each average that is kept at a step.
    eps : float
        Keeps the division finite.
    weight_decay : float
        Adds weight_decay * p to the gradient, so the decay is averaged and scaled too. See `AdamW`.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    Kingma and Ba, "Adam", ICLR 2015, algorithm 1.
    """

    remembers: ClassVar = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    def update(self, p: Tensor, g: Array, group: dict[str, Any], state: dict[str, Any]) -> None:
        """The averages m and v, then a step along their quotient."""
        if not state:
            state["step"] = 0
            state["exp_avg"] = np.zeros_like(p.data)
            state["exp_avg_sq"] = np.zeros_like(p.data)
        state["step"] += 1
        t, m, v = state["step"], state["exp_avg"], state["exp_avg_sq"]
        beta1, beta2 = group["betas"]
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p.data
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g * g
        m_hat_scale = 1 / (1 - beta1**t)
        v_hat_scale = 1 / (1 - beta2**t)
        denominator = np.sqrt(v * v_hat_scale) + group["eps"]
        p.data -= group["lr"] * m_hat_scale * m / denominator


class AdamW(Adam):
    """Shrink p by the factor 1 - lr * weight_decay, then step as Adam without weight decay.

    So all weights decay alike, while in `Adam` weights with large gradients decay less.

    Parameters
    ----------
    params, lr, betas, eps
        As for `Adam`.
    weight_decay : float
        The fraction of p that is removed at a step, per unit of learning rate.

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2; as in
    PyTorch, the decay is scaled by the learning rate.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(self, p: Tensor, g: Array, group: dict[str, Any], state: dict[str, Any]) -> None:
        """The decay, then Adam's step."""
        p.data *= 1 - group["lr"] * group["weight_decay"]
        super().update(p, g, group | {"weight_decay": 0.0}, state)
