"""Normalisation of rows and of columns: two layers made of existing ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist import Tensor, nn, no_grad


def standardized(x: Any, mean: Any, var: Any, eps: float) -> Tensor:
    """x shifted and scaled to mean 0 and variance 1."""
    return (x - mean) / np.sqrt(var + eps)


class LayerNorm(nn.Module):
    """Bring each row to mean 0 and variance 1, then scale and shift it.

    y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The lengths of the last axes of the input, over which mean and variance
        are taken.
    eps : float
        Keeps the root away from 0.

    References
    ----------
    Ba, Kiros and Hinton, "Layer normalization", 2016, eq. 4.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
    ) -> None:
        self.eps = eps
        self.weight = nn.Parameter(np.ones(normalized_shape, np.float32))
        self.bias = nn.Parameter(np.zeros(normalized_shape, np.float32))

    def forward(self, input: Any) -> Tensor:
        """(..., *normalized_shape) -> the same shape."""
        shape = self.weight.shape
        if input.shape[-len(shape) :] != shape:
            raise ValueError(
                f"LayerNorm takes (..., {', '.join(map(str, shape))}), but was "
                f"given {input.shape}. Pass normalized_shape without the batch."
            )
        axes = tuple(range(-self.weight.ndim, 0))
        mean = input.mean(axis=axes, keepdims=True)
        var = input.var(axis=axes, keepdims=True)
        rows = standardized(input, mean, var, self.eps)
        return rows * self.weight + self.bias


class BatchNorm1d(nn.Module):
    """Bring each column to mean 0 and variance 1, then scale and shift it.

    y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias

    In training, mean and variance are those of the batch. In evaluation they
    are running averages, so that the answer for one row does not depend on the
    others.

    Parameters
    ----------
    num_features : int
        Length of a row.
    eps : float
        Keeps the root away from 0.
    momentum : float
        How far each batch moves the running averages towards its own.

    Raises
    ------
    ValueError
        When called in training on a batch of one row, which has no variance.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", 2015, algorithms 1 and 2.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(np.ones(num_features, np.float32))
        self.bias = nn.Parameter(np.zeros(num_features, np.float32))
        self.register_buffer("running_mean", np.zeros(num_features, np.float32))
        self.register_buffer("running_var", np.ones(num_features, np.float32))

    def forward(self, input: Any) -> Tensor:
        """(n, num_features) -> the same shape."""
        if input.shape[1:] != self.weight.shape:
            raise ValueError(
                f"BatchNorm1d takes rows (n, {len(self.weight)}), but was "
                f"given {input.shape}. Flatten images with nn.Flatten() first."
            )
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = input.mean(axis=0), input.var(axis=0)
            self.remember(input)
        rows = standardized(input, mean, var, self.eps)
        return rows * self.weight + self.bias

    def remember(self, input: Any) -> None:
        """Move the running averages towards the mean and variance of a batch."""
        if len(input) < 2:
            raise ValueError(
                "BatchNorm1d was given one row, and one row has no variance. "
                "Pass a larger batch, or call model.eval() before predicting."
            )
        with no_grad():
            mean, var = input.mean(axis=0), input.var(axis=0, ddof=1)
            self.running_mean.data += self.momentum * (mean - self.running_mean)
            self.running_var.data += self.momentum * (var - self.running_var)
