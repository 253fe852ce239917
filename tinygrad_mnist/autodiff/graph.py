"""The tape: operations with their derivative rules, what they record, and the backward sweep.

Calling an `Op` on tensors computes an array and returns it as a tensor that remembers the op and
its inputs. `sweep` walks back along these records, from the youngest tensor to the oldest, and
applies the chain rule at each.
"""

from __future__ import annotations

from functools import partial
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tinygrad_mnist.autodiff import memory
from tinygrad_mnist.autodiff.dtypes import SCALARS, look_at, numbers, settled_params
from tinygrad_mnist.autodiff.guard import ReadOnlyError, may_write, read_only
from tinygrad_mnist.autodiff.mode import Recording, mode
from tinygrad_mnist.autodiff.variable import NO_PARAMS, Variable, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tinygrad_mnist.autodiff.tensor import Tensor
    from tinygrad_mnist.autodiff.variable import Array

    Rule = Callable[..., Any]

# ---------------------------------------------------------------- recording


class Op:
    """A function on arrays together with its derivative: one rule per argument.

    A rule is called as ``rule(g, out, *inputs, **params)``, where ``g`` is the cotangent of ``out``
    (the gradient of the final result with respect to it), and returns the cotangent of its input.
    It may ignore broadcasting: the sweep sums its result down to the input's shape.

    Parameters
    ----------
    forward : callable
        Takes the arrays by position and everything else (axes, shapes) by keyword.
    name : str, optional
        The name in `repr` and error messages; by default the function's own.
    """

    def __init__(self, forward: Callable[..., Any], name: str | None = None) -> None:
        self.forward = forward
        self.name = name or forward.__name__
        self.__doc__ = forward.__doc__
        self.rules: tuple[Rule | None, ...] = ()
        self.each: Rule | None = None
        self.together: Rule | None = None
        self.differentiable = True
        self.may_write = True
        self.counterpart: str | Callable[..., Any] | None = None

    def vjp(
        self, *rules: Rule | None, each: Rule | None = None, together: Rule | None = None
    ) -> Op:
        """Declare the derivative ("vjp" is the vector-Jacobian product), and return the op.

        Parameters
        ----------
        *rules : callable or None
            One rule per argument; None marks an argument that has no derivative.
        each : callable, optional
            For any number of arguments: one rule that also receives the position of its argument,
            ``each(i, g, out, *inputs, **params)``.
        together : callable, optional
            For any number of arguments: one rule that returns the cotangents of all of them.
        """
        self.rules, self.each, self.together = rules, each, together
        self.may_write = any(may_write(rule) for rule in (*rules, each, together) if rule)
        self.differentiable = each is not None or together is not None or any(rules)
        return self

    def onnx(self, counterpart: str | Callable[..., Any]) -> Op:
        """Declare what computes the same in ONNX, so that networks with this op can be exported.

        Parameters
        ----------
        counterpart : str or callable
            The name of an operator, such as "Relu", that takes the op's arguments as inputs and
            its parameters as attributes of the same names. Or a function
            ``counterpart(onnx, *inputs, **params)`` that returns a call of an operator, such as
            ``onnx.Mul(x, onnx.Sigmoid(x))``. Inputs know their `shape`, `ndim` and `dtype`.

        Returns
        -------
        Op
            The op itself.
        """
        self.counterpart = counterpart
        return self

    def rules_for(self, count: int) -> Sequence[Rule | None]:
        """One rule for each of `count` arguments; a missing one raises when it is called."""
        if len(self.rules) >= count:
            return self.rules
        if self.together is not None:
            return [partial(_one_of_all, self.together, i) for i in range(count)]
        if self.each is not None:
            return [partial(self.each, i) for i in range(count)]
        return [*self.rules, *[self._missing] * (count - len(self.rules))]

    def differentiates(self, position: int) -> bool:
        """Whether an argument has a rule: masks, class numbers and indices have none."""
        named = self.rules[position : position + 1]
        return (named[0] if named else self.each or self.together) is not None

    def _missing(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError(
            f"{self.name} has derivative rules for {len(self.rules)} of its arguments only. "
            f"Declare all with {self.name}.vjp(...): None for an argument without a derivative."
        )

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Apply the function, and record it if an argument requires grad.

        Returns a tensor, or a plain array if no argument is a tensor, so that a derivative rule
        can use the same ops on both.
        """
        if params:
            params = settled_params(params, self.name)
        arrays, tensors, wanted, agree = look_at(args)
        if not tensors:
            return self.forward(*args, **params)
        if not agree:
            args = settle(args, self)
            arrays = [x._data if isinstance(x, Variable) else x for x in args]
        out = self.forward(*arrays, **params)
        if wanted and mode.recording and (self.differentiable or mode.everything):
            return wrap(out, self, args, arrays, params or NO_PARAMS)
        return wrap(out)

    def __deepcopy__(self, memo: dict[int, Any]) -> Op:
        return self

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def _one_of_all(together: Rule, position: int, *args: Any, **params: Any) -> Any:
    return list(together(*args, **params))[position]


def operator(op: Op) -> Callable[[Any, Any], Tensor]:
    """An op of two operands as a plain function, which becomes a method of `Tensor`.

    Two tensors of one dtype, the most common operands, skip the checks of `Op.__call__`.
    """
    forward, differentiable = op.forward, op.differentiable

    def apply(x: Any, y: Any) -> Tensor:
        if isinstance(y, Variable):
            a, b = x._data, y._data
            if a.dtype is b.dtype:
                out = forward(a, b)
                wanted = (x._requires_grad or y._requires_grad) and mode.recording
                if wanted and (differentiable or mode.everything):
                    return wrap(out, op, (x, y), (a, b))
                return wrap(out)
        return op(x, y)

    return apply


def reflected(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Tensor]:
    """The same function with its operands exchanged, for a tensor on the right: ``2 - t``."""
    return lambda x, y: op(y, x)


NUMPY: dict[Callable[..., Any], Callable[..., Any]] = {}
"""NumPy function -> our function that runs instead when it is called on a tensor."""


@overload
def op(
    function: Callable[..., Any],
    *,
    numpy: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Op: ...
@overload
def op(
    *, numpy: Callable[..., Any] | None = None, name: str | None = None
) -> Callable[[Callable[..., Any]], Op]: ...
def op(
    function: Callable[..., Any] | None = None,
    *,
    numpy: Callable[..., Any] | None = None,
    name: str | None = None,
) -> Any:
    """Turn a function on arrays into an `Op`; with `numpy=np.f`, calling ``np.f(tensor)`` runs it.

    Examples
    --------
    >>> from tinygrad_mnist.autodiff import op, tensor
    >>> @op
    ... def cube(x):
    ...     return x**3
    >>> cube.vjp(lambda g, out, x: 3 * g * x**2)
    <op cube>
    >>> x = tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    Tensor(12.)
    """
    if function is None:
        return partial(op, numpy=numpy, name=name)
    made = Op(function, name)
    if numpy is not None:
        NUMPY[numpy] = made
    return made


quietly = np.errstate(all="ignore")
"""For layers, losses, and ops that NumPy lacks: they return infinity and NaN without a warning.

The other ops warn where NumPy's own functions do.
"""


# ---------------------------------------------------------------- the backward sweep


def sweep(
    roots: dict[Any, Any],
    *,
    retain_graph: bool,
    create_graph: bool = False,
    targets: Iterable[Any] = (),
) -> dict[Any, Any]:
    """Carry cotangents from the roots back to the leaves: the order, and the addition.

    The next tensor is always the youngest one whose cotangent has arrived. Everything computed
    from it is younger still and has already passed on its share, so the cotangent is complete.

    Parameters
    ----------
    roots : dict
        Tensor -> cotangent to start from. Arrays, or tensors with `create_graph`.
    retain_graph : bool
        Keep what the tensors remember, so that the same graph can be swept again.
    create_graph : bool
        Give the rules tensors instead of arrays: the sweep is then itself recorded, and can be
        differentiated again.
    targets : iterable of Tensor
        Where cotangents are wanted; by default at every leaf.

    Returns
    -------
    dict
        Tensor -> cotangent, for every leaf or target that was reached.
    """
    targets = set(targets)
    useful = leading_to(targets, roots) if targets else None
    cotangents = dict(roots)
    waiting = [(-y.age, y) for y in roots if y.op is not None]
    heapify(waiting)
    last_write, swept = memory.latest(), []
    # Rules are ordinary code: they are recorded if their derivatives are wanted too.
    # An infinite slope, such as that of sqrt at 0, is a valid answer and needs no warning.
    with Recording(create_graph), np.errstate(all="ignore"):
        while waiting:
            _, y = heappop(waiting)  # ages are unique, so tensors are never compared
            if y.inputs is None:
                raise freed(y.op)
            if last_write > y.age and (array := memory.overwritten(y)) is not None:
                raise spoiled(array, y)
            g = cotangents[y] if targets and y in targets else cotangents.pop(y)
            for x, share in shares(y, g, create_graph, useful):
                if x in cotangents:  # a new array, never +=: two inputs may hold one share
                    cotangents[x] = cotangents[x] + share
                else:
                    cotangents[x] = share
                    if x.op is not None:
                        heappush(waiting, (-x.age, x))
            swept.append(y)
    if not retain_graph:
        for y in swept:
            y.inputs, y.arrays = None, ()
    return cotangents


def shares(
    y: Any, g: Any, create_graph: bool = False, useful: set[Any] | None = None
) -> list[tuple[Any, Any]]:
    """The chain rule at one tensor: pairs of an input and its share of g.

    Only inputs that want a gradient are listed. The rules receive tensors with
    `create_graph` and arrays otherwise; the same code works on both. `useful` are
    the tensors on a path to the targets; None means all tensors.
    """
    op, params, found = y.op, y.params, []
    if create_graph:
        out, given = y, y.inputs
    else:
        out, given = y._data, y.arrays
        if op.may_write:
            g = read_only(g)
    try:
        if op.together is not None:
            passed_on = op.together(g, out, *given, **params)
            offered = zip(y.inputs, given, passed_on, strict=True)
            return [(x, fit(s, v, op)) for x, v, s in offered if wants(x, useful)]
        rules = op.rules if len(op.rules) == len(given) else op.rules_for(len(given))
        for x, value, rule in zip(y.inputs, given, rules):
            if rule is None or not isinstance(x, Variable) or not x._requires_grad:
                continue
            if useful is None or x in useful:
                share = rule(g, out, *given, **params)
                shape = getattr(share, "shape", None)
                if shape != value.shape or share.dtype is not value.dtype:
                    share = fit(share, value, op)
                found.append((x, share))
    except ValueError as error:
        if "read-only" in str(error):
            raise ReadOnlyError(op.name) from error
        raise
    return found


def wants(x: Any, useful: set[Any] | None) -> bool:
    """Whether an input is to receive its share of a cotangent."""
    return isinstance(x, Variable) and x._requires_grad and (useful is None or x in useful)


def fit(g: Any, x: Any, op: Op) -> Any:
    """Bring a cotangent to the shape and dtype of its input: broadcasting backwards is a sum.

    Where `x` was repeated along an axis, every copy contributed, so their cotangents add up.
    """
    if not hasattr(g, "shape"):
        g = np.asarray(g)
    if g.shape != x.shape:
        before = (1,) * (g.ndim - x.ndim) + x.shape  # broadcasting puts new axes in front
        pairs = enumerate(zip(before, g.shape, strict=False))
        repeated = tuple([i for i, (one, many) in pairs if one == 1 != many])
        summed = g.sum(axis=repeated, keepdims=True)
        if summed.shape != before:
            raise ValueError(
                f"A derivative rule of {op.name} returned shape {g.shape} for an input of shape "
                f"{x.shape}. A cotangent has the shape of its input, before or after broadcasting."
            )
        g = summed.reshape(x.shape)
    return g if g.dtype == x.dtype else cast(g, dtype=x.dtype)


def leading_to(targets: set[Any], roots: Iterable[Any]) -> set[Any]:
    """The targets, and everything computed from them: the tensors cotangents must pass through."""
    found: set[Any] = set()
    stack = list(roots)
    while stack:
        y = stack.pop()
        if isinstance(y, Variable) and y.op is not None and y not in found:
            found.add(y)
            stack.extend(y.inputs or ())
    useful = set(targets)
    for y in sorted(found, key=attrgetter("age")):
        if not useful.isdisjoint(x for x in y.inputs or () if isinstance(x, Variable)):
            useful.add(y)
    return useful


def spoiled(array: Array, y: Any) -> RuntimeError:
    """The error for an array that was written too early; names the tensor if it has a name."""
    used = zip((*y.inputs, y), (*y.arrays, y._data), strict=True)
    x = next((x for x, used_array in used if used_array is array), array)
    name = getattr(x, "name", None)
    kind = type(x).__name__ if isinstance(x, Variable) else "array"
    who = f"{kind} {name!r}" if name else f"A{'n' * (kind == 'array')} {kind}"
    return RuntimeError(
        f"{who} of shape {array.shape} was written in place after {y.op.name} had used it, so the "
        "gradient would be wrong. Call backward() before the update, or compute the loss anew."
    )


def freed(op: Op) -> RuntimeError:
    """The error for a second sweep."""
    return RuntimeError(
        f"The graph behind this tensor (at {op.name}) was freed by an earlier backward(). "
        "Compute the loss anew, or pass retain_graph=True to the first call."
    )


# ---------------------------------------------------------------- dtypes


@op
def cast(x: Array, *, dtype: Any) -> Array:
    """The same values in another dtype."""
    return x.astype(dtype)


cast.vjp(lambda g, out, x, dtype: g)


def settle(args: tuple[Any, ...], op: Op) -> tuple[Any, ...]:
    """An op's arguments as tensors, arrays and Python scalars, of dtypes that fit together.

    Numbers, lists of numbers and 0-d arrays take on the float dtype of the arrays. NumPy would
    widen instead: ``float32_array * np.sqrt(2)`` is float64, and so is ``float32_array * [1, 2]``.
    """
    settled = [
        x if isinstance(x, Variable) or type(x) in SCALARS else numbers(x, op.name) for x in args
    ]
    listed = [isinstance(given, (list, tuple)) for given in args]
    known = [
        x
        for x, in_list in zip(settled, listed, strict=True)
        if not in_list and hasattr(x, "dtype") and x.dtype.kind == "f"
    ]
    floats = [x.dtype for x in known if x.ndim]
    dtype = np.result_type(*floats) if floats else np.dtype(np.float32)
    for i, x in enumerate(settled):
        if listed[i]:
            if x.dtype.kind == "f" or (known and op.differentiates(i)):
                settled[i] = x.astype(dtype)
        elif floats and isinstance(x, Variable) and x._data.ndim == 0 and x._data.dtype != dtype:
            settled[i] = cast(x, dtype=dtype)
    return tuple(settled)
