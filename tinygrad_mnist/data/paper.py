"""Make a photograph of paper flat: ink on white, without shadow, lines, or the table behind it.

Paper under a lamp is brighter here and darker there, so no single threshold tells ink from paper.
What does not change is how much of the light ink swallows. So we first estimate how bright the
paper would be without ink, compare each pixel with that, and only then ask what is ink.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tinygrad_mnist.data.images import SIDE
from tinygrad_mnist.data.morphology import (
    at_the_edge,
    briefly_at_the_edge,
    connected,
    grown,
    opened,
    pen_width,
    threshold,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tinygrad_mnist.data.morphology import Mask

LONGEST = 640
"""The longer side in pixels; a larger photograph is scaled down first."""
EVEN = 12
"""The outermost pixels of a clean picture may differ from the paper by this much, of 255."""
WIDEST_PEN = 0.2
"""As a fraction of the shorter side of the picture; anything wider is not a stroke."""
DOUBT = 1.3
"""Ink is white only if bright deviations from the neighbourhood exceed dark ones by this factor."""
DARKEST = 0.2
"""The darkest paper, as a fraction of the brightest; anything darker is not paper."""
FAINTEST = 0.1
"""The fraction of the light that the faintest ink swallows."""
THINNEST = 0.4
"""As a fraction of the pen's width; anything narrower is a line of the paper."""


class Flat(NamedTuple):
    """The result of `flatten`.

    Attributes
    ----------
    grey : ndarray of uint8, (rows, columns)
        Dark ink on white paper, scaled down if the picture was large; a clean picture unchanged.
    contrast : float
        The fraction of the light that the ink swallows, from 0 to 1.
    cut : bool
        Whether a stroke runs over the edge of the picture.
    """

    grey: NDArray[np.uint8]
    contrast: float
    cut: bool


def flatten(grey: NDArray[np.uint8]) -> Flat:
    """Separate the ink on a photograph from everything else: brightness, uint8, (rows, columns).

    A clean picture is not changed: its outermost pixels are all alike, up to `EVEN`, or it has
    28x28 pixels. For any other picture we ask:

    1. *How bright is the paper?* A closing, which is a maximum over a square and then a minimum,
       fills anything dark and narrower than the square. Shadows and tables are wider and stay;
       strokes disappear. Compared with this paper, ink swallows the same fraction of the light in
       the sun and in the shadow. Where almost no light comes from, there is no paper.
    2. *What is ink?* Pixels that swallow enough. We look for the threshold that separates two
       classes best (Otsu 1979), and do it twice: the second time without the parts that touch the
       edge of the picture, since a table may be darker than any ink.
    3. *What is a line of the paper?* Anything narrower than the pen. An opening, a minimum and then
       a maximum, removes it together with the thin ends of strokes. The ends come back where they
       are connected with the rest, unless a line leads from there to the edge.
    4. *What lies behind the paper?* Anything that touches the edge of the picture. It is removed,
       unless there is nothing else and it touches the edge only briefly: a digit that is cut off.

    References
    ----------
    N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on
    Systems, Man, and Cybernetics 9 (1979). P. Soille, "Morphological Image Analysis", 2nd edition
    (2003): the top-hat against uneven light in 4.5, parts that touch the border in 6.3.
    """
    if is_clean(grey):
        return Flat(grey, _contrast_of_clean(grey), cut=False)
    small = shrunk(grey, LONGEST)
    swallowed = _swallowed(small if _is_dark_on_bright(small) else 255 - small)
    strokes, cut = _strokes(swallowed)
    if not strokes.any():
        return Flat(np.full(small.shape, 255, np.uint8), 0.0, cut)
    contrast = float(np.percentile(swallowed[strokes], 90))
    soft = np.where(grown(strokes, 2), np.minimum(swallowed / contrast, 1), 0)
    return Flat((255 - 255 * soft).round().astype(np.uint8), contrast, cut)


def is_clean(grey: NDArray[np.uint8]) -> bool:
    """Whether the outermost pixels are all alike, as on a drawing, or the size is MNIST's."""
    edge = _edge(grey)
    return grey.shape == (SIDE, SIDE) or bool(np.abs(edge - np.median(edge)).max() <= EVEN)


def shrunk(picture: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """A picture scaled down by means over squares, so that no side exceeds `longest`."""
    from PIL import Image

    factor = -(-max(picture.shape[:2]) // longest)
    return np.asarray(Image.fromarray(picture).reduce(factor)) if factor > 1 else picture


def _edge(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]).astype(np.float64)


def _contrast_of_clean(grey: NDArray[np.uint8]) -> float:
    """The contrast of a clean picture; white ink on black counts as black on white."""
    paper, darkest, brightest = float(np.median(_edge(grey))), float(grey.min()), float(grey.max())
    if paper - darkest > brightest - paper:
        return 1 - darkest / paper
    return 1 - (255 - brightest) / max(255 - paper, 1)


def _is_dark_on_bright(grey: NDArray[np.uint8]) -> bool:
    """Whether most deviations from the median of the neighbourhood are dark.

    In doubt the answer is yes: chalk on a board is rarer than ink on paper.
    """
    from scipy import ndimage

    coarse = shrunk(grey, 80)
    side = max(3, round(WIDEST_PEN * min(coarse.shape)))
    differs = coarse - ndimage.median_filter(coarse, side).astype(np.float32)
    darker, brighter = (float((part**2).sum()) for part in (differs.clip(max=0), differs.clip(0)))
    return brighter <= DOUBT * darker


def _swallowed(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """For each pixel, the fraction of the light that ink swallows."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(grey.astype(np.float32), 0.0015 * max(grey.shape))
    paper = ndimage.grey_closing(smooth, max(3, round(WIDEST_PEN * min(grey.shape))))
    table = paper < DARKEST * np.percentile(paper, 95)
    return np.where(table, 0, np.clip(1 - smooth / np.maximum(paper, 1), 0, 1))


def _strokes(swallowed: NDArray[np.float32]) -> tuple[Mask, bool]:
    """Where ink is, and whether a stroke runs over the edge."""
    noise = 1.4826 * np.median(np.abs(swallowed - np.median(swallowed)))
    visible = swallowed > max(FAINTEST, 4 * noise)
    if not visible.any():
        return visible, False
    ink = swallowed > threshold(swallowed[visible])
    inside = visible & ~grown(at_the_edge(ink), 3)
    if inside.any():
        ink = swallowed > threshold(swallowed[inside])
    return _without_lines(ink)


def _without_lines(ink: Mask) -> tuple[Mask, bool]:
    """The strokes of the pen, and whether one runs over the edge."""
    inside = opened(ink, 3)
    inside &= ~at_the_edge(inside)
    side = max(2, round(THINNEST * pen_width(inside if inside.any() else ink)))
    thick = opened(ink, side)
    beyond = at_the_edge(thick)
    over = briefly_at_the_edge(beyond)
    kept = thick & ~beyond
    if not kept.any():
        kept = over
    apart = connected(ink & ~at_the_edge(ink), kept)
    return apart | (ink & grown(kept, 1 + side // 4)), bool(over.any())
