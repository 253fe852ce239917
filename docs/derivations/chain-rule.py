"""The equations of the page "The chain rule and the graph"."""

from equations import Derivation
from typeset import total

from tinygrad_mnist import grad, tensor
from tinygrad_mnist.autodiff import ops

page = Derivation(1, n=3, m=2)
page.given("u")
page.given("v")
page.given("x", "n")
page.given("W", "n m")
page.index(i="m", j="n")


@page.define(code=lambda u, v: ops.mul(u, v))
def a(u, v):
    return u * v


@page.define(code=lambda a, u: ops.add(a, u))
def c(a, u):
    return a + u


# The loss of the small program: L is that of the vectors below.
@page.define(code=lambda a, c: ops.mul(a, c))
def L_(a, c):
    return a * c


@page.derivative("a", "u", lhs=r"a_u = \frac{\partial a}{\partial u}")
def a_u(v):
    return v


@page.derivative("c", "u", lhs=r"c_u = \frac{\partial c}{\partial u}")
def c_u(a_u):
    return a_u + 1


@page.derivative("L_", "u")
def L_u(a_u, c, a, c_u):
    return a_u * c + a * c_u


@page.derivative("L_", "c", lhs=r"dc = \frac{\partial L}{\partial c}")
def dc(a):
    return a


@page.derivative("L_", "a", lhs=r"da = \frac{\partial L}{\partial a}")
def da(c, dc):
    return c + dc


@page.derivative("L_", "u", lhs=r"du = \frac{\partial L}{\partial u}")
def du(da, v, dc):
    return da * v + dc


@page.derivative("L_", "v", lhs=r"dv = \frac{\partial L}{\partial v}")
def dv(da, u):
    return da * u


@page.define("m", code=lambda W, x: ops.matmul(x * x, W))
def y(W, x, i, n):
    return total(lambda j: x[j] ** 2 * W[j, i], n)


J_ij = r"J_{ij} = \frac{\partial y_i}{\partial x_j}"


@page.derivative("y[i]", "x[j]", lhs=J_ij)
def J(W, x, i, j):
    return 2 * W[j, i] * x[j]


page.arriving("y")


@page.derivative("L", "x[j]", lhs=r"dx_j = \frac{\partial L}{\partial x_j}")
def dx_entry(dy, J, j, m):
    return total(lambda i: dy[i] * J[i, j], m)


def by_tape(W, x, dy):
    """What the tape finds."""
    leaf = tensor(x, requires_grad=True)
    return grad(ops.matmul(leaf * leaf, W), leaf, dy)[0]


@page.gradient(code=by_tape)
def dx(J, dy):
    return dy @ J


def forwards():
    """The small program at u = 2, v = 3, with the derivatives with respect to u."""
    return page.example("a", "c", "L_", "a_u", "c_u", "L_u", u=2, v=3)


def backwards():
    """The same, backwards."""
    return page.example("dc", "da", "du", "dv", u=2, v=3)


def worked():
    """Three inputs, two outputs."""
    W = [[1, 0], [0, 1], [2, -1]]
    return page.example("W", "x", "y", "J", "dy", "dx", W=W, x=[1, 2, 3], dy=[1, 2])
