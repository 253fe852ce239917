"""The network this package is about, built from modules; `byhand/mlp.py` is the same one on paper."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import grad, no_grad, tensor
from tinygrad_mnist.nn import functional as F
from tinygrad_mnist.nn import init
from tinygrad_mnist.nn.layers import Dropout, Linear, ReLU, Sigmoid, Tanh
from tinygrad_mnist.nn.module import Module, Sequential

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import DTypeLike, NDArray

ACTIVATIONS: dict[str, type[Module]] = {"sigmoid": Sigmoid, "tanh": Tanh, "relu": ReLU}
OUTPUTS = ("softmax", "sigmoid")
INITIALISERS: dict[str, Callable[..., Any]] = {
    "xavier_uniform": init.xavier_uniform_,
    "xavier_normal": init.xavier_normal_,
    "kaiming_uniform": init.kaiming_uniform_,
    "kaiming_normal": init.kaiming_normal_,
    "standard_normal": init.normal_,
}


class MLP(Sequential):
    """A fully connected classifier: Linear, activation, Linear, ..., Linear.

    Parameters
    ----------
    sizes : sequence of int
        Width of the input, of each hidden layer, and of the output: (784, 256, 10).
    activation : {"sigmoid", "tanh", "relu"}
        After every hidden layer.
    output : {"softmax", "sigmoid"}
        What turns the last layer into probabilities. With "softmax" the model itself returns logits, for
        CrossEntropyLoss; with "sigmoid" it returns the sigmoids, for MSELoss.
    initialiser : str
        How weights start, a key of `INITIALISERS`; biases start at 0, except with "standard_normal".
    dropout : float
        Probability of dropping a hidden activation in training.
    dtype : dtype
        Of the parameters.
    rng : numpy.random.Generator, optional
        Draws initial weights and dropout masks; by default a fresh, unseeded one.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        output: str = "softmax",
        initialiser: str = "xavier_uniform",
        dropout: float = 0.0,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        for value, known in (
            (activation, ACTIVATIONS),
            (output, OUTPUTS),
            (initialiser, INITIALISERS),
        ):
            if value not in known:
                raise ValueError(f"MLP knows no {value!r} here. Choose from {', '.join(known)}.")
        rng = rng or np.random.default_rng()
        modules: list[Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layer = Linear(fan_in, fan_out, dtype=dtype, rng=rng)
            INITIALISERS[initialiser](layer.weight, rng=rng)
            if layer.bias is not None:
                init.normal_(
                    layer.bias, rng=rng
                ) if initialiser == "standard_normal" else init.zeros_(layer.bias)
            modules += [layer, ACTIVATIONS[activation](), Dropout(dropout, rng=rng)]
        modules = [m for m in modules[:-2] if dropout or not isinstance(m, Dropout)]
        super().__init__(*modules, *([Sigmoid()] if output == "sigmoid" else []))
        self.output = output

    def predict_proba(self, images: NDArray[Any]) -> NDArray[Any]:
        """The probability of each class, without recording and without dropout: (n, in) -> (n, classes)."""
        training = self.training
        self.eval()
        with no_grad():
            scores = self(images)
            if self.output == "softmax":
                scores = F.softmax(scores, dim=-1)
        self.train(training)
        return np.asarray(scores)

    def predict_label(self, images: NDArray[Any]) -> NDArray[np.intp]:
        """The most probable class: (n, in) -> (n,)."""
        return self.predict_proba(images).argmax(axis=1)

    def saliency(self, images: NDArray[Any], classes: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """How strongly each pixel moves the logit of a class, without dropout: |∂logit_c/∂x|, (n, in), (n,) -> (n, in).

        With sigmoid outputs the logit is what goes into the last sigmoid.
        """
        training = self.training
        self.eval()
        x = tensor(images, requires_grad=True)
        logits = (self[:-1] if self.output == "sigmoid" else self)(x)
        self.train(training)
        (slope,) = grad(
            logits, x, grad_outputs=np.eye(logits.shape[1], dtype=logits.dtype)[classes]
        )
        return np.abs(np.asarray(slope))
