"""The four MNIST files in this package. Their notice and licence (CC BY-SA 3.0) are beside them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.data.batches import normalize
from tinygrad_mnist.data.errors import DataError
from tinygrad_mnist.data.idx import read_idx_pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "mnist"


def load_mnist(normalize: str | None = "unit") -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The 60 000 training images and their labels.

    Parameters
    ----------
    normalize : {"unit", "seed", "standardize"} or None
        The range of the pixels, see `tinygrad_mnist.data.normalize`; None leaves them as bytes.

    Returns
    -------
    images : ndarray, (60000, 784), float32, or uint8 if normalize is None
        One image per row; ``images.reshape(-1, 28, 28)`` makes pictures of them.
    labels : ndarray of int64, (60000,)

    Raises
    ------
    DataError
        If a file is missing or its SHA-256 sum is not that of the original.
    """
    return _load("train", normalize)


def load_mnist_test(normalize: str | None = "unit") -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The 10 000 official test images and their labels.

    Open them only once, when the weights are final. Parameters and errors are as for `load_mnist`.
    """
    return _load("t10k", normalize)


def _load(part: str, how: str | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    images = FOLDER / f"{part}-images-idx3-ubyte.gz"
    labels = FOLDER / f"{part}-labels-idx1-ubyte.gz"
    _verify(images, labels)
    pixels, digits = read_idx_pair(images, labels)
    return (pixels if how is None else normalize(pixels, how)), digits


def _verify(*paths: Path) -> None:
    try:
        sums = (FOLDER / "SHA256SUMS").read_text("ascii", "replace").splitlines()
        for path in paths:
            if f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" not in sums:
                raise DataError(
                    f"{path}: damaged: its SHA-256 sum is not that of the original. "
                    "Reinstall the package."
                )
    except OSError as error:
        raise DataError(
            f"{error.filename}: cannot be read: {error.strerror}. Reinstall the package."
        ) from error
