"""Every operation, with its derivative beneath it.

How to read a rule: `g` is the cotangent of the output `out`, and each line gives the cotangent of one argument.
Broadcasting is ignored: the sweep sums a cotangent down to the shape of its input. A rule is read twice, on arrays
in an ordinary backward pass and on tensors when second derivatives are wanted, so it uses only what both understand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff.graph import NUMPY, op

if TYPE_CHECKING:
    from tinygrad_mnist.autodiff.graph import Array
    from tinygrad_mnist.autodiff.tensor import Tensor

# ---------------------------------------------------------------- arithmetic


@op(numpy=np.add)
def add(x: Array, y: Array) -> Array:
    """X + y, elementwise."""
    return x + y


add.vjp(lambda g, out, x, y: g, lambda g, out, x, y: g)


@op(numpy=np.subtract)
def sub(x: Array, y: Array) -> Array:
    """X - y, elementwise."""
    return x - y


sub.vjp(lambda g, out, x, y: g, lambda g, out, x, y: -g)


@op(numpy=np.multiply)
def mul(x: Array, y: Array) -> Array:
    """X * y, elementwise."""
    return x * y


mul.vjp(lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)


@op(numpy=np.divide)
def div(x: Array, y: Array) -> Array:
    """X / y, elementwise."""
    return x / y


div.vjp(lambda g, out, x, y: g / y, lambda g, out, x, y: -g * out / y)


@op(numpy=np.negative)
def neg(x: Array) -> Array:
    """-x, elementwise."""
    return -x


neg.vjp(lambda g, out, x: -g)


@op(numpy=np.power)
def power(x: Array, y: Array) -> Array:
    """X ** y, elementwise."""
    return x**y


# y - (y != 0) is y - 1, but 0 for y = 0: the derivative of x**0 is 0 at x = 0 too.
# x + (x == 0) is x, but 1 for x = 0: 0**y stays 0 whatever y > 0, so its derivative is 0.
power.vjp(
    lambda g, out, x, y: g * y * x ** (y - (y != 0)),
    lambda g, out, x, y: g * out * log(x + (x == 0)),
)


@op(numpy=np.maximum)
def maximum(x: Array, y: Array) -> Array:
    """The larger of x and y, elementwise; where they are equal, each takes half of the cotangent."""
    return np.maximum(x, y)


maximum.vjp(
    lambda g, out, x, y: g * (x > y) + g * 0.5 * (x == y),
    lambda g, out, x, y: g * (y > x) + g * 0.5 * (x == y),
)

# ---------------------------------------------------------------- comparison: no derivative

equal = op(np.equal, numpy=np.equal).vjp(None, None)
not_equal = op(np.not_equal, numpy=np.not_equal).vjp(None, None)
less = op(np.less, numpy=np.less).vjp(None, None)
less_equal = op(np.less_equal, numpy=np.less_equal).vjp(None, None)
greater = op(np.greater, numpy=np.greater).vjp(None, None)
greater_equal = op(np.greater_equal, numpy=np.greater_equal).vjp(None, None)

# ---------------------------------------------------------------- shape


@op
def reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    """The same elements in another shape."""
    return x.reshape(shape)


reshape.vjp(lambda g, out, x, shape: g.reshape(x.shape))


@op
def transpose(x: Array, *, axes: tuple[int, ...]) -> Array:
    """Permute the axes: axis i of the result is axis ``axes[i]`` of x."""
    return x.transpose(axes)


transpose.vjp(lambda g, out, x, axes: g.transpose(inverse(axes)))


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes `axes`."""
    return tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes)))


@op
def broadcast_to(x: Array, *, shape: tuple[int, ...]) -> Array:
    """Repeat x along new or size-1 axes."""
    return np.broadcast_to(x, shape)


broadcast_to.vjp(lambda g, out, x, shape: g)


@op
def index(x: Array, *, key: Any) -> Array:
    """x[key], with everything that NumPy accepts as an index."""
    return x[key]


