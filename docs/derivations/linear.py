"""The equations of the page "The linear layer"."""

from equations import Derivation, equal
from typeset import total

from tinygrad_mnist.autodiff import ops

page = Derivation(2, B=2, n=3, m=2)
page.given("X", "B n")
page.given("W", "n m")
page.given("b", "m")
page.index(i="B", j="m", k="n")


@page.define("B m", code=lambda X, W, b: ops.linear(X, W, b))
def Z(X, W, b):
    return X @ W + b


page.arriving("Z")


@page.claim
def entry(Z, X, W, b, i, j, n):
    return equal(Z[i, j], total(lambda k: X[i, k] * W[k, j], n) + b[j])


@page.derivative("L", "W[k,j]")
def dW_entry(X, dZ, k, j, B):
    return total(lambda i: X[i, k] * dZ[i, j], B)


@page.gradient
def dW(X, dZ):
    return X.T @ dZ


@page.gradient
def dX(dZ, W):
    return dZ @ W.T


@page.gradient
def db(dZ, j, B):
    return total(lambda i: dZ[i, j], B)


def worked():
    """Two examples, three features, two outputs."""
    return page.example(
        "Z", "dW", "dX", "db",
        X=[[1, 2, 3], [0, 1, -1]], W=[[1, 0], [0, 1], [2, -1]], b=[0.5, 0], dZ=[[1, 0], [0.5, -1]],
    )  # fmt: skip
