"""Hard inputs against high-precision arithmetic: values and derivatives are right to a few ulp."""

from functools import cache

import mpmath as mp
import numpy as np
import pytest

from tinygrad_mnist import nn
from tinygrad_mnist.autodiff import Tensor, grad, ops

mp.mp.dps = 60  # enough, since no formula below subtracts what is nearly equal

# Op -> the largest error of its values, first and second derivatives, in ulp, for float32 and
# float64 alike. A float32 with 100 000 ulp of error still has a correct digit. The larger bounds
# are those of sums of positive and negative terms, here v - (mean of v), which no formula in
# working precision gets to the last digit.
BOUNDS = {
    ops.sigmoid: (4, 6, 6),
    ops.tanh: (3, 6, 8),
    ops.softplus: (4, 4, 6),
    ops.logsigmoid: (4, 4, 6),
    ops.log1p: (3, 3, 5),
    ops.softmax: (5, 40, 16),
    ops.softmax_deviation: (48,),
    ops.log_softmax: (4, 24, 40),
    ops.logsumexp: (3, 5, 16),
    ops.cross_entropy: (4, 5, 60),
    nn.CrossEntropyLoss: (3, 6),
    ops.sum: (4, 0),
    ops.mean: (4, 1),
    ops.var: (4, 5),
    ops.std: (4, 8),
    ops.norm: (4, 5),
}

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def named(cases):
    return pytest.mark.parametrize("case", cases.values(), ids=cases)


def ops_of(table):
    return pytest.mark.parametrize("op", table, ids=lambda op: op.name)


def exact(array):
    """The floats actually given, as exact numbers."""
    return [mp.mpf(float(x)) for x in np.ravel(array)]


def ulps(found, wanted, sizes=None):
    """The largest error, in units in the last place of the exact numbers, or of `sizes` instead.

    A subnormal number has the unit of the smallest normal one; an exact 0 or infinity must be met
    exactly.
    """
    found = np.asarray(found)
    info = np.finfo(found.dtype)
    wanted = list(wanted)
    worst = 0.0
    for ours, right, size in zip(found.ravel().tolist(), wanted, sizes or wanted, strict=True):
        if ours == right:
            continue
        if size == 0 or mp.isinf(right) or not np.isfinite(ours):
            return np.inf
        exponent = max(mp.frexp(size)[1] - 1, int(info.minexp))
        worst = max(worst, float(abs(ours - right) / mp.ldexp(float(info.eps), exponent)))
    return worst


def derivatives(function, x, g, v=None):
    """Value, gradient along the cotangent g, and the derivative of that along v, as arrays."""
    x = Tensor(x, requires_grad=True)
    out = function(x)
    (slope,) = grad(out, x, grad_outputs=g, create_graph=v is not None)
    return out.data, slope.data, None if v is None else grad(slope, x, grad_outputs=v)[0].data


def directions(shape, dtype):
    """Cotangents: 1 at one element, for each; and random ones."""
    size = int(np.prod(shape))
    rngs = [np.random.default_rng([seed, size]) for seed in range(4)]
    random = [rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape) for rng in rngs]
    return [g.astype(dtype) for g in [*np.eye(size).reshape(size, *shape), *random]]


# ---------------------------------------------------------------- elementwise


def logistic(x):
    return 1 / (1 + mp.exp(-x))


def logistic_slope(x):
    return logistic(x) * logistic(-x)


def softplus(x):
    return max(x, 0) + mp.log1p(mp.exp(-abs(x)))


