"""A multi-layer perceptron derived by hand: every line of mathematics is one numbered equation.

Notation: a batch of B examples is a matrix with one example per row. W (fan_in, fan_out) are
weights, b (fan_out,) biases, Z pre-activations, A activations, A0 the input, L the last layer;
Y (B, C) holds the targets as one-hot rows. dX is the derivative of the loss with respect to X and
has the shape of X.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.byhand.files import read_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]
    Terms = dict[str, Array]


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z), written so that no exponent is positive."""
    return np.exp(np.minimum(z, 0)) / (1 + np.exp(-np.abs(z)))


def sigmoid_slope(z: Array) -> Array:
    """sigmoid(z) (1 - sigmoid(z)) = e / (1 + e)^2 with e = exp(-|z|)."""
    e = np.exp(-np.abs(z))
    return e / (1 + e) ** 2


def tanh_slope(z: Array) -> Array:
    """1 - tanh(z)^2 = 4e / (1 + e)^2 with e = exp(-2|z|)."""
    e = np.exp(-2 * np.abs(z))
    return 4 * e / (1 + e) ** 2


def relu(z: Array) -> Array:
    """max(z, 0)."""
    return np.maximum(z, 0)


def relu_slope(z: Array) -> Array:
    """1 where z > 0, else 0."""
    return (z > 0).astype(z.dtype)


def log_softmax(z: Array) -> Array:
    """log(e^z / sum(e^z)) per row, whose maximum is subtracted first."""
    shifted = z - z.max(axis=1, keepdims=True)  # so that no exponent overflows
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def one_hot(labels: Array, like: Array) -> Array:
    """One row per label with a 1 at its class, in the shape and dtype of `like`: (B,) -> (B, C).

    Negative labels are refused: NumPy would count them from the end, but there is no class -1.
    """
    labels, (B, C) = np.asarray(labels), like.shape
    if labels.shape != (B,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"A batch of {B} needs labels ({B},) of whole numbers, one class each, "
            f"but these are {labels.shape} of {labels.dtype}."
        )
    if not ((labels >= 0) & (labels < C)).all():
        raise ValueError(
            f"Labels number the classes and must lie from 0 to {C - 1}, "
            f"but they go from {labels.min()} to {labels.max()}."
        )
    return np.eye(C, dtype=like.dtype)[labels]


ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "sigmoid": (sigmoid, sigmoid_slope),
    "tanh": (np.tanh, tanh_slope),
    "relu": (relu, relu_slope),
}


