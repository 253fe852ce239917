"""A residual network: every block adds something to its input."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist import Tensor, nn
from tinygrad_mnist.examples.norm import LayerNorm


class ResidualBlock(nn.Module):
    """x + f(x), where f is LayerNorm, Linear, ReLU, Linear.

    The gradient has a path around f, dx = g + f'(x)^T g, so it arrives at the
    first block as strong as it left the last.

    Parameters
    ----------
    width : int
        Length of a row, before and after.
    rng : numpy.random.Generator, optional
        Draws the initial weights; by default a fresh, unseeded one.

    References
    ----------
    He et al., "Identity mappings in deep residual networks", 2016, eq. 1 to 5.
    """

    def __init__(
        self,
        width: int,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = rng or np.random.default_rng()
        self.inner = nn.Sequential(
            LayerNorm(width),
            nn.Linear(width, width, rng=rng),
            nn.ReLU(),
            nn.Linear(width, width, rng=rng),
        )

    def forward(self, input: Any) -> Tensor:
        """(n, width) -> (n, width)."""
        return input + self.inner(input)


class ResMLP(nn.Sequential):
    """A classifier of residual blocks: (n, inputs) -> (n, classes) logits.

    Parameters
    ----------
    inputs, classes : int
        Length of a row, and number of logits.
    width : int
        Length of a row within the network.
    blocks : int
        Number of residual blocks.
    rng : numpy.random.Generator, optional
        Draws the initial weights; by default a fresh, unseeded one.
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        *,
        rng: np.random.Generator | None = None,
        width: int = 256,
        blocks: int = 3,
    ) -> None:
        rng = rng or np.random.default_rng()
        super().__init__(
            nn.Linear(inputs, width, rng=rng),
            *(ResidualBlock(width, rng=rng) for _ in range(blocks)),
            LayerNorm(width),
            nn.ReLU(),
            nn.Linear(width, classes, rng=rng),
        )
