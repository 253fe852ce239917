"""The equations of the page "Mean squared error"."""

import numpy as np
from equations import Derivation, equal
from sympy import Rational
from typeset import exp, total

from tinygrad_mnist import byhand

page = Derivation(5, B=2, C=3)
page.given("Z", "B C")
page.given("Y", "B C", sample=lambda rng, shape: np.eye(shape[1], dtype=int)[[rng.randrange(shape[1]) for _ in range(shape[0])]])
page.index(i="B", j="C")


@page.define("B C", code=lambda Z: byhand.mlp.sigmoid(Z))
def A(Z, i, j):
    return 1 / (1 + exp(-Z[i, j]))


def loss_by_hand(A, Y):
    paper = byhand.MLP((1, Y.shape[1]), loss="mse", dtype=np.float64)
    return paper.loss({"A1": A}, Y.argmax(axis=1))


@page.define(code=loss_by_hand)
def L(A, Y, B, C):
    return total(lambda i: total(lambda j: (A[i, j] - Y[i, j]) ** 2, C), B) / (B * C)


@page.gradient
def dA(A, Y, B, C):
    return 2 * (A - Y) / (B * C)


@page.derivative("A[i,j]", "Z[i,j]")
def slope(A, i, j):
    return A[i, j] * (1 - A[i, j])


@page.gradient
def dZ(dA, A):
    return dA * A * (1 - A)


@page.claim
def quarter(A, i, j):
    return equal(A[i, j] * (1 - A[i, j]), Rational(1, 4) - (A[i, j] - Rational(1, 2)) ** 2)


def worked():
    """Two examples and two classes: one output surely wrong, the others fairly right."""
    return page.example("Z", "A", "Y", "dA", "dZ", digits=3, Z=[[6, 0], [-1, 1]], Y=[[0, 1], [0, 1]])
