"""Assertions about ops and functions of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import Op, Tensor, gradcheck, gradgradcheck
from tinygrad_mnist.autodiff.causes import calls_behind
from tinygrad_mnist.autodiff.guard import read_only
from tinygrad_mnist.autodiff.variable import plain
from tinygrad_mnist.testing.failures import differs, fail, not_writing, shown
from tinygrad_mnist.testing.search import failure, searched
from tinygrad_mnist.testing.strategies import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis import strategies as st


def assert_gradients(
    fn: Callable[..., Tensor],
    *xs: Any,
    order: int = 2,
    eps: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    rng: np.random.Generator | None = None,
) -> None:
    """Assert that the gradients of a function agree with central differences.

    Parameters
    ----------
    fn : callable
        Takes as many tensors as there are `xs`, and returns one.
    *xs : array_like
        The point at which to check, in float64.
    order : {1, 2}
        With 2, the gradients of the gradients are checked too.
    eps, rtol, atol, rng
        As for `tinygrad_mnist.autodiff.gradcheck`.

    Raises
    ------
    GradcheckError
        Says where they differ, both numbers, and the likely cause.

    Examples
    --------
    >>> from tinygrad_mnist.testing import assert_gradients
    >>> assert_gradients(lambda x, y: x * y.tanh(), [1.0, 2.0], [0.5, -1.0])
    """
    gradcheck(fn, xs, eps=eps, rtol=rtol, atol=atol, rng=rng)
    if order == 2:
        gradgradcheck(fn, xs, eps=eps, rtol=rtol, atol=atol, rng=rng)


def assert_op(
    op: Callable[..., Any],
    strategy: st.SearchStrategy[Any] | Call,
    reference: Callable[..., Any] | None = None,
    *,
    order: int = 2,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> None:
    """Assert that an op keeps all its promises, for all arguments that a strategy draws.

    It computes the same as the reference. Given arrays, it returns an array, and the same one every
    time. It changes neither the arguments nor the cotangent. Given float32, it computes in float32,
    forward and backward. Its derivatives agree with central differences.

    Parameters
    ----------
    op : Op or callable
        A function of tensors.
    strategy : strategy or Call
        Draws an array, a tuple of arguments, or a `Call` (from `calls`). Keep it away from kinks.
        A `Call` instead of a strategy is a single case.
    reference : callable, optional
        Computes the same with NumPy, from the same arguments and keywords.
    order : {1, 2}
        The highest order of derivatives to check.
    rtol, atol : float
        As for `gradcheck`.

    Raises
    ------
    AssertionError
        For the smallest case that fails: what was seen, the likely cause, and the call.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist.autodiff import Op
    >>> from tinygrad_mnist.testing import arrays, assert_op
    >>> square = Op(np.square, "square").vjp(lambda g, out, x: 2 * g * x)
    >>> assert_op(square, arrays(), lambda x: x * x)
    >>> wrong = Op(np.square, "wrong").vjp(lambda g, out, x: 2 * g * out)
    >>> try:
    ...     assert_op(wrong, arrays(), lambda x: x * x)
    ... except AssertionError as error:
    ...     print(str(error).splitlines()[1])
    Likely cause: the rule is evaluated at out instead of the input.
    """
    name = op.name if isinstance(op, Op) else getattr(op, "__name__", "the function")

    def holds(drawn: Any) -> None:
        call = _call(drawn)
        _check_value(op, name, call, reference)
        _check_dtypes(op, name, call)
        if positions := _differentiated(op, call):
            function, xs = _of(op, call, positions), [call.arguments[i] for i in positions]
            assert_gradients(function, *xs, order=order, rtol=rtol, atol=atol)

    if isinstance(strategy, Call):
        label, failed = "Case", failure(holds, strategy)
    else:
        label, failed = "Smallest case", searched(holds, strategy, _variety)
    if failed is not None:
        drawn, error = failed
        where = shown(name, *_call(drawn))
        raise type(error)(f"{error}\n{label}: {where}") from error.__cause__


def _call(drawn: Any) -> Call:
    if isinstance(drawn, Call):
        return drawn
    return Call(drawn if isinstance(drawn, tuple) else (drawn,), {})


def _variety(drawn: Any) -> int:
    """The number of different numbers in a call."""
    call = _call(drawn)
    return sum(np.unique(call.arguments[i]).size for i in _floats(call))


def _floats(call: Call) -> list[int]:
    """Positions of the arguments that are floats."""
    return [
        i
        for i, x in enumerate(call.arguments)
        if isinstance(x, np.ndarray | np.floating | float) and np.asarray(x).dtype.kind == "f"
    ]


def _differentiated(op: Callable[..., Any], call: Call) -> list[int]:
    """Positions of the arguments that are floats and have a derivative."""
    return [i for i in _floats(call) if not isinstance(op, Op) or op.differentiates(i)]


def _of(op: Callable[..., Any], call: Call, positions: list[int]) -> Callable[..., Tensor]:
    """The op as a function of the arguments at `positions`."""

    def function(*xs: Tensor) -> Tensor:
        arguments = list(call.arguments)
        for i, x in zip(positions, xs, strict=True):
            arguments[i] = x
        return op(*arguments, **call.params)

    return function


def _check_value(
    op: Callable[..., Any], name: str, call: Call, reference: Callable[..., Any] | None
) -> None:
    given_ = [read_only(x) if isinstance(x, np.ndarray) else x for x in call.arguments]
    if not isinstance(op, Op):
        given_ = [Tensor(x) if isinstance(x, np.ndarray) else x for x in given_]
    with not_writing(name):
        out = op(*given_, **call.params)
        again = op(*given_, **call.params)
    if isinstance(op, Op) and isinstance(out, Tensor):
        fail(
            f"Given arrays, {name} returned a tensor, so a rule that calls it cannot run on arrays",
            "a tensor is made inside",
        )
    if differs(plain(out), plain(again)):
        fail(f"Two runs of {name} differ", "it draws random numbers, or remembers the first run")
    if reference is not None:
        expected = np.asarray(reference(*call.arguments, **call.params))
        found = np.asarray(plain(out))
        if found.shape != expected.shape:
            fail(
                f"{name} returned shape {found.shape}, the reference {expected.shape}",
                "another axis, or keepdims",
            )
        if not np.allclose(found, expected, rtol=1e-9, atol=1e-12, equal_nan=True):
            at = tuple(map(int, np.unravel_index(np.abs(found - expected).argmax(), found.shape)))
            fail(
                f"{name} gives {found[at]:.9g} at element {at}, the reference {expected[at]:.9g}",
                "the forward function, or the reference",
            )


def _check_dtypes(op: Callable[..., Any], name: str, call: Call) -> None:
    """Check that, given float32, the results of the op and of each rule are float32."""
    positions = _floats(call)
    if not positions:
        return
    leaves = [Tensor(np.asarray(call.arguments[i], np.float32), True) for i in positions]
    with np.errstate(all="ignore"):
        out = _of(op, call, positions)(*leaves)
    wide = "a float64 array or np.float64 number inside, such as np.sqrt(2) or np.array(0.5)"
    if out.dtype == np.float64 and call.params.get("dtype") != np.float64:
        fail(f"Given float32, {name} returns float64", wide)
    for behind in calls_behind(out):
        for i, x in enumerate(behind.arrays):
            mine = isinstance(x, np.ndarray) and x.dtype == np.float32
            if mine and behind.op.differentiates(i) and behind.out.dtype == np.float32:
                g = behind.g.astype(np.float32)
                if behind.raw(i, g=g).dtype == np.float64:
                    rule = f"the rule of {behind.op.name} for argument {i}"
                    fail(f"Given float32, {rule} returns float64", wide)
