"""The equations of the page "Initialisation"."""

from itertools import product

import numpy as np
import sympy
from equations import Derivation, equal
from typeset import maximum, sqrt, total

from tinygrad_mnist import tensor
from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.nn import init

page = Derivation(11, n=3, m=3)
page.given("w", "n")
page.given("x", "n")
page.given("a", positive=True)
page.given("b", positive=True)
page.given("c", positive=True)
page.given("r", positive=True)


@page.define(code=lambda x, w: ops.matmul(x, w))
def z(x, w, n):
    return total(lambda k: x[k] * w[k], n)


page.let("var_w", lambda a: a**2, r"\mathrm{Var}(w)")  # a weight is a or -a
page.let("mean_x2", lambda b, c: (b**2 + c**2) / 2, r"\mathrm{E}(x^2)")  # an input is b or c
page.let("mean_dz2", lambda mean_x2: mean_x2, r"\mathrm{E}(dz^2)")  # and so is a gradient


def one_more(before, var_w, mean_square):
    """Var(z + x w) from Var(z), where w is independent of x and z, and E(w) = E(z) = 0."""
    z, x, w = sympy.symbols("z x w")
    square = sympy.expand((z + x * w) ** 2)  # linear in E; the term in w alone has mean 0
    of_z, of_w = square.coeff(w, 0).coeff(z, 2), square.coeff(w, 2).coeff(x, 2)
    return of_z * before + of_w * mean_square * var_w


def forward_step(var_z, var_w, mean_x2, n):
    """The variance of a sum over n inputs from that over one less."""
    return one_more(var_z[n - 1], var_w, mean_x2)


def backward_step(var_dx, var_w, mean_dz2, m):
    """The variance of a sum over m units from that over one less."""
    return one_more(var_dx[m - 1], var_w, mean_dz2)


def tried(a, b, c):
    """The variance of sums over one to four inputs, from all weights and inputs there can be."""
    found = []
    for n in range(1, 5):
        weights, inputs = product((a, -a), repeat=n), product((b, c), repeat=n)
        found.append(np.var([np.dot(w, x) for w, x in product(weights, inputs)]))
    return found


page.let("var_z", forward_step, r"\mathrm{Var}(z)", step="n", start=0)
page.let("var_dx", backward_step, r"\mathrm{Var}(dx)", step="m", start=0)


NOTE = (
    "In a step, one term w x more is added, where w has mean 0 and is independent of x and of the "
    "sum so far. Also computed from all cases, for weights ±a and inputs b or c."
)


@page.closed("var_z", lhs=r"\mathrm{Var}(z)", code=tried, note=NOTE)
def forward(n, var_w, mean_x2):
    return n * var_w * mean_x2


@page.closed("var_dx", lhs=r"\mathrm{Var}(dx)", code=tried, note=NOTE)
def backward(m, var_w, mean_dz2):
    return m * var_w * mean_dz2


def var_u(r):
    """The mean of w² for w uniform between -r and r."""
    w = sympy.Dummy()
    return sympy.integrate(w**2 / (2 * r), (w, -r, r))


page.let("var_u", var_u, r"\mathrm{Var}(w)")


@page.claim
def uniform(var_u, r):
    return equal(var_u, r**2 / 3)


class Edge:
    """Draws the largest number that may be drawn."""

    def uniform(self, low, high, shape):
        """As a generator does."""
        return np.full(shape, high)


def largest(initialise, **settings):
    """The largest weight that the package draws for a layer of n inputs and m outputs."""

    def code(fan_in, fan_out):
        return initialise(tensor(np.zeros((fan_in, fan_out))), rng=Edge(), **settings).data[0, 0]

    return code


page.given("fan_in", sample=lambda rng, shape: rng.randrange(1, 9), positive=True)
page.given("fan_out", sample=lambda rng, shape: rng.randrange(1, 9), positive=True)
page.written |= {"fan_in": "n", "fan_out": "m"}


R_XAVIER, R_HE = r"r_{\text{Xavier}}", r"r_{\text{He}}"


@page.define(code=largest(init.xavier_uniform_), symbol=R_XAVIER)
def xavier(fan_in, fan_out):
    return sqrt(6 / (fan_in + fan_out))


@page.claim
def between(xavier, fan_in, fan_out):
    return equal(xavier**2 / 3, 2 / (fan_in + fan_out))


# What is even on both sides of 0 is made of pairs: y and -y, as likely as each other.
page.given("y")
page.let("var_s", lambda y: (y**2 + (-y) ** 2) / 2, r"\mathrm{Var}(z)")
page.let(
    "mean_relu2",
    lambda y: (maximum(y, 0) ** 2 + maximum(-y, 0) ** 2) / 2,
    r"\mathrm{E}(\mathrm{relu}(z)^2)",
)


@page.claim(limit="a z and its opposite")
def half(mean_relu2, var_s):
    return equal(mean_relu2, var_s / 2)


kaiming = largest(init.kaiming_uniform_, nonlinearity="relu")


@page.define(code=kaiming, symbol=R_HE)
def he(fan_in):
    return sqrt(6 / fan_in)


@page.claim
def for_relu(he, fan_in):
    return equal(he**2 / 3, 2 / fan_in)
