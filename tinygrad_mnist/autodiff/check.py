"""Holding derivative rules against central differences: for the ops here, and for your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import ops
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

    A central difference is (f(x+h) - f(x-h)) / 2h. The output is weighted with a random cotangent:
    with one of ones, many wrong rules pass. A cotangent of zeros must give exact zeros, and a
    second run the same bits.

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
    arrays = [np.array(x.data if isinstance(x, Tensor) else x, dtype=np.float64) for x in inputs]
    shape = fn(*_leaves(arrays)).shape
    cotangent = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
    analytic = _gradients(fn, arrays, cotangent)
    for i, (first, second, zero) in enumerate(
        zip(
            analytic,
            _gradients(fn, arrays, cotangent),
            _gradients(fn, arrays, 0 * cotangent),
            strict=True,
        )
    ):
        if not np.array_equal(zero, np.zeros_like(zero)):
            raise GradcheckError(
                f"A cotangent of zeros gives input {i} a gradient that is not 0.\n"
                "Likely cause: the rule forgot the cotangent g, or divides by 0."
            )
        if not np.array_equal(first, second):
            raise GradcheckError(
                f"Two runs give input {i} different gradients.\n"
                "Likely cause: the function draws random numbers."
            )

    def weighted() -> float:
        return float((fn(*_leaves(arrays)).data * cotangent).sum())

    for i, (array, ours) in enumerate(zip(arrays, analytic, strict=True)):
        numeric = central_differences(weighted, array, eps)
        error = np.abs(ours - numeric)
        if error.size and not error.max() <= atol + rtol * np.abs(numeric).max():
            at = tuple(int(n) for n in np.unravel_index(error.argmax(), error.shape))
            cause = _likely_cause(fn, arrays, i, at, ours, numeric, cotangent, eps)
            relative = error[at] / max(abs(numeric[at]), 1e-300)
            raise GradcheckError(
                f"Gradient of input {i} differs at element {at}: the rule gives {ours[at]:.9g}, "
                f"central differences {numeric[at]:.9g} (relative error {relative:.2g}).\n"
                f"Likely cause: {cause}."
            )
    return True


def gradgradcheck(fn: Callable[..., Tensor], inputs: Sequence[Any], **settings: Any) -> bool:
    """Apply `gradcheck` to the gradients of `fn`: its rules must be right when differentiated too.

    The gradients are taken as functions of the inputs and of the cotangent. What an op tucked away
    in its forward pass is a constant to the second derivative: such a rule passes `gradcheck` and
    fails here.

    Parameters
    ----------
    fn, inputs
        As for `gradcheck`.
    **settings
        ``eps``, ``rtol``, ``atol`` and ``rng`` of `gradcheck`.

    Returns
    -------
    bool
        True. A wrong second derivative raises.

    Raises
    ------
    GradcheckError
        As `gradcheck`; the input after the last is the cotangent.
    """
    out = fn(
        *_leaves(
            [np.array(x.data if isinstance(x, Tensor) else x, dtype=np.float64) for x in inputs]
        )
    )
    start = np.random.default_rng(1).uniform(0.5, 1.5, out.shape)

    def gradients(*arguments: Tensor) -> Tensor:
        *xs, g = arguments
        found = grad(fn(*xs), xs, grad_outputs=g, create_graph=True, allow_unused=True)
        parts = [
            Tensor(np.zeros(x.shape)) if part is None else part
            for x, part in zip(xs, found, strict=True)
        ]
        return ops.concatenate(*(part.reshape(-1) for part in parts))

    return gradcheck(gradients, [*inputs, start], **settings)


def central_differences(f: Callable[[], float], x: Array, eps: float = 1e-6) -> Array:
    """The derivative of `f()` by each element of the array `x` that it reads, in O(eps^2)."""
    slope = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        middle = x[at]
        x[at] = middle + eps
        above = f()
        x[at] = middle - eps
        slope[at] = (above - f()) / (2 * eps)
        x[at] = middle
    return slope


def _leaves(arrays: Sequence[Array]) -> list[Tensor]:
    return [Tensor(a.copy(), requires_grad=True) for a in arrays]


def _gradients(fn: Callable[..., Tensor], arrays: Sequence[Array], cotangent: Array) -> list[Array]:
    """The tape's gradients; zeros for an input that the output does not depend on."""
    leaves = _leaves(arrays)
    out = fn(*leaves)
    if not out.requires_grad:
        return [np.zeros_like(a) for a in arrays]
    try:
        found = grad(out, leaves, grad_outputs=cotangent, allow_unused=True)
    except ReadOnlyError as error:
        raise GradcheckError(str(error)) from error
    for i, (leaf, a) in enumerate(zip(leaves, arrays, strict=True)):
        if not np.array_equal(leaf.data, a, equal_nan=True):
            raise GradcheckError(
                f"Input {i} has other values after the run: the function, or a rule of it, writes "
                "into what it is given.\n"
                "Likely cause: x += ... or x[...] = ... in place of x = x + ..."
            )
    return [np.zeros_like(a) if g is None else g.data for a, g in zip(arrays, found, strict=True)]


