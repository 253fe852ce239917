"""The NumPy functions that take tensors, with NumPy's own arguments.

There are three kinds. A function with a derivative runs ops: a ufunc runs the op that names it, any
other function the code below. A function without a derivative (`np.isnan`, `np.shape`) is called
on the arrays. All others are refused, and so is an argument that NumPy documents and we cannot
honour: silently ignoring a `where=` would give a wrong result.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.autodiff.graph import NUMPY, cast, op, settle
from tinygrad_mnist.autodiff.mode import mode
from tinygrad_mnist.autodiff.variable import Variable, plain, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinygrad_mnist.autodiff.tensor import Tensor

    Function = Callable[..., Any]

# ---------------------------------------------------------------- how a call finds its stand-in

UFUNC_DEFAULTS = {"where": True, "casting": "same_kind", "order": "K", "subok": True}


def stand_in(function: Function) -> Function:
    """The function that runs in place of a NumPy function; raises if there is none."""
    if function not in NUMPY:
        name = numpy_name(function)
        raise TypeError(
            f"{name} has no op, so its derivative is unknown. Use other operations, declare one "
            f"with @op(numpy={name}) and .vjp(...), or work on the array: t.detach().numpy()."
        )
    return NUMPY[function]


def stands_in_for(*functions: Function) -> Callable[[Function], Function]:
    """Let the function below run when one of these NumPy functions is called on tensors.

    Its first argument is NumPy's first; the others have NumPy's names. It takes only arguments that
    it can honour: `under_its_signature` refuses the others.
    """

    def register(ours: Function) -> Function:
        NUMPY.update({function: under_its_signature(function, ours) for function in functions})
        return ours

    return register


def under_its_signature(function: Function, ours: Function) -> Function:
    """Our function, callable with the arguments that NumPy documents.

    An argument that ours does not take is refused by name, unless it has its default value.
    `dtype=` is honoured by all: the elements are cast first.
    """
    taken = inspect.signature(getattr(ours, "forward", ours)).parameters
    try:
        documented = inspect.signature(function).parameters
    except ValueError:  # before NumPy 2.4, C functions have no signature; ours has the same one
        like: dict[Function, Function] = {np.concatenate: np.stack, np.dot: np.outer}
        documented = inspect.signature(like.get(function, ours)).parameters
    first = next(iter(documented))
    defaults = UFUNC_DEFAULTS | {name: p.default for name, p in documented.items()}

    def run(*args: Any, **kwargs: Any) -> Any:
        given = dict(zip(documented, args, strict=False)) | kwargs
        x, dtype = given.pop(first), given.pop("dtype", None)
        for name, value in list(given.items()):
            if is_default(value, defaults.get(name)):
                del given[name]
            elif name not in taken:
                raise refusal(function, name)
        if dtype is None:
            return ours(x, **given)
        if np.dtype(dtype).kind != "f":
            way_out = "Ask for a float dtype: the others have no derivative."
            raise refusal(function, "dtype", np.dtype(dtype), way_out)
        several = isinstance(x, (list, tuple))
        return ours([in_dtype(v, dtype) for v in x] if several else in_dtype(x, dtype), **given)

    return run


def call_ufunc(ufunc: np.ufunc, method: str, inputs: Any, options: dict[str, Any]) -> Any:
    """Run a ufunc that was given more than its operands: `out=`, another option, or `.reduce`."""
    plain = ufunc in WITHOUT_DERIVATIVE
    if out := options.get("out"):
        wanted = any(getattr(x, "requires_grad", False) for x in inputs)
        recorded = wanted and mode.recording and not plain
        if recorded or any(isinstance(x, Variable) for x in out):
            raise refusal(ufunc, "out")
    if out or plain:
        return on_arrays(getattr(ufunc, method), *inputs, **options)
    ours = stand_in(ufunc)
    if method != "__call__":
        name = numpy_name(ufunc)
        raise TypeError(f"{name} is differentiable only in its plain form, without .{method}.")
    for name, value in options.items():
        if not is_default(value, UFUNC_DEFAULTS.get(name)):
            raise refusal(ufunc, name)
    return ours(*inputs)


def is_default(value: Any, default: Any) -> bool:
    """Whether an argument has its default value."""
    return value is default or (type(value) is type(default) and value == default)


WAYS_OUT = {
    "out": "It would overwrite an array without recording it: write y = ... instead.",
    "where": "Choose elements with np.where(mask, x, y), which has a derivative.",
    "correction": "Its other name, ddof=, works.",
}


def refusal(
    function: Function, argument: str, value: Any = "...", way_out: str | None = None
) -> TypeError:
    """The error that names the argument we cannot honour, and the way out."""
    call = f"{numpy_name(function)}({argument}={value})"
    otherwise = "Leave it out, or work on the array: t.detach().numpy()."
    way_out = way_out or WAYS_OUT.get(argument, otherwise)
    return TypeError(f"{call} is not supported for tensors. {way_out}")


def numpy_name(function: Function) -> str:
    """The name by which a function is called: np.sum, np.linalg.norm."""
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module}.{function.__name__}".replace("numpy", "np", 1)


# ---------------------------------------------------------------- no derivative: NumPy itself

WITHOUT_DERIVATIVE: frozenset[Any] = frozenset(
    [
        *(np.isnan, np.isinf, np.isfinite, np.signbit),
        *(np.logical_and, np.logical_or, np.logical_xor, np.logical_not),
        *(np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert),
        *(np.any, np.all, np.count_nonzero, np.nonzero, np.flatnonzero, np.argwhere, np.argsort),
        *(np.allclose, np.isclose, np.array_equal, np.array_equiv),
        *(np.zeros_like, np.ones_like, np.full_like, np.empty_like, np.shape, np.ndim, np.size),
        *(np.result_type, np.iscomplexobj, np.isrealobj, np.shares_memory, np.may_share_memory),
        *(np.array_repr, np.array_str, np.array2string),
    ]
)
"""NumPy answers these itself, on the arrays, with arrays and Python values."""


def on_arrays(function: Function, *args: Any, **kwargs: Any) -> Any:
    """Call a NumPy function on the arrays of the tensors it is given."""
    if isinstance(kwargs.get("out"), Variable):
        raise refusal(function, "out")
    return function(*map(array_of, args), **{name: array_of(x) for name, x in kwargs.items()})


def array_of(x: Any) -> Any:
    """The array of a tensor, also inside a list or tuple; anything else unchanged."""
    if type(x) in (list, tuple):
        return type(x)(map(array_of, x))
    return x._data if isinstance(x, Variable) else x


NUMPY.update({function: partial(on_arrays, function) for function in WITHOUT_DERIVATIVE})

# If the fill value requires grad, asarray says that an array would lose it.
NUMPY[np.full_like] = lambda a, fill_value, *args, **options: np.full_like(
    array_of(a), np.asarray(fill_value), *args, **options
)

# Steps are flat wherever they have a derivative, so their results are constants, as for np.sign.
for step, counterpart in ((np.floor, "Floor"), (np.ceil, "Ceil"), (np.rint, "Round")):
    NUMPY[step] = op(step).vjp(None).onnx(counterpart)
NUMPY[np.trunc] = op(np.trunc).vjp(None)
stands_in_for(np.round, np.around)(lambda a, decimals=0: wrap(np.asarray(a.data.round(decimals))))

# ---------------------------------------------------------------- ops whose arguments are NumPy's

stands_in_for(np.sum)(ops.sum)
stands_in_for(np.mean)(ops.mean)
stands_in_for(np.var)(ops.var)
stands_in_for(np.std)(ops.std)
stands_in_for(np.max, np.amax)(ops.max)
stands_in_for(np.min, np.amin)(ops.min)
stands_in_for(np.argmax)(ops.argmax)
stands_in_for(np.argmin)(ops.argmin)
stands_in_for(np.prod)(ops.prod)

# ---------------------------------------------------------------- elementwise and products

NUMPY[np.square] = lambda x: x * x


@stands_in_for(np.where)
def where(condition: Any, x: Any = None, y: Any = None) -> Tensor:
    """np.where with three arguments."""
    if x is None or y is None:
        raise TypeError(
            "np.where for tensors chooses between two: np.where(condition, x, y). "
            "For the positions at which a condition holds, write np.nonzero(condition)."
        )
    return ops.where(condition, x, y)


@stands_in_for(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Tensor:
    """np.clip; a bound that is a tensor gets a gradient too, from where it was chosen."""
    if (a_min is not None or a_max is not None) and (min is not None or max is not None):
        raise ValueError("np.clip takes either a_min and a_max, or min and max.")
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    if isinstance(low, Variable) or isinstance(high, Variable):
        a = a if low is None else ops.maximum(a, low)
        return a if high is None else ops.minimum(a, high)
    return ops.clamp(a, min=low, max=high)


@stands_in_for(np.linalg.norm)
def norm(x: Tensor, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """np.linalg.norm: ord 2, 1 and inf for vectors, the root of the sum of squares for matrices."""
    vector = (x.ndim if axis is None else np.size(axis)) == 1
    if ord is None or (ord == 2 if vector else ord == "fro"):
        return ops.norm(x, axis=axis, keepdims=keepdims)
    if vector and ord in (1, np.inf):
        return (ops.sum if ord == 1 else ops.max)(ops.abs(x), axis=axis, keepdims=keepdims)
    way_out = (
        "Use ord=2, 1 or np.inf for vectors; for matrices 'fro', the root of the sum of squares."
    )
    raise refusal(np.linalg.norm, "ord", repr(ord), way_out)


@stands_in_for(np.dot)
def dot(a: Any, b: Any) -> Tensor:
    """np.dot: `*` if one is a number, otherwise `@`."""
    if np.ndim(plain(b)) > 2:
        raise TypeError(
            f"np.dot has no op for a right side of shape {np.shape(plain(b))}. "
            "To multiply stacks of matrices, write a @ b."
        )
    return ops.matmul(a, b) if np.ndim(plain(a)) and np.ndim(plain(b)) else ops.mul(a, b)


stands_in_for(np.inner)(lambda a, b: dot(a, operand(b, a).T))
stands_in_for(np.outer)(lambda a, b: operand(a, b).reshape((-1, 1)) * operand(b, a).reshape(-1))

# ---------------------------------------------------------------- shape

# Before NumPy 2.1, the shape was called newshape.
stands_in_for(np.reshape)(
    lambda a, shape=None, newshape=None: a.reshape(shape if newshape is None else newshape)
)
stands_in_for(np.ravel)(lambda a: a.reshape(-1))
stands_in_for(np.squeeze)(lambda a, axis=None: a.squeeze(axis))
stands_in_for(np.expand_dims)(lambda a, axis: a.unsqueeze(axis))
stands_in_for(np.broadcast_to)(lambda array, shape: ops.broadcast_to(array, shape=shape))
stands_in_for(np.transpose)(lambda a, axes=None: a.transpose(*(() if axes is None else axes)))
stands_in_for(np.swapaxes)(lambda a, axis1, axis2: a.swapaxes(axis1, axis2))


@stands_in_for(np.moveaxis)
def moveaxis(a: Tensor, source: Any, destination: Any) -> Tensor:
    """np.moveaxis; NumPy moves the axes of an array whose axis i has length i, to order them."""
    return a.transpose(np.moveaxis(np.empty(range(a.ndim)), source, destination).shape)


@stands_in_for(np.take)
def take(a: Tensor, indices: Any, axis: int | None = None) -> Tensor:
    """np.take, by indexing."""
    if axis is None:
        a, axis = a.reshape(-1), 0
    places = np.asarray(indices) + 0  # np.take reads True as 1, an index would read it as a mask
    return a[(slice(None),) * (axis % a.ndim) + (places,)]


@stands_in_for(np.split)
def split(ary: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """np.split: NumPy splits the positions, and each part is taken."""
    positions = np.arange(ary.shape[axis])
    return [take(ary, part, axis) for part in np.split(positions, indices_or_sections)]


@stands_in_for(np.concatenate)
def concatenate(arrays: Any, axis: int | None = 0) -> Tensor:
    """np.concatenate; without an axis, all elements in one row."""
    xs = [operand(x, *arrays) for x in arrays]
    if axis is None:
        xs, axis = [x.reshape(-1) for x in xs], 0
    return ops.concatenate(*xs, axis=axis)


@stands_in_for(np.vstack)
def vstack(tup: Any) -> Tensor:
    """np.vstack: vectors become rows."""
    xs = (operand(x, *tup) for x in tup)
    return concatenate([x.reshape((1, -1)) if x.ndim < 2 else x for x in xs])


@stands_in_for(np.hstack)
def hstack(tup: Any) -> Tensor:
    """np.hstack: vectors one after the other, anything else along axis 1."""
    xs = [x if x.ndim else x.reshape(1) for x in (operand(x, *tup) for x in tup)]
    return concatenate(xs, axis=0 if xs[0].ndim == 1 else 1)


stands_in_for(np.stack)(lambda arrays, axis=0: ops.stack(*arrays, axis=axis))


def operand(x: Any, *beside: Any) -> Any:
    """A tensor or array unchanged; anything else as an array, in the float dtype of `beside`."""
    if beside and isinstance(x, (list, tuple)):
        x = settle((x, *beside), ops.concatenate)[0]
    return x if hasattr(x, "reshape") else np.asarray(x)


def in_dtype(x: Any, dtype: Any) -> Any:
    """The same elements in another dtype, recorded."""
    return cast(operand(x), dtype=dtype)