# Op -> exact value, first and second derivative.
ELEMENTWISE = {
    ops.sigmoid: (logistic, logistic_slope, lambda x: -logistic_slope(x) * mp.tanh(x / 2)),
    ops.tanh: (mp.tanh, lambda x: mp.sech(x) ** 2, lambda x: -2 * mp.tanh(x) * mp.sech(x) ** 2),
    ops.softplus: (softplus, logistic, logistic_slope),
    ops.logsigmoid: (lambda x: -softplus(-x), lambda x: logistic(-x), lambda x: -logistic_slope(x)),
    ops.log1p: (mp.log1p, lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2),
}
POINTS = {
    "zero": [0.0, -0.0],
    "tiny": [1e-3, 1e-20, 1e-38, 1e-42],
    "ordinary": np.random.default_rng(0).normal(size=100),
    "large": [20.0, 40.0, 80.0, 88.0, 100.0],
    "huge": [700.0, 745.0, 1e3, 1e4],
    "where results turn subnormal in float32": np.linspace(86, 104, 50),
    "where tanh' turns subnormal in float32": np.linspace(43, 52, 50),
    "where results turn subnormal in float64": np.linspace(707, 746, 50),
    "where tanh' turns subnormal in float64": np.linspace(353, 373, 50),
}


@named(POINTS)
@DTYPES
@ops_of(ELEMENTWISE)
def test_elementwise(op, dtype, case):
    points = np.array([*case, *np.negative(case)], dtype)
    if op is ops.log1p:
        points = points[points > -1]
    found = derivatives(op, points, np.ones_like(points), np.ones_like(points))
    formulas, bounds = ELEMENTWISE[op], BOUNDS[op]
    for array, formula, bound in zip(found, formulas, bounds, strict=True):
        assert ulps(array, map(formula, exact(points))) <= bound


@DTYPES
def test_log1p_close_to_its_pole(dtype):
    points = -1 + np.finfo(dtype).eps * np.array([0.5, 1, 1000], dtype)
    found = derivatives(ops.log1p, points, np.ones_like(points), np.ones_like(points))
    for array, formula, bound in zip(found, ELEMENTWISE[ops.log1p], BOUNDS[ops.log1p], strict=True):
        assert ulps(array, map(formula, exact(points))) <= bound


# ---------------------------------------------------------------- rows of logits


@cache
def weights(row):
    """exp(x - max) of every logit, and their sum."""
    e = [mp.exp(x - max(row)) for x in row]
    return e, mp.fsum(e)


def softmax(row):
    e, total = weights(row)
    return [x / total for x in e]


def apart(row, v):
    """v - (mean of v, weighted with softmax) at every element, as a sum of differences."""
    p = softmax(row)
    return [mp.fsum(q * (here - there) for q, there in zip(p, v, strict=True)) for here in v]


def jacobian(row, v):
    """The derivative of softmax along v; as its Jacobian is symmetric, also the gradient."""
    return [p * d for p, d in zip(softmax(row), apart(row, v), strict=True)]


def rest(row, i):
    """The sum of exp(x_j - x_i) over all others."""
    return mp.fsum(mp.exp(x - row[i]) for j, x in enumerate(row) if j != i)


def surprise(row, i):
    """-log softmax(row)[i]."""
    top = row.index(max(row))
    return row[top] - row[i] + mp.log1p(rest(row, top))


def log_softmax_gradient(row, g):
    e, total = weights(row)
    n = range(len(row))
    return [mp.fsum(g[i] * e[j] - e[i] * g[j] for j in n if j != i) / total for i in n]


def second(row, g, v):
    """The derivative of `jacobian(row, g)` along v; and the same, all terms taken as positive."""
    w = [a * b for a, b in zip(apart(row, g), apart(row, v), strict=True)]
    p = softmax(row)
    middle = mp.fsum(q * abs(x) for q, x in zip(p, w, strict=True))
    return jacobian(row, w), [q * (abs(x) + middle) for q, x in zip(p, w, strict=True)]


def scaled(factor, row):
    return [factor * x for x in row]


