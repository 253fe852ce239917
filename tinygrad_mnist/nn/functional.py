"""Layers and losses as plain functions, under PyTorch's names; the modules call these.

Every tensor argument may also be an array or a list of numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.autodiff.graph import quietly
from tinygrad_mnist.autodiff.notes import drawn
from tinygrad_mnist.nn import arguments
from tinygrad_mnist.nn.arguments import operand

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tinygrad_mnist.autodiff import Tensor

# ---------------------------------------------------------------- activations: the shape is kept


def relu(input: Any) -> Tensor:
    """max(x, 0), elementwise; its derivative at 0 is 0."""
    return ops.relu(operand(input, "ReLU"))


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Tensor:
    """x where it is positive, elsewhere negative_slope * x; at 0 its slope is negative_slope."""
    return ops.leaky_relu(
        operand(input, "LeakyReLU"), negative_slope=arguments.slope(negative_slope)
    )


def sigmoid(input: Any) -> Tensor:
    """1 / (1 + exp(-x)), elementwise."""
    return ops.sigmoid(operand(input, "Sigmoid"))


def tanh(input: Any) -> Tensor:
    """Hyperbolic tangent, elementwise."""
    return ops.tanh(operand(input, "Tanh"))


def softplus(input: Any) -> Tensor:
    """log(1 + exp(x)), elementwise: a smooth relu.

    PyTorch's version returns x itself from 20 on, which is off by up to 2e-9.
    """
    return ops.softplus(operand(input, "softplus"))


def logsigmoid(input: Any) -> Tensor:
    """log(sigmoid(x)), elementwise, finite for every finite x."""
    return ops.logsigmoid(operand(input, "logsigmoid"))


def softmax(input: Any, dim: int) -> Tensor:
    """exp(x) / sum(exp(x)) along the axis `dim`: positive numbers that add up to 1."""
    return ops.softmax(operand(input, "Softmax"), axis=arguments.axis(dim))


def log_softmax(input: Any, dim: int) -> Tensor:
    """log(softmax(x)) along the axis `dim`, finite for every finite x."""
    return ops.log_softmax(operand(input, "LogSoftmax"), axis=arguments.axis(dim))


# ---------------------------------------------------------------- layers


@quietly
def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """x @ weight + bias, with the weight as (in, out): on paper, Z = XW + b.

    PyTorch's weight is the transpose, (out, in).

    Parameters
    ----------
    input : array_like or Tensor, (..., in)
    weight : array_like or Tensor, (in, out)
    bias : array_like or Tensor, (out,) or one number, optional

    Returns
    -------
    Tensor, (..., out)

    Raises
    ------
    ValueError
        If the last axis of the input differs in length from the first axis of the weight, or the
        bias from its second axis.

    Examples
    --------
    >>> from tinygrad_mnist import nn, tensor
    >>> weight = tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    >>> nn.functional.linear([[1.0, 2.0]], weight, [0.0, 0.0, 0.5])
    Tensor([[1.  2.  3.5]])
    """
    weight = operand(weight, "Linear")
    input = operand(input, "Linear", weight)
    bias = None if bias is None else operand(bias, "Linear", weight)
    shape = weight.shape
    if len(shape) != 2 or (bias is not None and bias.shape not in (shape[1:], ())):
        raise ValueError(
            "Linear takes a weight (in, out) and a bias (out,), but was given "
            f"{shape} and {None if bias is None else bias.shape}."
        )
    if input.shape[-1:] != shape[:1]:
        raise _wrong_features(input, weight)
    if bias is None:
        return ops.matmul(input, weight)
    if input.ndim == 1:
        return ops.linear(input.reshape((1, -1)), weight, bias).reshape(shape[1:])
    return ops.linear(input, weight, bias)


def _wrong_features(input: Any, weight: Any) -> ValueError:
    """The error for an input that a linear layer cannot take."""
    features, given = weight.shape[0], input.shape[-1] if input.ndim else "no"
    images = input.ndim > 1 and features == input.shape[-2] * input.shape[-1]
    hint = " Flatten 28x28 images with nn.Flatten() first?" if images else ""
    return ValueError(
        f"x of shape {input.shape} has {given} feature{'s' * (given != 1)}, "
        f"but this Linear expects {features} (weight is {weight.shape}).{hint}"
    )


@quietly
def dropout(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    rng: np.random.Generator | None = None,
) -> Any:
    """In training, set each element to 0 with probability `p` and scale the rest by 1 / (1 - p).

    Outside training, return the input unchanged.

    Parameters
    ----------
    input : array_like or Tensor, any shape
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
    input, p = operand(input, "Dropout"), arguments.fraction(p)
    if not training or p == 0:
        return input
    draws = drawn(arguments.generator(rng).random, input.shape, dtype=np.float32)
    dtype = input.dtype if input.dtype.kind == "f" else np.float32
    return ops.mul(input, (draws >= p) * np.asarray(1 / (1 - p), dtype))


# ---------------------------------------------------------------- losses


@quietly
def cross_entropy(
    input: Any, target: ArrayLike | Tensor, *, reduction: str = "mean", label_smoothing: float = 0.0
) -> Tensor:
    """-log softmax(input)[target] per row: softmax is part of the loss.

    Parameters
    ----------
    input : array_like or Tensor, (n, classes)
        Logits.
    target : array_like of int, (n,)
        Class numbers.
    reduction : {"mean", "sum", "none"}
        How the n losses are combined.
    label_smoothing : float
        Share e in [0, 1] of the label that is spread evenly over all classes: the loss of a row is
        (1 - e) * (-log softmax[target]) + e * (mean over the classes of -log softmax).

    Returns
    -------
    Tensor, () or (n,)

    Raises
    ------
    ValueError
        If the shapes are not these, a target is not a class, or `label_smoothing` or `reduction`
        is not an allowed value.

    References
    ----------
    Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", section 7 (2016),
    for the smoothing.

    Examples
    --------
    >>> from tinygrad_mnist import nn, tensor
    >>> logits = tensor([[0.0, 0.0], [0.0, 1000.0]])
    >>> nn.functional.cross_entropy(logits, [0, 1], reduction="none")
    Tensor([0.6931472 0.       ])
    """
    input = operand(input, "CrossEntropyLoss")
    losses = ops.cross_entropy(input, arguments.classes(target, input, "CrossEntropyLoss"))
    if label_smoothing:
        e = arguments.smoothing(label_smoothing)
        losses = (1 - e) * losses - e * ops.log_softmax(input, axis=1).mean(axis=1)
    return _reduce(losses, reduction)


@quietly
def mse_loss(input: Any, target: Any, *, reduction: str = "mean") -> Tensor:
    """(input - target)^2, elementwise.

    Parameters
    ----------
    input, target : array_like or Tensor
        Of the same shape.
    reduction : {"mean", "sum", "none"}
        How the squares are combined; the mean is taken over all elements.

    Returns
    -------
    Tensor
        One number, or with "none" the shape of the input.

    Raises
    ------
    ValueError
        If the shapes differ, since broadcasting here is nearly always a mistake, or if
        `reduction` is not an allowed value.
    """
    input = operand(input, "MSELoss")
    target = operand(target, "The target of MSELoss", like=input)
    if input.shape != target.shape:
        hint = "Are class numbers to be one-hot rows?"
        if input.size == target.size:
            hint = f"Bring them to one shape first: target.reshape({input.shape})?"
        raise ValueError(f"The input has shape {input.shape} but the target {target.shape}. {hint}")
    return _reduce(ops.squared_error(input, target), reduction)


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return losses.mean()
    return losses if arguments.reduction(reduction) == "none" else losses.sum()
