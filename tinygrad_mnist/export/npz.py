"""Weights of a fully connected model as npz, with the keys W1, b1, W2, b2, ..."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinygrad_mnist import nn

if TYPE_CHECKING:
    from typing import BinaryIO


def write_npz(model: nn.Module, file: BinaryIO) -> None:
    """Write every Linear layer of `model`, in order, to an open binary file.

    The same weights always give the same bytes. `byhand.MLP.load` reads the file.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    arrays = {f"{kind}{i}": p.data for i, m in enumerate(layers, start=1) for kind, p in zip("Wb", m.parameters(), strict=True)}
    np.savez(file, allow_pickle=False, **arrays)
