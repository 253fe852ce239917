"""Every operation, with its derivative beneath it.

How to read a rule: `g` is the cotangent of the output `out`, and each line gives the cotangent of
one argument. Broadcasting is ignored: the sweep sums a cotangent down to the shape of its input. A
rule is read twice, on arrays in an ordinary backward pass and on tensors when second derivatives
are wanted, so it uses only what both understand.

Where ONNX has an operator that computes the same, its name follows the rules. Counterparts that
take more than a name are in `export/counterparts.py`.
"""

from __future__ import annotations

import builtins
import math
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_mnist.autodiff.graph import NUMPY, Op, cast, op, quietly, settle
from tinygrad_mnist.autodiff.windows import overlap_add as overlap_add  # noqa: PLC0414
from tinygrad_mnist.autodiff.windows import sliding_windows as sliding_windows  # noqa: PLC0414

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tinygrad_mnist.autodiff.tensor import Tensor
    from tinygrad_mnist.autodiff.variable import Array

    Axis = int | tuple[int, ...] | None

# ---------------------------------------------------------------- arithmetic


@op(numpy=np.add)
def add(x: Array, y: Array) -> Array:
    """x + y, elementwise."""
    return x + y


add.vjp(lambda g, out, x, y: g, lambda g, out, x, y: g).onnx("Add")


@op(numpy=np.subtract)
def sub(x: Array, y: Array) -> Array:
    """x - y, elementwise."""
    return x - y


sub.vjp(lambda g, out, x, y: g, lambda g, out, x, y: -g).onnx("Sub")


@op(numpy=np.multiply)
def mul(x: Array, y: Array) -> Array:
    """x * y, elementwise."""
    return x * y


mul.vjp(lambda g, out, x, y: g * y, lambda g, out, x, y: g * x).onnx("Mul")


@op(numpy=np.divide)
def div(x: Array, y: Array) -> Array:
    """x / y, elementwise."""
    return x / y


div.vjp(lambda g, out, x, y: g / y, lambda g, out, x, y: -g * out / y).onnx("Div")


@op(numpy=np.remainder)
def remainder(x: Array, y: Array) -> Array:
    """The remainder of x divided by y, elementwise."""
    return x % y


remainder.vjp(lambda g, out, x, y: g, lambda g, out, x, y: -g * floor_divide(x, y))


@op(numpy=np.negative)
def neg(x: Array) -> Array:
    """-x, elementwise."""
    return -x


neg.vjp(lambda g, out, x: -g).onnx("Neg")


@op(numpy=np.power)
def power(x: Array, y: Array) -> Array:
    """x ** y, elementwise."""
    return x**y


# y - (y != 0) is y - 1, but 0 for y = 0: the derivative of x**0 is 0 at x = 0 too. A mask y is
# read as numbers, y * 1. The slope of 0**y is 0 for y >= 0, where log(0) is replaced by log(1).
power.vjp(
    lambda g, out, x, y: g * y * x ** (y * 1 - (y != 0)),
    lambda g, out, x, y: g * out * log(x + (x == 0) * (y >= 0)),
).onnx("Pow")


@op(numpy=np.maximum)
def maximum(x: Array, y: Array) -> Array:
    """The larger of x and y, elementwise; equal ones receive half of the cotangent each."""
    return np.maximum(x, y)


maximum.vjp(
    lambda g, out, x, y: keep(g, ~(x <= y)) + keep(g * 0.5, x == y),
    lambda g, out, x, y: keep(g, ~(y <= x)) + keep(g * 0.5, x == y),
).onnx("Max")


@op(numpy=np.minimum)
def minimum(x: Array, y: Array) -> Array:
    """The smaller of x and y, elementwise; equal ones receive half of the cotangent each."""
    return np.minimum(x, y)


minimum.vjp(
    lambda g, out, x, y: keep(g, ~(x >= y)) + keep(g * 0.5, x == y),
    lambda g, out, x, y: keep(g, ~(y >= x)) + keep(g * 0.5, x == y),
).onnx("Min")


@op
def where(condition: Array, x: Array, y: Array) -> Array:
    """x where the condition holds, elsewhere y; the one not chosen receives a cotangent of 0."""
    return np.where(condition, x, y)


