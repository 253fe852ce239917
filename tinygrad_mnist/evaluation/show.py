"""A picture of what the network saw: the photograph with boxes, and the image from each box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tinygrad_mnist.data.images import SIDE
from tinygrad_mnist.evaluation.figures import ORANGE, WIDTH, png
from tinygrad_mnist.evaluation.names import drawable, names_of
from tinygrad_mnist.evaluation.style import as_shipped
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tinygrad_mnist.data import Page

GAP, CAPTION, HIGHEST = 0.1, 0.45, 4.0
"""In inches: between parts, below an image for its two lines of text, and of the photograph."""
BESIDE = 6
"""If there are more images than this, they are shown below the photograph."""


class Place(NamedTuple):
    """A rectangle, in inches from the left and the top of a figure."""

    left: float
    top: float
    width: float
    height: float


@as_shipped()
def show_page(
    page: Page,
    labels: Sequence[int],
    confidence: Sequence[float],
    classes: Sequence[str] | None = None,
) -> bytes:
    """Draw a page and the images made of its digits, as the bytes of a PNG file.

    Parameters
    ----------
    page : Page
        As `tinygrad_mnist.data.read_page` returns it, with n digits.
    labels : sequence of int, length n
        The class that each digit was read as.
    confidence : sequence of float, length n
        How sure the network was of each digit, from 0 to 1.
    classes : sequence of str, optional
        The names of the classes; by default their numbers.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    from matplotlib.figure import Figure

    n = len(page.digits)
    if not len(labels) == len(confidence) == n:
        raise ValueError(
            f"{counted(n, 'digit')}, but {counted(len(labels), 'label')} and "
            f"{counted(len(confidence), 'confidence')}. "
            "Were they computed from the images of this page?"
        )
    photograph, images = _places(n, page.picture.shape[0] / page.picture.shape[1])
    below = max(photograph.top + photograph.height, images[-1].top + images[-1].height + CAPTION)
    figure = Figure((WIDTH, below + GAP))
    _draw_photograph(_axes(figure, photograph), page)
    names, families = drawable(names_of(classes, max(labels) + 1), 13)
    style: dict[str, Any] = {"ha": "center", "va": "top", "parse_math": False}
    style |= {"fontfamily": families, "fontsize": 10 if n <= BESIDE else 8}
    for i, place in enumerate(images):
        number = f"{i + 1}: " if n > 1 else ""
        sure = f"{100 * confidence[i]:.1f} %{' sure' if n <= BESIDE else ''}"
        axes = _axes(figure, place)
        axes.imshow(page.digits[i].image.reshape(SIDE, SIDE), cmap="gray", interpolation="nearest")
        caption = f"{number}{names[labels[i]]}\n{sure}"
        axes.text(0.5, -0.04, caption, transform=axes.transAxes, **style)
    return png(figure)


def _places(n: int, aspect: float) -> tuple[Place, list[Place]]:
    """The places of the photograph, of height / width `aspect`, and of the n images."""
    whole = WIDTH - 2 * GAP
    columns = 8 if n > BESIDE else min(n, 2)
    widest = min(whole if n > BESIDE else whole / 2, HIGHEST / aspect)
    photograph = Place(GAP, GAP, widest, widest * aspect)
    left, top = (GAP, widest * aspect + 2 * GAP) if n > BESIDE else (widest + 2 * GAP, GAP)
    step = (WIDTH - left) / columns
    side = min(step, 1.4) - GAP
    places = [divmod(i, columns) for i in range(n)]
    return photograph, [
        Place(left + column * step, top + row * (side + CAPTION), side, side)
        for row, column in places
    ]


def _axes(figure: Figure, place: Place) -> Axes:
    width, height = figure.get_size_inches()
    bottom = height - place.top - place.height
    axes = figure.add_axes(
        (place.left / width, bottom / height, place.width / width, place.height / height)
    )
    axes.set_axis_off()
    return axes


def _draw_photograph(axes: Axes, page: Page) -> None:
    """The picture, and a numbered box around each digit."""
    from matplotlib.patches import Rectangle

    axes.imshow(page.picture, aspect="auto")
    few = len(page.digits) <= BESIDE
    away = (0.012 if few else 0.004) * max(page.picture.shape)
    label: dict[str, Any] = {
        "color": "white",
        "backgroundcolor": ORANGE,
        "fontsize": 8 if few else 6,
    }
    for number, digit in enumerate(page.digits, 1):
        left, top, width, height = (page.scale * n for n in digit.box)
        corner, size = (left - away, top - away), (width + 2 * away, height + 2 * away)
        axes.add_patch(Rectangle(corner, *size, fill=False, color=ORANGE, lw=1.5 if few else 0.8))
        if len(page.digits) > 1:
            axes.text(*corner, str(number), ha="left", va="bottom", **label)
