"""The equations of the page "Sigmoid, tanh, ReLU"."""

import numpy as np
from equations import Derivation, equal
from typeset import absolute, cases, delta, exp, function

from tinygrad_mnist.autodiff import ops

page = Derivation(3, B=2, n=3)
page.draws = 8
page.given("x")
page.given("Z", "B n")
page.index(i="B", j="n", k="B", l="n")
sigma = function(r"\sigma", lambda z: 1 / (1 + exp(-z)))


@page.define(code=lambda x: ops.sigmoid(np.float64(x)), lhs=r"\sigma(x)")
def s(x):
    return 1 / (1 + exp(-x))


@page.derivative("s", "x")
def sigmoid_slope(s):
    return s * (1 - s)


@page.claim
def stable_sigmoid_slope(s, x):
    return equal(s * (1 - s), exp(-absolute(x)) / (1 + exp(-absolute(x))) ** 2)


@page.claim
def mirrored(x, s):
    return equal(1 - s, sigma(-x))


@page.define(code=lambda x: ops.tanh(np.float64(x)), lhs=r"\tanh(x)")
def t(x):
    return (exp(x) - exp(-x)) / (exp(x) + exp(-x))


@page.claim
def stretched(t, x):
    return equal(t, 2 * sigma(2 * x) - 1)


@page.derivative("t", "x")
def tanh_slope(t):
    return 1 - t**2


@page.define(code=lambda x: ops.relu(np.float64(x)), lhs=r"\mathrm{relu}(x)")
def r(x):
    return cases((x, x > 0), (0, True))


@page.derivative("r", "x")
def relu_slope(x):
    return cases((1, x > 0), (0, True))


@page.define("B n", code=lambda Z: ops.sigmoid(Z))
def A(Z, i, j):
    return sigma(Z[i, j])


page.arriving("A")


@page.derivative("A[i,j]", "Z[k,l]")
def diagonal(A, i, j, k, l):
    return delta(i, k) * delta(j, l) * A[i, j] * (1 - A[i, j])


@page.gradient
def dZ(dA, A):
    return dA * A * (1 - A)


def worked():
    """Pre-activations on both sides of 0, and a gradient from above."""
    return page.example("Z", "A", "dA", "dZ", digits=3, Z=[[0, 2], [-2, 5]], dA=[[1, 1], [-1, 2]])
