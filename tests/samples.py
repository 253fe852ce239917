"""One registry of sample calls per op: it drives the tests of values, gradients, dtypes and errors.

Shapes are rectangular and broadcast, values stay clear of kinks (those are specified one by one in test_ops.py).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_mnist.autodiff import ops


def draw(*shape, low=-2.0, high=2.0):
    """Float64 values that depend on the shape only, at least 0.1 from 0."""
    rng = np.random.default_rng([*shape, 7])
    values = rng.uniform(low, high, shape)
    return np.where(np.abs(values) < 0.1, 0.5, values)


@dataclass
class Sample:
    """A call of an op: arguments (float arrays are differentiated), keyword parameters, and what NumPy makes of it."""

    arguments: tuple[Any, ...]
    reference: Any
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def floats(self):
        """Positions of the arguments that are differentiated."""
        return [i for i, x in enumerate(self.arguments) if np.asarray(x).dtype.kind == "f"]


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
    ops.add: elementwise(np.add, *BROADCAST),
    ops.sub: elementwise(np.subtract, *BROADCAST),
    ops.mul: elementwise(np.multiply, *BROADCAST),
    ops.div: elementwise(np.divide, *BROADCAST),
    ops.neg: elementwise(np.negative),
    ops.power: elementwise(np.power, (draw(2, 3, low=0.5), draw(3)), (draw(2, 3), 3), (2.0, draw(3))),
    ops.maximum: elementwise(np.maximum, *BROADCAST),
    ops.minimum: elementwise(np.minimum, *BROADCAST),
    ops.where: elementwise(np.where, (draw(2, 3) > 0, draw(2, 3), draw(3)), (draw(2, 1) > 0, draw(3), 0.5), (draw() > 0, draw(), draw(4))),
    ops.clamp: [
        Sample((draw(3, 4),), lambda x, min=-np.inf, max=np.inf: np.clip(x, min, max), params)
        for params in ({"min": -1.05, "max": 0.95}, {"min": 0.3}, {"max": 0.3}, {})
    ],
    ops.sign: elementwise(np.sign),
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
        for key in (1, slice(None, None, 2), (slice(None), None, -1), ([0, 2, 0], [1, 1, 1]), np.array([True, False, True]), ...)
    ],
    ops.scatter: [Sample((draw(3),), lambda x, shape, key: np.array([x[1], 0, x[0] + x[2], 0]), {"shape": (4,), "key": [2, 0, 2]})],
    ops.concatenate: [
        Sample((draw(2, 3), draw(1, 3), draw(2, 3)), lambda *xs, axis=0: np.concatenate(xs, axis)),
        Sample((draw(2, 3), draw(2, 1)), lambda *xs, axis: np.concatenate(xs, axis), {"axis": -1}),
    ],
    ops.stack: [
        Sample((draw(2, 3), draw(2, 3) * 2), lambda *xs, axis=0: np.stack(xs, axis), params) for params in ({}, {"axis": 1}, {"axis": -1})
    ],
    ops.sliding_windows: [
        Sample((draw(2, 5, 6),), windows_by_loop, {"window": (2, 3), "stride": 2}),
        Sample((draw(2, 7),), windows_by_loop, {"window": (3,)}),
    ],
    ops.overlap_add: [Sample((draw(2, 2, 3),), overlap_by_loop, {"shape": (2, 5), "window": (3,), "stride": 2})],
    ops.sum: [Sample((draw(2, 3, 4),), np.sum, params) for params in ({}, {"axis": -1}, {"axis": (0, 2)}, {"axis": 1, "keepdims": True})],
    ops.mean: [Sample((draw(2, 3, 4),), np.mean, params) for params in ({}, {"axis": -1}, {"axis": (0, 2)}, {"axis": 1, "keepdims": True})],
    ops.center: [Sample((draw(3, 4),), lambda x, axis=None: x - x.mean(axis, keepdims=True), params) for params in ({}, {"axis": 0})],
    ops.var: [Sample((draw(3, 4),), np.var, params) for params in ({}, {"axis": 0, "ddof": 1}, {"axis": (0, -1), "keepdims": True})],
    ops.std: [Sample((draw(3, 4),), np.std, params) for params in ({}, {"axis": 0, "ddof": 1}, {"axis": (0, -1), "keepdims": True})],
    ops.norm: [Sample((draw(3, 4),), np.linalg.norm, params) for params in ({}, {"axis": 0}, {"axis": -1, "keepdims": True})],
    ops.max: [Sample((draw(3, 4),), np.max, params) for params in ({}, {"axis": 0}, {"axis": (0, -1), "keepdims": True})],
    ops.min: [Sample((draw(3, 4),), np.min, params) for params in ({}, {"axis": 0}, {"axis": (0, -1), "keepdims": True})],
    ops.argmax: [Sample((draw(3, 4),), np.argmax, params) for params in ({}, {"axis": 0}, {"axis": -1, "keepdims": True})],
    ops.shares: [
        Sample(
            (np.array([3.0, 1.0, 3.0]), np.array(3.0)), lambda x, extreme, axis, keepdims: [0.5, 0, 0.5], {"axis": None, "keepdims": False}
        )
    ],
    ops.matrix_product: elementwise(np.matmul, (draw(2, 3), draw(3, 4)), (draw(5, 2, 3), draw(3, 4)), (draw(5, 2, 3), draw(1, 3, 1))),
    ops.linear: elementwise(lambda x, w, b: x @ w + b, (draw(2, 3), draw(3, 4), draw(4)), (draw(1, 3), draw(3, 1), draw(1))),
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
        Sample((draw(2, 3),), lambda x, negative_slope=0.01: x * np.where(x > 0, 1, negative_slope), params)
        for params in ({}, {"negative_slope": 0.3})
    ],
    ops.softplus: elementwise(lambda x: np.log(1 + np.exp(x))),
    ops.logsigmoid: elementwise(lambda x: -np.log(1 + np.exp(-x))),
    ops.softmax_jacobian: [
        Sample(
            (draw(3, 4), draw(3, 4) * 0.7),
            lambda v, x, axis=-1: (p := np.exp(_log_softmax(x, axis))) * (v - (p * v).sum(axis, keepdims=True)),
            params,
        )
        for params in ({}, {"axis": 0})
    ],
    ops.log_softmax_slope: [
        Sample((draw(3, 4), draw(3, 4) * 0.7), lambda v, x, axis=-1: v - np.exp(_log_softmax(x, axis)) * v.sum(axis, keepdims=True), params)
        for params in ({}, {"axis": 0})
    ],
    ops.logsumexp: [
        Sample((draw(3, 4),), lambda x, axis=-1, keepdims=False: np.log(np.exp(x).sum(axis, keepdims=keepdims)), params)
        for params in ({}, {"axis": 0, "keepdims": True})
    ],
    ops.softmax: [Sample((draw(3, 4),), lambda x, axis=-1: np.exp(_log_softmax(x, axis)), params) for params in ({}, {"axis": 0})],
    ops.log_softmax: [Sample((draw(3, 4),), _log_softmax, params) for params in ({}, {"axis": 0})],
    ops.cross_entropy: [Sample((draw(3, 4), LABELS), lambda x, t: -_log_softmax(x)[np.arange(3), t])],
    ops.cross_entropy_slope: [Sample((draw(3, 4), LABELS), lambda x, t: np.exp(_log_softmax(x)) - np.eye(4)[t])],
    ops.squared_error: elementwise(lambda x, y: (x - y) ** 2, *BROADCAST),
}

CASES = [(op, sample) for op, samples in SAMPLES.items() for sample in samples]
CASE_NAMES = [f"{op.name}-{i}" for op, samples in SAMPLES.items() for i, _ in enumerate(samples)]