# Op -> exact value, gradient along g, and derivative of that along v, the last with the sizes to
# measure its error by: softmax'' is 0 where p = 1/2, like 1 - 2p, and near there its error is that
# of the terms. All of one row.
ROWS = {
    ops.softmax: (softmax, jacobian, second),
    ops.log_softmax: (
        lambda row: [-surprise(row, i) for i in range(len(row))],
        log_softmax_gradient,
        lambda row, g, v: (scaled(-mp.fsum(g), jacobian(row, v)), None),
    ),
    ops.logsumexp: (
        lambda row: [max(row) + mp.log1p(rest(row, row.index(max(row))))],
        lambda row, g: scaled(g[0], softmax(row)),
        lambda row, g, v: (scaled(g[0], jacobian(row, v)), None),
    ),
}
MASKED = -np.inf
LOGITS = {
    "ahead by 5": [5, 0, -1, 2],
    "ahead by 20": [0, 20, 1],
    "ahead by 40": [40, 0, 3],
    "ahead by 80": [-80, 0, -79],
    "ahead by 200": [1200, 1000, 999],
    "ahead by 700": [0, -3, 700],
    "the rest turns subnormal in float32": [0, -88, -95, -103],
    "the rest turns subnormal in float64": [0, -709, -720, -744],
    "two ahead": [100, 100, 0],
    "two nearly equal ahead": [60, 60.0625, 0, 1],
    "equal": [7, 7, 7],
    "equal, ten classes": [0.5] * 10,
    "huge": [1e4, -1e4, 9.99e3],
    "very negative": [-1e4, -1e4 - 1, -1e4 - 30],
    "tiny": [1e-20, -1e-20, 0],
    "one class": [3],
    "masked": [2, MASKED, 0, MASKED],
    "masked beside a confident one": [MASKED, 40, 0],
    "all but one masked": [MASKED, -5, MASKED],
}


def both_ways(case, dtype):
    """A batch of one, and the same turned around: the largest is first here and last there."""
    return [np.array([row], dtype) for row in (case, case[::-1])]


@named(LOGITS)
@DTYPES
@ops_of(ROWS)
def test_rows(op, dtype, case):
    value, gradient, curvature = ROWS[op]
    for x in both_ways(case, dtype):
        row = tuple(exact(x))
        along = directions(x.shape, dtype)
        for i, g in enumerate(directions(op(x).shape, dtype)):
            v = along[i - 1]  # not of the same class as g
            out, slope, change = derivatives(op, x, g, v)
            exact_change, sizes = curvature(row, exact(g), exact(v))
            assert ulps(out, value(row)) <= BOUNDS[op][0]
            assert ulps(slope, gradient(row, exact(g))) <= BOUNDS[op][1]
            assert ulps(change, exact_change, sizes) <= BOUNDS[op][2]


@named(LOGITS)
@DTYPES
def test_log_softmax_gradient_by_its_cotangent(dtype, case):
    for x in both_ways(case, dtype):
        row = tuple(exact(x))
        for v in directions(x.shape, dtype):
            g = Tensor(np.ones_like(x), requires_grad=True)
            logits = Tensor(x, requires_grad=True)
            (slope,) = grad(ops.log_softmax(logits), logits, grad_outputs=g, create_graph=True)
            (change,) = grad(slope, g, grad_outputs=v)
            assert ulps(change.data, apart(row, exact(v))) <= BOUNDS[ops.softmax_deviation][0]


GAPS = {
    "thousandths beside 80": [80, 1e-3, -1e-20, 0.1],
    "thirds": [100 / 3, -10 / 3, 1 / 3, 200 / 3],
    "ten random classes": np.random.default_rng(0).normal(size=10) * 8,
}


