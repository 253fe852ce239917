"""The equations of the page "The chain rule"."""

import numpy as np
from equations import Derivation
from typeset import total

from tinygrad_mnist import grad, tensor
from tinygrad_mnist.autodiff import ops

page = Derivation(1, n=3, m=2)
page.given("a")
page.given("b")


@page.define(code=lambda a, b: ops.mul(a, np.float64(b)))
def u(a, b):
    return a * b


@page.define(code=lambda a, b: ops.add(a, np.float64(b)))
def v(a, b):
    return a + b


@page.define(code=lambda u, v: ops.mul(u, np.float64(v)))
def L(u, v):
    return u * v


@page.derivative("u", "b")
def u_by_b(a):
    return a


@page.gradient
def du(v):
    return v


@page.gradient
def dv(u):
    return u


@page.gradient
def db(du, dv, a):
    return du * a + dv * 1


@page.gradient
def da(du, dv, b):
    return du * b + dv * 1


page.given("x", "n")
page.given("W", "m n")
page.index(i="m", j="n")


@page.define("m", code=lambda W, x: ops.matmul(W, x * x))
def h(W, x, i, n):
    return total(lambda k: W[i, k] * x[k] ** 2, n)


@page.derivative("h[i]", "x[j]", shape="m n")
def J(W, x, i, j):
    return 2 * W[i, j] * x[j]


page.given("g", "m")


@page.define(code=lambda g, h: ops.matmul(g, h), lhs=r"\ell")
def ell(g, h, m):
    return total(lambda k: g[k] * h[k], m)


@page.derivative("ell", "x[j]")
def vjp(g, J, j, m):
    return total(lambda k: g[k] * J[k, j], m)


def tape(g, W, x):
    """The same by the machine."""
    leaf = tensor(x, requires_grad=True)
    return grad((ops.matmul(W, leaf * leaf) * g).sum(), leaf)[0]


@page.define("n", code=tape, lhs="g^\\top J")
def product(g, J):
    return g @ J


def worked():
    """The graph of four nodes."""
    return page.example("u", "v", "L", "du", "dv", "da", "db", a=2, b=3)


def worked_product():
    """Two outputs, three inputs."""
    return page.example("h", "J", "product", W=[[1, 0, -1], [2, 1, 0]], x=[1, 2, 3], g=[1, -1])
