"""Functions on arrays, by the names and with the results that they have in NumPy."""

import math

from arrays import INF, NAN, Array, ShapeError, array, asarray, both, matmul, volume
from arrays import transpose as turned

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


def diag(x):
    """A matrix with these numbers on its diagonal; of a matrix, its diagonal."""
    x = asarray(x)
    if x.ndim == 2:
        return array([row.data[i] for i, row in enumerate(x) if i < x.shape[1]])
    if x.ndim == 0:
        raise ShapeError("diag takes a list of numbers, or a matrix")
    return where(eye(len(x)), x, 0.0)


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


transpose = turned
mean, reshape, copy, ravel = method("mean"), method("reshape"), method("copy"), method("ravel")
clip = method("clip")
sum, max, min, abs = method("sum"), method("max"), method("min"), absolute


def shape(x):
    """The shape of an array, a list, or a number."""
    return asarray(x).shape


def isclose(x, y, rtol=1e-5, atol=1e-8):
    """Whether two arrays are equal up to rounding, place by place."""
    try:
        x, y = both(x, y, "isclose")
    except ShapeError:
        x, y = asarray(x), asarray(y)
        hint = " Is one of them transposed?" if x.T.shape == y.shape else ""
        raise ShapeError(f"{x.shape} is compared with {y.shape}.{hint}") from None
    close = [a == b or absolute_of(a - b) <= atol + rtol * absolute_of(b)
             for a, b in zip(x.data, y.data)]  # fmt: skip
    return Array(close, x.shape)


def allclose(x, y, rtol=1e-5, atol=1e-8):
    """Whether two arrays are equal up to rounding everywhere."""
    return False not in isclose(x, y, rtol, atol).data


def absolute_of(v):
    """The size of a number."""
    return -v if v < 0 else v


class Random:
    """Numbers by chance, always the same for a seed; others than NumPy's."""

    def __init__(self, seed):
        self.state = seed * 2654435761 + 88172645463325252

    def next(self):
        """A number between 0 and 1, by the generator xorshift64."""
        x = self.state & 0xFFFFFFFFFFFFFFFF
        x ^= (x << 13) & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 7
        x ^= (x << 17) & 0xFFFFFFFFFFFFFFFF
        self.state = x
        return (x >> 11) / 9007199254740992

    def uniform(self, low=0.0, high=1.0, size=()):
        """Numbers between two others, all equally likely."""
        return full(size, 0.0).map(lambda _: low + (high - low) * self.next())

    def normal(self, loc=0.0, scale=1.0, size=()):
        """Numbers of the normal distribution: sums of twelve, near enough."""
        twelve = range(12)
        return full(size, 0.0).map(lambda _: loc + scale * (sum_of(self, twelve) - 6))


def sum_of(random_numbers, times):
    """The sum of numbers by chance."""
    total = 0.0
    for _ in times:
        total += random_numbers.next()
    return total


class random:
    """Where NumPy keeps its generators of random numbers."""

    default_rng = Random