@named(GAPS)
@DTYPES
def test_a_gap_that_is_rounded_costs_at_most_the_gap_in_ulp(dtype, case):
    """Logits differ by a rounded number: exp multiplies its relative error by the number."""
    for x in both_ways(case, dtype):
        row = tuple(exact(x))
        gap = float(max(row) - min(row))
        for op, (value, gradient, _) in ROWS.items():
            assert ulps(op(x), value(row)) <= BOUNDS[op][0] + gap
            for g in directions(op(x).shape, dtype):
                _, slope, _ = derivatives(op, x, g)
                assert ulps(slope, gradient(row, exact(g))) <= BOUNDS[op][1] + gap
        for target in range(len(row)):
            found = ops.cross_entropy(x, np.array([target]))
            assert ulps(found, [surprise(row, target)]) <= BOUNDS[ops.cross_entropy][0] + gap


def loss_of(target):
    """The cross-entropy of one row."""
    return lambda x: ops.cross_entropy(x, np.array([target]))


@named(LOGITS)
@DTYPES
def test_cross_entropy(dtype, case):
    value, gradient, curvature = BOUNDS[ops.cross_entropy]
    for x in both_ways(case, dtype):
        row = tuple(exact(x))
        p = softmax(row)
        for target in range(len(row)):
            weight, loss = np.array([1.7], dtype), loss_of(target)
            for v in directions(x.shape, dtype)[-3:]:
                out, slope, change = derivatives(loss, x, weight, v)
                assert ulps(change, scaled(exact(weight)[0], jacobian(row, exact(v)))) <= curvature
            assert ulps(out, [surprise(row, target)]) <= value
            less_one = [-mp.fsum(p[:i] + p[i + 1 :]) if i == target else q for i, q in enumerate(p)]
            assert ulps(slope, scaled(exact(weight)[0], less_one)) <= gradient


@DTYPES
@pytest.mark.parametrize("smoothing", [0.0, 0.25], ids=["labels as they are", "labels smoothed"])
def test_cross_entropy_loss_of_a_batch(dtype, smoothing):
    batch = np.array([
        [5, 0, -1], [0, 40, 3], [1200, 1000, 999],
        [7, 7, 7], [-1e4, 1e4, 9.99e3], [-80, 0, -79],
    ], dtype)  # fmt: skip
    rows, n, classes = [tuple(exact(row)) for row in batch], *batch.shape
    loss, share = nn.CrossEntropyLoss(label_smoothing=smoothing), mp.mpf(smoothing)
    for targets in ([0, 1, 0, 2, 1, 1], [2, 0, 1, 0, 0, 0]):
        found, slope, _ = derivatives(lambda x, y=targets: loss(x, y), batch, np.ones((), dtype))
        losses, slopes = [], []
        for row, target in zip(rows, targets, strict=True):
            label = [(1 - share) * (i == target) + share / classes for i in range(classes)]
            losses.append(mp.fsum(y * surprise(row, i) for i, y in enumerate(label)))
            slopes += scaled(mp.mpf(1) / n, log_softmax_gradient(row, scaled(-1, label)))
        assert ulps(found, [mp.fsum(losses) / n]) <= BOUNDS[nn.CrossEntropyLoss][0]
        assert ulps(slope, slopes) <= BOUNDS[nn.CrossEntropyLoss][1]


# ---------------------------------------------------------------- reductions


def deviations(xs):
    return [mp.fsum(x - y for y in xs) / len(xs) for x in xs]


def variance(xs, ddof=0):
    return mp.fsum(d * d for d in deviations(xs)) / (len(xs) - ddof)


def deviation(xs, ddof=0):
    return mp.sqrt(variance(xs, ddof))


def length(xs):
    return mp.sqrt(mp.fsum(x * x for x in xs))


def over(numbers, divisor):
    """Slopes of a length: where it is 0, so are they."""
    return [x / divisor if divisor else mp.mpf(0) for x in numbers]


def average(xs):
    return mp.fsum(xs) / len(xs)


def variance_slopes(xs, ddof=0):
    return over(deviations(xs), mp.mpf(len(xs) - ddof) / 2)


def deviation_slopes(xs, ddof=0):
    return over(deviations(xs), deviation(xs, ddof) * (len(xs) - ddof))


