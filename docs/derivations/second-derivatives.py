"""The equations of the page "Second derivatives"."""

import numpy as np
import sympy
from equations import Derivation, equal
from typeset import PRODUCT, Tex, exp, log, total

from tinygrad_mnist import Tensor, func, grad
from tinygrad_mnist.autodiff import ops


def adding_up(y):
    """Any numbers that add up to 1: a proof for these is one for all one-hot targets."""
    return np.append(y[:-1], 1 - y[:-1].sum())


page = Derivation(9, C=3, m=2)
page.given("x")
page.given("z", "C")
page.given("y", "C", sample=lambda rng, shape: np.eye(*shape, dtype=int)[1], symbols=adding_up)
page.given("v", "C")
page.index(i="C", j="C")
page.given("w", "m")
page.given("h", "m", positive=True)
page.given("eta")
page.index(k="m")
page.let("v_bar", lambda p, v: np.sum(p * v))
page.let("slope", lambda dz, v: np.sum(dz * v))


def diag(p):
    """The diagonal matrix with given entries."""
    return Tex(rf"\operatorname{{diag}}\left({p}\right)") if isinstance(p, Tex) else np.diag(p)


def outer(p):
    """The product of a row, as a column, with the row: all products of two entries."""
    if not isinstance(p, Tex):
        return np.outer(p, p)
    if p.name:
        return Tex(rf"{p.T}\; {p}", PRODUCT)
    column = p.latex.replace(" & ", r" \\ ")
    return Tex(f"{column} {p}", PRODUCT)


def loss(z, y):
    """The package's cross-entropy of one example, with what it was computed from."""
    z = Tensor(z, requires_grad=True)
    return z, ops.cross_entropy(z.reshape(1, -1), np.array([y.argmax()]))[0]


def hessian(z, y):
    """The package's second derivatives: the gradient of each entry of the gradient."""
    z, value = loss(z, y)
    (dz,) = grad(value, z, create_graph=True)
    return np.stack([grad(slope, z, retain_graph=True)[0].data for slope in dz])


@page.define(code=lambda x: Tensor(np.float64(x)) ** 3, lhs="f(x)")
def f(x):
    return x**3


@page.derivative("f", "x", lhs="f'(x)")
def first(x):
    return 3 * x**2


@page.derivative("first", "x", lhs="f''(x)")
def second(x):
    return 3 * 2 * x


@page.define("C", code=lambda z: ops.softmax(z))
def p(z, i, C):
    return exp(z[i]) / total(lambda j: exp(z[j]), C)


@page.define(code=lambda z, y: loss(z, y)[1])
def L(p, y, C):
    return -total(lambda i: y[i] * log(p[i]), C)


@page.gradient
def dz(p, y, i):
    return p[i] - y[i]


@page.define("C C", code=hessian)
def H(p):
    return diag(p) - outer(p)


H_ij = r"\frac{\partial^2 L}{\partial z_i\, \partial z_j}"


@page.derivative("dz[i]", "z[j]", lhs=H_ij)
def curvature(H, i, j):
    return H[i, j]


@page.claim
def bend(v, v_bar, H, p, C):
    return equal(
        total(lambda i, j: v[i] * H[i, j] * v[j], C, C),
        total(lambda i: p[i] * (v[i] - v_bar) ** 2, C),
    )


@page.define("C", code=lambda v, z: ops.softmax_jacobian(v, z))
def q(p, v, i, C):
    return p[i] * (v[i] - total(lambda j: p[j] * v[j], C))


SLOPE = r"\sum_{j=1}^{C} \frac{\partial L}{\partial z_j}\, v_j"
SLOPE_BY_z = rf"\frac{{\partial}}{{\partial z_i}} {SLOPE}"


@page.derivative("slope", "z[i]", lhs=SLOPE_BY_z)
def along(H, v, i, C):
    return total(lambda j: H[i, j] * v[j], C)


@page.define(code=lambda w, h: (Tensor(h) * Tensor(w) ** 2).sum() / 2)
def Q(w, h, m):
    return total(lambda k: h[k] * w[k] ** 2, m) / 2


@page.gradient(of="Q")
def dw(h, w, k):
    return h[k] * w[k]


@page.claim(of="Q")
def descent(w, dw, h, eta, k):
    return equal(w[k] - eta * dw[k], (1 - eta * h[k]) * w[k])


@page.claim(of="Q")
def newton(w, dw, h, k):
    return equal(dw[k] / h[k], w[k])


def worked():
    """Three classes, of which the second is twice as probable as the others."""
    given = {"z": [0, sympy.log(2), 0], "y": [1, 0, 0], "v": [1, 0, -1]}
    return page.example("p", "H", "q", folded=True, **given)


page.given("g", "C")
page.let("weighted", lambda g, p: np.sum(g * log(p)))
page.let("pulled", lambda b, v: np.sum(b * v))
ROW = r"b_j = \sum_{i=1}^{C} g_i\, \frac{\partial \log p_i}{\partial z_j}"
COLUMN = r"t_i = \sum_{j=1}^{C} \frac{\partial \log p_i}{\partial z_j}\, v_j"
BACK_AGAIN = r"\frac{\partial}{\partial g_i} \sum_{j=1}^{C} b_j\, v_j"


def pull(z, g):
    """The package's product of g with the Jacobian."""
    return func.vjp(ops.log_softmax, z)[1](g)[0]


def push(z, v):
    """The package's product of the Jacobian with v."""
    return func.jvp(ops.log_softmax, (z,), (v,))[1]


@page.derivative("weighted", "z[j]", lhs=ROW, code=pull)
def b(g, p, j, C):
    return g[j] - p[j] * total(lambda i: g[i], C)


@page.define("C", code=push, lhs=COLUMN, seen=True)
def t(v, v_bar, i):
    return v[i] - v_bar


@page.derivative("pulled", "g[i]", lhs=BACK_AGAIN)
def pushed(v, v_bar, i):
    return v[i] - v_bar
