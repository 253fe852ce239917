"""The equations of the page "Sigmoid, tanh, ReLU"."""

import sympy
from equations import Derivation, equal
from typeset import absolute, cases, delta, exp, function

from tinygrad_mnist import byhand
from tinygrad_mnist.autodiff import ops

page = Derivation(3, B=2, n=3)
page.given("Z", "B n")
page.given("z")
page.index(i="B", j="n", k="n")

sigma = function(r"\sigma", lambda x: 1 / (1 + sympy.exp(-x)))
sigma_slope = function(r"\sigma'", lambda x: sympy.exp(-x) / (1 + sympy.exp(-x)) ** 2)


@page.define(code=lambda z: ops.sigmoid(z), lhs=r"s = \sigma(z)")
def s(z):
    return 1 / (1 + exp(-z))


@page.derivative("s", "z", lhs=r"\sigma'(z)")
def quotient(z):
    return exp(-z) / (1 + exp(-z)) ** 2


@page.derivative("s", "z", lhs=r"\sigma'(z)")
def product(s):
    return s * (1 - s)


@page.claim
def bound(s):
    return equal(1 - 4 * s * (1 - s), (1 - 2 * s) ** 2)


@page.claim
def symmetry(z):
    multiplied = exp(z) / (1 + exp(z)) ** 2
    divided = exp(-z) / (exp(-z) + 1) ** 2
    return equal(sigma_slope(-z), multiplied, divided, sigma_slope(z))


@page.derivative("s", "z", lhs=r"\sigma'(z)")
def stable(z):
    return exp(-absolute(z)) / (1 + exp(-absolute(z))) ** 2


@page.define(code=lambda z: ops.tanh(z), lhs=r"t = \tanh(z)")
def t(z):
    return (exp(z) - exp(-z)) / (exp(z) + exp(-z))


@page.claim
def stretched(t, z):
    return equal(t, 2 * sigma(2 * z) - 1)


@page.derivative("t", "z", lhs=r"\tanh'(z)")
def tanh_slope(t):
    return 1 - t**2


@page.define(code=lambda z: ops.relu(z), lhs=r"r = \mathrm{relu}(z)")
def r(z):
    return cases((z, z > 0), (0, True))


@page.derivative("r", "z", lhs=r"\mathrm{relu}'(z)")
def relu_slope(z):
    return cases((1, z > 0), (0, True))


@page.define("B n", code=lambda Z: byhand.mlp.sigmoid(Z))
def A(Z, i, j):
    return sigma(Z[i, j])


@page.derivative("A[i,j]", "Z[i,k]")
def jacobian(Z, i, j, k):
    return delta(j, k) * sigma_slope(Z[i, j])


page.arriving("A")


@page.gradient(code=lambda Z, dA: dA * byhand.mlp.sigmoid_slope(Z))
def dZ(dA, Z):
    return dA * sigma_slope(Z)


def worked():
    """Two examples, three units."""
    Z, dA = [[0, 2, -2], [1, -4, 8]], [[1, 1, 1], [2, 3, 1]]
    return page.example("Z", "A", "dA", "dZ", folded=True, Z=Z, dA=dA)