# Claim -> op, its parameters, exact value and exact gradient; of one row.
REDUCTIONS = {
    "sum": (ops.sum, {}, mp.fsum, lambda xs: [1] * len(xs)),
    "mean": (ops.mean, {}, average, lambda xs: [mp.mpf(1) / len(xs)] * len(xs)),
    "norm": (ops.norm, {}, length, lambda xs: over(xs, length(xs))),
    "var": (ops.var, {}, variance, variance_slopes),
    "var with ddof 1": (
        ops.var, {"ddof": 1}, lambda xs: variance(xs, 1), lambda xs: variance_slopes(xs, 1)
    ),
    "std": (ops.std, {}, deviation, deviation_slopes),
    "std with ddof 1": (
        ops.std, {"ddof": 1}, lambda xs: deviation(xs, 1), lambda xs: deviation_slopes(xs, 1)
    ),
}  # fmt: skip
SIGNS = np.random.default_rng(2).choice([-1, 1], 40)
SPREAD = np.random.default_rng(1).uniform(0.5, 1.5, 40) * SIGNS
# Claim -> numbers, given (a common offset, tiny, huge): as hard as these may be in the dtype.
SCALES = {np.float32: (1e4, 1e-25, 1e30), np.float64: (1e8, 1e-200, 1e200)}
DATA = {
    "ordinary": lambda offset, tiny, huge: SPREAD,
    "positive": lambda offset, tiny, huge: abs(SPREAD),
    "huge common offset": lambda offset, tiny, huge: SPREAD + offset,
    "three beside a huge offset": lambda offset, tiny, huge: SPREAD[:3] - offset,
    "two adjacent floats": lambda offset, tiny, huge: [offset, np.nextafter(offset, huge), offset],
    "constant": lambda offset, tiny, huge: [0.1] * 7,
    "huge constant": lambda offset, tiny, huge: [-1.2345 * offset] * 49,
    "zeros": lambda offset, tiny, huge: [0, 0, 0],
    "tiny": lambda offset, tiny, huge: SPREAD * tiny,
    "huge": lambda offset, tiny, huge: SPREAD * huge,
    "tiny and huge": lambda offset, tiny, huge: [huge, tiny, 1, -huge / 3],
}
OVERFLOWING = {("var", "huge"), ("var", "tiny and huge")}


@pytest.mark.parametrize(
    ("reduction", "case"),
    [(r, c) for r, (op, *_) in REDUCTIONS.items() for c in DATA if (op.name, c) not in OVERFLOWING],
    ids=lambda name: name,
)
@DTYPES
def test_reductions(reduction, case, dtype):
    op, params, value, gradient = REDUCTIONS[reduction]
    x = np.array(DATA[case](*map(dtype, SCALES[dtype])), dtype)
    g = np.array([1, -1.7], dtype)
    rows = [exact(x), exact(x[::-1])]
    sizes = None
    if op in (ops.sum, ops.mean):
        sizes = [value([abs(x) for x in xs]) for xs in rows]
    for axis in (0, 1):
        batch = np.stack([x, x[::-1]], 1 - axis)
        found, slope, _ = derivatives(lambda t, axis=axis: op(t, axis=axis, **params), batch, g)
        assert ulps(found, map(value, rows), sizes) <= BOUNDS[op][0]
        slopes = [s for c, xs in zip(exact(g), rows, strict=True) for s in scaled(c, gradient(xs))]
        assert ulps(slope if axis else slope.T, slopes) <= BOUNDS[op][1]


@pytest.mark.parametrize("reduction", ["norm", "std", "std with ddof 1"])
@DTYPES
def test_a_subnormal_length_has_slopes_of_three_digits(reduction, dtype):
    op, params, value, gradient = REDUCTIONS[reduction]
    x = (SPREAD * {np.float32: 1e-40, np.float64: 1e-310}[dtype]).astype(dtype)
    found, slope, _ = derivatives(lambda t: op(t, **params), x, np.ones((), dtype))
    assert ulps(found, [value(exact(x))]) <= 1
    np.testing.assert_allclose(slope, np.array(gradient(exact(x)), float), rtol=1e-3)


