"""The equations of the page "Initialisation"."""

from itertools import product

import numpy as np
import sympy
from equations import Derivation, equal
from typeset import maximum, sqrt, total

from tinygrad_mnist import tensor
from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.nn import init

page = Derivation(11, n=2, m=3)
page.given("w", "n")
page.given("x", "n")
page.given("a", positive=True)
page.given("b", positive=True)
page.given("c", positive=True)
page.given("r", positive=True)


def mean(values):
    """Of numbers that are all as likely as each other."""
    values = list(values)
    return sum(values) / sympy.Integer(len(values))


@page.define(code=lambda x, w: ops.matmul(x, w), lhs="z")
def z(x, w, n):
    return total(lambda k: x[k] * w[k], n)


# A weight is a or -a, an input b or c, each with probability 1/2, independent of all others.
@page.quantity("var_w", r"\mathrm{Var}(w)")
def var_w(a):
    return mean([a**2, a**2])


@page.quantity("mean_x2", r"\mathrm{E}(x^2)")
def mean_x2(b, c):
    return mean([b**2, c**2])


@page.quantity("var_z", r"\mathrm{Var}(z)")
def var_z(a, b, c, n):
    sums = [
        sum(w * x for w, x in zip(ws, xs, strict=True))
        for ws in product((a, -a), repeat=n)
        for xs in product((b, c), repeat=n)
    ]
    return mean(z**2 for z in sums) - mean(sums) ** 2


@page.claim
def forward(var_z, n, var_w, mean_x2):
    return equal(var_z, n * var_w * mean_x2)


# A gradient that arrives is b or -b.
@page.quantity("var_dz", r"\mathrm{Var}(dz)")
def var_dz(b):
    return mean([b**2, b**2])


@page.quantity("var_dx", r"\mathrm{Var}(dx)")
def var_dx(a, b, m):
    sums = [
        sum(w * g for w, g in zip(ws, gs, strict=True))
        for ws in product((a, -a), repeat=m)
        for gs in product((b, -b), repeat=m)
    ]
    return mean(dx**2 for dx in sums) - mean(sums) ** 2


@page.claim
def backward(var_dx, m, var_w, var_dz):
    return equal(var_dx, m * var_w * var_dz)


@page.quantity("var_u", r"\mathrm{Var}(w)")
def var_u(r):
    w = sympy.Dummy()
    return sympy.integrate(w**2 / (2 * r), (w, -r, r))


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

    def code(n, m):
        return initialise(tensor(np.zeros((n, m))), rng=Edge(), **settings).data[0, 0]

    return code


@page.define(code=largest(init.xavier_uniform_), lhs=r"r_{\text{Xavier}}")
def xavier(n, m):
    return sqrt(6 / (n + m))


@page.claim
def between(xavier, n, m):
    return equal(xavier**2 / 3, 2 / (n + m))


# A pre-activation is b, -b, c or -c.
@page.quantity("var_s", r"\mathrm{Var}(z)")
def var_s(b, c):
    return mean([b**2, b**2, c**2, c**2])


@page.quantity("mean_relu2", r"\mathrm{E}(\mathrm{relu}(z)^2)")
def mean_relu2(b, c):
    return mean(maximum(z, 0) ** 2 for z in (b, -b, c, -c))


@page.claim
def half(mean_relu2, var_s):
    return equal(mean_relu2, var_s / 2)


@page.define(code=largest(init.kaiming_uniform_, nonlinearity="relu"), lhs=r"r_{\text{He}}")
def he(n):
    return sqrt(6 / n)


@page.claim
def for_relu(he, n):
    return equal(he**2 / 3, 2 / n)
