"""Trained weights in file formats that other programs read."""

from tinygrad_mnist.export.ancestor import ancestor_config, ancestor_history
from tinygrad_mnist.export.layers import ExportError
from tinygrad_mnist.export.names import format_of
from tinygrad_mnist.export.npz import read_npz, write_npz
from tinygrad_mnist.export.onnx import write_onnx
from tinygrad_mnist.export.safetensors import read_safetensors, write_safetensors

__all__ = [
    "ExportError",
    "ancestor_config",
    "ancestor_history",
    "format_of",
    "read_npz",
    "read_safetensors",
    "write_npz",
    "write_onnx",
    "write_safetensors",
]
