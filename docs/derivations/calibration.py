"""The equations of the page "Calibration and saliency"."""

import numpy as np
from equations import Derivation
from typeset import absolute, log, tanh, total

from tinygrad_mnist import byhand
from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.evaluation.calibration import Bin, expected_calibration_error

page = Derivation(13, K=3, n=3, h=2, C=3)


def between(rng, shape):
    """Numbers between 0 and 1."""
    count = int(np.prod(shape))
    return np.reshape([f"{rng.randrange(1, 100)}/100" for _ in range(count)], shape)


def counts(rng, shape):
    """How many predictions each bin has."""
    return [rng.randrange(1, 50) for _ in range(*shape)]


page.given("q", sample=between, positive=True)
page.given("p", sample=between, positive=True)


def binary_cross_entropy(q, p):
    """The package's, of two probabilities."""
    p = np.float64(p)
    return -(q * ops.log(p) + (1 - q) * ops.log(1 - p))


@page.define(code=binary_cross_entropy)
def H(q, p):
    return -(q * log(p)) - (1 - q) * log(1 - p)


@page.derivative("H", "p")
def proper(p, q):
    return (p - q) / (p * (1 - p))


page.given("a", "K", sample=between, positive=True)
page.given("c", "K", sample=between, positive=True)
page.given("N", "K", sample=counts, positive=True)
page.index(i="n", k="C")


def measured(a, c, N):
    """What the evaluation makes of such bins."""
    bins = [Bin(0, 1, *values) for values in zip(N, c, a, strict=True)]
    return expected_calibration_error(bins)


@page.define(code=measured, symbol=r"\mathrm{ECE}")
def ece(N, a, c, K):
    off = total(lambda b: N[b] * absolute(a[b] - c[b]), K)
    return off / total(lambda b: N[b], K)


page.given("x", "n")
page.given("W1", "n h")
page.given("b1", "h")
page.given("W2", "h C")
page.given("b2", "C")


def paper(W1, b1, W2, b2):
    """The hand derivation's network."""
    made = byhand.MLP((*W1.shape, W2.shape[1]), "tanh", dtype=np.float64)
    made.params = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
    return made


def forward(term):
    """A term of its forward pass, for one example."""
    return lambda x, W1, b1, W2, b2: paper(W1, b1, W2, b2).forward(x[None])[term][0]


def saliency(x, W1, b1, W2, b2, y):
    """What it says of one example and one class."""
    return paper(W1, b1, W2, b2).saliency(x[None], np.array([y.argmax()]))[0]


@page.define("h", code=forward("A1"))
def A1(x, W1, b1):
    return tanh(x @ W1 + b1)


@page.define("C", code=forward("Z2"))
def z(A1, W2, b2):
    return A1 @ W2 + b2


@page.derivative("z[k]", "x[i]")
def slope(W1, A1, W2, i, k, h):
    return total(lambda j: W1[i, j] * (1 - A1[j] ** 2) * W2[j, k], h)


page.given("y", "C", sample=lambda rng, shape: np.eye(*shape, dtype=int)[1])


@page.define("n", code=saliency)
def s(y, W2, A1, W1):
    return absolute((y @ W2.T * (1 - A1**2)) @ W1.T)
