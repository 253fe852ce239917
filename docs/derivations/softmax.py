"""The equations of the page "Softmax and cross-entropy"."""

import numpy as np
from equations import Derivation, equal
from typeset import delta, exp, log, total

from tinygrad_mnist.autodiff import ops

page = Derivation(4, C=3, B=2)
page.given("z", "C")
page.given("y", "C", sample=lambda rng, shape: [int(k == 1) for k in range(*shape)])
page.given("c")
page.index(i="C", j="C", b="B")


@page.define("C", code=lambda z: ops.softmax(z))
def p(z, i, C):
    return exp(z[i]) / total(lambda k: exp(z[k]), C)


@page.claim
def adds_up(p, C):
    return equal(total(lambda k: p[k], C), 1)


@page.claim
def shift(p, z, c, i, C):
    return equal(p[i], exp(z[i] - c) / total(lambda k: exp(z[k] - c), C))


@page.derivative("p[i]", "z[j]")
def jacobian(p, i, j):
    return p[i] * (delta(i, j) - p[j])


@page.define(code=lambda z, y: ops.cross_entropy(z.reshape(1, -1), np.array([y.argmax()]))[0])
def L(p, y, C):
    return -total(lambda k: y[k] * log(p[k]), C)


@page.gradient
def dp(p, y, i):
    return -(y[i] / p[i])


@page.claim
def both(dz, dp, p, y, i, C):
    return equal(
        dz[i],
        total(lambda k: dp[k] * (p[k] * (delta(k, i) - p[i])), C),
        p[i] * total(lambda k: y[k], C) - y[i],
    )


@page.gradient
def dz(p, y, i):
    return p[i] - y[i]


page.given("Z", "B C")
page.given("Y", "B C", sample=lambda rng, shape: np.eye(shape[1], dtype=int)[[rng.randrange(shape[1]) for _ in range(shape[0])]])


@page.define("B C", code=lambda Z: ops.softmax(Z))
def A(Z, b, i, C):
    return exp(Z[b, i]) / total(lambda k: exp(Z[b, k]), C)


@page.define(code=lambda Z, Y: ops.cross_entropy(Z, Y.argmax(axis=1)).mean(), lhs=r"\bar L")
def mean_loss(A, Y, B, C):
    return -(total(lambda b: total(lambda k: Y[b, k] * log(A[b, k]), C), B) / B)


@page.derivative("mean_loss", "Z[b,i]")
def dZ(A, Y, b, i, B):
    return (A[b, i] - Y[b, i]) / B


def worked():
    """Three classes, the second is right."""
    return page.example("z", "p", "y", "dp", "dz", z=[2, 1, 0], y=[0, 1, 0])
