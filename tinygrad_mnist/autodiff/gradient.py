"""Gradients for the user: `backward` adds them to the leaves, `grad` returns them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from tinygrad_mnist.autodiff.graph import quietly, sweep
from tinygrad_mnist.autodiff.guard import read_only
from tinygrad_mnist.autodiff.variable import Variable, as_array, plain, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinygrad_mnist.autodiff.tensor import Tensor
    from tinygrad_mnist.autodiff.variable import Array


@quietly
def backward(output: Tensor, gradient: Any, retain_graph: bool) -> None:
    """Add the derivative of a tensor to the `.grad` of every leaf: see `Tensor.backward`."""
    check_differentiable(output)
    arrived = sweep({output: start(output, gradient)}, retain_graph=retain_graph)
    for leaf in list(arrived):
        g = own(arrived.pop(leaf))  # popped, so that the dict no longer holds the array
        leaf._grad = wrap(g) if leaf._grad is None else wrap(leaf._grad._data + g)


def check_differentiable(t: Tensor) -> None:
    """Refuse a tensor that no recorded computation leads to."""
    if not t._requires_grad:
        raise RuntimeError(
            "Nothing to differentiate: no tensor that led here requires grad, "
            "or it was computed under no_grad()."
        )


def own(g: Any) -> Array:
    """The array itself if it owns its memory and nothing else refers to it; otherwise a copy.

    A gradient may later be written to, so it must not be shared. Most arrive as a fresh array
    (`x.mT @ g`), and copying those of a 784 x 256 layer would take a twentieth of a step. Python
    counts the references to an object; `_SOLE` is the count if only the asking function has one.
    """
    if type(g) is np.ndarray and sys.getrefcount(g) <= _SOLE:
        flags = g.flags
        if flags.owndata and flags.writeable:
            return g
    return np.array(g)


def _holders(g: Any) -> int:
    return sys.getrefcount(g)


_SOLE = _holders(np.empty(0))


def start(output: Tensor, gradient: Any) -> Array:
    """The array to start the sweep from; if the caller gave it, a read-only view."""
    if gradient is None:
        if output.size != 1:
            raise RuntimeError(
                f"backward() starts from one number, but this tensor has shape {output.shape}. "
                "Reduce it first, as in loss.mean().backward(), or pass gradient= of that shape."
            )
        return np.ones_like(output._data)
    given = as_array(gradient).astype(output.dtype, copy=False)
    if given.shape != output.shape:
        raise ValueError(
            f"gradient has shape {given.shape}, but the tensor it belongs to has shape "
            f"{output.shape}."
        )
    return read_only(given)


@overload
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    allow_unused: Literal[False] = False,
) -> tuple[Tensor, ...]: ...
@overload
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    allow_unused: bool,
) -> tuple[Tensor | None, ...]: ...
@quietly
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The derivatives of `outputs` with respect to `inputs`; no `.grad` is changed.

    Parameters
    ----------
    outputs, inputs : Tensor or sequence of Tensor
        Tensors to differentiate, and tensors to differentiate with respect to: leaves, or
        anything computed from them.
    grad_outputs : array_like, or sequence of array_like or None, optional
        The cotangent of the output, of its shape, or one per output; by default 1, for an output
        of one element.
    retain_graph : bool, optional
        Keep the graph for another call; by default as `create_graph`.
    create_graph : bool
        Record the derivatives themselves, so that they can be differentiated again.
    allow_unused : bool
        Return None for an input that the outputs do not depend on, instead of raising.

    Returns
    -------
    tuple of Tensor
        One derivative per input, of its shape and dtype.

    Raises
    ------
    RuntimeError
        As for `Tensor.backward`; also for an input that does not require grad or, without
        `allow_unused`, was not used.
    TypeError
        If an output or input is not a tensor.
    ValueError
        If there are more or fewer `grad_outputs` than outputs, or one has another shape.

    Examples
    --------
    >>> from tinygrad_mnist import grad, tensor
    >>> x = tensor(2.0, requires_grad=True)
    >>> (slope,) = grad(x**3, x, create_graph=True)
    >>> (curvature,) = grad(slope, x)
    >>> slope.item(), curvature.item()
    (12.0, 12.0)
    """
    outputs, inputs = _tensors(outputs, "outputs"), _tensors(inputs, "inputs")
    roots: dict[Any, Any] = {}
    for y, given in zip(outputs, _starts(outputs, grad_outputs), strict=True):
        check_differentiable(y)
        g: Any = start(y, given)
        if create_graph:
            g = given if isinstance(given, Variable) else wrap(g)
        roots[y] = roots[y] + g if y in roots else g
    for x in inputs:
        check_differentiable(x)
    retain = create_graph if retain_graph is None else retain_graph
    arrived = sweep(roots, retain_graph=retain, create_graph=create_graph, targets=inputs)
    for i, x in enumerate(inputs):
        if x not in arrived and not allow_unused:
            raise RuntimeError(
                f"The outputs do not depend on input {i} of shape {x.shape}. "
                "Pass allow_unused=True to get None for it."
            )
    found = map(arrived.get, inputs)
    return tuple(g if g is None or isinstance(g, Variable) else wrap(own(g)) for g in found)  # type: ignore[misc]


def _tensors(given: Tensor | Sequence[Tensor], what: str) -> list[Tensor]:
    """One tensor or several tensors as a list."""
    listed = [given] if isinstance(given, (Variable, np.ndarray)) else list(given)
    for t in listed:
        if not isinstance(t, Variable):
            raise TypeError(f"{what} must be tensors, but one is a {type(t).__name__}.")
    return listed


def _starts(outputs: list[Tensor], grad_outputs: Any) -> Sequence[Any]:
    """One cotangent or None per output. For a single output, it need not be in a list."""
    if grad_outputs is None:
        return [None] * len(outputs)
    listed = isinstance(grad_outputs, (list, tuple)) and len(grad_outputs) == len(outputs)
    if listed and (
        len(outputs) > 1
        or grad_outputs[0] is None
        or np.shape(plain(grad_outputs[0])) == outputs[0].shape
    ):
        return grad_outputs
    if len(outputs) == 1:
        return [grad_outputs]
    raise ValueError(
        f"There are {len(outputs)} outputs, so grad_outputs must be a list of as many cotangents, "
        "with None for an output of one element."
    )