# ---------------------------------------------------------------- what holds whatever the input


INF = np.inf
RANGES = [(ops.sigmoid, 0, 1), (ops.tanh, -1, 1), (ops.softplus, 0, INF), (ops.logsigmoid, -INF, 0)]
FAR = [-1e4, -1e3, 1e3, 1e4]
WIDE = np.concatenate([np.linspace(-800, 800, 4001), np.linspace(-1, 1, 501), FAR])


@DTYPES
@pytest.mark.parametrize(
    ("op", "low", "high"),
    RANGES,
    ids=lambda x: getattr(x, "name", None),
)
def test_range_and_order(op, low, high, dtype):
    x = np.sort(WIDE.astype(dtype))
    y = op(x)
    assert y.min() >= low
    assert y.max() <= high
    assert (np.diff(y) >= -4 * np.spacing(abs(y[1:]))).all()
    _, slope, _ = derivatives(op, x, np.ones_like(x))
    assert slope.min() >= 0
    assert slope.max() <= 1


@named(LOGITS)
@DTYPES
def test_probabilities_add_up_and_losses_are_not_negative(dtype, case):
    x = np.array([case], dtype)
    p = ops.softmax(x)
    assert p.min() >= 0
    assert abs(float(p.sum(dtype=np.float64)) - 1) <= 4 * np.finfo(dtype).eps
    assert ops.log_softmax(x).max() <= 0
    assert ops.logsumexp(x).item() >= x.max()
    for target in range(x.size):
        loss, slope, _ = derivatives(loss_of(target), x, np.ones(1, dtype))
        assert loss.item() >= 0
        assert abs(float(slope.sum(dtype=np.float64))) <= 4 * np.finfo(dtype).eps
    for constant in (1.0, 0.1, 1e4):
        _, slope, _ = derivatives(ops.softmax, x, np.full_like(x, constant))
        assert not slope.any()  # all of them up changes nothing


@DTYPES
def test_no_op_needs_an_excuse_for_extremes(dtype):
    numbers = np.array([0, 1e-20, 20, 88, 1e3, 1e4], dtype)
    logits = np.array([[1e4, -1e4, -np.inf, 0], [700, 0, -745, 3]], dtype)
    v = np.ones_like(logits)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        sigmoids = (ops.sigmoid, ops.sigmoid_slope, ops.softplus, ops.logsigmoid)
        for op in (*sigmoids, ops.tanh, ops.tanh_slope):
            assert np.isfinite(op(np.array([*numbers, *-numbers]))).all()
        for op in (ops.softmax, ops.logsumexp):
            assert np.isfinite(op(logits)).all()
        for op in (ops.softmax_jacobian, ops.softmax_deviation, ops.log_softmax_slope):
            assert np.isfinite(op(v, logits)).all()
        for op in (ops.cross_entropy, ops.cross_entropy_slope):
            assert np.isfinite(op(logits, np.array([1, 2]))).all()


@DTYPES
def test_a_masked_target_costs_infinitely_much_and_still_has_a_gradient(dtype):
    x = np.array([[0, MASKED, 0]], dtype)
    loss, slope, _ = derivatives(loss_of(1), x, np.ones(1, dtype))
    assert loss.tolist() == [np.inf]
    assert slope.tolist() == [[0.5, -1, 0.5]]


@DTYPES
def test_logsumexp_of_log_probabilities_is_0_to_within_the_rounding_of_these(dtype):
    x = ops.log_softmax(np.random.default_rng(0).normal(size=(50, 10)).astype(dtype))
    assert abs(ops.logsumexp(x)).max() <= 4 * np.finfo(dtype).eps
