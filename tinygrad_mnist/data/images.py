"""Turn your own pictures into images like MNIST's: white ink, of the same size, centred."""

from __future__ import annotations

import io
import warnings
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.data.dataset import MNIST_SHAPE
from tinygrad_mnist.data.errors import DataError, cause
from tinygrad_mnist.data.npz import read_array
from tinygrad_mnist.data.plausible import warn_of_exchanged_ink, warn_of_mixed_scales

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

LARGEST_PICTURE = 1 << 24
"""Pictures of more pixels (4096 x 4096) are not decoded."""
LONGEST_SIDE = 1 << 14
"""Nor are pictures with a longer side: a panorama is not a page, and long rows take memory too."""
FORMATS = ("PNG", "JPEG")
MOST_BYTES = 1 << 28
"""Larger files are not read."""
BLOCK = 1 << 18
"""The number of values computed at a time."""
SIDE, BOX, MIDDLE = 28, 20, 14
"""The side of an image, of the digit in it, and the row and column of its centre of mass."""


def read_images(
    content: bytes, name: str, shape: tuple[int, int] = MNIST_SHAPE
) -> NDArray[np.uint8]:
    """Images from the content of a PNG, JPEG or npy file, told apart by the first bytes.

    Parameters
    ----------
    content : bytes
        A picture, or an array of images that are already like those trained on: (pixels,) or
        (rows, columns) for one, (n, pixels) or (n, rows, columns) for several, in bytes, other
        numbers from 0 to 255, or from 0 to 1.
    name : str
        Its name in error messages.
    shape : tuple of int, optional
        Rows and columns of the images. A picture of one digit becomes an image of MNIST's shape by
        `like_mnist`, one of any other shape by `scaled`.

    Returns
    -------
    ndarray of uint8, (n, pixels)

    Raises
    ------
    DataError
        If it is none of these, damaged, too large, or blank.
    """
    refuse_large(content, name)
    if content.startswith(b"\x93NUMPY"):
        return _from_array(content, name, shape)
    try:
        grey = to_grey(decode(content))
        image = like_mnist(grey) if shape == MNIST_SHAPE else scaled(grey, shape)
        return image.reshape(1, -1)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def refuse_large(content: bytes, name: str) -> None:
    """Raise a DataError if the content of a file is more than `MOST_BYTES`."""
    if len(content) > MOST_BYTES:
        raise DataError(f"{name}: more than {MOST_BYTES:,} bytes, which are too many.")