class MLP:
    """The network on paper: softmax with cross-entropy, or sigmoid with mean squared error, and L2.

    Parameters
    ----------
    sizes : sequence of int
        Width of the input, of each hidden layer, and of the output: (784, 256, 10).
    activation : {"sigmoid", "tanh", "relu"}
        Of the hidden layers.
    loss : {"cross_entropy", "mse"}
        Also decides the output: softmax for cross-entropy, sigmoid for mean squared error.
    l2 : float
        λ, the weight of the L2 penalty. It applies to weights, not to biases.
    dtype : dtype
        Of the parameters.
    rng : numpy.random.Generator, optional
        Draws the weights, uniform in ±sqrt(6 / (fan_in + fan_out)); by default a fresh,
        unseeded one.

    Attributes
    ----------
    params : dict of str to ndarray
        ``W1, b1, W2, b2, ...``
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "sigmoid",
        loss: str = "cross_entropy",
        l2: float = 0.0,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        if activation not in ACTIVATIONS or loss not in ("cross_entropy", "mse"):
            raise ValueError(
                f"Activations are {', '.join(ACTIVATIONS)} and losses cross_entropy, mse; "
                f"given {activation!r} and {loss!r}."
            )
        rng = rng or np.random.default_rng()
        self.activation, self.loss_name, self.l2 = activation, loss, l2
        self.depth = len(sizes) - 1
        self.params: Terms = {}
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
            bound = np.sqrt(6 / (fan_in + fan_out))
            self.params[f"W{layer}"] = rng.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype)
            self.params[f"b{layer}"] = np.zeros(fan_out, dtype)
        self.velocity: Terms = {}

    def __repr__(self) -> str:
        """What the network was made from."""
        weights = [self.params[f"W{layer}"] for layer in range(1, self.depth + 1)]
        sizes = (len(weights[0]), *(W.shape[1] for W in weights))
        return f"MLP({sizes}, {self.activation!r}, {self.loss_name!r}, l2={self.l2})"

    def forward(self, X: Array) -> Terms:
        """Every term from input to probabilities: A0, Z1, A1, ..., ZL, AL.

        Parameters
        ----------
        X : ndarray, (B, fan_in of the first layer)
            One example per row.
        """
        f, _ = ACTIVATIONS[self.activation]
        softmax, L = self.loss_name == "cross_entropy", self.depth
        t = {"A0": X}
        for layer in range(1, L + 1):
            before = layer - 1
            W, b = self.params[f"W{layer}"], self.params[f"b{layer}"]
            t[f"Z{layer}"] = t[f"A{before}"] @ W + b  # (1)
            t[f"A{layer}"] = f(t[f"Z{layer}"])  # (2)
        Z = t[f"Z{L}"]
        t[f"A{L}"] = np.exp(log_softmax(Z)) if softmax else sigmoid(Z)  # (3)
        return t

    def loss(self, t: Terms, labels: Array) -> float:
        """The loss, L2 penalty included, from `forward`'s terms and labels (B,)."""
        Y = one_hot(labels, t[f"A{self.depth}"])
        B, C = Y.shape
        if self.loss_name == "cross_entropy":
            data = -(Y * log_softmax(t[f"Z{self.depth}"])).sum() / B  # (4)
        else:
            data = ((t[f"A{self.depth}"] - Y) ** 2).sum() / (B * C)  # (5)
        weights = [self.params[f"W{layer}"] for layer in range(1, self.depth + 1)]
        penalty = self.l2 / 2 * sum((W**2).sum() for W in weights)  # (6)
        return float(data + penalty)

    def backward(self, t: Terms, labels: Array) -> Terms:
        """The derivative of the loss with respect to every term and parameter.

        In this order: dZL, dWL, dbL, ..., dA1, dZ1, dW1, db1.
        """
        _, slope = ACTIVATIONS[self.activation]
        Y = one_hot(labels, t[f"A{self.depth}"])
        B, C = Y.shape
        L = self.depth
        d: Terms = {}
        if self.loss_name == "cross_entropy":
            d[f"dZ{L}"] = (t[f"A{L}"] - Y) / B  # (7)
        else:
            d[f"dA{L}"] = 2 * (t[f"A{L}"] - Y) / (B * C)  # (8)
            d[f"dZ{L}"] = d[f"dA{L}"] * sigmoid_slope(t[f"Z{L}"])  # (9)
        for layer in range(L, 0, -1):
            before = layer - 1
            W, dZ = self.params[f"W{layer}"], d[f"dZ{layer}"]
            d[f"dW{layer}"] = t[f"A{before}"].T @ dZ + self.l2 * W  # (10)
            d[f"db{layer}"] = dZ.sum(axis=0)  # (11)
            if layer > 1:
                d[f"dA{before}"] = dZ @ W.T  # (12)
                d[f"dZ{before}"] = d[f"dA{before}"] * slope(t[f"Z{before}"])  # (13)
        return d

    def step(self, d: Terms, lr: float, momentum: float = 0.0) -> None:
        """One step of gradient descent with momentum along `backward`'s gradients.

        Parameters
        ----------
        d : dict of str to ndarray
            Has dW1, db1, ... for every parameter.
        lr : float
            Learning rate η.
        momentum : float
            μ, the fraction of the last velocity that is kept.
        """
        for name in self.params:
            last = self.velocity.get(name, 0.0)
            v = momentum * last + d[f"d{name}"]  # (14)
            self.velocity[name] = v
            self.params[name] = self.params[name] - lr * v  # (15)

    def predict_proba(self, X: Array) -> Array:
        """The probability of each class: (B, in) -> (B, C)."""
        return self.forward(X)[f"A{self.depth}"]

    def predict_label(self, X: Array) -> NDArray[np.intp]:
        """The most probable class: (B, in) -> (B,)."""
        return self.predict_proba(X).argmax(axis=1)

    def saliency(self, X: Array, classes: Array) -> Array:
        """How strongly each input moves a class's pre-activation z_c: |∂z_c/∂x|.

        Shapes: (B, in), (B,) -> (B, in).
        """
        _, slope = ACTIVATIONS[self.activation]
        t = self.forward(X)
        dZ = one_hot(classes, t[f"A{self.depth}"])  # (16)
        dA = dZ @ self.params[f"W{self.depth}"].T  # (12)
        for layer in range(self.depth - 1, 0, -1):
            dZ = dA * slope(t[f"Z{layer}"])  # (13)
            dA = dZ @ self.params[f"W{layer}"].T  # (12)
        return np.abs(dA)  # (17)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the parameters as npz with the keys W1, b1, W2, b2, ..."""
        with Path(path).open("wb") as file:
            np.savez(file, allow_pickle=False, **self.params)

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        activation: str = "sigmoid",
        loss: str = "cross_entropy",
        l2: float = 0.0,
    ) -> MLP:
        """Read an npz file with the keys W1, b1, W2, b2, ...; biases may be (n,) or (1, n).

        Raises
        ------
        ValueError
            If the file is not an npz file, keys are missing, or shapes do not fit together.
        """
        arrays = read_arrays(path)
        layers = range(1, len(arrays) // 2 + 1)
        names = [f"{kind}{layer}" for layer in layers for kind in "Wb"]
        if not layers or sorted(arrays) != sorted(names):
            raise ValueError(
                f"{path}: expected the keys W1, b1, W2, b2, ..., but found {sorted(arrays)!r:.100}."
            )
        params = {name: arrays[name] for name in names}
        for layer in layers:
            params[f"b{layer}"] = params[f"b{layer}"].reshape(-1)
        sizes = [params["W1"].shape[0], *(params[f"b{layer}"].size for layer in layers)]
        for layer in layers:
            shape, expected = params[f"W{layer}"].shape, (sizes[layer - 1], sizes[layer])
            if shape != expected:
                raise ValueError(f"{path}: W{layer} has shape {shape}, expected {expected}.")
        model = cls(sizes, activation, loss, l2)
        model.params = params
        return model
