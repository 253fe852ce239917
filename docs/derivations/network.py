"""The equations of the page "The whole network by hand".

(6.1) to (6.17) are (1) to (17) of byhand/mlp.py.
"""

from functools import cache

import numpy as np
import sympy
from equations import Derivation
from mpmath.libmp import prec_to_dps
from typeset import Tex, absolute, exp, function, log, total

from tinygrad_mnist import byhand


def one_hot(rng, shape):
    """Rows that are 1 at one place, drawn by chance, and 0 elsewhere."""
    rows, classes = shape
    return np.eye(classes, dtype=int)[[rng.randrange(classes) for _ in range(rows)]]


page = Derivation(6, top="objective", B=2, C=2, n0=1, n1=2, n2=2, T=3)
page.layers("ell", "L", 2, width="n")
page.choice("kind", "cross_entropy", "mse", "saliency")
page.given("A", "B n[ell]", layers=(0,))
page.given("W", "n[ell-1] n[ell]")
page.given("b", "n[ell]")
page.given("Y", "B C", sample=one_hot)
page.given("lambda_")
page.index(i="B", j="C")
page.let(
    "data",
    lambda cross_entropy, squared_error, kind: squared_error if kind == "mse" else cross_entropy,
)
page.let("chosen", lambda Z, Y, L: np.sum(Z[L] * Y))
page.let("objective", lambda loss, chosen, kind: chosen if kind == "saliency" else loss)

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


def below(n):
    """The layer or the step before."""
    return n - 1


def of_two(kind, cross_entropy, squared_error):
    """What holds for the loss that the network is trained with."""
    if isinstance(kind, Tex):
        lines = (
            rf"\displaystyle {cross_entropy} & \text{{(softmax)}}",
            rf"{squared_error} & \text{{(sigmoid)}}",
        )
        return Tex(r"\begin{cases} " + r" \\[1ex] ".join(lines) + r" \end{cases}")
    return squared_error if kind == "mse" else cross_entropy


def paper(W, b, kind, lambda_=0.0, layers=(1, 2)):
    """The package's network with some of the page's layers."""
    sizes = [W[layers[0]].shape[0], *(b[layer].size for layer in layers)]
    loss = "mse" if kind == "mse" else "cross_entropy"
    network = byhand.MLP(sizes, "sigmoid", loss, lambda_, dtype=np.float64)
    network.params = {}
    for n, layer in enumerate(layers, 1):
        network.params |= {f"W{n}": W[layer], f"b{n}": b[layer]}
    return network


def forward(term):
    """A term of the package's forward pass."""
    return lambda A, W, b, kind: paper(W, b, kind).forward(A[0])[term]


def loss_of(A, W, b, Y, kind, lambda_):
    """The package's loss."""
    network = paper(W, b, kind, lambda_)
    return network.loss(network.forward(A[0]), Y.argmax(axis=1))


def data_of(A, W, b, Y, kind):
    """The package's loss without the penalty."""
    return loss_of(A, W, b, Y, kind, 0.0)


def backward(term, step=0):
    """A gradient of the package: ``dW`` of layer ell, or of the one so many steps from it."""

    def code(A, W, b, Y, kind, lambda_, ell):
        network = paper(W, b, kind, lambda_)
        return network.backward(network.forward(A[0]), Y.argmax(axis=1))[f"{term}{ell + step}"]

    return code


def top(term):
    """A gradient of the package at the last layer."""
    return lambda A, W, b, Y, kind, lambda_: backward(term)(A, W, b, Y, kind, lambda_, 2)


def of_one_layer(A, W, b, kind, ell):
    """The package's pre-activations of a layer."""
    return paper(W, b, kind, layers=(ell,)).forward(A[below(ell)])["Z1"]


@page.define("B n[ell]", code=of_one_layer)
def Z(A, W, b, ell):
    return A[below(ell)] @ W[ell] + b[ell]


@page.define("B n[ell]", code=forward("A1"), layers=(1,))
def A(Z, ell):
    return f(Z[ell])


