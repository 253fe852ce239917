"""The ops whose counterpart in ONNX takes more than a name, each in ONNX's operators."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.autodiff.graph import cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinygrad_mnist.export.graph import Operators, Value

    Axis = int | tuple[int, ...] | None


class NoCounterpartError(Exception):
    """ONNX has no operator for an op with these arguments; the message says which ones."""


# ---------------------------------------------------------------- linear algebra


@ops.linear.onnx
def linear(onnx: Operators, x: Value, weight: Value, bias: Value) -> str:
    """Gemm takes matrices only."""
    if x.ndim == 2 and bias.ndim == 1:
        return onnx.Gemm(x, weight, bias)
    return onnx.Add(onnx.MatMul(x, weight), bias)


# ---------------------------------------------------------------- elementwise

ops.log1p.onnx(lambda onnx, x: onnx.Log(onnx.Add(x, 1.0)))
ops.logsigmoid.onnx(lambda onnx, x: onnx.Neg(onnx.Softplus(onnx.Neg(x))))
ops.leaky_relu.onnx(
    lambda onnx, x, negative_slope=0.01: onnx.LeakyRelu(x, alpha=float(negative_slope))
)
ops.squared_error.onnx(lambda onnx, x, y: onnx.Pow(onnx.Sub(x, y), 2.0))
ops.not_equal.onnx(lambda onnx, x, y: onnx.Not(onnx.Equal(*onnx.alike(x, y))))
ops.where.onnx(
    lambda onnx, condition, x, y: onnx.Where(
        onnx.cast(condition, np.bool), *(onnx.cast(v, onnx.out.dtype) for v in (x, y))
    )
)
ops.keep.onnx(lambda onnx, x, mask: onnx.Where(onnx.cast(mask, np.bool), x, 0.0))
cast.onnx(lambda onnx, x, dtype: onnx.cast(x, dtype))


@ops.clamp.onnx
def clamp(onnx: Operators, x: Value, min: float | None = None, max: float | None = None) -> str:
    """An empty name stands for no bound."""
    low, high = ("" if v is None else np.asarray(v, x.dtype) for v in (min, max))
    return onnx.Clip(x, low, high)


@ops.floor_divide.onnx
def floor_divide(onnx: Operators, x: Value, y: Value) -> str:
    """Div of integers rounds towards 0 in ONNX, so only floats have a counterpart."""
    if onnx.out.dtype.kind != "f":
        raise NoCounterpartError("integers")
    return onnx.Floor(onnx.Div(*onnx.alike(x, y)))


@ops.remainder.onnx
def remainder(onnx: Operators, x: Value, y: Value) -> str:
    """x - floor(x / y) y, with the sign of y; Mod has that sign for integers only."""
    x, y = onnx.alike(x, y)
    if onnx.out.dtype.kind != "f":
        return onnx.Mod(x, y)
    return onnx.Sub(x, onnx.Mul(onnx.Floor(onnx.Div(x, y)), y))


def of_masks(operator: str) -> Callable[..., str]:
    """An operator on masks; on the bits of integers, there is none in this opset."""

    def counterpart(onnx: Operators, *masks: Value) -> str:
        if onnx.out.dtype.kind != "b":
            raise NoCounterpartError("integers")
        return onnx.node(operator, *masks)

    return counterpart


ops.bitwise_and.onnx(of_masks("And"))
ops.bitwise_or.onnx(of_masks("Or"))
ops.bitwise_xor.onnx(of_masks("Xor"))
ops.invert.onnx(of_masks("Not"))

# ---------------------------------------------------------------- shape


@ops.reshape.onnx
def reshape(onnx: Operators, x: Value, shape: Any) -> str:
    """One length may be -1, for whatever the batch makes of it."""
    shape = onnx.out.shape
    return onnx.Reshape(x, list(shape) if shape.count(-1) < 2 else onnx.lengths(onnx.out))


ops.broadcast_to.onnx(lambda onnx, x, shape: onnx.Expand(x, onnx.lengths(onnx.out)))
ops.transpose.onnx(lambda onnx, x, axes: onnx.Transpose(x, perm=[axis % x.ndim for axis in axes]))
ops.concatenate.onnx(
    lambda onnx, *xs, axis=0: onnx.Concat(
        *(onnx.cast(x, onnx.out.dtype) for x in xs), axis=axis % onnx.out.ndim
    )
)
ops.stack.onnx(
    lambda onnx, *xs, axis=0: onnx.Concat(
        *(onnx.Unsqueeze(onnx.cast(x, onnx.out.dtype), [axis % onnx.out.ndim]) for x in xs),
        axis=axis % onnx.out.ndim,
    )
)


@ops.index.onnx
def index(onnx: Operators, x: Value, key: Any) -> str | Value:
    """Numbers, slices, new axes, and at most one list of positions."""
    keys = list(key) if isinstance(key, tuple) else [key]
    at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    taken = len([k for k in keys if k is not None and k is not Ellipsis])
    keys[at : at + 1] = [slice(None)] * (x.ndim - taken)
    places = [k for k in keys if k is not None and not isinstance(k, slice)]
    several = any(map(np.ndim, places)) and (len(places) > 1 or any(k is None for k in keys))
    if several or any(np.asarray(k).dtype.kind not in "iu" for k in places):
        raise NoCounterpartError("a mask, or several lists of positions, as an index")
    out: str | Value = x
    for axis, k in reversed(list(enumerate(k for k in keys if k is not None))):
        if not isinstance(k, slice):
            out = onnx.Gather(out, np.asarray(k, np.int64), axis=axis)
        elif k != slice(None):
            out = sliced(onnx, out, axis, k)
    new = [i for i, k in enumerate(k for k in keys if not is_number(k)) if k is None]
    return onnx.Unsqueeze(out, new) if new else out


def is_number(key: Any) -> bool:
    """Whether a part of an index takes an axis away."""
    return key is not None and not isinstance(key, slice) and np.ndim(key) == 0


def sliced(onnx: Operators, x: Any, axis: int, key: slice) -> str:
    """Slice, with the ends that Python leaves out."""
    step = 1 if key.step is None else key.step
    far = np.iinfo(np.int64).max
    start, stop = (0, far) if step > 0 else (far, -far)
    ends = start if key.start is None else key.start, stop if key.stop is None else key.stop
    return onnx.Slice(x, [ends[0]], [ends[1]], [axis], [step])


@ops.sliding_windows.onnx
def sliding_windows(onnx: Operators, x: Value, window: tuple[int, ...], stride: int = 1) -> str:
    """Gather the windows along one axis after the other, then put the axes in order."""
    count, first = len(window), x.ndim - len(window)
    if -1 in x.shape[first:]:
        raise NoCounterpartError("windows over the batch")
    out: Any = x
    for i, wide in reversed(list(enumerate(window))):
        starts = np.arange(0, x.shape[first + i] - wide + 1, stride)
        out = onnx.Gather(out, starts[:, None] + np.arange(wide), axis=first + i)
    pairs = range(first, first + 2 * count)
    return onnx.Transpose(out, perm=[*range(first), *pairs[::2], *pairs[1::2]])


# ---------------------------------------------------------------- reduction


def axes(axis: Axis) -> dict[str, list[int]]:
    """The axes as an attribute; without it, an operator reduces all."""
    return {} if axis is None else {"axes": [axis] if isinstance(axis, int) else list(axis)}


def reduction(operator: str) -> Callable[..., str]:
    """An operator with the axes as an attribute."""

    def counterpart(onnx: Operators, x: Value, axis: Axis = None, keepdims: bool = False) -> str:
        values = onnx.cast(x, onnx.out.dtype)
        return onnx.node(operator, values, keepdims=int(keepdims), **axes(axis))

    return counterpart


for of, operator in {
    ops.mean: "ReduceMean",
    ops.max: "ReduceMax",
    ops.min: "ReduceMin",
    ops.norm: "ReduceL2",
    ops.logsumexp: "ReduceLogSumExp",
}.items():
    of.onnx(reduction(operator))


@ops.sum.onnx
def total(onnx: Operators, x: Value, axis: Axis = None, keepdims: bool = False) -> str:
    """ReduceSum alone takes its axes as an input."""
    values, over = onnx.cast(x, onnx.out.dtype), axes(axis).values()
    return onnx.ReduceSum(values, *over, keepdims=int(keepdims))


@ops.center.onnx
def center(onnx: Operators, x: Value, axis: Axis = None) -> str:
    """x minus its mean."""
    return onnx.Sub(x, onnx.ReduceMean(x, keepdims=1, **axes(axis)))


def variance(
    onnx: Operators, x: Value, axis: Axis = None, ddof: float = 0, keepdims: bool = False
) -> str:
    """The mean of the squared deviations, times n / (n - ddof)."""
    squares = onnx.Pow(onnx.node("Sub", x, onnx.ReduceMean(x, keepdims=1, **axes(axis))), 2.0)
    mean = onnx.ReduceMean(squares, keepdims=int(keepdims), **axes(axis))
    if ddof == 0:
        return mean
    lengths = [x.shape[i] for i in ops.axes_of(x, axis)]
    if -1 in lengths:
        raise NoCounterpartError("ddof and the batch as an axis")
    n = math.prod(lengths)
    return onnx.Mul(mean, n / (n - ddof) if n > ddof else math.inf)


ops.var.onnx(variance)
ops.std.onnx(lambda onnx, *x, **params: onnx.Sqrt(variance(onnx, *x, **params)))


def of_truth(operator: str) -> Callable[..., str | Value]:
    """A reduction of masks, which ONNX reads as the numbers 0 and 1."""

    def counterpart(
        onnx: Operators, x: Value, axis: Axis = None, keepdims: bool = False
    ) -> str | Value:
        numbers = onnx.Cast(onnx.cast(x, np.bool), to=onnx.INT64)
        found = onnx.node(operator, numbers, keepdims=int(keepdims), **axes(axis))
        return onnx.Cast(found, to=onnx.BOOL)

    return counterpart


ops.any.onnx(of_truth("ReduceMax"))
ops.all.onnx(of_truth("ReduceMin"))


def position(operator: str) -> Callable[..., str]:
    """The position of an extreme element: the first of equal ones, as in NumPy."""

    def counterpart(
        onnx: Operators, x: Value, axis: int | None = None, keepdims: bool = False
    ) -> str:
        if axis is None:
            flat = onnx.Reshape(x, [-1])
            return onnx.Reshape(onnx.node(operator, flat, keepdims=1), list(onnx.out.shape))
        return onnx.node(operator, x, axis=axis, keepdims=int(keepdims))

    return counterpart


ops.argmax.onnx(position("ArgMax"))
ops.argmin.onnx(position("ArgMin"))
