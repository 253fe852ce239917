"""Networks and optimizers as a reader would write them: copied to where a test needs them."""

import numpy as np

from tinygrad_mnist import nn, no_grad, optim
from tinygrad_mnist.autodiff import op
from tinygrad_mnist.examples import LayerNorm


class ResMLP(nn.Module):
    def __init__(self, inputs, classes, *, rng, width=32):
        self.first = nn.Linear(inputs, width, rng=rng)
        self.norm = LayerNorm(width)
        self.inside = nn.Linear(width, width, rng=rng)
        self.last = nn.Linear(width, classes, rng=rng)

    def forward(self, x):
        h = self.first(x)
        h = h + nn.functional.relu(self.inside(self.norm(h)))
        return self.last(h)


class Running(nn.Module):
    def __init__(self, inputs, classes, *, rng):
        self.register_buffer("mean", np.zeros(inputs, np.float32))
        self.register_buffer("seen", np.zeros((), np.int64))
        self.last = nn.Linear(inputs, classes, rng=rng)

    def forward(self, x):
        out = self.last(x - self.mean)
        if self.training:
            with no_grad():
                self.mean += 0.1 * (x.mean(axis=0) - self.mean)
                self.seen.data += 1
        return out


@op
def swish(x):
    return x / (1 + np.exp(-x))


def _s(g, out, x):
    s = 1 / (1 + np.exp(-x))
    return g * (s + x * s * (1 - s))


swish.vjp(_s)


class Swish(nn.Module):
    def __init__(self, inputs, classes, *, rng):
        self.a = nn.Linear(inputs, 16, rng=rng)
        self.b = nn.Linear(16, classes, rng=rng)

    def forward(self, x):
        return self.b(swish(self.a(x)))


class Noisy(nn.Module):
    def __init__(self, inputs, classes, *, rng):
        self.rng = rng
        self.own = np.random.default_rng(5)
        self.a = nn.Linear(inputs, 16, rng=rng)
        self.b = nn.Linear(16, classes, rng=rng)

    def forward(self, x):
        h = nn.functional.relu(self.a(x))
        if self.training:
            h = h + self.own.normal(size=h.shape).astype(np.float32) * 0.1
            h = h * (self.rng.random(h.shape) < 0.8)
        return self.b(h)


class RMSprop(optim.Optimizer):
    remembers = ("square_avg",)

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8):
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps})

    def update(self, p, g, group, state):
        v = state.setdefault("square_avg", np.zeros_like(p.data))
        v *= group["alpha"]
        v += (1 - group["alpha"]) * g * g
        p.data -= group["lr"] * g / (np.sqrt(v) + group["eps"])


class Counting(optim.Optimizer):
    def __init__(self, params, lr=0.01):
        super().__init__(params, {"lr": lr, "steps": 0})

    def step(self, closure=None):
        for group in self.param_groups:
            group["steps"] += 1
        return super().step(closure)

    def update(self, p, g, group, state):
        p.data -= group["lr"] / group["steps"] ** 0.5 * g


class Langevin(optim.Optimizer):
    """Draws from a generator that it keeps."""

    remembers = ("velocity",)

    def __init__(self, params, lr=0.01, momentum=0.9, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self.momentum, self.rng = momentum, np.random.default_rng(9)

    def update(self, p, g, group, state):
        v = state.setdefault("velocity", np.zeros_like(p.data))
        v *= self.momentum
        v += g + group["weight_decay"] * p.data
        p.data -= group["lr"] * (v + 0.01 * self.rng.normal(size=g.shape).astype(g.dtype))
