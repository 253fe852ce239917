"""The tape: operations with their derivative rules, what they record, and the backward sweep.

Calling an `Op` on tensors computes an array and returns it as a tensor that remembers the op and its inputs.
`sweep` walks back along those memories, from the youngest tensor to the oldest, and applies the chain rule at each.
"""

from __future__ import annotations

import itertools
import threading
from contextlib import contextmanager
from functools import partial
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from tinygrad_mnist.autodiff.tensor import Tensor

    Array = NDArray[Any]
    Rule = Callable[..., Any]

# One clock for the whole tape: it ages what is computed, and it stamps tensors that are written in place.
tick = itertools.count(1).__next__


class Variable:
    """A tensor as the tape sees it: an array and its place in the graph. `Tensor` adds everything a user sees.

    A leaf has no `_op`. Any other was computed by `_op` from `_inputs` and `_params` at time `_age`, and is younger than
    all its inputs; they are forgotten, and `_inputs` is None, once `backward` has freed the graph. References point to
    older tensors only, so there are no cycles. `_written` is the time of a leaf's last in-place write.
    """

    __slots__ = ("_age", "_data", "_inputs", "_op", "_params", "_requires_grad", "_written", "grad")

    _data: Array
    _op: Op | None
    _inputs: Sequence[Any] | None
    _params: dict[str, Any]
    _age: int
    _requires_grad: bool
    _written: int
    grad: Tensor | None

    def __setstate__(self, state: tuple[Any, dict[str, Any]]) -> None:
        """Copied or unpickled, a tensor counts as not written since: its stamp is of another clock."""
        for name, value in {**(state[0] or {}), **state[1], "_written": 0}.items():
            setattr(self, name, value)


_tensor_type: type[Variable] = Variable


def register_tensor(cls: type[Variable]) -> type[Variable]:
    """Make `cls` the type that ops return."""
    global _tensor_type
    _tensor_type = cls
    return cls


def wrap(data: Array) -> Tensor:
    """Put a tensor around an array: a leaf that does not require grad."""
    t: Any = object.__new__(_tensor_type)
    t._data = data
    t._op = None
    t._requires_grad = False
    t._written = 0
    t.grad = None
    return t


# ---------------------------------------------------------------- recording


class _Mode(threading.local):
    recording = True


_mode = _Mode()


@contextmanager
def _recording(enabled: bool) -> Iterator[None]:
    previous, _mode.recording = _mode.recording, enabled
    try:
        yield
    finally:
        _mode.recording = previous


def no_grad() -> Any:
    """Record nothing inside: `with no_grad(): ...`, or `@no_grad()` above a function.

    Each thread has its own state, and an exception restores it.
    """
    return _recording(False)


