"""One registry of sample calls per op: it drives the tests of values, gradients, dtypes and errors.

Shapes are rectangular and broadcast, values stay clear of kinks (those are specified one by one in
test_ops.py).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.autodiff.graph import cast
from tinygrad_mnist.testing import Call


def draw(*shape, low=-2.0, high=2.0):
    """Float64 values that depend on the shape only, at least 0.1 from 0."""
    rng = np.random.default_rng([*shape, 7])
    values = rng.uniform(low, high, shape)
    return np.where(np.abs(values) < 0.1, 0.5, values)


@dataclass
class Sample:
    """A call of an op: arguments, keyword parameters, and what NumPy makes of it.

    Arguments that are float arrays are differentiated.
    """

    arguments: tuple[Any, ...]
    reference: Any
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def floats(self):
        """Positions of the arguments that are floats."""
        return [i for i, x in enumerate(self.arguments) if np.asarray(x).dtype.kind == "f"]

    @property
    def call(self):
        """The same for `assert_op`."""
        return Call(self.arguments, self.params)


def _log_softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.log(e / e.sum(axis=axis, keepdims=True))


def windows_by_loop(x, window, stride=1):
    counts = [(n - w) // stride + 1 for n, w in zip(x.shape[-len(window) :], window, strict=True)]
    out = np.empty((*x.shape[: -len(window)], *counts, *window))
    for at in np.ndindex(*counts):
        out[(..., *at, *(slice(None),) * len(window))] = x[
            (..., *(slice(i * stride, i * stride + w) for i, w in zip(at, window, strict=True)))
        ]
    return out


def overlap_by_loop(x, shape, window, stride):
    out = np.zeros(shape)
    for i in range(x.shape[-2]):
        out[..., i * stride : i * stride + window[0]] += x[..., i, :]
    return out


LABELS = np.array([2, 0, 2])
BROADCAST = [(draw(2, 3), draw(3)), (draw(2, 1), draw(2, 3)), (draw(), draw(4))]


def elementwise(reference, *arguments):
    return [Sample(a, reference) for a in arguments or [(draw(2, 3),), (draw(),), (draw(0, 2),)]]


SAMPLES = {
    cast: [Sample((draw(2, 3),), lambda x, dtype: x.astype(dtype), {"dtype": np.float64})],
    ops.add: elementwise(np.add, *BROADCAST),
    ops.sub: elementwise(np.subtract, *BROADCAST),
    ops.mul: elementwise(np.multiply, *BROADCAST),
    ops.div: elementwise(np.divide, *BROADCAST),
    ops.remainder: elementwise(np.remainder, (draw(2, 3), draw(3, low=0.5)), (draw(2, 3), 0.7)),
    ops.floor_divide: elementwise(np.floor_divide, (LABELS, 2)),
    ops.neg: elementwise(np.negative),
    ops.power: elementwise(
        np.power, (draw(2, 3, low=0.5), draw(3)), (draw(2, 3), 3), (2.0, draw(3))
    ),
    ops.maximum: elementwise(np.maximum, *BROADCAST),
    ops.minimum: elementwise(np.minimum, *BROADCAST),
    ops.where: elementwise(
        np.where,
        (draw(2, 3) > 0, draw(2, 3), draw(3)),
        (draw(2, 1) > 0, draw(3), 0.5),
        (draw() > 0, draw(), draw(4)),
    ),
    ops.clamp: [
        Sample((draw(3, 4),), lambda x, min=-np.inf, max=np.inf: np.clip(x, min, max), params)
        for params in ({"min": -1.05, "max": 0.95}, {"min": 0.3}, {"max": 0.3}, {})
    ],
    ops.keep: elementwise(
        lambda x, mask: np.where(mask, x, 0),
        (draw(2, 3), draw(2, 3) > 0),
        (draw(2, 3), draw(3) > 0),
        (draw(), np.array(True)),
    ),
    ops.sign: elementwise(np.sign),
    ops.bitwise_and: elementwise(np.bitwise_and, (LABELS > 1, LABELS < 2)),
    ops.bitwise_or: elementwise(np.bitwise_or, (LABELS > 1, LABELS < 2)),
    ops.bitwise_xor: elementwise(np.bitwise_xor, (LABELS, 1)),
    ops.invert: elementwise(np.invert, (LABELS > 1,)),
    ops.inside: [Sample((LABELS,), lambda x, min, max: (x >= 1) & (x <= 2), {"min": 1, "max": 2})],
    ops.equal: elementwise(np.equal, (LABELS, LABELS[::-1])),
    ops.not_equal: elementwise(np.not_equal, (LABELS, LABELS[::-1])),
    ops.less: elementwise(np.less, (LABELS, 2)),
    ops.less_equal: elementwise(np.less_equal, (LABELS, 1)),
    ops.greater: elementwise(np.greater, (LABELS, 1)),
    ops.greater_equal: elementwise(np.greater_equal, (LABELS, 2)),
    ops.reshape: [Sample((draw(2, 6),), np.reshape, {"shape": (3, -1)})],
    ops.transpose: [
        Sample((draw(2, 3, 4),), np.transpose, {"axes": (2, 0, 1)}),
        Sample((draw(2, 3, 4),), np.transpose, {"axes": (-1, 0, 1)}),
    ],
    ops.broadcast_to: [Sample((draw(3, 1),), np.broadcast_to, {"shape": (2, 3, 4)})],
    ops.index: [
        Sample((draw(3, 4),), lambda x, key: x[key], {"key": key})
        for key in (
            1,
            slice(None, None, 2),
            (slice(None), None, -1),
            ([0, 2, 0], [1, 1, 1]),
            np.array([True, False, True]),
            ...,
        )
    ],
    ops.scatter: [
        Sample(
            (draw(3),),
            lambda x, shape, key: np.array([x[1], 0, x[0] + x[2], 0]),
            {"shape": (4,), "key": [2, 0, 2]},
        )
    ],
    ops.concatenate: [
        Sample((draw(2, 3), draw(1, 3), draw(2, 3)), lambda *xs, axis=0: np.concatenate(xs, axis)),
        Sample((draw(2, 3), draw(2, 1)), lambda *xs, axis: np.concatenate(xs, axis), {"axis": -1}),
    ],
    ops.stack: [
        Sample((draw(2, 3), draw(2, 3) * 2), lambda *xs, axis=0: np.stack(xs, axis), params)
        for params in ({}, {"axis": 1}, {"axis": -1})
    ],
    ops.sliding_windows: [
        Sample((draw(2, 5, 6),), windows_by_loop, {"window": (2, 3), "stride": 2}),
        Sample((draw(2, 7),), windows_by_loop, {"window": (3,)}),
    ],
    ops.overlap_add: [
        Sample((draw(2, 2, 3),), overlap_by_loop, {"shape": (2, 5), "window": (3,), "stride": 2})
    ],
    ops.sum: [
        Sample((draw(2, 3, 4),), np.sum, params)
        for params in ({}, {"axis": -1}, {"axis": (0, 2)}, {"axis": 1, "keepdims": True})
    ]
    + [Sample((draw(0, 3),), np.sum, params) for params in ({}, {"axis": 0}, {"axis": 1})],
    ops.mean: [
        Sample((draw(2, 3, 4),), np.mean, params)
        for params in ({}, {"axis": -1}, {"axis": (0, 2)}, {"axis": 1, "keepdims": True})
    ]
    + [Sample((draw(0, 3),), np.mean, {"axis": 1})],
    ops.center: [
        Sample((draw(3, 4),), lambda x, axis=None: x - x.mean(axis, keepdims=True), params)
        for params in ({}, {"axis": 0})
    ],
    ops.var: [
        Sample((draw(3, 4),), np.var, params)
        for params in ({}, {"axis": 0, "ddof": 1}, {"axis": (0, -1), "keepdims": True})
    ],
    ops.std: [
        Sample((draw(3, 4),), np.std, params)
        for params in ({}, {"axis": 0, "ddof": 1}, {"axis": (0, -1), "keepdims": True})
    ]
    + [Sample((draw(),), np.std)],
    ops.norm: [
        Sample((draw(3, 4),), np.linalg.norm, params)
        for params in ({}, {"axis": 0}, {"axis": -1, "keepdims": True})
    ]
    + [Sample((draw(),), np.linalg.norm)],
    ops.max: [
        Sample((draw(3, 4),), np.max, params)
        for params in ({}, {"axis": 0}, {"axis": (0, -1), "keepdims": True})
    ],
    ops.min: [
        Sample((draw(3, 4),), np.min, params)
        for params in ({}, {"axis": 0}, {"axis": (0, -1), "keepdims": True})
    ],
    ops.argmax: [
        Sample((draw(3, 4),), np.argmax, params)
        for params in ({}, {"axis": 0}, {"axis": -1, "keepdims": True})
    ],
    ops.argmin: [
        Sample((draw(3, 4),), np.argmin, params)
        for params in ({}, {"axis": 0}, {"axis": -1, "keepdims": True})
    ],
    ops.any: [
        Sample((draw(3, 4) > 1,), np.any, params)
        for params in ({}, {"axis": 0}, {"axis": (0, -1), "keepdims": True})
    ],
    ops.all: [
        Sample((draw(3, 4) > -1,), np.all, params)
        for params in ({}, {"axis": 0}, {"axis": (0, -1), "keepdims": True})
    ],
    ops.ties: [
        Sample(
            (np.array([3.0, 1.0, 3.0]), np.array(3.0)),
            lambda x, extreme, axis, keepdims: [0.5, 0, 0.5],
            {"axis": None, "keepdims": False},
        )
    ],
    ops.matrix_product: elementwise(
        np.matmul,
        (draw(3, 3), draw(3, 3).T),
        (draw(2, 3), draw(3, 4)),
        (draw(5, 2, 3), draw(3, 4)),
        (draw(5, 2, 3), draw(1, 3, 1)),
    ),
    ops.linear: elementwise(
        lambda x, w, b: x @ w + b,
        (draw(2, 3), draw(3, 4), draw(4)),
        (draw(1, 3), draw(3, 1), draw(1)),
        (draw(0, 3), draw(3, 2), draw(2)),
        (draw(3, 3), draw(3, 3)[::-1], draw(3)),  # square: what is not transposed fits
    ),
    ops.exp: elementwise(np.exp),
    ops.log: elementwise(np.log, (draw(2, 3, low=0.5),)),
    ops.log1p: elementwise(np.log1p, (draw(2, 3, low=-0.5),)),
    ops.sqrt: elementwise(np.sqrt, (draw(2, 3, low=0.5),)),
    ops.abs: elementwise(np.abs),
    ops.sin: elementwise(np.sin),
    ops.cos: elementwise(np.cos),
    ops.tanh: elementwise(np.tanh),
    ops.tanh_slope: elementwise(lambda x: 1 - np.tanh(x) ** 2),
    ops.sigmoid: elementwise(lambda x: 1 / (1 + np.exp(-x))),
    ops.sigmoid_slope: elementwise(lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    ops.relu: elementwise(lambda x: x * (x > 0)),
    ops.leaky_relu: [
        Sample(
            (draw(2, 3),),
            lambda x, negative_slope=0.01: x * np.where(x > 0, 1, negative_slope),
            params,
        )
        for params in ({}, {"negative_slope": 0.3})
    ],
    ops.softplus: elementwise(lambda x: np.log(1 + np.exp(x))),
    ops.logsigmoid: elementwise(lambda x: -np.log(1 + np.exp(-x))),
    ops.softmax_jacobian: [
        Sample(
            (draw(3, 4), draw(3, 4) * 0.7),
            lambda v, x, axis=-1: (
                (p := np.exp(_log_softmax(x, axis))) * (v - (p * v).sum(axis, keepdims=True))
            ),
            params,
        )
        for params in ({}, {"axis": 0})
    ],
    ops.softmax_deviation: [
        Sample(
            (draw(3, 4), draw(3, 4) * 0.7),
            lambda v, x, axis=-1: v - (np.exp(_log_softmax(x, axis)) * v).sum(axis, keepdims=True),
            params,
        )
        for params in ({}, {"axis": 0})
    ],
    ops.log_softmax_slope: [
        Sample(
            (draw(3, 4), draw(3, 4) * 0.7),
            lambda v, x, axis=-1: v - np.exp(_log_softmax(x, axis)) * v.sum(axis, keepdims=True),
            params,
        )
        for params in ({}, {"axis": 0})
    ],
    ops.logsumexp: [
        Sample(
            (draw(3, 4),),
            lambda x, axis=-1, keepdims=False: np.log(np.exp(x).sum(axis, keepdims=keepdims)),
            params,
        )
        for params in ({}, {"axis": 0, "keepdims": True})
    ],
    ops.softmax: [
        Sample((draw(3, 4),), lambda x, axis=-1: np.exp(_log_softmax(x, axis)), params)
        for params in ({}, {"axis": 0})
    ],
    ops.log_softmax: [Sample((draw(3, 4),), _log_softmax, params) for params in ({}, {"axis": 0})],
    ops.cross_entropy: [
        Sample((draw(3, 4), LABELS), lambda x, t: -_log_softmax(x)[np.arange(3), t])
    ],
    ops.cross_entropy_slope: [
        Sample((draw(3, 4), LABELS), lambda x, t: np.exp(_log_softmax(x)) - np.eye(4)[t])
    ],
    ops.squared_error: elementwise(lambda x, y: (x - y) ** 2, *BROADCAST),
}

CASES = [(op, sample) for op, samples in SAMPLES.items() for sample in samples]
CASE_NAMES = [f"{op.name}-{i}" for op, samples in SAMPLES.items() for i, _ in enumerate(samples)]

# ---------------------------------------------------------------- mutants

# Op -> wrong twins of its rules: (argument, what is wrong, the wrong rule). The twins that can be
# made from any rule (sign, cotangent forgotten, stash, ...) come with the kit.
MUTANTS = {
    ops.sub: [(1, "sign of the first argument", lambda g, out, x, y: g)],
    ops.mul: [
        (0, "own value", lambda g, out, x, y: g * x),
        (1, "output", lambda g, out, x, y: g * out),
    ],
    ops.div: [
        (0, "multiplied", lambda g, out, x, y: g * y),
        (1, "divided once", lambda g, out, x, y: -g * x / y),
    ],
    ops.remainder: [
        (1, "not rounded", lambda g, out, x, y: -g * x / y),
        (1, "none", lambda g, out, x, y: 0 * g),
    ],
    ops.power: [
        (0, "exponent not lowered", lambda g, out, x, y: g * y * x**y),
        (0, "exponent not in front", lambda g, out, x, y: g * x ** (y - 1)),
        (1, "logarithm forgotten", lambda g, out, x, y: g * out),
    ],
    ops.maximum: [
        (0, "everything", lambda g, out, x, y: g),
        (1, "the smaller", lambda g, out, x, y: g * (x > y)),
    ],
    ops.minimum: [
        (0, "everything", lambda g, out, x, y: g),
        (1, "the larger", lambda g, out, x, y: g * (x < y)),
    ],
    ops.where: [
        (1, "everything", lambda g, out, c, x, y: g),
        (2, "swapped", lambda g, out, c, x, y: ops.where(c, g, 0)),
    ],
    ops.keep: [
        (0, "everything", lambda g, out, x, mask: g),
        (0, "the other part", lambda g, out, x, mask: g * (mask == 0)),
    ],
    ops.clamp: [(0, "everything", lambda g, out, x, min=None, max=None: g)],
    ops.reshape: [(0, "in another order", lambda g, out, x, shape: g.T.reshape(x.shape))],
    ops.transpose: [
        (0, "permuted again", lambda g, out, x, axes: g.transpose(axes)),
        (0, "not permuted", lambda g, out, x, axes: g.reshape(x.shape)),
    ],
    ops.broadcast_to: [(0, "mean instead of sum", lambda g, out, x, shape: g * (x.size / g.size))],
    ops.index: [
        (
            0,
            "overwritten instead of added",
            lambda g, out, x, key: ops.scatter(g * _standing(x.shape, key), shape=x.shape, key=key),
        )
    ],
    ops.scatter: [(0, "first elements", lambda g, out, x, shape, key: g[: x.shape[0]])],
    ops.concatenate: [
        (
            0,
            "the last section",
            lambda g, out, *xs, axis=0: ops.index(
                g, key=ops.along(g, axis, slice(g.shape[axis] - xs[0].shape[axis], None))
            ),
        )
    ],
    ops.stack: [
        (
            1,
            "always the first",
            lambda g, out, *xs, axis=0: ops.index(g, key=(slice(None),) * (axis % out.ndim) + (0,)),
        )
    ],
    ops.sliding_windows: [
        (
            0,
            "stride ignored",
            lambda g, out, x, window, stride=1: ops.overlap_add(g, shape=x.shape, window=window),
        )
    ],
    ops.overlap_add: [
        (
            0,
            "stride ignored",
            lambda g, out, x, shape, window, stride=1: _same_shape(
                ops.sliding_windows(g, window=window), x
            ),
        )
    ],
    ops.sum: [(0, "mean", lambda g, out, x, **how: _spread(g, x, **how) * (out.size / x.size))],
    ops.mean: [
        (0, "sum", lambda g, out, x, **how: _spread(g, x, **how)),
        (0, "divided by all", lambda g, out, x, **how: _spread(g, x, **how) / x.size),
    ],
    ops.center: [(0, "mean kept", lambda g, out, x, axis=None: g)],
    ops.var: [
        (
            0,
            "mean kept",
            lambda g, out, x, axis=None, ddof=0, keepdims=False: (
                ops.unreduce(g, x, axis, keepdims) * x * 2 / (ops.reduced(x, axis) - ddof)
            ),
        ),
        (
            0,
            "ddof ignored",
            lambda g, out, x, axis=None, ddof=0, keepdims=False: (
                ops.unreduce(g, x, axis, keepdims)
                * ops.center(x, axis=axis)
                * 2
                / ops.reduced(x, axis)
            ),
        ),
    ],
    ops.std: [
        (
            0,
            "of the variance",
            lambda g, out, x, axis=None, ddof=0, keepdims=False: (
                ops.unreduce(g, x, axis, keepdims)
                * ops.center(x, axis=axis)
                / (ops.reduced(x, axis) - ddof)
            ),
        )
    ],
    ops.norm: [(0, "of the square", lambda g, out, x, **how: _spread(g, x, **how) * x)],
    ops.max: [(0, "everything", lambda g, out, x, **how: _spread(g, x, **how))],
    ops.min: [(0, "everything", lambda g, out, x, **how: _spread(g, x, **how))],
    ops.matrix_product: [
        (0, "not transposed", lambda g, out, x, y: g @ y),
        (0, "result transposed", lambda g, out, x, y: y @ g.mT),
        (1, "not transposed", lambda g, out, x, y: x @ g),
        (1, "result transposed", lambda g, out, x, y: g.mT @ x),
    ],
    ops.linear: [
        (0, "not transposed", lambda g, out, x, weight, bias: g @ weight),
        (1, "not transposed", lambda g, out, x, weight, bias: x @ g),
        (2, "mean over the rows", lambda g, out, x, weight, bias: g / x.shape[0]),
        (2, "first row only", lambda g, out, x, weight, bias: g[0]),
        (2, "summed over the columns", lambda g, out, x, weight, bias: g.sum(axis=1)),
    ],
    ops.exp: [(0, "input", lambda g, out, x: g * x)],
    ops.log: [(0, "output", lambda g, out, x: g / out)],
    ops.log1p: [(0, "of log", lambda g, out, x: g / x)],
    ops.abs: [(0, "everything", lambda g, out, x: g)],
    ops.sin: [(0, "sine", lambda g, out, x: g * ops.sin(x))],
    ops.cos: [(0, "cosine", lambda g, out, x: -g * ops.cos(x))],
    ops.tanh: [(0, "not squared", lambda g, out, x: g * (1 - out))],
    ops.tanh_slope: [(0, "factor tanh forgotten", lambda g, out, x: -2 * g * out)],
    ops.sigmoid: [
        (0, "only s", lambda g, out, x: g * out),
        (0, "of the input", lambda g, out, x: g * x * (1 - x)),
    ],
    ops.sigmoid_slope: [(0, "squared", lambda g, out, x: g * out * (1 - out))],
    ops.relu: [
        (0, "everything", lambda g, out, x: g),
        (0, "the other side", lambda g, out, x: g * (x < 0)),
    ],
    ops.leaky_relu: [(0, "like relu", lambda g, out, x, negative_slope=0.01: g * (x > 0))],
    ops.softplus: [(0, "mirrored", lambda g, out, x: g * ops.sigmoid(-x))],
    ops.logsigmoid: [(0, "mirrored", lambda g, out, x: g * ops.sigmoid(x))],
    ops.softmax: [
        (0, "diagonal only", lambda g, out, x, axis=-1: g * out * (1 - out)),
        (
            0,
            "wrong axis",
            lambda g, out, x, axis=-1: out * (g - (g * out).sum(axis=-1 - axis % 2, keepdims=True)),
        ),
        (0, "other classes forgotten", lambda g, out, x, axis=-1: out * g),
    ],
    ops.softmax_jacobian: [
        (
            1,
            "one term of three",
            lambda g, out, v, x, axis=-1: ops.softmax_jacobian(g * v, x, axis=axis),
        )
    ],
    ops.softmax_deviation: [
        (0, "not transposed", lambda g, out, v, x, axis=-1: ops.softmax_deviation(g, x, axis=axis))
    ],
    ops.log_softmax: [
        (0, "sum of g forgotten", lambda g, out, x, axis=-1: g - ops.softmax(x, axis=axis)),
        (
            0,
            "wrong axis",
            lambda g, out, x, axis=-1: (
                g - ops.softmax(x, axis=axis) * g.sum(axis=-1 - axis % 2, keepdims=True)
            ),
        ),
        (0, "of softmax", lambda g, out, x, axis=-1: ops.softmax_jacobian(g, x, axis=axis)),
    ],
    ops.log_softmax_slope: [
        (0, "not transposed", lambda g, out, v, x, axis=-1: ops.log_softmax_slope(g, x, axis=axis))
    ],
    ops.logsumexp: [
        (0, "output", lambda g, out, x, axis=-1, **how: _spread(g * out, x, axis, **how))
    ],
    ops.cross_entropy: [
        (0, "target forgotten", lambda g, out, x, target: g.reshape((-1, 1)) * ops.softmax(x)),
        (
            0,
            "divided by the batch",
            lambda g, out, x, target: (
                g.reshape((-1, 1)) * ops.cross_entropy_slope(x, target) / x.shape[0]
            ),
        ),
    ],
    ops.cross_entropy_slope: [
        (0, "diagonal only", lambda g, out, x, target: g * ops.softmax(x) * (1 - ops.softmax(x)))
    ],
    ops.squared_error: [
        (0, "only x", lambda g, out, x, y: 2 * g * x),
        (1, "sign of the first argument", lambda g, out, x, y: 2 * g * (x - y)),
    ],
}


def _spread(g, x, axis=None, keepdims=False):
    """`ops.unreduce` with the parameters and defaults that most reductions have."""
    return ops.unreduce(g, x, axis, keepdims)


def _standing(shape, key):
    """1 where an element stays after a plain x[key] = ..., 0 where a later one overwrites it."""
    flat = np.arange(np.prod(shape)).reshape(shape)[key]
    last = {element: position for position, element in enumerate(flat.ravel())}
    return np.array(
        [last[element] == position for position, element in enumerate(flat.ravel())], float
    ).reshape(flat.shape)


def _same_shape(windows, x):
    """As many windows as x has, from the beginning."""
    return windows[tuple(slice(n) for n in x.shape)]
