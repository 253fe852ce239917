"""Functions on arrays, by the names and with the results that they have in NumPy."""

import math

from arrays import INF, NAN, Array, ShapeError, array, asarray, both, matmul, transpose, volume

newaxis, inf, nan, pi = None, INF, NAN, math.pi
float64 = float32 = float
ndarray = Array


def full(shape, value):
    """An array of one number, repeated."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if len(shape) > 2:
        raise ShapeError(f"arrays here have at most two dimensions, not the shape {shape}")
    return Array([value] * volume(shape), shape)


def zeros(shape):
    """An array of zeros."""
    return full(shape, 0.0)


def ones(shape):
    """An array of ones."""
    return full(shape, 1.0)


def zeros_like(x):
    """Zeros in the shape of another array."""
    return zeros(asarray(x).shape)


def ones_like(x):
    """Ones in the shape of another array."""
    return ones(asarray(x).shape)


def eye(n):
    """1 on the diagonal, 0 elsewhere."""
    return Array([1.0 if i == j else 0.0 for i in range(n) for j in range(n)], (n, n))


def arange(n):
    """The numbers 0, 1, ..., n - 1."""
    return array(range(n))


def outer(x, y):
    """Every number of the first times every number of the second."""
    return asarray(x).ravel().reshape(-1, 1) * asarray(y).ravel().reshape(1, -1)


def where(condition, x, y):
    """The first where a condition holds, the second elsewhere."""
    condition, x = both(condition, x, "where")
    condition, y = both(condition, y, "where")
    condition, x = both(condition, x, "where")
    data = [a if c else b for c, a, b in zip(condition.data, x.data, y.data)]
    return Array(data, condition.shape)


def maximum(x, y):
    """The larger of two, place by place."""
    return where(asarray(x) >= y, x, y)


def minimum(x, y):
    """The smaller of two, place by place."""
    return where(asarray(x) <= y, x, y)


def elementwise(function):
    """A function of numbers as one of arrays."""
    return lambda x: asarray(x).map(function)


def exp_of(v):
    """The exponential; infinite where it is too large for a number."""
    return math.exp(v) if v < 709.78 else v if v != v else INF


def log_of(v):
    """The logarithm; minus infinity at 0, NaN below."""
    return math.log(v) if 0 < v < INF else -INF if v == 0 else v if v == INF else NAN


exp = elementwise(exp_of)
log = elementwise(log_of)
tanh = elementwise(math.tanh)
sqrt = elementwise(lambda v: v**0.5 if v >= 0 else NAN)
square = elementwise(lambda v: v * v)
sign = elementwise(lambda v: (v > 0) - (v < 0))
absolute = elementwise(lambda v: -v if v < 0 else v)


def method(name):
    """A method of arrays as a function: sum(x, axis=0) is x.sum(axis=0)."""
    return lambda x, *axis, **more: getattr(asarray(x), name)(*axis, **more)


def dot(x, y):
    """The same as @, or as * if one of the two is a number."""
    return matmul(x, y) if asarray(x).ndim and asarray(y).ndim else asarray(x) * y


def multiply(x, y):
    """The same as *."""
    return asarray(x) * y


def divide(x, y):
    """The same as /."""
    return asarray(x) / y


def add(x, y):
    """The same as +."""
    return asarray(x) + y


def subtract(x, y):
    """The same as -."""
    return asarray(x) - y


mean, reshape, copy, ravel = method("mean"), method("reshape"), method("copy"), method("ravel")
sum, max, min, abs = method("sum"), method("max"), method("min"), absolute