where.vjp(
    None,
    lambda g, out, condition, x, y: keep(g, condition != 0),
    lambda g, out, condition, x, y: keep(g, condition == 0),
)


INTEGERS = {2: np.int16, 4: np.int32, 8: np.int64}


@op
def keep(x: Array, mask: Array) -> Array:
    """x where the mask holds, elsewhere exactly 0, also in place of an infinity or NaN.

    A product of floats would give inf * 0 = NaN, and np.where takes ten times as long. So the bits
    of x are read as an integer, whose product with False or True is 0 or the same bits.
    """
    mask = np.asarray(mask, bool)
    integers = INTEGERS.get(x.itemsize)
    if integers is None:  # no integer is as wide as a long double
        return np.where(mask, x, 0)
    return (x.view(integers) * mask).view(x.dtype)


keep.vjp(lambda g, out, x, mask: keep(g, mask), None)


@op
def clamp(x: Array, *, min: float | None = None, max: float | None = None) -> Array:
    """x limited to [min, max]; its derivative is 1 inside, both bounds included, and 0 outside."""
    return np.clip(x, min, max)


clamp.vjp(lambda g, out, x, min=None, max=None: keep(g, inside(x, min=min, max=max)))

# ---------------------------------------------------------------- comparison: no derivative

equal = op(np.equal, numpy=np.equal).vjp(None, None).onnx("Equal")
not_equal = op(np.not_equal, numpy=np.not_equal).vjp(None, None)
less = op(np.less, numpy=np.less).vjp(None, None).onnx("Less")
less_equal = op(np.less_equal, numpy=np.less_equal).vjp(None, None).onnx("LessOrEqual")
greater = op(np.greater, numpy=np.greater).vjp(None, None).onnx("Greater")
greater_equal = op(np.greater_equal, numpy=np.greater_equal).vjp(None, None).onnx("GreaterOrEqual")


def of_masks(function: np.ufunc) -> Op:
    """An op that combines masks, or the bits of integers; raises a TypeError for floats."""

    def combine(*masks: Array) -> Array:
        try:
            return function(*masks)
        except TypeError as error:
            raise TypeError(
                f"{function.__name__} combines masks or integers, but was given other numbers. "
                "Compare first, in brackets: (x > 0) & (x < 1)."
            ) from error

    combine.__doc__ = f"NumPy's `{function.__name__}`, for masks and integers; no derivative."
    return Op(combine, function.__name__).vjp(*[None] * function.nin)


bitwise_and, bitwise_or = of_masks(np.bitwise_and), of_masks(np.bitwise_or)
bitwise_xor, invert = of_masks(np.bitwise_xor), of_masks(np.invert)

sign = op(np.sign, numpy=np.sign).vjp(None).onnx("Sign")
floor_divide = op(np.floor_divide, numpy=np.floor_divide).vjp(None, None)


@op
def inside(x: Array, *, min: float | None, max: float | None) -> Array:
    """Where min <= x <= max; None means no bound."""
    return (
        (True if min is None else x >= min)
        & (True if max is None else x <= max)
        & np.ones(x.shape, bool)
    )


inside.vjp(None)

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
@quietly
def scatter(x: Array, *, shape: tuple[int, ...], key: Any) -> Array:
    """Zeros of `shape`, with x added at `key`, element by element: the adjoint of indexing."""
    out = np.zeros(shape, x.dtype)
    np.add.at(out, key, x)
    return out


scatter.vjp(lambda g, out, x, shape, key: index(g, key=key))


@op
def concatenate(*xs: Array, axis: int = 0) -> Array:
    """Arrays one after the other along an existing axis."""
    return np.concatenate(xs, axis)


concatenate.vjp(together=lambda g, out, *xs, axis=0: sections(g, xs, axis))


def sections(g: Any, xs: tuple[Any, ...], axis: int) -> Iterator[Any]:
    """The section of a cotangent that belongs to each of the concatenated arrays."""
    end = 0
    for x in xs:
        start, end = end, end + x.shape[axis]
        yield index(g, key=along(g, axis, slice(start, end)))


