"""The equations of the page "The whole network by hand".

(6.1) to (6.17) are (1) to (17) of byhand/mlp.py.
"""

from functools import cache

import numpy as np
import sympy
from equations import Derivation
from mpmath.libmp import prec_to_dps
from typeset import absolute, exp, function, log, total

from tinygrad_mnist import byhand
from tinygrad_mnist.byhand import two_layer


def one_hot(rng, shape):
    """Rows that are 1 at one place, drawn by chance, and 0 elsewhere."""
    rows, classes = shape
    return np.eye(classes, dtype=int)[[rng.randrange(classes) for _ in range(rows)]]


def adding_up(Y):
    """Rows of any numbers that add up to 1: a proof for these is one for all one-hot rows."""
    return np.concatenate([Y[:, :-1], 1 - Y[:, :-1].sum(axis=1, keepdims=True)], axis=1)


BOTH = "loss loss_of_squares"

page = Derivation(6, top="loss", steps="t", B=2, C=2, n0=1, n1=2, T=3)
page.given("X", "B n0")
page.given("W1", "n0 n1")
page.given("b1", "n1")
page.given("W2", "n1 C")
page.given("b2", "C")
page.given("Y", "B C", sample=one_hot, symbols=adding_up)
page.given("lambda_")
page.index(i="B", j="C")

z = sympy.Symbol("z")
LOGISTIC = 1 / (1 + sympy.exp(-z))


@cache
def numeric(formula, at, prec):
    """The value of a formula in z, to so many bits."""
    return formula.subs(z, at).evalf(prec_to_dps(prec))


class Activation(sympy.Function):
    """Any activation: a proof knows only what its slope is called. Numbers are the sigmoid's."""

    def fdiff(self, argindex=1):
        """Its slope."""
        return Slope(*self.args)

    def _eval_evalf(self, prec):
        return numeric(LOGISTIC, self.args[0], prec)


class Slope(sympy.Function):
    """The slope of that activation."""

    def _eval_evalf(self, prec):
        return numeric(LOGISTIC.diff(z), self.args[0], prec)


f, f_slope = function("f", Activation), function("f'", Slope)
sigma = function(r"\sigma", lambda x: LOGISTIC.subs(z, x))
sigma_slope = function(r"\sigma'", lambda x: LOGISTIC.diff(z).subs(z, x))


def paper(W1, b1, W2, b2, top="loss", lambda_=0.0):
    """The package's network with the page's parameters."""
    loss = "mse" if "squares" in top else "cross_entropy"
    sizes = (len(W1), b1.size, b2.size)
    network = byhand.MLP(sizes, "sigmoid", loss, lambda_, dtype=np.float64)
    network.params = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
    return network


FORWARD = ("Z1", "A1", "Z2", "A2")
BACKWARD = ("dZ2", "dW2", "db2", "dA1", "dZ1", "dW1", "db1")
"""What the functions of two_layer.py return."""


def forward(term):
    """A term of the package's forward pass, for any depth and for two layers."""

    def deep(X, W1, b1, W2, b2, top):
        return paper(W1, b1, W2, b2, top).forward(X)[term]

    def plain(X, W1, b1, W2, b2):
        return two_layer.forward(X, W1, b1, W2, b2)[FORWARD.index(term)]

    return deep, plain


def loss_of(X, W1, b1, W2, b2, Y, top, lambda_):
    """The package's loss."""
    network = paper(W1, b1, W2, b2, top, lambda_)
    return network.loss(network.forward(X), Y.argmax(axis=1))


def data_of(X, W1, b1, W2, b2, Y, top):
    """The package's loss without the penalty."""
    return loss_of(X, W1, b1, W2, b2, Y, top, 0.0)


def plain_loss(Z2, Y, W1, W2, lambda_):
    """The loss of two layers."""
    return two_layer.loss(Z2, Y, W1, W2, lambda_)


def plain_data(Z2, Y, W1, W2):
    """The same without the penalty."""
    return two_layer.loss(Z2, Y, W1, W2)


def deep_backward(term):
    """A gradient of the package, for any depth."""

    def code(X, W1, b1, W2, b2, Y, top, lambda_):
        network = paper(W1, b1, W2, b2, top, lambda_)
        return network.backward(network.forward(X), Y.argmax(axis=1))[term]

    return code


def backward(term):
    """The same, and for two layers with softmax; squared error has the general one alone."""
    deep = deep_backward(term)

    def plain(X, W1, b1, W2, b2, Y, top, lambda_):
        if "squares" in top:
            return deep(X, W1, b1, W2, b2, Y, top, lambda_)
        Z1, A1, _, A2 = two_layer.forward(X, W1, b1, W2, b2)
        found = two_layer.backward(X, Y, W1, W2, Z1, A1, A2, lambda_)
        return found[BACKWARD.index(term)]

    return deep, plain


@page.define("B n1", code=forward("Z1"))
def Z1(X, W1, b1):
    return X @ W1 + b1


@page.define("B C", code=forward("Z2"), same=True)
def Z2(A1, W2, b2):
    return A1 @ W2 + b2


@page.define("B n1", code=forward("A1"))
def A1(Z1):
    return f(Z1)


SOFTMAX, SIGMOID = r"\text{softmax: } (A_{2})_{ij}", r"\text{sigmoid: } (A_{2})_{ij}"


