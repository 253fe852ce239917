"""Hard inputs against high-precision arithmetic: no element of a value or a gradient may be without a correct digit."""

import mpmath as mp
import numpy as np
import pytest

from tinygrad_mnist.autodiff import Tensor, grad, ops

mp.mp.dps = 1000  # log(softmax) of 1e4 differs from 0 that far behind the point only

HARD = [0.0, 1e-20, 1e-3, 0.3, 1.0, 3.0, 20.0, 40.0, 80.0, 88.0, 100.0, 700.0, 1e3, 1e4]
POINTS = sorted({sign * x for x in HARD for sign in (-1, 1)})


def mp_sigmoid(x):
    return 1 / (1 + mp.exp(-x))


# Op -> exact value, exact derivative.
ELEMENTWISE = {
    ops.sigmoid: (mp_sigmoid, lambda x: mp_sigmoid(x) * mp_sigmoid(-x)),
    ops.tanh: (mp.tanh, lambda x: mp.sech(x) ** 2),
    ops.softplus: (lambda x: mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x)), mp_sigmoid),
    ops.logsigmoid: (lambda x: -mp.log1p(mp.exp(-x)) if x > 0 else x - mp.log1p(mp.exp(x)), lambda x: mp_sigmoid(-x)),
}


def exact(row):
    return [mp.mpf(float(x)) for x in row]


def mp_softmax(x):
    e = [mp.exp(v - max(x)) for v in x]
    return [v / mp.fsum(e) for v in e]


# Op -> exact values, exact gradient along a cotangent; both of one row.
ROWS = {
    ops.softmax: (
        mp_softmax,
        lambda x, g: [
            p * mp.fsum(q * (gi - gj) for q, gj in zip(mp_softmax(x), g, strict=True)) for p, gi in zip(mp_softmax(x), g, strict=True)
        ],
    ),
    ops.log_softmax: (
        lambda x: [mp.log(p) for p in mp_softmax(x)],
        lambda x, g: [gi - p * mp.fsum(g) for p, gi in zip(mp_softmax(x), g, strict=True)],
    ),
    ops.logsumexp: (lambda x: [max(x) + mp.log(mp.fsum(mp.exp(v - max(x)) for v in x))], lambda x, g: [g[0] * p for p in mp_softmax(x)]),
}
LOGITS = {
    "ahead by 5": [5, 0, -1], "ahead by 20": [0, 20, 1], "ahead by 40": [40, 0, 3], "ahead by 80": [-80, 0, -79], "ahead by 200": [1200, 1000, 999],
    "ties": [7, 7, 7], "huge": [1e4, -1e4, 9.99e3], "tiny": [1e-20, -1e-20, 0], "one class": [3],
}  # fmt: skip


def worst(found, wanted, dtype):
    """The largest relative error in units in the last place, where the exact value is a normal number."""
    info = np.finfo(dtype)
    errors = [0.0]
    for a, b in zip(np.ravel(found), wanted, strict=True):
        assert np.isfinite(a)
        if abs(b) >= info.tiny:
            errors.append(float(abs(mp.mpf(float(a)) - b) / abs(b)) / info.eps)
        else:
            assert abs(a) <= 2 * info.tiny
    return max(errors)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_elementwise(op, dtype):
    x = Tensor(np.array(POINTS, dtype), requires_grad=True)
    out = op(x)
    (slope,) = grad(out, x, grad_outputs=np.ones(x.shape, dtype))
    value, derivative = ELEMENTWISE[op]
    assert worst(out.data, map(value, exact(x.data)), dtype) < 8
    assert worst(slope.data, map(derivative, exact(x.data)), dtype) < 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
@pytest.mark.parametrize("case", LOGITS)
def test_rows(op, dtype, case):
    value, gradient = ROWS[op]
    row = np.array([LOGITS[case]], dtype)
    x = Tensor(row, requires_grad=True)
    out = op(x)
    assert worst(out.data, value(exact(row[0])), dtype) < 8
    cotangents = [np.eye(out.size)[i].reshape(out.shape) for i in range(out.size)] + [
        np.random.default_rng(s).normal(size=out.shape) for s in range(4)
    ]
    worst_gradient = 0.0
    for g in cotangents:
        g = g.astype(dtype)
        (found,) = grad(op(x), x, grad_outputs=g)
        worst_gradient = max(worst_gradient, worst(found.data, gradient(exact(row[0]), exact(g.ravel())), dtype))
    assert worst_gradient < 64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", LOGITS)
def test_cross_entropy(dtype, case):
    row = np.array([LOGITS[case]], dtype)
    for target in range(row.size):
        x = Tensor(row, requires_grad=True)
        loss = ops.cross_entropy(x, np.array([target]))
        (found,) = grad(loss.sum(), x)
        p = mp_softmax(exact(row[0]))
        wanted = [-mp.fsum(q for j, q in enumerate(p) if j != target) if i == target else q for i, q in enumerate(p)]
        others = [mp.exp(v - exact(row[0])[target]) for j, v in enumerate(exact(row[0])) if j != target]
        assert worst(loss.data, [mp.log1p(mp.fsum(others))], dtype) < 8
        assert worst(found.data, wanted, dtype) < 8


@pytest.mark.parametrize(("dtype", "offset"), [(np.float32, 1e4), (np.float64, 1e8), (np.float64, 0), (np.float32, 0)])
def test_variance(dtype, offset):
    data = (np.random.default_rng(0).normal(size=50) + offset).astype(dtype)
    x = Tensor(data, requires_grad=True)
    out = ops.var(x)
    (found,) = grad(out, x)
    xs = exact(data)
    mean = mp.fsum(xs) / len(xs)
    assert worst(out.data, [mp.fsum((v - mean) ** 2 for v in xs) / len(xs)], dtype) < 8
    assert worst(found.data, [2 * (v - mean) / len(xs) for v in xs], dtype) < 1000
