"""Trained weights in files that others read."""

from tinygrad_mnist.export.npz import write_npz

__all__ = ["write_npz"]
