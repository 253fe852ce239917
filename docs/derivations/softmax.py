"""The equations of the page "Softmax and cross-entropy"."""

import numpy as np
from equations import Derivation, equal
from typeset import delta, exp, log, total

from tinygrad_mnist.autodiff import ops

page = Derivation(4, C=3)
page.given("z", "C")
page.given("y", "C", sample=lambda rng, shape: [int(k == 1) for k in range(*shape)])
page.given("c")
page.index(i="C", j="C")


@page.define("C", code=lambda z: ops.softmax(z))
def p(z, i, C):
    return exp(z[i]) / total(lambda k: exp(z[k]), C)


@page.claim
def shift(p, z, c, i, C):
    return equal(p[i], exp(z[i] - c) / total(lambda k: exp(z[k] - c), C))


@page.derivative("p[i]", "z[j]")
def jacobian(p, i, j):
    return p[i] * (delta(i, j) - p[j])


@page.define(code=lambda z, y: ops.cross_entropy(z.reshape(1, -1), np.array([y.argmax()]))[0])
def L(p, y, C):
    return -total(lambda k: y[k] * log(p[k]), C)


@page.gradient
def dp(p, y, i):
    return -y[i] / p[i]


@page.gradient
def dz(p, y, i):
    return p[i] - y[i]
