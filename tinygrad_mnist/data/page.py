"""Read a picture with digits as a page: where each digit is, and what makes it hard to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tinygrad_mnist.data.errors import DataError
from tinygrad_mnist.data.images import SIDE, decode, ink_of, like_mnist, refuse_large, to_grey
from tinygrad_mnist.data.marks import marks, one_mark
from tinygrad_mnist.data.morphology import grown, parts, pen_width
from tinygrad_mnist.data.paper import LONGEST, Flat, flatten, shrunk
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tinygrad_mnist.data.marks import Mark
    from tinygrad_mnist.data.morphology import Mask

SHOWN = 1024
"""The longer side, in pixels, of the picture that is kept to be shown."""
SMALLEST_OF_A_PHOTOGRAPH = 0.03
"""The size of the smallest digit, as a fraction of the longer side of the photograph."""
MARGIN = 3
"""The width of the paper around a digit that is cut out, in pixels."""
FAINT = 0.35
"""Ink of lower contrast is reported as faint."""
THIN, THICK, SOLID = 0.06, 0.28, 0.5
"""The width of the pen divided by the longer side of the digit. In MNIST it is 0.13, and
0.08 to 0.27 in 98 of 100 images."""
WIDE = 1.5
"""The width of a digit divided by its height."""


class Digit(NamedTuple):
    """One digit of a page.

    Attributes
    ----------
    image : ndarray of uint8, (784,)
        An image like MNIST's, as `like_mnist` returns it.
    box : (int, int, int, int)
        Left, top, width and height in pixels of the upright picture.
    hints : tuple of str
        How it differs from the digits of MNIST, one sentence each.
    """

    image: NDArray[np.uint8]
    box: tuple[int, int, int, int]
    hints: tuple[str, ...]


class Page(NamedTuple):
    """A picture and the digits on it.

    Attributes
    ----------
    digits : tuple of Digit
        At least one: row by row, each from left to right.
    hints : tuple of str
        What may be wrong with the picture as a whole, one sentence each.
    picture : ndarray of uint8, (rows, columns, 3)
        Red, green and blue, upright, scaled down if it was large.
    scale : float
        The size of a pixel of the boxes in pixels of `picture`.
    """

    digits: tuple[Digit, ...]
    hints: tuple[str, ...]
    picture: NDArray[np.uint8]
    scale: float


def read_digits(content: bytes, name: str) -> list[Digit]:
    """The digits of a PNG or JPEG picture with their boxes, without the rest of `read_page`."""
    return list(read_page(content, name).digits)


def read_page(content: bytes, name: str) -> Page:
    """Find the digits on a photograph or a drawing, and what may make them hard to read.

    `flatten` separates ink from paper. Connected ink is a mark. A flat mark close to a taller one
    belongs to it, like the bar of a 5. A mark that is much smaller than the largest one is a speck
    and is left out. Digits that touch each other are not separated.

    A clean picture of a single digit gives the same image as `read_images`, and so does every
    clean picture of 28x28 pixels.

    Parameters
    ----------
    content : bytes
        A PNG or JPEG file.
    name : str
        Its name in error messages.

    Raises
    ------
    DataError
        If it is another kind of file, damaged, too large, shows nothing as large as a digit, or
        has more than `tinygrad_mnist.data.marks.MOST_MARKS` marks.
    """
    refuse_large(content, name)
    try:
        return _page(decode(content))
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _page(rgba: NDArray[np.uint8]) -> Page:
    grey = to_grey(rgba)
    flat = flatten(grey)
    clean = flat.grey is grey
    ink = ink_of(_with_ink(flat))
    numbers, boxes = parts(3 * ink.astype(np.int16) >= ink.max())
    if clean and grey.shape == (SIDE, SIDE):
        found = [one_mark(boxes)]
    else:
        found = marks(boxes, 0 if clean else SMALLEST_OF_A_PHOTOGRAPH * max(ink.shape))
    if not found:
        raise DataError(_nothing("only specks of ink, none as large as a digit", flat))
    specks = len(boxes) - sum(len(mark.parts) for mark in found)
    whole = clean and len(found) == 1 and not specks
    digits = []
    for mark in found:
        image = like_mnist(grey if whole else _cut_out(ink, numbers, mark))
        hints = _hints_of_digit(mark, np.isin(numbers[mark.box], mark.parts))
        digits.append(Digit(image.ravel(), _in_the_picture(mark, grey.shape), tuple(hints)))
    picture = _colours(rgba, grey)
    hints = _hints_of_page(flat, len(found), specks)
    return Page(tuple(digits), tuple(hints), picture, picture.shape[1] / grey.shape[1])


def _with_ink(flat: Flat) -> NDArray[np.uint8]:
    """The ink of a flat picture; raises a DataError if there is none."""
    small = shrunk(flat.grey, LONGEST)
    if not flat.contrast and small.min() == 255:
        raise DataError(_nothing("nothing on it stands out from the paper like ink", flat))
    return small


def _nothing(why: str, flat: Flat) -> str:
    cut = " What touches the edge of the picture was left out." if flat.cut else ""
    return f"no digit to be seen: {why}.{cut} Is the whole digit on the picture, large and sharp?"


def _cut_out(ink: NDArray[np.uint8], numbers: NDArray[np.int32], mark: Mark) -> NDArray[np.uint8]:
    """A digit alone on white paper, with its soft edges."""
    own = np.pad(np.isin(numbers[mark.box], mark.parts), MARGIN)
    around = tuple(slice(s.start, s.stop + 2 * MARGIN) for s in mark.box)
    return 255 - np.where(grown(own, 2), np.pad(ink, MARGIN)[around], 0).astype(np.uint8)


def _in_the_picture(mark: Mark, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, width and height of a mark in the picture of that shape, before scaling."""
    factor = -(-max(shape) // LONGEST)
    (top, bottom), (left, right) = (
        (s.start * factor, min(s.stop * factor, n)) for s, n in zip(mark.box, shape, strict=True)
    )
    return left, top, right - left, bottom - top


def _colours(rgba: NDArray[np.uint8], grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Red, green and blue, scaled down; for a transparent picture, its brightness on paper."""
    opaque = rgba[..., 3].min() == 255
    planes = [rgba[..., colour] if opaque else grey for colour in range(3)]
    return np.stack([shrunk(plane, SHOWN) for plane in planes], axis=-1)


def _hints_of_page(flat: Flat, digits: int, specks: int) -> Iterator[str]:
    if flat.contrast < FAINT:
        yield (
            f"The ink is faint: it swallows {100 * flat.contrast:.0f} % of the light. "
            "Use a darker pen."
        )
    if flat.cut:
        yield (
            "Something as thick as the pen runs over the edge of the picture. "
            "If it is a digit, leave paper all around it."
        )
    if digits > 1:
        yield f"There are {digits} marks. If it is one digit, its strokes do not meet."
    if specks:
        yield f"{counted(specks, 'small mark')} beside the digits left out."


def _hints_of_digit(mark: Mark, strokes: Mask) -> Iterator[str]:
    """Hints from measures of one digit's strokes, compared with MNIST."""
    pen = pen_width(strokes) / mark.size
    if pen > SOLID:
        yield "It is a blot rather than strokes: it is nearly as wide everywhere as it is long."
    elif pen > THICK:
        yield f"Its strokes are thick: {100 * pen:.0f} % of its size, in MNIST about 13 %."
    if pen < THIN:
        yield f"Its strokes are thin: {100 * pen:.0f} % of its size, in MNIST about 13 %."
    if mark.width > WIDE * mark.height:
        yield f"It is {mark.width / mark.height:.1f} times as wide as high. Do two digits touch?"
