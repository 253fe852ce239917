"""The network of two layers as in a textbook: every name is that of the paper, every line its own.

It has a sigmoid in between, softmax with cross-entropy at the end, and an L2 penalty. `MLP` is the
same for any depth, with more activations and another loss; the tests find both equal, term by term.

A batch of B examples is X (B, n0), its targets Y (B, C) are one-hot rows. W1 (n0, n1), b1 (n1,),
W2 (n1, C) and b2 (C,) are the parameters. dX is the derivative of the loss with respect to X.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinygrad_mnist.byhand.mlp import log_softmax, sigmoid, sigmoid_slope

if TYPE_CHECKING:
    from tinygrad_mnist.byhand.mlp import Array


def forward(
    X: Array, W1: Array, b1: Array, W2: Array, b2: Array
) -> tuple[Array, Array, Array, Array]:
    """Z1, A1, Z2 and the probabilities A2."""
    Z1 = X @ W1 + b1  # (1)
    A1 = sigmoid(Z1)  # (2)
    Z2 = A1 @ W2 + b2  # (1)
    A2 = np.exp(log_softmax(Z2))  # (3)
    return Z1, A1, Z2, A2


def loss(Z2: Array, Y: Array, W1: Array, W2: Array, l2: float = 0.0) -> float:
    """The mean cross-entropy of the batch, and the penalty; `log_softmax(Z2)` is log A2."""
    data = -(Y * log_softmax(Z2)).sum() / len(Y)  # (4)
    penalty = l2 / 2 * ((W1**2).sum() + (W2**2).sum())  # (6)
    return float(data + penalty)


def backward(
    X: Array, Y: Array, W1: Array, W2: Array, Z1: Array, A1: Array, A2: Array, l2: float = 0.0
) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    """The gradients dZ2, dW2, db2, dA1, dZ1, dW1 and db1, in the order of the walk back."""
    dZ2 = (A2 - Y) / len(Y)  # (7)
    dW2 = A1.T @ dZ2 + l2 * W2  # (10)
    db2 = dZ2.sum(axis=0)  # (11)
    dA1 = dZ2 @ W2.T  # (12)
    dZ1 = dA1 * sigmoid_slope(Z1)  # (13)
    dW1 = X.T @ dZ1 + l2 * W1  # (10)
    db1 = dZ1.sum(axis=0)  # (11)
    return dZ2, dW2, db2, dA1, dZ1, dW1, db1
