"""The subject of a report and a model card: a trained network, its images and its classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinygrad_mnist.data.dataset import DIGITS, MNIST_SHAPE
from tinygrad_mnist.data.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_LINES, WIDEST_LINE = 60, 120
"""Of a printed network."""


@dataclass(frozen=True)
class Subject:
    """What a report needs to know about a trained network besides its recipe.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the images.
    classes : tuple of str
        The names of the classes.
    own : mapping
        For a ``model`` or ``optimizer`` of one's own, SHA-256 of the file it is in, or "".
    network : str
        The name of the network's class.
    tree : str
        The network as it prints itself.
    """

    shape: tuple[int, int] = MNIST_SHAPE
    classes: tuple[str, ...] = DIGITS
    own: Mapping[str, str] = field(default_factory=dict)
    network: str = "MLP"
    tree: str = ""

    @property
    def pixels(self) -> str:
        """The shape in words, as in 28x28."""
        return "x".join(map(str, self.shape))

    @property
    def short_tree(self) -> str:
        """The tree in a bounded number of lines of bounded length, all of them printable."""
        lines = [printable(line, WIDEST_LINE) for line in self.tree.splitlines()]
        more = len(lines) - MOST_LINES
        return "\n".join(lines if more <= 0 else [*lines[:MOST_LINES], f"... {more:,} more lines"])


MNIST = Subject()
"""The built-in network on MNIST."""