@page.define("B C", code=forward("A2"), lhs=SOFTMAX)
def A2(Z2, i, j, C):
    return exp(Z2[i, j]) / total(lambda c: exp(Z2[i, c]), C)


@page.define(
    "B C",
    code=forward("A2")[0],
    of="loss_of_squares",
    lhs=SIGMOID,
    same=True,
)
def A2_(Z2, i, j):
    return sigma(Z2[i, j])


@page.define(code=(data_of, plain_data), symbol=r"\mathrm{data}")
def cross_entropy(A2, Y, B, C):
    return -total(lambda i, j: Y[i, j] * log(A2[i, j]), B, C) / B


@page.define(code=data_of, symbol=r"\mathrm{data}", of="loss_of_squares")
def squared_error(A2_, Y, B, C):
    return total(lambda i, j: (A2_[i, j] - Y[i, j]) ** 2, B, C) / (B * C)


page.let("data", lambda cross_entropy: cross_entropy, r"\mathrm{data}")


@page.define(code=(loss_of, plain_loss))
def loss(data, W1, W2, lambda_, n0, n1, C):
    squares_1 = total(lambda k, j: W1[k, j] ** 2, n0, n1)
    squares_2 = total(lambda k, j: W2[k, j] ** 2, n1, C)
    return data + lambda_ / 2 * (squares_1 + squares_2)


page.let(
    "loss_of_squares",
    lambda squared_error, W1, W2, lambda_, n0, n1, C: loss(
        squared_error, W1, W2, lambda_, n0, n1, C
    ),
)


@page.gradient(by="Z2", code=backward("dZ2"))
def dZ2(A2, Y, B):
    return (A2 - Y) / B


@page.gradient(by="A2_", code=deep_backward("dA2"), of="loss_of_squares")
def dA2_(A2_, Y, B, C):
    return 2 * (A2_ - Y) / (B * C)


@page.gradient(by="Z2", code=deep_backward("dZ2"), of="loss_of_squares")
def dZ2_(dA2_, Z2):
    return dA2_ * sigma_slope(Z2)


@page.gradient(code=backward("dW2"), of=BOTH)
def dW2(A1, dZ2, W2, lambda_):
    return A1.T @ dZ2 + lambda_ * W2


@page.gradient(code=backward("dW1"), of=BOTH, same=True)
def dW1(X, dZ1, W1, lambda_):
    return X.T @ dZ1 + lambda_ * W1


@page.gradient(code=backward("db2"), of=BOTH)
def db2(dZ2, B):
    return total(lambda i: dZ2[i], B)


@page.gradient(code=backward("db1"), of=BOTH, same=True)
def db1(dZ1, B):
    return total(lambda i: dZ1[i], B)


@page.gradient(code=backward("dA1"), of=BOTH)
def dA1(dZ2, W2):
    return dZ2 @ W2.T


@page.gradient(code=backward("dZ1"), of=BOTH)
def dZ1(dA1, Z1):
    return dA1 * f_slope(Z1)


def trained(g, mu, eta=0.0):
    """The package's velocities, and its weights from a weight of 1, along given gradients."""
    network = byhand.MLP((1, 1), dtype=np.float64)
    network.params = {"W1": np.array(1.0)}
    path = []
    for gradient in g:
        network.step({"dW1": gradient}, eta, mu)
        path.append((network.velocity["W1"], network.params["W1"]))
    return np.transpose(path)


def weights(g, mu, eta):
    """The package's weights after each step."""
    return trained(g, mu, eta)[1]


page.given("g", "T", step="t")
page.given("mu")
page.given("eta")


@page.define("T", code=lambda g, mu: trained(g, mu)[0], step="t", start=0)
def v(v, g, mu, t):
    return mu * v[t - 1] + g[t]


@page.define("T", code=weights, step="t", start=1)
def theta(theta, v, eta, t):
    return theta[t - 1] - eta * v[t]


def start(Y):
    """What the package's saliency starts with, seen through a layer that changes nothing."""
    C = Y.shape[1]
    network = byhand.MLP((C, C), dtype=np.float64)
    network.params = {"W1": np.eye(C), "b1": np.zeros(C)}
    return network.saliency(Y, Y.argmax(axis=1))


page.let("chosen", lambda Z2, Y: np.sum(Z2 * Y))


@page.gradient(by="Z2", code=start, of="chosen")
def dZ_chosen(Y):
    return Y


def saliency(X, W1, b1, W2, b2, Y, top):
    """The package's saliency of the classes in Y."""
    return paper(W1, b1, W2, b2).saliency(X, Y.argmax(axis=1))


@page.define("B n0", code=saliency, of="chosen")
def S(dX):
    return absolute(dX)


NUMBERS = {
    "X": [[1, 0.5], [0, 1]], "Y": [[1, 0], [0, 1]],
    "W1": [[1, -1, 0.5], [0, 2, -0.5]], "b1": [0, 0, 0.5],
    "W2": [[1, 0], [-1, 1], [0.5, 2]], "b2": [0.5, 0], "lambda_": 0.1,
}  # fmt: skip


def forward_pass():
    """Two examples, two features, three hidden units, two classes."""
    return page.example("Z1", "A1", "Z2", "A2", "data", digits=3, folded=True, **NUMBERS)


def backward_pass():
    """The same, backwards."""
    terms = ("dZ2", "dW2", "db2", "dA1", "dZ1", "dW1", "db1")
    return page.example(*terms, digits=3, folded=True, **NUMBERS)
