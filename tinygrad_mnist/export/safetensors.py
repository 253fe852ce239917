"""The state of any module as safetensors: named arrays that are read without running code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.data import DataError
from tinygrad_mnist.data.errors import cause

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from typing import BinaryIO

    from numpy.typing import NDArray

    from tinygrad_mnist import nn

DAMAGED = (TypeError, AttributeError, KeyError, ValueError, RecursionError)
"""Errors that reading a damaged header may raise."""

KEY = "tinygrad_mnist"
"""The only key of the metadata; with several, the same weights could give different bytes."""


def write_safetensors(
    model: nn.Module, file: BinaryIO, about: Mapping[str, Any] | None = None
) -> None:
    """Write the `state_dict` of a module to an open binary file.

    Parameters
    ----------
    model : nn.Module
        Any module. A shared parameter is written under each of its names.
    file : binary file
        Open for writing.
    about : mapping, optional
        Anything that JSON can express; `read_safetensors` returns it.
    """
    from safetensors.numpy import save

    arrays = {name: np.asarray(t.data, order="C") for name, t in sorted(model.state_dict().items())}
    file.write(save(arrays, {KEY: json.dumps(dict(about or {}), sort_keys=True)}))


def read_safetensors(path: str | PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays of a safetensors file, for `nn.Module.load_state_dict`, and its metadata.

    Returns
    -------
    arrays : dict
        Name -> ndarray.
    about : dict
        The `about` that `write_safetensors` was given; empty for files from other programs.

    Raises
    ------
    DataError
        If the file cannot be read, is not a safetensors file, or holds numbers of a type that
        NumPy does not have.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        with path.open("rb"), safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get(KEY, "{}"))
            names = file.keys()  # `file` is not a mapping
            arrays = {name: file.get_tensor(name) for name in names}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (*DAMAGED, SafetensorError) as error:
        raise DataError(
            f"{path}: not a safetensors file of arrays, or damaged: {cause(error)}."
        ) from error
    if not isinstance(about, dict):
        raise DataError(
            f"{path}: its metadata {KEY!r} should be a JSON object, but is {str(about)[:40]!r}."
        )
    return arrays, about
