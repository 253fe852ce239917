"""Plots for notebooks, one line each: curves, images, answers, bars, a histogram, windows.

They use the settings of matplotlib that the notebook has, and are shown where it shows figures.
"""

from __future__ import annotations

from itertools import cycle
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

WIDTH = 6.0
"""In inches, of every plot."""
LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
"""One more than there are colours, so that even eight curves differ without them."""


def curves(
    named: Mapping[str, ArrayLike],
    *,
    xlabel: str = "step",
    ylabel: str = "loss",
    x: ArrayLike | None = None,
    mean: int = 1,
    ylim: tuple[float | None, float | None] = (None, None),
    log: bool = False,
    points: bool = False,
) -> None:
    """Draw curves over the same axis.

    Parameters
    ----------
    named : mapping of str to array_like, (n,)
        The values of each curve, by its name.
    xlabel, ylabel : str
        What the axes show.
    x : array_like, (n,), optional
        Where the values belong; by default 1, 2, and so on.
    mean : int
        Over how many neighbouring values the mean is taken, so that noise does not hide the curve.
    ylim : pair of float or None
        The lowest and the highest value shown; None leaves it to the curves.
    log : bool
        Whether the values are on a logarithmic scale.
    points : bool
        Whether each value is marked.
    """
    axis = _axis(3)
    for (name, values), line in zip(named.items(), cycle(LINES), strict=False):
        smooth = np.convolve(np.asarray(values, float), np.ones(mean) / mean, "valid")
        at = np.arange(1, len(smooth) + 1) if x is None else x
        axis.plot(at, smooth, linestyle=line, marker="o" if points else "", ms=4, label=name)
    axis.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    axis.set_ylim(*ylim)
    if len(named) > 1:
        above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1)}
        axis.legend(frameon=False, ncols=3, columnspacing=1, **above)


def images(
    pictures: Iterable[ArrayLike],
    titles: Iterable[object] = (),
    *,
    columns: int = 10,
    cmap: str = "gray_r",
    signed: bool = False,
    limit: float | None = None,
) -> None:
    """Draw images in rows.

    Parameters
    ----------
    pictures : iterable of array_like, (pixels,) or (height, width)
        Images; a row of pixels is taken for a square.
    titles : iterable
        What is written above each; those without one come last.
    columns : int
        How many are beside each other.
    cmap : str
        The colours; by default ink is black.
    signed : bool
        Whether 0 is white, positive values are blue and negative ones red.
    limit : float, optional
        Of signed values: what is as blue or red as can be. By default the largest of each image.
    """
    from matplotlib import pyplot as plt

    shown = [_square(np.asarray(picture)) for picture in pictures]
    said = [str(title) for title in titles]
    rows = -(-len(shown) // columns)
    height = WIDTH * rows / columns * (1.25 if any(said) else 1.05)
    _, axes = plt.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture, title in zip(axes.flat, shown, said + [""] * len(shown), strict=False):
        most = limit or np.abs(picture).max()
        colours = {"cmap": "RdBu", "vmin": -most, "vmax": most} if signed else {"cmap": cmap}
        axis.imshow(picture, **colours)
        axis.set_title(title, fontsize="small")


def answers(pictures: Sequence[ArrayLike], probabilities: NDArray[Any]) -> None:
    """Draw images (n, pixels), and below each the probability (n, classes) of each class."""
    from matplotlib import pyplot as plt

    classes = range(probabilities.shape[1])
    _, axes = plt.subplots(2, len(pictures), figsize=(WIDTH, 3.4), height_ratios=(2, 1))
    for (above, below), picture, p in zip(axes.T, pictures, probabilities, strict=True):
        above.imshow(_square(np.asarray(picture)), cmap="gray_r")
        above.axis("off")
        below.bar(classes, p)
        below.set(xticks=classes, yticks=[], ylim=(0, 1))
        below.spines[["top", "right", "left"]].set_visible(False)


def bars(named: Mapping[str, float], title: str) -> None:
    """Draw shares from 0 to 1 as bars with their names, in per cent."""
    axis = _axis(2.6)
    drawn = axis.barh(list(named), [100 * share for share in named.values()])
    axis.bar_label(drawn, fmt="%.1f %%", padding=3)
    axis.invert_yaxis()
    axis.set(xlim=(0, 112), xticks=[], title=title)
    axis.spines["bottom"].set_visible(False)


def histogram(values: ArrayLike, xlabel: str) -> None:
    """Draw how often values of any shape occur, in 40 ranges."""
    axis = _axis(2.6)
    axis.hist(np.ravel(values), bins=40)
    axis.set(xlabel=xlabel, yticks=[])
    axis.spines["left"].set_visible(False)


def windows(pixels: NDArray[Any], rows: NDArray[Any], marked: int) -> None:
    """Draw the windows of an image of numbers (height, width), and each laid out as a row.

    The number `marked` is darker, wherever it is. All windows are squares, and move by one pixel.
    """
    from matplotlib import pyplot as plt
    from matplotlib.patches import Rectangle

    side = isqrt(rows.shape[1])
    across = pixels.shape[1] - side + 1
    ratios = (pixels.shape[1], rows.shape[1])
    _, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.2), width_ratios=ratios)
    _grid(left, pixels, ["none"] * len(pixels), marked)
    _grid(right, rows, [f"C{place}" for place in range(len(rows))], marked)
    for place in range(len(rows)):
        corner = np.array([place % across, place // across]) + 0.07 * place - 0.1
        frame = Rectangle(tuple(corner), side, side, fill=False, ec=f"C{place}", lw=2)
        left.add_patch(frame)
    left.set_title(f"{len(rows)} places")
    right.set_title("each as a row")


def _grid(axis: Axes, numbers: NDArray[Any], colours: list[str], marked: int) -> None:
    """Numbers in squares, each row in a colour."""
    from matplotlib.patches import Rectangle

    for (i, j), number in np.ndenumerate(numbers):
        strength = 0.5 if number == marked else 0.15
        fill = (colours[i], strength) if colours[i] != "none" else ("gray", (number == marked) / 2)
        axis.add_patch(Rectangle((j, i), 1, 1, facecolor=fill, edgecolor="gray", lw=0.6))
        axis.text(j + 0.5, i + 0.5, str(number), ha="center", va="center")
    height, width = numbers.shape
    axis.set(xlim=(-0.2, width + 0.2), ylim=(height + 0.2, -0.2), aspect="equal")
    axis.axis("off")


def _axis(height: float) -> Axes:
    """The axes of a new plot, with lines at the left and at the bottom only."""
    from matplotlib import pyplot as plt

    _, axis = plt.subplots(figsize=(WIDTH, height))
    axis.spines[["top", "right"]].set_visible(False)
    return axis


def _square(picture: NDArray[Any]) -> NDArray[Any]:
    """An image; a row of pixels is one that is square."""
    return picture if picture.ndim > 1 else picture.reshape(isqrt(picture.size), -1)
