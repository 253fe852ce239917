"""Weights of a fully connected model as npz, with the keys W1, b1, W2, b2, ..."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist import nn
from tinygrad_mnist.data import DataError
from tinygrad_mnist.data.errors import printable
from tinygrad_mnist.data.npz import read_arrays
from tinygrad_mnist.export.layers import ExportError, layers

if TYPE_CHECKING:
    from os import PathLike
    from typing import BinaryIO

    from numpy.typing import NDArray

WITHOUT_WEIGHTS = (
    nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softmax, nn.LogSoftmax,
    nn.Flatten, nn.Identity, nn.Dropout,
)  # fmt: skip


def write_npz(model: nn.Module, file: BinaryIO) -> None:
    """Write every Linear layer of `model`, in the order in which they act, to an open binary file.

    The same weights always give the same bytes. The file does not record what is between the
    Linear layers. `read_npz` and `byhand.MLP.load` read it.

    Raises
    ------
    ExportError
        If the model has other layers with weights, or a Linear has no bias; nothing is written.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for path, layer in layers(model, (nn.Linear, *WITHOUT_WEIGHTS)):
        if isinstance(layer, nn.Linear):
            if layer.bias is None:
                raise ExportError(
                    f"The Linear at {path!r} has no bias, but the npz format needs one for every "
                    "layer. Export as safetensors."
                )
            number = len(arrays) // 2 + 1
            arrays |= {f"W{number}": layer.weight.data, f"b{number}": layer.bias.data}
    np.savez(file, allow_pickle=False, **arrays)


def read_npz(
    path: str | PathLike[str],
    activation: str = "sigmoid",
    output: str = "softmax",
    dropout: float = 0.0,
) -> nn.MLP:
    """The network whose weights an npz file holds.

    Parameters
    ----------
    path : path
        A file with the keys W1, b1, W2, b2, ... for any number of layers; weights (in, out),
        biases (n,) or (1, n).
    activation, output, dropout : str, str, float
        As for `nn.MLP`, since the file does not say. The defaults are those of a classroom network.

    Returns
    -------
    nn.MLP
        In the dtype of the file.

    Raises
    ------
    DataError
        If the file is not an npz file, keys are missing, arrays are not of floats, or shapes do
        not fit together.
    """
    arrays = read_arrays(Path(path), lambda names: _all_layers(path, names))
    depth = len(arrays) // 2
    weights = [arrays[f"W{layer}"] for layer in range(1, depth + 1)]
    biases = [arrays[f"b{layer}"].reshape(-1) for layer in range(1, depth + 1)]
    sizes = [len(np.atleast_1d(weights[0])), *(b.size for b in biases)]
    for i, weight in enumerate(weights):
        expected = (sizes[i], sizes[i + 1])
        if weight.shape != expected:
            raise DataError(
                f"{path}: W{i + 1} has shape {weight.shape}, but its neighbours ask for {expected}."
            )
    model = nn.MLP(sizes, activation, output, dropout=dropout, dtype=np.result_type(*weights))
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    for layer, weight, bias in zip(linear, weights, biases, strict=True):
        layer.load_state_dict({"weight": weight, "bias": bias})
    return model


def _all_layers(path: str | PathLike[str], names: list[str]) -> dict[str, str]:
    expected = [f"{kind}{layer}" for layer in range(1, len(names) // 2 + 1) for kind in "Wb"]
    if not names or sorted(names) != sorted(expected):
        found = printable(", ".join(sorted(names))) or "none"
        raise DataError(f"{path}: expected the keys W1, b1, W2, b2, ..., but found {found}.")
    return dict.fromkeys(expected, "f")