def _likely_cause(*difference: Any) -> str:
    """The most telling cause; if the search for it, which runs `fn` again, fails: that it did."""
    try:
        return next(_causes(*difference))
    except Exception as error:  # noqa: BLE001 - whatever it is, the gradient is wrong
        return f"not found, because the search for it failed with {error!r:.100}"


def _causes(
    fn: Callable[..., Tensor],
    arrays: list[Array],
    i: int,
    at: tuple[int, ...],
    ours: Array,
    numeric: Array,
    cotangent: Array,
    eps: float,
) -> Iterator[str]:
    """What may be behind a difference, the most telling first; the last always applies."""

    def weighted(weights: Any = cotangent) -> float:
        return float((fn(*_leaves(arrays)).data * weights).sum())

    def close(a: Array, b: Array) -> bool:
        return a.shape == b.shape and bool(np.abs(a - b).max() <= 1e-4 * np.abs(b).max())

    if fn(*_leaves(arrays)).dtype != np.float64:
        yield (
            "the function computes in float32, too coarse for differences. "
            "Is there a float32 array, or a cast, inside?"
        )
    if not ours.any():
        yield (
            "no gradient reaches this input. Was it turned into an array "
            "(.data, .numpy(), .detach()) or compared, or is its rule None?"
        )
    middle, element = weighted(), arrays[i][at]
    arrays[i][at] = element + eps
    right = (weighted() - middle) / eps
    arrays[i][at] = element - eps
    left = (middle - weighted()) / eps
    arrays[i][at] = element
    if abs(right - left) > 1e-2 * (abs(right) + abs(left)):
        yield (
            f"a kink nearby: the slope is {left:.3g} to the left and {right:.3g} to the right. "
            "Move the input away from it"
        )
    largest = np.unravel_index(np.abs(numeric).argmax(), numeric.shape)
    factor = ours[largest] / numeric[largest] if numeric[largest] else 0.0
    if factor and close(ours, factor * numeric):
        yield (
            "the sign is wrong"
            if abs(factor + 1) < 1e-4
            else f"a factor: the rule gives {factor:.6g} times the right gradient"
        )
    if numeric.ndim > 1 and close(ours.swapaxes(-1, -2), numeric):
        yield "the gradient is transposed"
    if close(ours, central_differences(lambda: weighted(1.0), arrays[i], eps)):
        yield "the rule forgot the cotangent g"
    for axis, length in enumerate(numeric.shape):
        if length > 1 and close(
            ours, np.broadcast_to(numeric.sum(axis, keepdims=True), numeric.shape)
        ):
            yield (
                f"summed over axis {axis}, along which this input was not repeated by broadcasting"
            )
    yield (
        "none of the usual mistakes (factor, sign, transpose, forgotten cotangent, wrong axis) "
        "explains it. Compare the rule with the derivation"
    )
