"""Select pixels of masks by shape: wide parts, connected parts, parts that touch the edge.

All masks are bool, (rows, columns). Pixels are connected if they touch, even at a corner.

References
----------
J. Serra, "Image Analysis and Mathematical Morphology" (1982). P. Soille, "Morphological Image
Analysis", 2nd edition (2003).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Box = tuple[slice, slice]

CORNERS_TOO = np.ones((3, 3), bool)


def parts(mask: Mask) -> tuple[NDArray[np.int32], list[Box]]:
    """Number the connected parts of a mask; 0 is outside the mask.

    Returns
    -------
    numbers : ndarray of int32, (rows, columns)
    boxes : list of (slice, slice)
        Rows and columns of each part, starting with number 1.
    """
    from scipy import ndimage

    numbers = ndimage.label(mask, CORNERS_TOO)[0]
    return numbers, ndimage.find_objects(numbers)


def connected(mask: Mask, seeds: Mask) -> Mask:
    """The parts of a mask that hold a seed: a reconstruction (Soille 2003, 6.1)."""
    from scipy import ndimage

    numbers, count = ndimage.label(mask, CORNERS_TOO)
    chosen = np.zeros(count + 1, bool)
    chosen[numbers[seeds]] = True
    chosen[0] = False
    return chosen[numbers]


def at_the_edge(mask: Mask) -> Mask:
    """The parts of a mask that touch the edge of the picture."""
    edge = np.ones_like(mask)
    edge[1:-1, 1:-1] = False
    return connected(mask, mask & edge)


def briefly_at_the_edge(mask: Mask) -> Mask:
    """The parts that touch the edge with at most half of their length, as a stroke does."""
    numbers, boxes = parts(mask)
    edge = np.concatenate([numbers[0], numbers[-1], numbers[1:-1, 0], numbers[1:-1, -1]])
    touching = np.bincount(edge, minlength=len(boxes) + 1)[1:]
    lengths = np.array([max(s.stop - s.start for s in box) for box in boxes], int)
    return np.array([False, *((touching > 0) & (2 * touching <= lengths))])[numbers]


def opened(mask: Mask, side: int) -> Mask:
    """The opening by a square, which removes narrower parts; beyond the edge, its pixels repeat."""
    from scipy import ndimage

    return ndimage.grey_opening(mask.view(np.uint8), side, mode="nearest").view(bool)


def grown(mask: Mask, by: int) -> Mask:
    """The mask and a margin of `by` pixels around it."""
    from scipy import ndimage

    return ndimage.maximum_filter(mask, 2 * by + 1, mode="constant")


def pen_width(strokes: Mask) -> float:
    """The width of the pen in pixels: the widest place, ignoring a few per cent.

    The middle of a stroke that is w pixels wide is (w + 1) / 2 from the nearest pixel outside.
    """
    from scipy import ndimage

    away = ndimage.distance_transform_edt(np.pad(strokes, 1))[1:-1, 1:-1]
    return float(2 * np.percentile(away[strokes], 96) - 1) if strokes.any() else 0.0


def threshold(values: NDArray[Any]) -> float:
    """Split numbers from 0 to 1 into two classes, where the variance between them is largest.

    N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on
    Systems, Man, and Cybernetics 9 (1979).
    """
    counts, edges = np.histogram(values, 64, (0, 1))
    below, n = counts.cumsum()[:-1], len(values)
    sums = (counts * (edges[:-1] + edges[1:]) / 2).cumsum()
    apart = below * sums[-1] - n * sums[:-1]
    between = apart**2 / np.maximum(below * (n - below), 1)
    return float(edges[1 + between.argmax()])
