"""The equations of the page "Mean squared error"."""

import numpy as np
from equations import Derivation
from typeset import exp, log, total

from tinygrad_mnist import byhand
from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.nn import functional


def one_hot(rng, shape):
    """Rows that are 1 at one place, drawn by chance, and 0 elsewhere."""
    rows, classes = shape
    return np.eye(classes, dtype=int)[[rng.randrange(classes) for _ in range(rows)]]


page = Derivation(5, B=2, C=3)
page.given("Z", "B C")
page.given("Y", "B C", sample=one_hot)
page.given("z")
page.given("y")
page.index(i="B", j="C")


def by_hand(term):
    """What the hand derivation computes, seen through a layer that changes nothing."""

    def code(Z, Y):
        network = byhand.MLP((Z.shape[1], Z.shape[1]), loss="mse", dtype=np.float64)
        network.params["W1"] = np.eye(Z.shape[1])
        return network.backward(network.forward(Z), Y.argmax(axis=1))[term]

    return code


@page.define("B C", code=lambda Z: byhand.mlp.sigmoid(Z))
def A(Z, i, j):
    return 1 / (1 + exp(-Z[i, j]))


@page.define(code=lambda A, Y: functional.mse_loss(A, Y))
def L(A, Y, B, C):
    return total(lambda i, j: (A[i, j] - Y[i, j]) ** 2, B, C) / (B * C)


@page.gradient(code=by_hand("dA1"))
def dA(A, Y, B, C):
    return 2 * (A - Y) / (B * C)


@page.gradient(code=by_hand("dZ1"))
def dZ(dA, A):
    return dA * A * (1 - A)


@page.define(code=lambda z: ops.sigmoid(z))
def a(z):
    return 1 / (1 + exp(-z))


@page.define(code=lambda a, y: ops.squared_error(a, y))
def q(a, y):
    return (a - y) ** 2


@page.derivative("q", "z", lhs=r"q_z = \frac{\partial q}{\partial z}")
def q_z(a, y):
    return 2 * (a - y) * a * (1 - a)


page.let("size", lambda a: a * (1 - a) ** 2)


@page.derivative("size", "a", lhs=r"\frac{d}{da}\, a \left(1 - a\right)^2")
def most(a):
    return (1 - a) * (1 - 3 * a)


def entropy(z, y):
    """The package's binary cross-entropy."""
    return -(y * ops.logsigmoid(z) + (1 - y) * ops.logsigmoid(-z))


@page.define(code=entropy)
def h(a, y):
    return -(y * log(a)) - (1 - y) * log(1 - a)


@page.derivative("h", "a")
def h_by_a(a, y):
    return (a - y) / (a * (1 - a))


@page.derivative("h", "z", lhs=r"h_z = \frac{\partial h}{\partial z}")
def h_z(a, y):
    return a - y


def unit():
    """One unit at the wrong end."""
    return page.example("a", "q_z", "h_z", folded=True, z=-5, y=1)


def worked():
    """Two examples, three classes."""
    Z, Y = [[1, -2, -1], [7, -6, -1]], [[1, 0, 0], [0, 1, 0]]
    return page.example("Z", "A", "Y", "dA", "dZ", digits=2, folded=True, Z=Z, Y=Y)
