"""New training images from old ones: pixels move a little, differently in each epoch."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.data.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 32
"""Images distorted at a time: few enough for a processor's cache."""


def distort(
    images: NDArray[Any],
    rng: np.random.Generator,
    *,
    alpha: float = 34.0,
    sigma: float = 4.0,
    affine: float = 0.0,
) -> NDArray[Any]:
    """Distort each image in its own way: elastically, and by a random linear map about its centre.

    Each pixel of the result is read at its own place plus a displacement from a smooth random
    field, interpolated between the four pixels around that point. Beyond the edge, the pixels of
    the edge continue.

    Parameters
    ----------
    images : ndarray, (n, side * side)
        Square images, one per row; bytes, or floats in any range.
    rng : numpy.random.Generator
        Draws the displacements.
    alpha : float
        Strength of the elastic part: displacements, uniform in ±1, are smoothed and then multiplied
        by it. Alpha 34 and sigma 4 give them a standard deviation of 1.4 pixels. 0 means none.
    sigma : float
        Standard deviation of the smoothing Gaussian in pixels, above 0: a large one bends
        strokes, a small one frays them.
    affine : float
        Strength of the linear part, which rotates, scales and shears: the entries of its matrix
        differ from those of the identity by at most this much. 0 means none.

    Returns
    -------
    ndarray of the shape and dtype of images
        Computed in float32; bytes are rounded.

    Raises
    ------
    DataError
        If the images are not square.

    References
    ----------
    Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to
    visual document analysis", ICDAR 2003, section 2.
    """
    side = isqrt(images.shape[1])
    if side * side != images.shape[1] or side < 2:
        raise DataError(
            f"Only square images can be distorted, but these have {images.shape[1]} pixels."
        )
    maps = rng.uniform(-affine, affine, (len(images), 2, 2)).astype(np.float32)
    K = gaussian(side, sigma)
    distorted = np.empty_like(images)
    for start in range(0, len(images), BLOCK):
        block = slice(start, start + BLOCK)
        fields = rng.random((len(maps[block]), 2, side, side), dtype=np.float32)
        fields *= 2
        fields -= 1
        displacements = K @ fields @ K.T
        displacements *= np.float32(alpha)
        displacements += linear(maps[block], side)
        moved = gather(images[block].reshape(-1, side, side), displacements)
        if images.dtype == np.uint8:
            moved = np.rint(moved)
        distorted[block] = moved.reshape(-1, side * side)
    return distorted


def gaussian(side: int, sigma: float) -> NDArray[np.float32]:
    """The matrix K for which K @ field smooths columns, and field @ K.T rows.

    Beyond the edge, the field counts as zero.
    """
    reach = np.arange(-10 * side, 10 * side + 1)
    weights = np.exp(-((reach / sigma) ** 2) / 2)
    distances = np.subtract.outer(np.arange(side), np.arange(side))
    return (weights / weights.sum())[distances + 10 * side].astype(np.float32)


def linear(maps: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Displacements by linear maps about the centre: (n, 2, 2) -> (n, 2, side, side)."""
    place = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
    by_row, by_column = maps[..., 0, None, None], maps[..., 1, None, None]
    moved: NDArray[np.float32] = by_row * place[:, None] + by_column * place
    return moved


def gather(images: NDArray[Any], displacements: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Read each pixel at its displaced place, bilinearly.

    Shapes: (n, side, side), (n, 2, side, side) -> (n, side, side), the axis of 2 rows first.
    """
    n, side, _ = images.shape
    grid = np.arange(side, dtype=np.float32)
    y = (displacements[:, 0] + grid[:, None]).clip(0, side - 1)
    x = (displacements[:, 1] + grid).clip(0, side - 1)
    top, left = (np.minimum(place.astype(np.int32), side - 2) for place in (y, x))
    y -= top.astype(np.float32)  # now fractions of the way to the pixel below and to the right
    x -= left.astype(np.float32)
    first = (
        side * side * np.arange(n, dtype=np.int32)[:, None, None]
    )  # the first pixel of each image
    corner = (first + top * side + left).astype(np.intp)
    pixels = images.astype(np.float32).ravel()
    around = (0, 1, side, side + 1)
    nw, ne, sw, se = (pixels[offset:].take(corner, mode="wrap") for offset in around)
    mixed: NDArray[np.float32] = (1 - y) * ((1 - x) * nw + x * ne) + y * ((1 - x) * sw + x * se)
    return mixed
