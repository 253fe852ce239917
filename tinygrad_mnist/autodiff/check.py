"""Comparing derivative rules with central differences: for the ops here, and for your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import causes, ops
from tinygrad_mnist.autodiff.differences import central_differences
from tinygrad_mnist.autodiff.gradient import grad
from tinygrad_mnist.autodiff.guard import ReadOnlyError
from tinygrad_mnist.autodiff.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tinygrad_mnist.autodiff.variable import Array


class GradcheckError(AssertionError):
    """A derivative disagrees with the function: says where, both numbers, and the likely cause."""


def gradcheck(
    fn: Callable[..., Tensor],
    inputs: Sequence[Any],
    *,
    eps: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    rng: np.random.Generator | None = None,
) -> bool:
    """Compare the gradients of `fn` with central differences, element by element.

    A central difference is (f(x+h) - f(x-h)) / 2h. The output is weighted with a random cotangent,
    because many wrong rules pass with a cotangent of ones. A cotangent of zeros must give exact
    zeros, and a second run must give the same bits.

    Parameters
    ----------
    fn : callable
        Takes as many tensors as there are `inputs` and returns one tensor, of any shape.
    inputs : sequence of array_like
        Numbers; checked in float64. Keep them away from kinks by more than `eps`.
    eps : float
        The step h.
    rtol, atol : float
        Allowed difference: ``atol + rtol * scale``, where scale is the largest numerical derivative
        of that input.
    rng : numpy.random.Generator, optional
        Draws the cotangent; by default seeded with 0.

    Returns
    -------
    bool
        True. A wrong gradient raises.

    Raises
    ------
    GradcheckError
        At the element with the largest error: names the input, the element, both numbers, and the
        likely cause.

    Examples
    --------
    >>> from tinygrad_mnist.autodiff import GradcheckError, Op, gradcheck
    >>> forgetful = Op(lambda x: x**2, "forgetful").vjp(lambda g, out, x: 2 * x)
    >>> try:
    ...     gradcheck(forgetful, [[1.0, 2.0]])
    ... except GradcheckError as error:
    ...     print(error)
    A cotangent of zeros gives input 0 a gradient that is not 0.
    Likely cause: the rule forgot the cotangent g, or divides by 0.
    """
    rng = rng or np.random.default_rng(0)
    arrays = _arrays(inputs)

    def located() -> Iterator[str]:
        return causes.located(fn(*_leaves(arrays)))

    _compare("Gradient of", fn, arrays, located, eps=eps, rtol=rtol, atol=atol, rng=rng)
    return True


def gradgradcheck(
    fn: Callable[..., Tensor],
    inputs: Sequence[Any],
    *,
    eps: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    rng: np.random.Generator | None = None,
) -> bool:
    """Apply `gradcheck` to the gradients of `fn`, so that its second derivatives are checked too.

    The gradients are taken as functions of the inputs and of the cotangent. An array that an op
    stored in its forward pass is a constant to the second derivative: a rule that uses one passes
    `gradcheck` and fails here.

    Parameters
    ----------
    fn, inputs, eps, rtol, atol, rng
        As for `gradcheck`.

    Returns
    -------
    bool
        True. A wrong second derivative raises.

    Raises
    ------
    GradcheckError
        As for `gradcheck`; the cotangent is numbered after the last input.
    """
    arrays = _arrays(inputs)
    start = np.random.default_rng(1).uniform(0.5, 1.5, fn(*_leaves(arrays)).shape)

    def gradients(*arguments: Tensor) -> Tensor:
        *xs, g = arguments
        found = grad(fn(*xs), xs, grad_outputs=g, create_graph=True, allow_unused=True)
        parts = [
            Tensor(np.zeros(x.shape)) if part is None else part
            for x, part in zip(xs, found, strict=True)
        ]
        return ops.concatenate(*(part.reshape(-1) for part in parts))

    def located() -> Iterator[str]:
        leaves = _leaves([*arrays, start])
        return causes.located_twice(fn(*leaves[:-1]), gradients(*leaves))

    rng = rng or np.random.default_rng(0)
    what = "Second derivative with respect to"
    _compare(what, gradients, [*arrays, start], located, eps=eps, rtol=rtol, atol=atol, rng=rng)
    return True


def _arrays(inputs: Sequence[Any]) -> list[Array]:
    """Copies of the inputs in float64, to be moved by central differences."""
    return [np.array(x.data if isinstance(x, Tensor) else x, dtype=np.float64) for x in inputs]


def _compare(
    what: str,
    fn: Callable[..., Tensor],
    arrays: list[Array],
    located: Callable[[], Iterator[str]],
    *,
    eps: float,
    rtol: float,
    atol: float,
    rng: np.random.Generator,
) -> None:
    """Raise where a gradient of the tape disagrees with central differences.

    `located` looks for mistakes in the rules of the ops behind the result.
    """
    shape = fn(*_leaves(arrays)).shape
    cotangent = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
    analytic = _gradients(fn, arrays, cotangent, located)
    again = _gradients(fn, arrays, cotangent, located)
    for i, (first, second) in enumerate(zip(analytic, again, strict=True)):
        if not np.array_equal(first, second):
            raise GradcheckError(
                f"Two runs give input {i} different gradients.\n"
                "Likely cause: the function draws random numbers."
            )
    for i, zero in enumerate(_gradients(fn, arrays, 0 * cotangent, located)):
        if not np.array_equal(zero, np.zeros_like(zero)):
            raise GradcheckError(
                f"A cotangent of zeros gives input {i} a gradient that is not 0.\n"
                "Likely cause: the rule forgot the cotangent g, or divides by 0."
            )

    def weighted(weights: Any = cotangent) -> float:
        return float((fn(*_leaves(arrays)).data * weights).sum())

    for i, (array, ours) in enumerate(zip(arrays, analytic, strict=True)):
        numeric = central_differences(weighted, array, eps)
        error = np.abs(ours - numeric)
        if error.size and not error.max() <= atol + rtol * np.abs(numeric).max():
            at = tuple(int(n) for n in np.unravel_index(error.argmax(), error.shape))
            found = _causes(fn, array, at, ours, numeric, weighted, located, eps, arrays)
            relative = error[at] / max(abs(numeric[at]), 1e-300)
            raise GradcheckError(
                f"{what} input {i} differs at element {at}: the rule gives {ours[at]:.9g}, "
                f"central differences {numeric[at]:.9g} (relative error {relative:.2g}).\n"
                f"Likely cause: {_first(found)}."
            )


def _leaves(arrays: Sequence[Array]) -> list[Tensor]:
    return [Tensor(a.copy(), requires_grad=True) for a in arrays]


def _gradients(
    fn: Callable[..., Tensor],
    arrays: Sequence[Array],
    cotangent: Array,
    located: Callable[[], Iterator[str]],
) -> list[Array]:
    """The tape's gradients; zeros for an input that the output does not depend on."""
    leaves = _leaves(arrays)
    out = fn(*leaves)
    if not out.requires_grad:
        return [np.zeros_like(a) for a in arrays]
    try:
        found = grad(out, leaves, grad_outputs=cotangent, allow_unused=True)
    except ReadOnlyError as error:
        raise GradcheckError(str(error)) from error
    except (ValueError, TypeError, IndexError) as error:
        raise GradcheckError(
            f"A derivative rule fails: {error}\nLikely cause: {_first(located())}."
        ) from error
    for i, (leaf, a) in enumerate(zip(leaves, arrays, strict=True)):
        if not np.array_equal(leaf.data, a, equal_nan=True):
            raise GradcheckError(
                f"Input {i} has other values after the run: the function, or a rule of it, writes "
                "into what it is given.\n"
                "Likely cause: x += ... or x[...] = ... in place of x = x + ..."
            )
    return [np.zeros_like(a) if g is None else g.data for a, g in zip(arrays, found, strict=True)]