def scaled(grey: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture in another size; each new pixel is the mean of the old pixels that it covers.

    Nothing else is changed: white stays white, and the sides may change by different factors.

    Raises
    ------
    DataError
        If all pixels are alike.
    """
    from PIL import Image

    if grey.min() == grey.max():
        raise DataError("all pixels are alike: nothing to be seen.")
    return np.asarray(Image.fromarray(grey).resize(shape[::-1], Image.Resampling.BOX))


def to_grey(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightness from 0 to 255 of a picture with transparency: (m, n, 4) -> (m, n).

    All numbers are whole, so that every language gets the same bytes; // is division rounded down.

    1. Brightness is Y = (299 R + 587 G + 114 B + 500) // 1000 (the luma of ITU-R BT.601).
    2. What is transparent shows paper: white under dark ink, that is if Σ A Y < 128 Σ A, else
       black. With it the result is (A Y + (255 - A) paper + 127) // 255.
    """
    pixels = rgba.reshape(-1, 4)
    blocks = _blocks(pixels)
    brightness, alpha = np.empty(len(pixels), np.uint8), pixels[:, 3]
    shown = 0
    for block in blocks:
        r, g, b, a = pixels[block].T.astype(np.int64)
        brightness[block] = (299 * r + 587 * g + 114 * b + 500) // 1000
        shown += int(a @ brightness[block] - 128 * a.sum())
    paper = 255 if shown < 0 else 0
    for block in blocks:
        a = alpha[block].astype(np.int64)
        brightness[block] = (a * brightness[block] + (255 - a) * paper + 127) // 255
    return brightness.reshape(rgba.shape[:2])


def _blocks(array: NDArray[Any]) -> list[slice]:
    """The rows to compute at a time: all at once, wider numbers would take too much memory."""
    rows = max(1, BLOCK // prod(array.shape[1:]))
    return [slice(start, start + rows) for start in range(0, len(array), rows)]


def like_mnist(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn a picture of one digit into an image like MNIST's: (rows, columns) -> (28, 28).

    The steps are those that its authors describe. All numbers are whole, so that every language
    gets the same bytes; // is division rounded down.

    1. Paper is the lower median of the outermost pixels, each counted once. If the darkest pixel is
       farther from it than the brightest, ink = max(paper - grey, 0), otherwise
       max(grey - paper, 0).
    2. A 28x28 picture that is already like MNIST's is kept: the pixels with ink span 20 rows or 20
       columns, and no more of either, and the centre of mass (step 5) lies on row 14 and
       column 14.
    3. Ink of less than a third of the strongest is shadow or noise and becomes 0. The box around
       the rest is cut out, m rows by n columns.
    4. The box is scaled so that its longer side is 20: m' = max(1, (40 m + l) // 2l) rows with
       l = max(m, n), and n' likewise. A new pixel (i, j) is the mean over the area that it covers,
       Σ R[i, y] ink[y, x] C[j, x] with the overlaps
       R[i, y] = max(0, min((i + 1) m, (y + 1) m') - max(i m, y m')), and C likewise, up to a
       factor, which makes the strongest ink 255: v = (510 v + s) // 2s with the largest sum s.
    5. With the sums S of the ink and M of the ink times its row, the box starts at row
       -((2M - 27S) // 2S), so that the centre of mass lies on row 14, that is in [13.5, 14.5);
       likewise for columns. If that is outside 0 ... 28 - m', it starts at the nearest row inside.

    Raises
    ------
    DataError
        If all pixels are alike.

    References
    ----------
    Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits": size-normalised to
    20x20 pixels keeping the aspect ratio, with grey levels from anti-aliasing, and the centre of
    mass at the centre of the 28x28 field. In the files that is index 14.
    """
    ink = ink_of(grey)
    if ink.shape == (SIDE, SIDE) and max(_box(ink).shape) == BOX and _is_centred(ink):
        return ink
    box = _box(np.where(ink < ink.max() / 3, 0, ink))
    longer = max(box.shape)
    rows, columns = (max(1, (2 * BOX * n + longer) // (2 * longer)) for n in box.shape)
    R, C = _overlaps(rows, box.shape[0]), _overlaps(columns, box.shape[1])
    sums = sum(R[:, i] @ box[i] for i in _blocks(box)) @ C.T  # whole, far below 2^53: exact
    strongest = int(sums.max())
    digit = ((510 * sums.astype(np.int64) + strongest) // (2 * strongest)).astype(np.uint8)
    top, left = (min(max(_start(digit, axis), 0), SIDE - digit.shape[axis]) for axis in (0, 1))
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[top : top + rows, left : left + columns] = digit
    return image


def ink_of(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How far each pixel is from the paper on the side of the ink: step 1 of `like_mnist`.

    Raises
    ------
    DataError
        If all pixels are alike.
    """
    frame = np.ones(grey.shape, bool)
    frame[1:-1, 1:-1] = False
    edge = np.sort(grey[frame])
    paper, darkest, brightest = edge[(len(edge) - 1) // 2], grey.min(), grey.max()
    if darkest == brightest:
        raise DataError("all pixels are alike: no digit to be seen.")
    if paper - darkest > brightest - paper:
        return paper - np.minimum(grey, paper)
    return np.maximum(grey, paper) - paper


def _box(ink: NDArray[Any]) -> NDArray[Any]:
    """The part between the first and the last row and column with ink."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _start(ink: NDArray[np.uint8], axis: int) -> int:
    """How far to move the ink along an axis, so that its centre of mass lies in the middle."""
    profile = ink.sum(axis=1 - axis, dtype=np.int64)
    total, moment = int(profile.sum()), int(profile @ np.arange(len(profile)))
    return -((2 * moment - (2 * MIDDLE - 1) * total) // (2 * total))


def _is_centred(ink: NDArray[np.uint8]) -> bool:
    return all(_start(ink, axis) == 0 for axis in (0, 1))


def _overlaps(new: int, old: int) -> NDArray[np.float64]:
    """How much of each old pixel each new one covers, in units of 1 / new pixels: (new, old)."""
    i, y = np.arange(new)[:, None], np.arange(old)
    overlap = np.minimum((i + 1) * old, (y + 1) * new) - np.maximum(i * old, y * new)
    return np.maximum(overlap, 0).astype(np.float64)


def decode(content: bytes) -> NDArray[np.uint8]:
    """The pixels of a PNG or JPEG file, upright: (rows, columns, 4).

    Its size is checked before anything is decoded.

    Raises
    ------
    DataError
        If it is neither, is damaged, has more pixels than `LARGEST_PICTURE`, or has a side longer
        than `LONGEST_SIDE`.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings(action="ignore"):
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                _refuse_large_picture(*picture.size)
                picture.verify()  # the checksums of PNG, which decoding alone does not check
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                ImageOps.exif_transpose(picture, in_place=True)
                return _pixels(picture)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError("neither a PNG nor a JPEG picture nor an npy array.") from error
    except Exception as error:  # on damaged files, decoders raise many kinds
        raise DataError(f"cannot be decoded: {cause(error)}.") from error


def _refuse_large_picture(width: int, height: int) -> None:
    if width * height > LARGEST_PICTURE or max(width, height) > LONGEST_SIDE:
        raise DataError(
            f"{width} x {height} pixels are too many, the limit is {LARGEST_PICTURE:,}, "
            f"and {LONGEST_SIDE:,} on a side. Scale it down."
        )


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """Red, green, blue and alpha of a picture, computed some rows at a time."""
    width, height = picture.size
    rgba = np.empty((height, width, 4), np.uint8)
    for rows in _blocks(rgba):
        part = picture.crop((0, rows.start, width, min(rows.stop, height)))
        if part.mode.startswith("I"):  # 16 bits of grey: the upper eight
            grey = (np.asarray(part) >> 8).clip(0, 255)
            rgba[rows] = np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1)
        else:
            rgba[rows] = np.asarray(part.convert("RGBA"))
    return rgba


def _from_array(content: bytes, name: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    try:
        array = read_array(f"{name}: the array", io.BytesIO(content), "buif", len(content))
    except DataError:
        raise
    except Exception as error:  # on damaged files, NumPy's reader of headers raises many kinds
        raise DataError(f"{name}: not an array of numbers, or damaged: {cause(error)}.") from error
    rows, columns = shape
    pixels = rows * columns
    image = array.shape if array.shape in ((pixels,), shape) else array.shape[1:]
    if image not in ((pixels,), shape) or not array.size:
        raise DataError(
            f"{name}: shape {array.shape}, expected {shape} or ({pixels},) for one image, "
            f"(n, {rows}, {columns}) or (n, {pixels}) for several."
        )
    images = array.reshape(-1, pixels)
    if images.dtype.kind not in "buif" or not ((images >= 0) & (images <= 255)).all():
        raise DataError(
            f"{name}: expected numbers from 0 to 255, but it has others (type {array.dtype})."
        )
    scale = 1 if images.dtype == np.uint8 or images.max() > 1 else 255
    found = np.empty(images.shape, np.uint8)
    for block in _blocks(images):
        found[block] = np.floor(images[block] * float(scale) + 0.5)
    if shape == MNIST_SHAPE:
        warn_of_exchanged_ink(name, found, stacklevel=4)
    warn_of_mixed_scales(name, found, stacklevel=4)
    return found
