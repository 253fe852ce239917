"""The equations of the page "Regularisation"."""

import numpy as np
from equations import Derivation, equal
from typeset import total

from tinygrad_mnist import byhand, optim, tensor
from tinygrad_mnist.nn import functional as F

page = Derivation(12, steps="t", n=3, m=2, T=3)
page.given("W", "n m")
page.given("lambda_", positive=True)
page.index(i="n", j="m", k="n")


def penalty(W, lambda_):
    """What the hand derivation adds to the loss."""
    paper = byhand.MLP(W.shape, l2=lambda_, dtype=np.float64)
    paper.params["W1"] = W
    terms, label = paper.forward(np.ones((1, len(W)))), np.array([0])
    with_penalty, paper.l2 = paper.loss(terms, label), 0.0
    return with_penalty - paper.loss(terms, label)


@page.define(code=penalty)
def R(W, lambda_, n, m):
    return lambda_ / 2 * total(lambda i, j: W[i, j] ** 2, n, m)


@page.derivative("R", "W[i,j]")
def pull(W, lambda_, i, j):
    return lambda_ * W[i, j]


page.given("w0")
page.given("g", "T", step="t")
page.given("eta", positive=True)


def path(w0, g, eta, lambda_):
    """A weight after each step of SGD."""
    w = tensor(np.float64(w0), requires_grad=True)
    optimizer = optim.SGD([w], lr=eta, weight_decay=lambda_)
    after = []
    for gradient in g:
        w.grad = tensor(np.float64(gradient))
        optimizer.step()
        after.append(w.item())
    return after


@page.define("T", code=path, step="t", start="w0")
def w(w, g, eta, lambda_, t):
    return w[t - 1] - eta * (g[t] + lambda_ * w[t - 1])


@page.claim
def decay(w, g, eta, lambda_, t):
    return equal(w[t], (1 - eta * lambda_) * w[t - 1] - eta * g[t])


def without_gradient(s, eta, lambda_, t):
    """The same step where the gradient of the loss is 0."""
    return w(s, {t: 0}, eta, lambda_, t)


page.let("s", without_gradient, "w", step="t", start="w0")


@page.closed("s")
def shrinking(s, eta, lambda_, t):
    return (1 - eta * lambda_) ** t * s[0]


page.given("x", "n")
page.given("mask", "n", sample=lambda rng, shape: [rng.randrange(2) for _ in range(*shape)])
page.given("p", sample=lambda rng, shape: rng.choice(["1/4", "1/2", "2/3"]), positive=True)
page.written["mask"] = "m"


class Drawn:
    """Draws numbers that give a certain mask: those from p on stay."""

    def __init__(self, mask):
        self.mask = mask

    def random(self, shape, dtype):
        """As a generator does."""
        return np.where(self.mask > 0, 1.0, 0.0).astype(dtype).reshape(shape)


def dropped(x, mask, p):
    """What the package makes of activations."""
    return F.dropout(tensor(x), p, rng=Drawn(mask))


@page.define("n", code=dropped)
def y(x, mask, p, k):
    return mask[k] * x[k] / (1 - p)


page.given("x0")
page.written["x0"] = "x"


def mean_y(x0, p):
    """Of an activation that is dropped with the probability p."""
    return p * 0 + (1 - p) * x0 / (1 - p)


def var_y(x0, p):
    """The mean square of how far it is from x."""
    return p * (0 - x0) ** 2 + (1 - p) * (x0 / (1 - p) - x0) ** 2


page.let("mean_y", mean_y, r"\mathrm{E}(y)")
page.let("var_y", var_y, r"\mathrm{Var}(y)")


@page.claim
def unchanged(mean_y, x0):
    return equal(mean_y, x0)


@page.claim
def noise(var_y, x0, p):
    return equal(var_y, p / (1 - p) * x0**2)


page.arriving("y")


@page.gradient
def dx(dy, mask, p, k):
    return mask[k] * dy[k] / (1 - p)


def worked():
    """Three activations, the second one dropped."""
    given = {"x": [1, 2, -1], "mask": [1, 0, 1], "p": "1/2", "dy": ["0.5", "-3", 1]}
    return page.example("x", "mask", "y", "dy", "dx", **given)
