"""Functions on the gradients of a whole model, used between `backward` and the optimizer's step.

The module has PyTorch's name.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import Tensor
from tinygrad_mnist.nn.arguments import number, seen

if TYPE_CHECKING:
    from tinygrad_mnist.autodiff.variable import Array


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor, max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scale all gradients in place by min(1, max_norm / (norm + 1e-6)).

    The norm is taken over all gradients as one vector, and its direction is kept. The formula is
    PyTorch's, also where it cannot help: an infinite norm makes finite gradients 0 and infinite
    ones NaN, and a NaN makes all NaN.

    Parameters
    ----------
    parameters : iterable of Tensor, or Tensor
        Tensors without a gradient are ignored.
    max_norm : float
        The largest norm allowed.
    norm_type : float
        2 for the Euclidean length, inf for the largest absolute value, or another order p.

    Returns
    -------
    Tensor, ()
        The norm before clipping, in the dtype of the gradients; 0 if there are none.

    Raises
    ------
    TypeError
        If anything other than tensors is given, such as the model itself.
    ValueError
        If `max_norm` is NaN or negative, which would reverse the gradients.

    Examples
    --------
    >>> from tinygrad_mnist import nn, tensor
    >>> x = tensor([3.0, 4.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> nn.utils.clip_grad_norm_([x], max_norm=1.0)
    Tensor(10.)
    >>> x.grad.data.round(3)
    array([0.6, 0.8], dtype=float32)
    """
    claim = "max_norm is the largest length of the gradient: a number, 0 or more"
    number(max_norm, claim, lambda longest: longest >= 0)
    gradients = [p.grad for p in _tensors(parameters) if p.grad is not None]
    if not gradients:
        return Tensor(0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        norm = _length([g.data for g in gradients], float(norm_type))
        factor = float(np.minimum(max_norm / (norm + 1e-6), 1.0))
        for g in gradients:
            g.data *= factor
        return Tensor(np.array(norm, dtype=np.result_type(*[g.dtype for g in gradients])))


def _length(arrays: list[Array], order: float) -> float:
    """The norm of all elements together."""
    if order == 2:
        squares = sum(float(np.vdot(a, a)) for a in arrays)
        if 1e-20 < squares < 1e20:  # far from the limits of float32
            return sqrt(squares)
    together = np.concatenate([a.ravel() for a in arrays], dtype=np.float64)
    return float(np.linalg.norm(together, order))


def _tensors(parameters: Any) -> list[Tensor]:
    single = isinstance(parameters, Tensor) or not isinstance(parameters, Iterable)
    listed = [parameters] if single else list(parameters)
    for p in listed:
        if not isinstance(p, Tensor):
            raise TypeError(
                f"Only tensors have gradients, but this is {seen(p)}. Pass model.parameters()."
            )
    if not listed and isinstance(parameters, Iterator):
        warnings.warn(
            "No gradient was clipped: the generator of parameters is used up. "
            "Call model.parameters() anew.",
            stacklevel=3,
        )
    return listed
