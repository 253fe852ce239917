"""The equations of the page "Broadcasting"."""

import numpy as np
from equations import Derivation, equal
from typeset import total

from tinygrad_mnist import Tensor
from tinygrad_mnist.autodiff import ops

page = Derivation(8, B=2, m=3)
for name, shape in (("X", "B m"), ("b", "m"), ("r", "m"), ("c", "B"), ("V", "B m")):
    page.given(name, shape)
page.given("u", "B", sample=lambda rng, shape: np.ones(shape, int), symbols=np.ones_like)
page.index(i="B", j="m")


@page.define("B m", code=lambda b, B, m: ops.broadcast_to(b, shape=(B, m)))
def E(b, i, j):
    return b[j]


@page.claim
def ones_times(E, u, b, i, j):
    return equal(E[i, j], u[i] * b[j])


page.arriving("E")


@page.claim
def moved(E, dE, b, m, B):
    return equal(
        total(lambda i, j: dE[i, j] * E[i, j], B, m),
        total(lambda j: b[j] * total(lambda i: dE[i, j], B), m),
    )


@page.gradient
def db(dE, j, B):
    return total(lambda i: dE[i, j], B)


@page.define("B", code=lambda X: ops.sum(X, axis=1))
def s(X, i, m):
    return total(lambda j: X[i, j], m)


page.arriving("s")


@page.gradient
def dX(ds, i, j):
    return ds[i]


@page.define("B m", code=lambda c, r: c.reshape(-1, 1) * r.reshape(1, -1))
def P(c, r, i, j):
    return c[i] * r[j]


page.arriving("P")


@page.gradient
def dc(dP, r, i, m):
    return total(lambda j: dP[i, j] * r[j], m)


@page.gradient
def dr(dP, c, j, B):
    return total(lambda i: dP[i, j] * c[i], B)


def centred(V):
    """The package's: each row without its mean."""
    return Tensor(V) - Tensor(V).mean(axis=1, keepdims=True)


@page.define("B m", code=centred)
def D(V, i, j, m):
    return V[i, j] - total(lambda k: V[i, k], m) / m


page.arriving("D")


@page.gradient
def dV(dD, i, j, m):
    return dD[i, j] - total(lambda k: dD[i, k], m) / m


def row():
    """A row of three numbers, used by two examples."""
    return page.example("b", "E", "dE", "db", b=[1, 2, 3], dE=[[1, 0, -1], [2, 5, 0.5]])


def outer():
    """A column of two times a row of three."""
    dP = [[1, 2, 0], [0, 1, -1]]
    return page.example("c", "r", "P", "dP", "dc", "dr", c=[2, -1], r=[1, 0, 3], dP=dP)
