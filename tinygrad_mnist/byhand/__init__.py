"""The derivation by hand: the network with every derivative written out. NumPy only."""

from tinygrad_mnist.byhand.mlp import MLP

__all__ = ["MLP"]
