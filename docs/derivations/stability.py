"""The equations of the page "Numerical stability"."""

from equations import Derivation, equal
from typeset import absolute, exp, log, maximum, minimum, sqrt, total

from tinygrad_mnist.autodiff import ops

page = Derivation(14, C=3)
page.draws = 6
page.given("x")
page.given("z", "C")
page.given("c")
page.given("v", "C")
page.index(i="C")


@page.claim
def sigmoid(x):
    shifted = exp(minimum(x, 0)) / (1 + exp(-absolute(x)))
    return equal(1 / (1 + exp(-x)), shifted)


@page.claim
def softmax(z, c, i, C):
    shifted = exp(z[i] - c) / total(lambda k: exp(z[k] - c), C)
    return equal(exp(z[i]) / total(lambda k: exp(z[k]), C), shifted)


@page.define("C", code=lambda z: ops.log_softmax(z))
def a(z, i, C):
    return log(exp(z[i]) / total(lambda k: exp(z[k]), C))


@page.claim
def log_softmax(a, z, c, i, C):
    return equal(a[i], z[i] - c - log(total(lambda k: exp(z[k] - c), C)))


@page.claim
def softplus(x):
    shifted = maximum(x, 0) + log(1 + exp(-absolute(x)))
    return equal(log(1 + exp(x)), shifted)


@page.claim
def slope(x):
    e = exp(-absolute(x))
    return equal(exp(-x) / (1 + exp(-x)) ** 2, e / (1 + e) ** 2)


@page.define("C", code=lambda z: ops.softmax(z))
def p(z, i, C):
    return exp(z[i]) / total(lambda k: exp(z[k]), C)


@page.claim
def target(p, i, C):
    return equal(p[i] - 1, p[i] - total(lambda k: p[k], C))


@page.define(code=lambda v: ops.mean(v), symbol=r"\bar{v}")
def mean(v, C):
    return total(lambda k: v[k], C) / C


@page.claim
def variance(v, mean, C):
    centred = total(lambda k: (v[k] - mean) ** 2, C) / C
    return equal(total(lambda k: v[k] ** 2, C) / C - mean**2, centred)


@page.define(code=lambda v: ops.norm(v), symbol=r"\lVert v \rVert")
def norm(v, C):
    return sqrt(total(lambda k: v[k] ** 2, C))


page.given("s", positive=True)


@page.claim
def scaled(norm, v, s, C):
    return equal(norm, s * sqrt(total(lambda k: (v[k] / s) ** 2, C)))
