"""The equations of the page "Softmax and cross-entropy"."""

import numpy as np
from equations import Derivation, equal
from typeset import delta, exp, log, total

from tinygrad_mnist import byhand, grad, tensor
from tinygrad_mnist.autodiff import ops


def one_hot(rng, shape):
    """Rows that are 1 at one place, drawn by chance, and 0 elsewhere."""
    *rows, classes = shape
    drawn = [rng.randrange(classes) for _ in range(int(np.prod(rows)))]
    return np.eye(classes, dtype=int)[drawn].reshape(shape)


def adding_up(Y):
    """Rows of any numbers that add up to 1: a proof for these is one for all one-hot rows."""
    return np.concatenate([Y[..., :-1], 1 - Y[..., :-1].sum(axis=-1, keepdims=True)], axis=-1)


page = Derivation(4, B=2, C=3)
page.given("z", "C")
page.given("c")
page.given("g", "C")
page.given("y", "C", sample=one_hot, symbols=adding_up)
page.given("Z", "B C")
page.given("Y", "B C", sample=one_hot, symbols=adding_up)
page.index(i="C", j="C", r="B")


@page.define("C", code=lambda z: ops.softmax(z))
def p(z, i, C):
    return exp(z[i]) / total(lambda k: exp(z[k]), C)


@page.claim
def sums(p, C):
    return equal(total(lambda k: p[k], C), 1)


@page.claim
def shift(p, z, c, i, C):
    return equal(p[i], exp(z[i] - c) / total(lambda k: exp(z[k] - c), C))


@page.claim
def logp(p, z, i, C):
    return equal(log(p[i]), z[i] - log(total(lambda k: exp(z[k]), C)))


page.let("log_p", lambda p: log(p))


LOG_SLOPE = r"\frac{\partial \log p_i}{\partial z_j}"
J_ij = r"J_{ij} = \frac{\partial p_i}{\partial z_j}"


@page.derivative("log_p[i]", "z[j]", lhs=LOG_SLOPE)
def relative(p, i, j):
    return delta(i, j) - p[j]


@page.derivative("p[i]", "z[j]", lhs=J_ij)
def J(p, i, j):
    return p[i] * (delta(i, j) - p[j])


page.let("above", lambda g, p: np.sum(g * p))


def by_tape(z, g):
    """What the tape's rule makes of a cotangent g."""
    leaf = tensor(z, requires_grad=True)
    return grad(ops.softmax(leaf), leaf, g)[0]


@page.derivative("above", "z[j]", lhs=r"(g\,J)_j")
def product(p, g, j, C):
    return p[j] * (g[j] - total(lambda k: p[k] * g[k], C))


def of_one_example(z, y):
    """The package's cross-entropy."""
    return ops.cross_entropy(z.reshape(1, -1), np.array([y.argmax()]))[0]


@page.define(code=of_one_example)
def ell(p, y, C):
    return -total(lambda k: y[k] * log(p[k]), C)


@page.derivative("ell", "p[i]")
def dp(p, y, i):
    return -(y[i] / p[i])


@page.derivative("ell", "z[j]")
def dz_sum(p, y, j, C):
    return -total(lambda i: y[i] / p[i] * (p[i] * (delta(i, j) - p[j])), C)


@page.derivative("ell", "z[j]")
def dz(p, y, j):
    return p[j] - y[j]


@page.define("B C", code=lambda Z: np.exp(byhand.mlp.log_softmax(Z)))
def A(Z, r, j, C):
    return exp(Z[r, j]) / total(lambda k: exp(Z[r, k]), C)


def mean_loss(Z, Y):
    """The package's cross-entropy of a batch."""
    return ops.cross_entropy(Z, Y.argmax(axis=1)).mean()


@page.define(code=mean_loss)
def L(A, Y, B, C):
    return -(total(lambda r, j: Y[r, j] * log(A[r, j]), B, C) / B)


def by_hand(Z, Y):
    """What the hand derivation computes, seen through a layer that changes nothing."""
    network = byhand.MLP((Z.shape[1], Z.shape[1]), dtype=np.float64)
    network.params["W1"] = np.eye(Z.shape[1])
    return network.backward(network.forward(Z), Y.argmax(axis=1))["dZ1"]


@page.gradient(code=by_hand)
def dZ(A, Y, B):
    return (A - Y) / B


page.let("L_", lambda L: L)  # without the formula


def jacobian():
    """Three classes."""
    return page.example("z", "p", "J", z=[2, 1, 0])


def worked():
    """Two examples, three classes."""
    Z, Y = [[2, 1, 0], [-1, 3, 1]], [[1, 0, 0], [0, 0, 1]]
    return page.example("Z", "A", "Y", "L_", "dZ", digits=2, folded=True, Z=Z, Y=Y)
