"""Layers and losses as plain functions, under PyTorch's names; the modules of the same names call these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import Tensor, ops

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# ---------------------------------------------------------------- activations: any shape, kept


def relu(input: Any) -> Tensor:
    """max(x, 0), elementwise; its derivative at 0 is 0."""
    return ops.relu(input)


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Tensor:
    """x where it is positive, elsewhere negative_slope * x; its derivative at 0 is negative_slope."""
    return ops.leaky_relu(input, negative_slope=negative_slope)


def sigmoid(input: Any) -> Tensor:
    """1 / (1 + exp(-x)), elementwise."""
    return ops.sigmoid(input)


def tanh(input: Any) -> Tensor:
    """Hyperbolic tangent, elementwise."""
    return ops.tanh(input)


def softplus(input: Any) -> Tensor:
    """log(1 + exp(x)), elementwise: a smooth relu. PyTorch's is x itself from 20 on, which is off by up to 2e-9."""
    return ops.softplus(input)


def logsigmoid(input: Any) -> Tensor:
    """log(sigmoid(x)), elementwise, finite for every finite x."""
    return ops.logsigmoid(input)


def softmax(input: Any, dim: int) -> Tensor:
    """exp(x) / sum(exp(x)) along the axis `dim`: positive numbers that add up to 1."""
    return ops.softmax(input, axis=dim)


def log_softmax(input: Any, dim: int) -> Tensor:
    """log(softmax(x)) along the axis `dim`, finite for every finite x."""
    return ops.log_softmax(input, axis=dim)


# ---------------------------------------------------------------- layers


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """x @ weight + bias, with the weight as (in, out): on paper, Z = XW + b. PyTorch's is the transpose, (out, in).

    Parameters
    ----------
    input : Tensor or ndarray, (..., in)
    weight : Tensor or ndarray, (in, out)
    bias : Tensor or ndarray, (out,), optional

    Returns
    -------
    Tensor, (..., out)

    Raises
    ------
    ValueError
        If the last axis of the input is not as long as the first of the weight.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist import nn, tensor
    >>> nn.functional.linear(tensor([[1.0, 2.0]]), tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), tensor([0.0, 0.0, 0.5]))
    Tensor([[1.  2.  3.5]])
    """
    features = weight.shape[0]
    if input.shape[-1:] != (features,):
        hint = (
            " Flatten 28x28 images with nn.Flatten() first?"
            if input.ndim > 1 and features == input.shape[-2] * input.shape[-1]
            else ""
        )
        raise ValueError(
            f"x of shape {input.shape} has {input.shape[-1] if input.ndim else 'no'} features, "
            f"but this Linear expects {features} (weight is {weight.shape}).{hint}"
        )
    if bias is None:
        return ops.matmul(input, weight)
    if input.ndim == 1:
        return ops.linear(input.reshape((1, -1)), weight, bias).reshape(bias.shape)
    return ops.linear(input, weight, bias)


def dropout(
    input: Any, p: float = 0.5, training: bool = True, *, rng: np.random.Generator | None = None
) -> Any:
    """In training, set each element to 0 with probability `p` and scale the rest by 1 / (1 - p); otherwise pass all on.

    Parameters
    ----------
    input : Tensor or ndarray, any shape
    p : float
        Probability of dropping, in [0, 1).
    training : bool
        Whether to drop at all.
    rng : numpy.random.Generator, optional
        Draws the mask; by default a fresh, unseeded one.

    Raises
    ------
    ValueError
        If `p` is not in [0, 1).

    References
    ----------
    Srivastava et al., "Dropout", JMLR 15 (2014).
    """
    if not 0 <= p < 1:
        raise ValueError(f"Dropout drops a fraction p of the elements, 0 <= p < 1, but p is {p}.")
    if not training or p == 0:
        return input
    keep = (rng or np.random.default_rng()).random(input.shape, dtype=np.float32) >= p
    scale = np.asarray(1 / (1 - p), input.dtype if input.dtype.kind == "f" else np.float32)
    return ops.mul(input, keep * scale)


# ---------------------------------------------------------------- losses


def cross_entropy(
    input: Any, target: ArrayLike | Tensor, *, reduction: str = "mean", label_smoothing: float = 0.0
) -> Tensor:
    """-log softmax(input)[target] of every row: softmax is part of the loss.

    Parameters
    ----------
    input : Tensor or ndarray, (n, classes)
        Logits.
    target : array_like of int, (n,)
        Class numbers.
    reduction : {"mean", "sum", "none"}
        What becomes of the n losses.
    label_smoothing : float
        Share e in [0, 1] of the label that is spread evenly over all classes: the loss of a row is
        (1 - e) * (-log softmax[target]) + e * (mean over the classes of -log softmax).

    Returns
    -------
    Tensor, () or (n,)

    Raises
    ------
    ValueError
        If the shapes are others, a target is not a class, or `label_smoothing` or `reduction` is none of these.

    References
    ----------
    Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", section 7 (2016), for the smoothing.

    Examples
    --------
    >>> from tinygrad_mnist import nn, tensor
    >>> nn.functional.cross_entropy(tensor([[0.0, 0.0], [0.0, 1000.0]]), [0, 1], reduction="none")
    Tensor([0.6931472 0.       ])
    """
    target = target.data if isinstance(target, Tensor) else np.asarray(target)
    if input.ndim != 2 or target.shape != input.shape[:1]:
        hint = (
            " For one-hot rows, pass target.argmax(axis=1)." if target.shape == input.shape else ""
        )
        raise ValueError(
            f"Cross-entropy takes logits (n, classes) and class numbers (n,), but was given {input.shape} and {target.shape}.{hint}"
        )
    if target.dtype.kind not in "iu" or (
        target.size and not 0 <= target.min() <= target.max() < input.shape[1]
    ):
        raise ValueError(
            f"Targets must be whole class numbers from 0 to {input.shape[1] - 1}, but the first few are {target[:5]}."
        )
    losses = ops.cross_entropy(input, target)
    if label_smoothing:
        if not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"label_smoothing is the share of the label that is spread, 0 to 1, but is {label_smoothing}."
            )
        losses = (1 - label_smoothing) * losses - label_smoothing * ops.log_softmax(
            input, axis=1
        ).mean(axis=1)
    return _reduce(losses, reduction)


def mse_loss(input: Any, target: Any, *, reduction: str = "mean") -> Tensor:
    """(input - target)^2, elementwise.

    Parameters
    ----------
    input, target : Tensor or ndarray
        Of the same shape.
    reduction : {"mean", "sum", "none"}
        What becomes of the squares; the mean is over all elements.

    Returns
    -------
    Tensor
        One number, or with "none" the shape of the input.

    Raises
    ------
    ValueError
        If the shapes differ, since broadcasting here is nearly always a mistake; or for another `reduction`.
    """
    if input.shape != target.shape:
        raise ValueError(
            f"The input has shape {input.shape} but the target {target.shape}. Are class numbers to be one-hot rows?"
        )
    return _reduce(ops.squared_error(input, target), reduction)


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    if reduction == "none":
        return losses
    raise ValueError(f"reduction must be 'mean', 'sum' or 'none', but is {reduction!r}.")
