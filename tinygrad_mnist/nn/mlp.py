"""The network this package is about, built from modules; `byhand/mlp.py` has it on paper."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.nn import init
from tinygrad_mnist.nn.arguments import generator, one_of, seen, whole
from tinygrad_mnist.nn.layers import Dropout, Linear, ReLU, Sigmoid, Tanh
from tinygrad_mnist.nn.module import Module, Sequential

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike

    from tinygrad_mnist.autodiff import Tensor

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
        The function that turns the last layer into probabilities. With "softmax" the model
        returns logits, for CrossEntropyLoss; with "sigmoid" it returns the sigmoids, for MSELoss.
    initialiser : str
        The distribution of the initial weights, a key of `INITIALISERS`; biases start at 0,
        except with "standard_normal".
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
        sizes = _widths(sizes)
        activate = ACTIVATIONS[one_of(activation, "activation", ACTIVATIONS)]
        initialise = INITIALISERS[one_of(initialiser, "initialiser", INITIALISERS)]
        rng = generator(rng)
        initialise_bias: Callable[..., Any] = init.zeros_
        if initialiser == "standard_normal":
            initialise_bias = partial(init.normal_, rng=rng)
        modules: list[Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layer = Linear(fan_in, fan_out, dtype=dtype, rng=rng)
            initialise(layer.weight, rng=rng)
            initialise_bias(layer.bias)
            modules += [layer, activate(), Dropout(dropout, rng=rng)]
        modules = [m for m in modules[:-2] if dropout or not isinstance(m, Dropout)]
        self.output = one_of(output, "output", OUTPUTS)
        super().__init__(*modules, *([Sigmoid()] if output == "sigmoid" else []))

    def logits(self, x: Any) -> Tensor:
        """The values before softmax or the last sigmoid: (n, in) -> (n, classes)."""
        return (self[:-1] if self.output == "sigmoid" else self)(x)


def _widths(sizes: Any) -> list[int]:
    if not isinstance(sizes, Sequence | np.ndarray) or isinstance(sizes, str) or len(sizes) < 2:
        raise TypeError(
            "MLP takes the width of every layer, from the input to the output, "
            f"such as (784, 256, 10), but was given {seen(sizes)}."
        )
    return [whole(n, "A width of an MLP must be a whole number, 1 or more", 1) for n in sizes]