def along(x: Any, axis: int, key: Any) -> tuple[Any, ...]:
    """An index that applies `key` along one axis and takes everything along the axes before it."""
    return (*(slice(None),) * (axis % x.ndim), key)


@op
def stack(*xs: Array, axis: int = 0) -> Array:
    """Arrays of one shape side by side along a new axis."""
    return np.stack(xs, axis)


stack.vjp(
    together=lambda g, out, *xs, axis=0: (index(g, key=along(g, axis, i)) for i in range(len(xs)))
)


# ---------------------------------------------------------------- reduction


def axes_of(x: Any, axis: Axis) -> tuple[int, ...]:
    """The axes that a reduction runs over, counted from the front; None means all."""
    if axis is None or x.ndim == 0:
        return tuple(range(x.ndim))
    return normalize_axis_tuple(axis, x.ndim)


def reduced(x: Any, axis: Axis) -> int:
    """How many elements of x a reduction over `axis` combines into one."""
    if axis is None:
        return x.size
    return math.prod(x.shape[i] for i in normalize_axis_tuple(axis, x.ndim))


def unreduce(g: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """Repeat the cotangent of a reduction over `axis` for every element that was reduced."""
    if axis is not None and not keepdims:
        axes = axes_of(x, axis)
        g = g.reshape(tuple(1 if i in axes else n for i, n in enumerate(x.shape)))
    return broadcast_to(g, shape=x.shape)


HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)


def wide(x: Any) -> Any:
    """float16 as float32, since float16 counts no further than 2048 and ends at 65504."""
    return cast(x, dtype=SINGLE) if x.dtype is HALF else x


def narrow(out: Any, x: Any) -> Any:
    """A result computed from `wide(x)`, in the dtype of x."""
    return out.astype(HALF) if x.dtype is HALF else out


