"""An optimizer: steps along a running mean of the gradients."""

import numpy as np

from tinygrad_mnist import optim


class Inertia(optim.Optimizer):
    """Moves along m, which forgets a tenth of itself at each step."""

    remembers = ("m",)

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def update(self, p, g, group, state):
        m = state.setdefault("m", np.zeros_like(p.data))
        m += 0.1 * (g - m)
        p.data -= group["lr"] * m
