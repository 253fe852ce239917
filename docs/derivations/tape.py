"""The equations of the page "The tape"."""

import numpy as np
from equations import Derivation

from tinygrad_mnist import Tensor, byhand
from tinygrad_mnist.autodiff.graph import shares

page = Derivation(7, top="y", k=5, B=2, n0=2, n1=3, n2=2)
page.given("x")


def recorded(x):
    """The page's graph on the package's tape."""
    x = Tensor(np.float64(x), requires_grad=True)
    u = x * x
    a, b = 2 * u, 3 * u
    return {"x": x, "u": u, "a": a, "b": b, "y": a * b}


def depth_first(y, grads):
    """Wrong: passes on what has arrived so far, each time something arrives."""
    if y.op is not None:
        for x, share in shares(y, grads[y]):
            grads[x] = grads.get(x, 0) + share
            depth_first(x, grads)


def each_once(y, grads, seen):
    """Wrong: passes on once, but as soon as something has arrived."""
    if y.op is not None and y not in seen:
        seen.add(y)
        for x, share in shares(y, grads[y]):
            grads[x] = grads.get(x, 0) + share
            each_once(x, grads, seen)


def along_every_path(y, g, grads):
    """Right, but slow: each share travels on alone. Says how many rules were applied."""
    if y.op is None:
        return 0
    applied = 0
    for x, share in shares(y, g):
        grads[x] = grads.get(x, 0) + share
        applied += 1 + along_every_path(x, share, grads)
    return applied


def wrongly(walk, x, *more):
    """The gradient of x that a wrong walk finds."""
    t = recorded(x)
    grads = {t["y"]: np.ones(())}
    walk(t["y"], grads, *more)
    return grads[t["x"]]


def ladder(k):
    """How many rules the walk along every path applies to y = y + y, done so many times."""
    y = Tensor(np.float64(1), requires_grad=True)
    for _ in range(k):
        y = y + y
    return along_every_path(y, np.ones(()), {})


class Counting(np.ndarray):
    """An array that counts the multiplications of matrix products."""

    count = 0

    def __array_ufunc__(self, ufunc, method, *arrays, **options):
        arrays = [np.asarray(a) for a in arrays]
        if ufunc is np.matmul:
            (rows, inner), (_, columns) = (a.shape for a in arrays)
            Counting.count += rows * inner * columns
        return np.asarray(getattr(ufunc, method)(*arrays, **options)).view(Counting)


def multiplications(B, *sizes):
    """Of a forward and a backward pass of the network by hand."""
    network = byhand.MLP(sizes)
    network.params = {name: value.view(Counting) for name, value in network.params.items()}
    counts = []
    Counting.count = 0
    terms = network.forward(np.zeros((B, sizes[0])).view(Counting))
    counts.append(Counting.count)
    network.backward(terms, np.zeros(B, int))
    return [*counts, Counting.count - counts[0]]


@page.define(code=lambda x: recorded(x)["u"])
def u(x):
    return x * x


@page.define(code=lambda x: recorded(x)["a"])
def a(u):
    return 2 * u


@page.define(code=lambda x: recorded(x)["b"])
def b(u):
    return 3 * u


@page.define(code=lambda x: recorded(x)["y"])
def y(a, b):
    return a * b


@page.gradient
def da(b):
    return b


@page.gradient
def db(a):
    return a


@page.gradient
def du(da, db):
    return 2 * da + 3 * db


@page.gradient
def dx(du, x):
    return du * x + du * x


@page.derivative("y", "x")
def paths(x, a, b):
    return 2 * b * x + 2 * b * x + 3 * a * x + 3 * a * x


@page.define(seen=True, code=lambda x: wrongly(depth_first, x))
def dx_naive(dx, da, x):
    return dx + 2 * da * (x + x)


@page.define(seen=True, code=lambda x: wrongly(each_once, x, set()))
def dx_hasty(da, x):
    return 2 * da * (x + x)


@page.define(seen=True, code=ladder, symbol=r"\text{rules applied}")
def visits(k):
    return 2 ** (k + 1) - 2


def forward(B, n0, n1, n2):
    """Multiplications of the forward pass."""
    return multiplications(B, n0, n1, n2)[0]


def backward(B, n0, n1, n2):
    """Multiplications of the backward pass."""
    return multiplications(B, n0, n1, n2)[1]


@page.define(seen=True, code=forward)
def F(B, n0, n1, n2):
    return B * n0 * n1 + B * n1 * n2


@page.define(seen=True, code=backward)
def R(F, B, n0, n1):
    return 2 * F - B * n0 * n1


def worked():
    """At x = 2."""
    return page.example("u", "a", "b", "y", "da", "db", "du", "dx", x=2)


def wrong():
    """The same, in the wrong order."""
    return page.example("dx_naive", "dx_hasty", x=2)
