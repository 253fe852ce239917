"""An optimizer of your own: the update of one parameter."""

import numpy as np

from tinygrad_mnist import optim


class RMSprop(optim.Optimizer):
    """Step against the gradient, divided by its running root mean square."""

    remembers = ("square_avg",)  # the state that a checkpoint has to hold

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8):
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps})

    def update(self, p, g, group, state):
        """Change the parameter p in place; g is its gradient."""
        v = state.setdefault("square_avg", np.zeros_like(p.data))
        v *= group["alpha"]
        v += (1 - group["alpha"]) * g * g
        p.data -= group["lr"] * g / (np.sqrt(v) + group["eps"])