def _first(found: Iterator[str]) -> str:
    """The most telling cause, or that the search for it, which runs `fn` again, failed."""
    try:
        return next(found, causes.UNKNOWN)
    except Exception as error:  # noqa: BLE001 - whatever it is, the gradient is wrong
        return f"not found, because the search for it failed with {error!r:.100}"


def _causes(
    fn: Callable[..., Tensor],
    array: Array,
    at: tuple[int, ...],
    ours: Array,
    numeric: Array,
    weighted: Callable[..., float],
    located: Callable[[], Iterator[str]],
    eps: float,
    arrays: Sequence[Array],
) -> Iterator[str]:
    """Likely causes of a difference, the most telling first."""
    if fn(*_leaves(arrays)).dtype != np.float64:
        yield (
            "the function computes in float32, too coarse for differences. "
            "Is there a float32 array, or a cast, inside?"
        )
    middle, element = weighted(), array[at]
    array[at] = element + eps
    right = (weighted() - middle) / eps
    array[at] = element - eps
    left = (middle - weighted()) / eps
    array[at] = element
    if abs(right - left) > 1e-2 * (abs(right) + abs(left)):
        yield (
            f"a kink nearby: the slope is {left:.3g} to the left and {right:.3g} to the right. "
            "Move the input away from it"
        )
    yield from located()
    yield from causes.by_numbers(
        ours, numeric, lambda: central_differences(lambda: weighted(1.0), array, eps)
    )
    yield from causes.unrecorded(fn(*_leaves(arrays)))
