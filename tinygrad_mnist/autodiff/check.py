"""Holding derivative rules against central differences: for the ops here, and for your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff.tensor import Tensor, grad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinygrad_mnist.autodiff.graph import Array


class GradcheckError(AssertionError):
    """A derivative does not agree with the function: says where, and both numbers."""


def gradcheck(
    fn: Callable[..., Tensor],
    inputs: Sequence[Any],
    *,
    eps: float = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    rng: np.random.Generator | None = None,
) -> bool:
    """Compare the gradients of `fn` with central differences (f(x+h) - f(x-h)) / 2h, element by element.

    The output is weighted with a random cotangent: with one of ones, many wrong rules pass.

    Parameters
    ----------
    fn : callable
        Takes as many tensors as there are `inputs` and returns one tensor, of any shape.
    inputs : sequence of array_like
        Float arrays; checked in float64. Keep them away from kinks by more than `eps`.
    eps : float
        The step h.
    rtol, atol : float
        Allowed difference: ``atol + rtol * scale``, where scale is the largest numerical derivative of that input.
    rng : numpy.random.Generator, optional
        Draws the cotangent; by default seeded with 0.

    Returns
    -------
    bool
        True. A wrong gradient raises.

    Raises
    ------
    GradcheckError
        At the element with the largest error: names the input, the element and both numbers.
    """
    rng = rng or np.random.default_rng(0)
    arrays = [np.array(x, dtype=np.float64) for x in inputs]
    tensors = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    out = fn(*tensors)
    cotangent = rng.uniform(0.5, 1.5, out.shape) * rng.choice([-1.0, 1.0], out.shape)
    analytic = grad(out, tensors, grad_outputs=cotangent, allow_unused=True)

    def weighted() -> float:
        return float((fn(*(Tensor(a, requires_grad=True) for a in arrays)).data * cotangent).sum())

    for position, (array, found) in enumerate(zip(arrays, analytic, strict=True)):
        numeric = central_differences(weighted, array, eps)
        ours = np.zeros_like(array) if found is None else found.data
        error = np.abs(ours - numeric)
        if error.size and not error.max() <= atol + rtol * np.abs(numeric).max():
            at = tuple(int(i) for i in np.unravel_index(error.argmax(), error.shape))
            raise GradcheckError(
                f"Gradient of input {position} differs at element {at}: "
                f"the rule gives {ours[at]:.9g}, central differences {numeric[at]:.9g} "
                f"(relative error {error[at] / max(abs(numeric[at]), 1e-300):.2g})."
            )
    return True


def central_differences(f: Callable[[], float], x: Array, eps: float = 1e-6) -> Array:
    """The derivative of `f()` with respect to each element of the array `x` that it reads, in O(eps^2)."""
    slope = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        middle = x[at]
        x[at] = middle + eps
        above = f()
        x[at] = middle - eps
        slope[at] = (above - f()) / (2 * eps)
        x[at] = middle
    return slope