@op
def sum(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Sum over `axis`, or over all elements."""
    return x.sum(axis=axis, keepdims=keepdims)


sum.vjp(lambda g, out, x, axis=None, keepdims=False: unreduce(g, x, axis, keepdims))


@op
def mean(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Arithmetic mean over `axis`, or over all elements; the mean of nothing is NaN."""
    total = wide(x).sum(axis=axis, keepdims=keepdims)
    return narrow(total / (reduced(x, axis) or math.nan), x)


mean.vjp(
    lambda g, out, x, axis=None, keepdims=False: unreduce(
        wide(g) / reduced(x, axis), x, axis, keepdims
    )
)


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Product over `axis`, or over all elements, multiplied in pairs, pairs of pairs, and so on.

    It is composed of products and so has their derivatives, without dividing by an element.
    """
    axes = axes_of(x, axis)
    kept = [i for i in range(x.ndim) if i not in axes]
    lengths = tuple(x.shape[i] for i in kept)
    count = math.prod(x.shape[i] for i in axes)
    factors = x.transpose((*kept, *axes)).reshape((*lengths, count))
    while (n := factors.shape[-1]) > 1:
        half = n // 2
        pairs = factors[..., :half] * factors[..., half : 2 * half]
        factors = concatenate(pairs, factors[..., 2 * half :], axis=-1) if n % 2 else pairs
    if n == 0:
        factors = factors.sum(axis=-1, keepdims=True) + 1
    ones = tuple(1 if i in axes else length for i, length in enumerate(x.shape))
    return factors.reshape(ones if keepdims else lengths)


@op
@quietly
def center(x: Array, *, axis: Axis = None) -> Array:
    """x minus its mean over `axis`; a second pass removes the rounding error of the first mean."""
    d = x - mean.forward(x, axis=axis, keepdims=True)
    d -= mean.forward(d, axis=axis, keepdims=True)
    return d


center.vjp(lambda g, out, x, axis=None: center(g, axis=axis))


def freedom(x: Any, axis: Axis, ddof: float) -> float:
    """Degrees of freedom of a variance, n - ddof; 0 if ddof is larger."""
    return builtins.max(reduced(x, axis) - ddof, 0)


@op
@quietly
def var(x: Array, *, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Array:
    """Variance over `axis`: the sum of squared deviations from the mean, divided by n - ddof."""
    d = center.forward(wide(x), axis=axis)
    squares = (d * d).sum(axis=axis, keepdims=keepdims)
    return narrow(np.divide(squares, freedom(x, axis, ddof)), x)


var.vjp(
    lambda g, out, x, axis=None, ddof=0, keepdims=False: (
        unreduce(wide(g), x, axis, keepdims)
        * center(wide(x), axis=axis)
        * 2
        / freedom(x, axis, ddof)
    )
)


@op
@quietly
def std(x: Array, *, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Array:
    """Standard deviation over `axis`, also where the variance overflows or underflows.

    Where it is 0, so is its derivative.
    """
    length = norm.forward(center.forward(wide(x), axis=axis), axis=axis, keepdims=keepdims)
    return narrow(length / np.sqrt(freedom(x, axis, ddof)).astype(length.dtype), x)


# out + (out == 0) is out, but 1 for out = 0: this avoids a division by 0, where x - mean is 0.
std.vjp(
    lambda g, out, x, axis=None, ddof=0, keepdims=False: (
        unreduce(wide(g), x, axis, keepdims)
        * (center(wide(x), axis=axis) / unreduce(out + (out == 0), x, axis, keepdims))
        / freedom(x, axis, ddof)
    )
)


@op
@quietly
def norm(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Euclidean length over `axis`, without overflow; where it is 0, so is its derivative."""
    values = wide(x)
    largest = np.abs(values).max(axis=axis, keepdims=True, initial=0)
    scale = np.where((largest == 0) | np.isinf(largest), 1, largest)
    length = np.sqrt(np.square(values / scale).sum(axis=axis, keepdims=True)) * scale
    return narrow(length if keepdims else length.sum(axis=axis), x)


norm.vjp(
    lambda g, out, x, axis=None, keepdims=False: (
        unreduce(g, x, axis, keepdims) * (x / unreduce(out + (out == 0), x, axis, keepdims))
    )
)


@op
def max(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Largest element over `axis`; several largest elements share the cotangent evenly."""
    return x.max(axis=axis, keepdims=keepdims)


max.vjp(lambda g, out, x, axis=None, keepdims=False: to_extremes(g, out, x, axis, keepdims))


@op
def min(x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Smallest element over `axis`; several smallest elements share the cotangent evenly."""
    return x.min(axis=axis, keepdims=keepdims)


min.vjp(lambda g, out, x, axis=None, keepdims=False: to_extremes(g, out, x, axis, keepdims))


def to_extremes(g: Any, out: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """Pass a cotangent on to the extreme elements, in equal parts."""
    parts = ties(x, out, axis=axis, keepdims=keepdims)
    return keep(unreduce(g, x, axis, keepdims) * parts, parts != 0)


@op
@quietly
def ties(x: Array, extreme: Array, *, axis: Axis, keepdims: bool) -> Array:
    """1 / (number of extreme elements) at those elements, elsewhere 0; NaN counts as extreme."""
    are_it = (x == unreduce(extreme, x, axis, keepdims)) | np.isnan(x)
    return (are_it / are_it.sum(axis=axis, keepdims=True)).astype(x.dtype)


ties.vjp(None, None)


any = op(np.any).vjp(None)
all = op(np.all).vjp(None)


@op
def argmax(x: Any, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """Position of the (first) largest element along `axis`, or in the flattened array."""
    return np.asarray(x.argmax(axis=axis, keepdims=keepdims))


argmax.vjp(None)


@op
def argmin(x: Any, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """Position of the (first) smallest element along `axis`, or in the flattened array."""
    return np.asarray(x.argmin(axis=axis, keepdims=keepdims))


argmin.vjp(None)

# ---------------------------------------------------------------- linear algebra


@op(name="matmul")
def matrix_product(x: Array, y: Array) -> Array:
    """x @ y for matrices, or stacks of matrices."""
    return x @ y


matrix_product.vjp(
    lambda g, out, x, y: g @ y.mT,  # (m,n)(n,k) -> (m,k)
    lambda g, out, x, y: x.mT @ g,  # (k,m)(m,n) -> (k,n)
).onnx("MatMul")


def matmul(x: Any, y: Any) -> Tensor:
    """x @ y for everything NumPy accepts.

    A vector counts as a matrix of one row on the left, of one column on the right.
    """
    if isinstance(x, (list, tuple)) or isinstance(y, (list, tuple)):
        x, y = settle((x, y), matrix_product)
    x, y = (v if hasattr(v, "reshape") else np.asarray(v) for v in (x, y))
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(
            f"matmul needs matrices or vectors, but was given shapes {x.shape} and {y.shape}. "
            "Use * to scale."
        )
    rows = x.reshape((1, *x.shape)) if x.ndim == 1 else x
    columns = y.reshape((*y.shape, 1)) if y.ndim == 1 else y
    if rows.shape[-1] != columns.shape[-2]:
        raise ValueError(
            f"matmul: {x.shape} @ {y.shape}: the last axis of the left must be as long as the "
            "first of the right."
        )
    out = matrix_product(rows, columns)
    if x.ndim == 1 and y.ndim == 1:
        return out.reshape(out.shape[:-2])
    if x.ndim == 1:
        return out.reshape((*out.shape[:-2], out.shape[-1]))
    return out.reshape(out.shape[:-1]) if y.ndim == 1 else out


NUMPY[np.matmul] = matmul


@op
@quietly
def linear(x: Array, weight: Array, bias: Array) -> Array:
    """x @ weight + bias: the same affine map for every row of x.

    (n, in), (in, out), (out,) -> (n, out).
    """
    out = x @ weight
    if type(bias) is np.ndarray and bias.ndim == 1 and bias.dtype is out.dtype:
        out += bias  # in the array that the product has just made
        return out
    return out + bias


linear.vjp(
    lambda g, out, x, weight, bias: g @ weight.mT,  # (n,out)(out,in) -> (n,in)
    lambda g, out, x, weight, bias: x.mT @ g,  # (in,n)(n,out) -> (in,out)
    lambda g, out, x, weight, bias: g,  # summed over the rows: the bias was repeated for each
)

# ---------------------------------------------------------------- nonlinear


@op(numpy=np.exp)
def exp(x: Array) -> Array:
    """e to the power x, elementwise."""
    return np.exp(x)


exp.vjp(lambda g, out, x: g * out).onnx("Exp")


@op(numpy=np.log)
def log(x: Array) -> Array:
    """Natural logarithm, elementwise."""
    return np.log(x)


log.vjp(lambda g, out, x: g / x).onnx("Log")


@op(numpy=np.log1p)
def log1p(x: Array) -> Array:
    """log(1 + x), elementwise, with all digits for small x."""
    return np.log1p(x)


log1p.vjp(lambda g, out, x: g / (1 + x))


@op(numpy=np.sqrt)
def sqrt(x: Array) -> Array:
    """Square root, elementwise; its derivative at 0 is infinite."""
    return np.sqrt(x)


sqrt.vjp(lambda g, out, x: g / (2 * out)).onnx("Sqrt")


@op(numpy=np.absolute)
def abs(x: Array) -> Array:
    """Absolute value, elementwise; its derivative at 0 is 0."""
    return np.abs(x)


abs.vjp(lambda g, out, x: g * sign(x)).onnx("Abs")


@op(numpy=np.sin)
def sin(x: Array) -> Array:
    """Sine, elementwise."""
    return np.sin(x)


sin.vjp(lambda g, out, x: g * cos(x)).onnx("Sin")


@op(numpy=np.cos)
def cos(x: Array) -> Array:
    """Cosine, elementwise."""
    return np.cos(x)


cos.vjp(lambda g, out, x: -g * sin(x)).onnx("Cos")


@op(numpy=np.tanh)
def tanh(x: Array) -> Array:
    """Hyperbolic tangent, elementwise."""
    return np.tanh(x)


tanh.vjp(lambda g, out, x: g * tanh_slope(x)).onnx("Tanh")


@op
@quietly
def tanh_slope(x: Array) -> Array:
    """tanh'(x) = 4e / (1+e)^2 with e = exp(-2|x|): keeps its digits where 1 - tanh(x)^2 cancels."""
    e = np.exp(-2 * np.abs(x))
    return 4 * e / (1 + e) ** 2


tanh_slope.vjp(lambda g, out, x: -2 * g * out * tanh(x))


@op
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), elementwise, in a form whose exponents are never positive."""
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


sigmoid.vjp(lambda g, out, x: g * sigmoid_slope(x)).onnx("Sigmoid")


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


relu.vjp(lambda g, out, x: keep(g, out)).onnx("Relu")  # where out is not 0; NaN passes on as NaN


@op
@quietly
def leaky_relu(x: Array, *, negative_slope: float = 0.01) -> Array:
    """x where it is positive, elsewhere negative_slope * x; at 0 the slope is negative_slope."""
    return np.where(x > 0, x, x * negative_slope)


leaky_relu.vjp(
    lambda g, out, x, negative_slope=0.01: keep(g, x > 0) + keep(g * negative_slope, ~(x > 0))
)


@op
def softplus(x: Array) -> Array:
    """log(1 + exp(x)), elementwise, without overflow: a smooth relu."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


softplus.vjp(lambda g, out, x: g * sigmoid(x)).onnx("Softplus")


@op
def logsigmoid(x: Array) -> Array:
    """log(sigmoid(x)), elementwise, finite for every finite x."""
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


logsigmoid.vjp(lambda g, out, x: g * sigmoid(-x))


# The algebra of the softmax family. Along `axis`, let p = softmax(x). For any v:
#
#     D v = v - p.v        how far v is from its mean under the weights p   (softmax_deviation)
#     S v = v - p sum(v)   the adjoint of D                                 (log_softmax_slope)
#     J v = p * D v        the Jacobian of p, diag(p) - p p^T, symmetric    (softmax_jacobian)
#
# When x moves by dx, log p moves by D dx and p by J dx. So S is the rule of log_softmax and J the
# rule of softmax, and the three results for v move by
#
#     d(D v) = -v.(J dx)       its adjoint takes g to  -sum(g) J v
#     d(S v) = -sum(v) J dx    its adjoint takes g to  -sum(v) J g
#     d(J v)                   its adjoint takes g to  J (D g * D v)


def along_axis(function: Callable[..., Array]) -> Callable[..., Array]:
    """Let a function of rows also take a single number, as a row of one; infinities do not warn."""

    @wraps(function)
    @quietly
    def call(*arrays: Array, axis: int = -1, **params: Any) -> Array:
        if arrays[-1].ndim == 0:
            rows = (np.reshape(a, 1) for a in arrays)
            return function(*rows, axis=axis, **params).reshape(())
        return function(*arrays, axis=axis, **params)

    return call


def exponentials(x: Array, axis: int) -> tuple[Array, Array, Array]:
    """Split a sum of exponentials at its largest term.

    Returns the largest x, exp(x - largest) with 0 in place of the largest, and the sum of these,
    the rest. The whole sum is ``exp(largest) * (1 + rest)``, which neither overflows nor loses a
    small rest beside the 1. An infinite largest x is not subtracted: inf - inf is NaN.
    """
    at = x.argmax(axis=axis, keepdims=True)
    largest = np.take_along_axis(x, at, axis)
    e = np.exp(x - np.where(np.isfinite(largest), largest, 0))
    np.put_along_axis(e, at, 0, axis)
    return largest, e, e.sum(axis=axis, keepdims=True)


@op
@along_axis
def softmax(x: Array, *, axis: int = -1) -> Array:
    """exp(x) / sum(exp(x)) along `axis`: positive numbers that add up to 1."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    e /= e.sum(axis=axis, keepdims=True)
    return e


softmax.vjp(lambda g, out, x, axis=-1: softmax_jacobian(g, x, axis=axis)).onnx("Softmax")


def from_mean(v: Array, p: Array, axis: int) -> Array:
    """D v, computed relative to v at the largest p, so that nothing cancels."""
    h = v - np.take_along_axis(v, p.argmax(axis=axis, keepdims=True), axis)
    return h - (p * h).sum(axis=axis, keepdims=True)


@op
@along_axis
def softmax_jacobian(v: Array, x: Array, *, axis: int = -1) -> Array:
    """J v = p * (v - p.v) with p = softmax(x)."""
    p = softmax.forward(x, axis=axis)
    return p * from_mean(v, p, axis)


softmax_jacobian.vjp(
    lambda g, out, v, x, axis=-1: softmax_jacobian(g, x, axis=axis),
    lambda g, out, v, x, axis=-1: softmax_jacobian(
        softmax_deviation(g, x, axis=axis) * softmax_deviation(v, x, axis=axis), x, axis=axis
    ),
)


@op
@along_axis
def softmax_deviation(v: Array, x: Array, *, axis: int = -1) -> Array:
    """D v = v - p.v with p = softmax(x)."""
    return from_mean(v, softmax.forward(x, axis=axis), axis)


softmax_deviation.vjp(
    lambda g, out, v, x, axis=-1: log_softmax_slope(g, x, axis=axis),
    lambda g, out, v, x, axis=-1: (
        -g.sum(axis=axis, keepdims=True) * softmax_jacobian(v, x, axis=axis)
    ),
)


@op
@along_axis
def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """log(softmax(x)) along `axis`, finite for every finite x."""
    largest, _, rest = exponentials(x, axis)
    return (x - largest) - np.log1p(rest)


log_softmax.vjp(lambda g, out, x, axis=-1: log_softmax_slope(g, x, axis=axis)).onnx("LogSoftmax")


@op
@along_axis
def log_softmax_slope(v: Array, x: Array, *, axis: int = -1) -> Array:
    """S v = v - p sum(v) with p = softmax(x).

    Where p is largest, this is v (1 - p) minus p times the sum of the other v; 1 - p is computed
    as the sum of the other p, not by a subtraction.
    """
    largest_at = x.argmax(axis=axis, keepdims=True)
    _, e, rest = exponentials(x, axis)
    slope = v - e / (1 + rest) * v.sum(axis=axis, keepdims=True)
    others = v.copy()
    np.put_along_axis(others, largest_at, 0, axis)
    at_largest = (
        np.take_along_axis(v, largest_at, axis) * rest - others.sum(axis=axis, keepdims=True)
    ) / (1 + rest)
    np.put_along_axis(slope, largest_at, at_largest, axis)
    return slope


log_softmax_slope.vjp(
    lambda g, out, v, x, axis=-1: softmax_deviation(g, x, axis=axis),
    lambda g, out, v, x, axis=-1: (
        -v.sum(axis=axis, keepdims=True) * softmax_jacobian(g, x, axis=axis)
    ),
)


@op
@along_axis
def logsumexp(x: Array, *, axis: int = -1, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) along one axis, without overflow."""
    largest, _, rest = exponentials(x, axis)
    out = largest + np.log1p(rest)
    return out if keepdims else out.sum(axis=axis)


logsumexp.vjp(
    lambda g, out, x, axis=-1, keepdims=False: (
        unreduce(g, x, axis, keepdims) * softmax(x, axis=axis)
    )
)

# ---------------------------------------------------------------- loss


@op
@quietly
def cross_entropy(x: Array, target: Array) -> Array:
    """-log(softmax(x)[target]) per row: (n, classes) and class numbers (n,) give (n,)."""
    rows, largest_at = np.arange(len(x)), x.argmax(axis=1)
    largest = x[rows, largest_at]
    e = np.exp(x - largest.reshape((-1, 1)))
    e[rows, largest_at] = 0
    return (largest - x[rows, target]) + np.log1p(e.sum(axis=1))


cross_entropy.vjp(
    lambda g, out, x, target: g.reshape((-1, 1)) * cross_entropy_slope(x, target), None
)


@op
def cross_entropy_slope(x: Array, target: Array) -> Array:
    """softmax(x) - one_hot(target); p - 1 at the target is minus the sum of the others."""
    p = softmax.forward(x, axis=1)
    rows = np.arange(len(x))
    p[rows, target] = 0
    p[rows, target] = -p.sum(axis=1)
    return p


cross_entropy_slope.vjp(lambda g, out, x, target: softmax_jacobian(g, x, axis=1), None)


@op
@quietly
def squared_error(x: Array, y: Array) -> Array:
    """(x - y) squared, elementwise."""
    d = x - y
    return d * d


squared_error.vjp(lambda g, out, x, y: 2 * g * (x - y), lambda g, out, x, y: 2 * g * (y - x))