_SCALARS = (float, int, bool)


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
        The name that `repr` and error messages use; by default the function's own.
    """

    def __init__(self, forward: Callable[..., Any], name: str | None = None) -> None:
        self.forward = forward
        self.name = name or forward.__name__
        self.__doc__ = forward.__doc__
        self.rules: tuple[Rule | None, ...] = ()
        self.each: Rule | None = None
        self.differentiable = True

    def vjp(self, *rules: Rule | None, each: Rule | None = None) -> Op:
        """Declare the derivative: one rule per argument, or `each`, which is also given the position.

        ``None`` marks an argument that has no derivative. "vjp" is the vector-Jacobian product.
        """
        self.rules, self.each = rules, each
        self.differentiable = each is not None or any(rules)
        return self

    def rules_for(self, count: int) -> Sequence[Rule | None]:
        """One rule for each of so many arguments; a missing one raises when it is called."""
        if self.each is not None:
            return [partial(self.each, i) for i in range(count)]
        return (
            self.rules
            if len(self.rules) >= count
            else [*self.rules, *[self._missing] * (count - len(self.rules))]
        )

    def _missing(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError(
            f"{self.name} has derivative rules for {len(self.rules)} of its arguments only. "
            f"Declare all with {self.name}.vjp(...): None for an argument that has no derivative."
        )

    def __call__(self, *args: Any, **params: Any) -> Tensor:
        """Apply the function, and record it if an argument requires grad.

        Given no tensor, return a plain array: so that a derivative rule reads the same on both.
        """
        x, y = args if len(args) == 2 else (None, None)
        # The commonest case, two tensors of one dtype, without the loop below: a tenth of what a small op costs in all.
        if isinstance(x, Variable) and isinstance(y, Variable) and x._data.dtype is y._data.dtype:
            wanted = x._requires_grad or y._requires_grad
            out = self.forward(x._data, y._data, **params)
        else:
            arrays: list[Any] = []
            dtype = None
            tensors = mixed = wanted = False
            for x in args:
                if isinstance(x, Variable):
                    tensors, array = True, x._data
                    wanted = wanted or x._requires_grad
                elif type(x) is np.ndarray and x.ndim:
                    array = x
                else:
                    arrays.append(x)
                    mixed = mixed or type(x) not in _SCALARS
                    continue
                arrays.append(array)
                mixed = mixed or array.dtype is not (dtype or array.dtype)
                dtype = array.dtype
            if not tensors:
                return self.forward(*args, **params)
            if mixed:
                args = settle(args, self.name)
                arrays = [x._data if isinstance(x, Variable) else x for x in args]
            out = self.forward(*arrays, **params)
        t: Any = wrap(out if type(out) is np.ndarray else np.asarray(out))
        if wanted and _mode.recording and self.differentiable:
            t._op = self
            t._inputs = args
            t._params = params
            t._age = tick()
            t._requires_grad = True
        return t

    def __repr__(self) -> str:
        return f"<op {self.name}>"


NUMPY: dict[Callable[..., Any], Callable[..., Any]] = {}
"""Which of our functions stands in for which NumPy function when it is called on a tensor."""


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


@op
def cast(x: Array, *, dtype: Any) -> Array:
    """The same values in another dtype."""
    return x.astype(dtype)


cast.vjp(lambda g, out, x, dtype: g)


def settle(args: Iterable[Any], name: str) -> tuple[Any, ...]:
    """Turn an op's arguments into tensors, arrays and Python scalars; 0-d ones follow the arrays' float dtype.

    NumPy alone would widen: ``float32_array * np.sqrt(2)`` is float64.
    """
    settled = [
        x if isinstance(x, Variable) or type(x) in _SCALARS else _numbers(x, name) for x in args
    ]
    floats = [x.dtype for x in settled if getattr(x, "ndim", 0) and x.dtype.kind == "f"]
    if not floats:
        return tuple(settled)
    dtype = np.result_type(*floats)
    follows = [
        isinstance(x, Variable) and x._data.ndim == 0 and x._data.dtype != dtype for x in settled
    ]
    return tuple(
        cast(x, dtype=dtype) if narrow else x for x, narrow in zip(settled, follows, strict=True)
    )


def _numbers(x: Any, name: str) -> Any:
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} works on numbers, but was given {x!r}, a {type(x).__name__}.")
    return array if array.ndim else array.item()


# ---------------------------------------------------------------- the backward sweep


def fit(g: Any, x: Any, op: Op) -> Any:
    """Bring a cotangent to the shape and dtype of its input: the adjoint of broadcasting is summing.

    Where `x` was repeated along an axis, every copy contributed, so their cotangents add up.
    """
    g = g if hasattr(g, "shape") else np.asarray(g)
    if g.shape != x.shape:
        new = g.ndim - x.ndim
        repeated = tuple(
            i for i, n in enumerate(g.shape) if i < new or (x.shape[i - new] == 1 and n != 1)
        )
        if (
            new < 0
            or tuple(1 if i in repeated else n for i, n in enumerate(g.shape))[new:] != x.shape
        ):
            raise ValueError(
                f"A derivative rule of {op.name} returned shape {g.shape} for an input of shape {x.shape}. "
                "A cotangent has the shape of its input, before or after broadcasting."
            )
        g = g.sum(axis=repeated, keepdims=True).reshape(x.shape)
    return g if g.dtype == x.dtype else cast(g, dtype=x.dtype)


def _leading_to(targets: set[Any], roots: Iterable[Any]) -> set[Any]:
    """The targets, and all that was computed from them on the way to the roots: where a cotangent has to pass."""
    found: set[Any] = set()
    stack = list(roots)
    while stack:
        y = stack.pop()
        if isinstance(y, Variable) and y._op is not None and y not in found:
            found.add(y)
            stack.extend(y._inputs or ())
    useful = set(targets)
    for y in sorted(found, key=attrgetter("_age")):
        if not useful.isdisjoint(x for x in y._inputs or () if isinstance(x, Variable)):
            useful.add(y)
    return useful


def _freed(op: Op) -> RuntimeError:
    return RuntimeError(
        f"The graph behind this tensor (at {op.name}) was freed by an earlier backward(). "
        "Compute the loss anew, or pass retain_graph=True to the first call."
    )


def _overwritten(x: Variable, op: Op) -> RuntimeError:
    name = getattr(x, "name", None)
    who = f"{type(x).__name__} {name!r}" if name else f"A {type(x).__name__}"
    return RuntimeError(
        f"{who} of shape {x._data.shape} was written in place after {op.name} had used it, so the gradient would be wrong. "
        "Call backward() before the update, or compute the loss anew."
    )


def sweep(
    roots: dict[Any, Any],
    *,
    retain_graph: bool,
    create_graph: bool = False,
    targets: Iterable[Any] = (),
) -> dict[Any, Any]:
    """Carry cotangents from the roots back to the leaves, applying the chain rule at every tensor on the way.

    Always the youngest tensor whose cotangent has arrived comes next. All that was computed from it is younger still and
    has already passed on its share, so the cotangent is complete.

    Parameters
    ----------
    roots : dict
        Tensor -> cotangent to start from. Arrays, or tensors with `create_graph`.
    retain_graph : bool
        Keep what the tensors remember, so that the same graph can be swept again.
    create_graph : bool
        Feed the rules tensors instead of arrays: the sweep is then recorded and can itself be swept.
    targets : iterable of Tensor
        Where cotangents are wanted; if none is named, at every leaf.

    Returns
    -------
    dict
        Tensor -> cotangent, for every leaf or target that was reached.
    """
    targets = set(targets)
    useful = _leading_to(targets, roots) if targets else None
    cotangents = dict(roots)
    waiting = [(-y._age, y) for y in roots if y._op is not None]
    heapify(waiting)
    done = []
    with (
        _recording(create_graph),
        np.errstate(all="ignore"),
    ):  # an infinite slope, as of sqrt at 0, is an answer
        while waiting:
            y = heappop(waiting)[1]
            inputs, op, params = y._inputs, y._op, y._params
            if inputs is None:
                raise _freed(op)
            done.append(y)
            g = cotangents[y] if y in targets else cotangents.pop(y)
            values = (
                inputs
                if create_graph
                else [x._data if isinstance(x, Variable) else x for x in inputs]
            )
            out = y if create_graph else y._data
            rules = op.rules_for(len(inputs))
            for i, x in enumerate(inputs):
                if not isinstance(x, Variable):
                    continue
                if x._written > y._age:
                    raise _overwritten(x, op)
                rule = rules[i]
                if not x._requires_grad or rule is None or (useful is not None and x not in useful):
                    continue
                share = rule(g, out, *values, **params) if params else rule(g, out, *values)
                value = values[i]
                if getattr(share, "shape", None) != value.shape or share.dtype is not value.dtype:
                    share = fit(share, value, op)
                if x in cotangents:
                    cotangents[x] = cotangents[x] + share
                else:
                    cotangents[x] = share
                    if x._op is not None:
                        heappush(waiting, (-x._age, x))
    if not retain_graph:
        for y in done:
            y._inputs, y._params = None, {}
    return cotangents