@page.define("B C", code=forward("A2"), lhs="(A_L)_{ij}")
def A2(Z, i, j, C, L, kind):
    softmax = exp(Z[L][i, j]) / total(lambda c: exp(Z[L][i, c]), C)
    return of_two(kind, softmax, sigma(Z[L][i, j]))


@page.define(code=data_of, lhs=r"\mathrm{data}", only=("cross_entropy",))
def cross_entropy(A, Y, B, C, L):
    return -total(lambda i: total(lambda j: Y[i, j] * log(A[L][i, j]), C), B) / B


@page.define(code=data_of, lhs=r"\mathrm{data}", only=("mse",))
def squared_error(A, Y, B, C, L):
    return total(lambda i: total(lambda j: (A[L][i, j] - Y[i, j]) ** 2, C), B) / (B * C)


@page.define(code=loss_of, only=("cross_entropy", "mse"))
def loss(data, W, lambda_, L, n):
    def squares(ell):
        return total(lambda k: total(lambda j: W[ell][k, j] ** 2, n[ell]), n[below(ell)])

    return data + lambda_ / 2 * total(squares, L, first=1)


@page.gradient(of="Z[L]", code=top("dZ"), only=("cross_entropy",))
def dZ_softmax(A, Y, B, L):
    return (A[L] - Y) / B


@page.gradient(of="A[L]", code=top("dA"), only=("mse",))
def dA_sigmoid(A, Y, B, C, L):
    return 2 * (A[L] - Y) / (B * C)


@page.gradient(of="Z[L]", code=top("dZ"), only=("mse",))
def dZ_sigmoid(dA, Z, L):
    return dA[L] * sigma_slope(Z[L])


@page.gradient(code=backward("dW"), only=("cross_entropy", "mse"))
def dW(A, dZ, W, lambda_, ell):
    return A[below(ell)].T @ dZ[ell] + lambda_ * W[ell]


@page.gradient(code=backward("db"), only=("cross_entropy", "mse"))
def db(dZ, B, ell):
    return total(lambda i: dZ[ell][i], B)


@page.gradient(of="A[ell-1]", code=backward("dA", -1), layers=(2,), only=("cross_entropy", "mse"))
def dA(dZ, W, ell):
    return dZ[ell] @ W[ell].T


@page.gradient(of="Z[ell-1]", code=backward("dZ", -1), layers=(2,), only=("cross_entropy", "mse"))
def dZ(dA, Z, ell):
    return dA[below(ell)] * f_slope(Z[below(ell)])


def trained(g, mu, eta=0.0):
    """The package's velocities and weights along given gradients, from a weight of 1."""
    network = byhand.MLP((1, 1), dtype=np.float64)
    network.params = {"W1": np.array(1.0)}
    path = []
    for gradient in g:
        network.step({"dW1": gradient}, eta, mu)
        path.append((network.velocity["W1"], network.params["W1"]))
    return np.transpose(path)


page.given("g", "T")
page.given("mu")
page.given("eta")
page.step(t="T")
page.sequence("g")
page.sequence("v", start=0)
page.sequence("theta", start=1)


@page.define("T", code=lambda g, mu: trained(g, mu)[0])
def v(v, g, mu, t):
    return mu * v[below(t)] + g[t]


@page.define("T", code=lambda g, mu, eta: trained(g, mu, eta)[1])
def theta(theta, v, eta, t):
    return theta[below(t)] - eta * v[t]


def start(Y, kind):
    """What the package's saliency starts with, seen through a layer that changes nothing."""
    C = Y.shape[1]
    network = paper({1: np.eye(C)}, {1: np.zeros(C)}, kind, layers=(1,))
    return network.saliency(Y, Y.argmax(axis=1))


@page.gradient(of="Z[L]", code=start, only=("saliency",))
def dZ_chosen(Y):
    return Y


def saliency(A, W, b, Y, kind):
    """The package's saliency of the classes in Y."""
    return paper(W, b, kind).saliency(A[0], Y.argmax(axis=1))


@page.define("B n0", code=saliency, lhs=r"\underset{B \times n_0}{S}", only=("saliency",))
def S(dA):
    return absolute(dA[0])


NUMBERS = {
    "A0": [[1, 0.5], [0, 1]], "Y": [[1, 0], [0, 1]],
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