index.vjp(lambda g, out, x, key: scatter(g, shape=x.shape, key=key))


@op
def scatter(x: Array, *, shape: tuple[int, ...], key: Any) -> Array:
    """Zeros of `shape` to which x is added at `key`, an element at a time: the adjoint of indexing."""
    out = np.zeros(shape, x.dtype)
    np.add.at(out, key, x)
    return out


scatter.vjp(lambda g, out, x, shape, key: index(g, key=key))

# ---------------------------------------------------------------- reduction


def unreduce(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Repeat the cotangent of a reduction over `axis` for every element that was reduced."""
    if axis is not None and not keepdims:
        axes = {i % x.ndim for i in ((axis,) if isinstance(axis, int) else axis)}
        g = g.reshape(tuple(1 if i in axes else n for i, n in enumerate(x.shape)))
    return broadcast_to(g, shape=x.shape)


@op
def sum(x: Array, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Sum over `axis`, or over all elements."""
    return x.sum(axis=axis, keepdims=keepdims)


sum.vjp(lambda g, out, x, axis=None, keepdims=False: unreduce(g, x, axis, keepdims))


@op
def mean(x: Array, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Arithmetic mean over `axis`, or over all elements."""
    return x.mean(axis=axis, keepdims=keepdims)


# Every element has the weight out.size / x.size, one over the number of elements averaged.
mean.vjp(lambda g, out, x, axis=None, keepdims=False: unreduce(g, x, axis, keepdims) * (out.size / x.size))

# ---------------------------------------------------------------- linear algebra


@op(name="matmul")
def matrix_product(x: Array, y: Array) -> Array:
    """X @ y for matrices, or stacks of matrices."""
    return x @ y


matrix_product.vjp(
    lambda g, out, x, y: g @ y.mT,  # (m,n)(n,k) -> (m,k)
    lambda g, out, x, y: x.mT @ g,  # (k,m)(m,n) -> (k,n)
)


def matmul(x: Any, y: Any) -> Tensor:
    """X @ y for everything NumPy accepts: a vector is a one-row matrix on the left, a one-column matrix on the right."""
    x, y = (v if hasattr(v, "reshape") else np.asarray(v) for v in (x, y))
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"matmul needs matrices or vectors, but was given shapes {x.shape} and {y.shape}. Use * to scale.")
    rows = x.reshape((1, *x.shape)) if x.ndim == 1 else x
    columns = y.reshape((*y.shape, 1)) if y.ndim == 1 else y
    if rows.shape[-1] != columns.shape[-2]:
        raise ValueError(f"matmul: {x.shape} @ {y.shape}: the last axis of the left must be as long as the first of the right.")
    out = matrix_product(rows, columns)
    if x.ndim == 1 and y.ndim == 1:
        return out.reshape(out.shape[:-2])
    if x.ndim == 1:
        return out.reshape((*out.shape[:-2], out.shape[-1]))
    return out.reshape(out.shape[:-1]) if y.ndim == 1 else out


NUMPY[np.matmul] = matmul


@op
def linear(x: Array, weight: Array, bias: Array) -> Array:
    """X @ weight + bias: every row of x through the same affine map. (n, in), (in, out), (out,) -> (n, out)."""
    out = x @ weight
    out += bias
    return out


linear.vjp(
    lambda g, out, x, weight, bias: g @ weight.mT,  # (n,out)(out,in) -> (n,in)
    lambda g, out, x, weight, bias: x.mT @ g,  # (in,n)(n,out) -> (in,out)
    lambda g, out, x, weight, bias: g,  # summed over the rows, as the bias was repeated for each
)

# ---------------------------------------------------------------- nonlinear


@op(numpy=np.exp)
def exp(x: Array) -> Array:
    """E to the power x, elementwise."""
    return np.exp(x)


exp.vjp(lambda g, out, x: g * out)


@op(numpy=np.log)
def log(x: Array) -> Array:
    """Natural logarithm, elementwise."""
    return np.log(x)


log.vjp(lambda g, out, x: g / x)


@op(numpy=np.tanh)
def tanh(x: Array) -> Array:
    """Hyperbolic tangent, elementwise."""
    return np.tanh(x)


tanh.vjp(lambda g, out, x: g * tanh_slope(x))


@op
def tanh_slope(x: Array) -> Array:
    """tanh'(x) = 4e / (1+e)^2 with e = exp(-2|x|): keeps its digits where 1 - tanh(x)^2 cancels."""
    e = np.exp(-2 * np.abs(x))
    return 4 * e / (1 + e) ** 2


tanh_slope.vjp(lambda g, out, x: -2 * g * out * tanh(x))


@op
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), elementwise, in a form whose exponents are never positive."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


sigmoid.vjp(lambda g, out, x: g * sigmoid_slope(x))


@op
def sigmoid_slope(x: Array) -> Array:
    """sigmoid'(x) = e / (1+e)^2 with e = exp(-|x|): keeps its digits where s * (1 - s) cancels."""
    e = np.exp(-np.abs(x))
    return e / (1 + e) ** 2


sigmoid_slope.vjp(lambda g, out, x: g * out * tanh(x * -0.5))


@op
def relu(x: Array) -> Array:
    """max(x, 0), elementwise; its derivative at 0 is 0."""
    return np.maximum(x, 0)


relu.vjp(lambda g, out, x: g * (x > 0))


def exponentials(x: Array, axis: int) -> tuple[Array, Array, Array]:
    """Split a sum of exponentials at its largest term: returns max, exp(x - max) with 0 at the maximum, and their sum.

    The sum of all is then ``exp(max) * (1 + rest)``, which neither overflows nor loses a small rest beside the 1.
    """
    at = x.argmax(axis=axis, keepdims=True)
    largest = np.take_along_axis(x, at, axis)
    e = np.exp(x - largest)
    np.put_along_axis(e, at, 0, axis)
    return largest, e, e.sum(axis=axis, keepdims=True)


@op
def softmax(x: Array, *, axis: int = -1) -> Array:
    """exp(x) / sum(exp(x)) along `axis`: positive numbers that add up to 1."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    e /= e.sum(axis=axis, keepdims=True)
    return e


softmax.vjp(lambda g, out, x, axis=-1: out * (g - (g * out).sum(axis=axis, keepdims=True)))


@op
def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """log(softmax(x)) along `axis`, finite for every finite x."""
    largest, _, rest = exponentials(x, axis)
    return (x - largest) - np.log1p(rest)


log_softmax.vjp(lambda g, out, x, axis=-1: g - softmax(x, axis=axis) * g.sum(axis=axis, keepdims=True))

# ---------------------------------------------------------------- loss


@op
def cross_entropy(x: Array, target: Array) -> Array:
    """-log(softmax(x)[target]) of every row: logits (n, classes) and class numbers (n,) give losses (n,)."""
    largest, _, rest = exponentials(x, 1)
    rows = np.arange(len(x))
    return (largest[:, 0] - x[rows, target]) + np.log1p(rest[:, 0])


cross_entropy.vjp(lambda g, out, x, target: g.reshape((-1, 1)) * cross_entropy_slope(x, target), None)


@op
def cross_entropy_slope(x: Array, target: Array) -> Array:
    """softmax(x) - one_hot(target), where p - 1 at the target is minus the sum of the others: nothing cancels."""
    p = softmax.forward(x, axis=1)
    rows = np.arange(len(x))
    p[rows, target] = 0
    p[rows, target] = -p.sum(axis=1)
    return p


cross_entropy_slope.vjp(lambda g, out, x, target: softmax(x, axis=1) * (g - (g * softmax(x, axis=1)).sum(axis=1, keepdims=True)), None)


@op
def squared_error(x: Array, y: Array) -> Array:
    """(x - y) squared, elementwise."""
    d = x - y
    return d * d


squared_error.vjp(lambda g, out, x, y: 2 * g * (x - y), lambda g, out, x, y: 2 * g * (y - x))
