"""Windows that slide over an image, and their adjoint: what a convolution is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff.graph import op, quietly

if TYPE_CHECKING:
    from tinygrad_mnist.autodiff.variable import Array


@op
def sliding_windows(x: Array, *, window: tuple[int, ...], stride: int = 1) -> Array:
    """Every window over the last axes, as a read-only view.

    (..., h, w) -> (..., h', w', *window), with h' = (h - window[0]) // stride + 1.
    """
    axes = tuple(range(-len(window), 0))
    image = x.shape[-len(window) :]
    if any(wide > length for wide, length in zip(window, image, strict=True)):
        raise ValueError(
            f"A window of {window} does not fit into {image}. "
            "Make it smaller, or put a border around the image."
        )
    views = np.lib.stride_tricks.sliding_window_view(x, window, axes)
    steps: Any = (..., *(slice(None, None, stride) for _ in axes), *(slice(None) for _ in axes))
    return views[steps]


sliding_windows.vjp(
    lambda g, out, x, window, stride=1: overlap_add(g, shape=x.shape, window=window, stride=stride)
)


@op
@quietly
def overlap_add(
    x: Array, *, shape: tuple[int, ...], window: tuple[int, ...], stride: int = 1
) -> Array:
    """Add every window back to where it was taken from: the adjoint of `sliding_windows`."""
    corner: Any = (..., *(0 for _ in window))
    out = np.zeros_like(x[corner], shape=shape)  # axes in the same order in memory as in x
    counts = x.shape[-2 * len(window) : -len(window)]
    for offset in np.ndindex(*window):
        places: Any = (
            ...,
            *(slice(o, o + stride * n, stride) for o, n in zip(offset, counts, strict=True)),
        )
        out[places] += x[(..., *offset)]
    return out


overlap_add.vjp(
    lambda g, out, x, shape, window, stride=1: sliding_windows(g, window=window, stride=stride)
)
