"""Files that can be read but look wrong: they are refused, or named in a warning."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.data.dataset import DIGITS, MNIST_SHAPE, shape_of
from tinygrad_mnist.data.errors import DataError, DataWarning
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tinygrad_mnist.data.dataset import Dataset

BRIGHT, DARK = 0.6, 0.5
"""Fractions of white: a mean above BRIGHT is paper, not ink; a maximum below DARK is not white.

The mean of MNIST is 0.13, and 0.87 with ink and paper exchanged.
"""
MIXED = 0.05
"""A file seems to mix two scales if this fraction of its images is 255 times darker than white."""
LABELS = ("label", "labels", "class", "target", "digit", "y")
"""Names in a header for the column of the labels."""
NO_LABELS = ("", "id", "index", "unnamed: 0")
"""Names in a header for the column of row numbers."""
MANY = 100
"""Without a header, a last column with numbers from this one on does not count as labels."""
SAY_SHAPE = "For images that are not square, say rows and columns: --shape 8,16."
OTHER_FORMATS = {
    b"\x93N": "an npy file, which holds one array and so no labels. Keep both in one file with "
    "np.savez('mine.npz', images=images, labels=labels)",
    b"\x89P": "a PNG picture. `tinygrad-mnist predict` reads pictures; "
    "to train, collect them in an npz or CSV file with their labels",
    b"\xff\xd8": "a JPEG picture. `tinygrad-mnist predict` reads pictures; "
    "to train, collect them in an npz or CSV file with their labels",
}
"""First bytes of a file -> a description of its format."""


def refuse_other_formats(path: Path, start: bytes) -> None:
    """Raise a DataError if the first two bytes show a known format that we cannot train on."""
    if start in OTHER_FORMATS:
        raise DataError(f"{path}: {OTHER_FORMATS[start]}.")


def check_images(path: Path, data: Dataset, part: str) -> None:
    """Check images and labels for what a person would notice at once.

    Parameters
    ----------
    path : Path
        The name of their file in messages.
    data : Dataset
        Its images are uint8 from 0 to 255 or float32 from 0 to 1.
    part : {"train", "test"}
        Their purpose: a test may be on one class only, a training may not.

    Raises
    ------
    DataError
        If all pixels are equal, or all labels of a training set.

    Warns
    -----
    DataWarning
        If ink and paper of digits look exchanged, if the scale looks wrong or mixed, or if some
        images are blank.
    """
    images, labels = data.images, data.labels
    if images.min() == images.max():
        raise DataError(
            f"{path}: all pixels of all images are {images.flat[0]}: nothing to be seen. "
            "Was the file written before the images were filled in?"
        )
    if len(labels) > 1 and (labels == labels[0]).all():
        message = (
            f"{path}: all {len(labels)} labels are {labels[0] + data.first}, so there is nothing "
            "to tell apart. Is the column of the labels another one?"
        )
        if part == "train":
            raise DataError(message)
        warnings.warn(message, DataWarning, stacklevel=4)
    blank = images.min(axis=1) == images.max(axis=1)
    if blank.any():
        warnings.warn(
            f"{path}: {counted(int(blank.sum()), 'image')} of {len(images)} with nothing on it, "
            f"all pixels alike, the first of them number {blank.argmax() + 1}. Leave them out?",
            DataWarning,
            stacklevel=4,
        )
    if data.shape == MNIST_SHAPE and data.classes == DIGITS:
        warn_of_exchanged_ink(str(path), images, stacklevel=5)
    warn_of_another_scale(path, images)
    warn_of_mixed_scales(str(path), images, stacklevel=5)


def warn_of_unused_labels(path: Path, data: Dataset) -> None:
    """Warn if classes have no image, which may come from a mistyped label."""
    unused = np.setdiff1d(np.arange(len(data.classes)), data.labels)
    if data.classes != DIGITS and len(unused):
        few = ", ".join(data.classes[i] for i in unused[:5]) + ", ..." * (len(unused) > 5)
        warnings.warn(
            f"{path}: no image for {len(unused)} of the {len(data.classes)} classes: {few}. "
            "Is one of the labels wrong?",
            DataWarning,
            stacklevel=4,
        )


def warn_of_exchanged_ink(name: str, images: NDArray[Any], stacklevel: int) -> None:
    """Warn if images are mostly bright, like dark digits on white paper."""
    white = 255 if images.dtype == np.uint8 else 1
    mean = float(images.mean(dtype=np.float64)) / white
    if mean > BRIGHT:
        warnings.warn(
            f"{name}: the mean pixel is {100 * mean:.0f} % of white, that of MNIST 13 %. Are the "
            f"digits dark on white? MNIST is white on black: exchange them with {white} - images.",
            DataWarning,
            stacklevel=stacklevel,
        )


def warn_of_another_scale(path: Path, images: NDArray[Any]) -> None:
    """Warn if no pixel is half as bright as white."""
    white = 255 if images.dtype == np.uint8 else 1
    largest = images.max()
    if largest < DARK * white:
        warnings.warn(
            f"{path}: the brightest pixel is {largest:.4g}, where white is {white}. Were the "
            f"pixels counted from 0 to {largest:.4g}, or divided twice? Then scale them "
            f"to {white}.",
            DataWarning,
            stacklevel=5,
        )


def warn_of_mixed_scales(name: str, images: NDArray[Any], stacklevel: int) -> None:
    """Warn if many images reach no more than 1/255 of white, and others go far beyond."""
    white = 255 if images.dtype == np.uint8 else 1
    brightest = images.max(axis=1)
    dark = (brightest > 0) & (brightest <= white / 255)
    if dark.mean() >= MIXED and brightest.max() >= DARK * white:
        warnings.warn(
            f"{name}: in {counted(int(dark.sum()), 'image')} of {len(images)}, the first of them "
            f"number {dark.argmax() + 1}, no pixel exceeds 1/255 of white. Were pixels from 0 to 1 "
            "put together with pixels from 0 to 255? Bring all to one scale.",
            DataWarning,
            stacklevel=stacklevel,
        )


# ---------------------------------------------------------------- the columns of a CSV file


def label_column(path: Path, header: list[str] | None) -> int:
    """The column of the labels among pixels: the one that the header names, or the first.

    Raises
    ------
    DataError
        If the header names no label column, and its first column is a pixel or a row number.
    """
    names = [name.strip(" \"'").lower() for name in header or ()]
    for column, name in enumerate(names):
        if name in LABELS:
            return column
    if not names:
        return 0
    first, second, *_, last = kinds = [re.sub(r"\d+", "#", name) for name in names]
    pixels = first == second and first != "#"
    named = re.search(r"pix|^px?\W?#|^#x#$", first)
    if names[0] in NO_LABELS or (pixels and (named or last not in kinds[:-1])):
        raise DataError(
            f"{path}: the header calls no column a label, and the first of its {len(names)} "
            f"{names[0][:20]!r}. Call the column of the labels 'label'."
        )
    return 0


def refuse_label_among_pixels(path: Path, header: list[str]) -> None:
    """Refuse a header with a label column where all columns should be pixels."""
    for column, name in enumerate(header):
        if name.strip(" \"'").lower() in LABELS[:-1]:
            raise DataError(
                f"{path}: the header calls column {column + 1} {name.strip()[:20]!r}, which leaves "
                f"{len(header) - 1} pixels, expected {len(header)}. Was a column of pixels lost?"
            )


def refuse_labels_at_the_end(path: Path, rows: NDArray[Any]) -> None:
    """Refuse a file without a header whose last column, not the first, looks like labels.

    In most files the pixels in the corners of the images are alike; labels are not.
    """
    first, last = rows[:, 0], rows[:, -1]
    classes = last.max() < MANY and (last == last.astype(int)).all()
    if (first == first[0]).all() and classes and (last != last[0]).any():
        raise DataError(
            f"{path}: column 1 is {first[0]:.0f} in all {len(rows)} lines, and column "
            f"{rows.shape[1]} has different whole numbers. Are the labels last? Move them to the "
            "front, or add a header that calls their column 'label'."
        )


# ---------------------------------------------------------------- what was expected


def expected_columns(cells: list[str], shape: tuple[int, int] | None) -> str:
    """The expected number of cells per line, with a guess at what the line is instead."""
    width = len(cells)
    if shape is None:
        expected = "expected a square number (pixels) or one more (a label and pixels)"
        way_out = f" {SAY_SHAPE}"
    else:
        pixels = shape[0] * shape[1]
        expected = f"expected {pixels} (pixels) or {pixels + 1} (a label and pixels)"
        way_out = ""
    if shape_of((width - len(DIGITS),), shape):
        way_out = " Are the labels one-hot, ten columns? Save the position of the 1 instead."
    elif shape_of((width - 2,), shape):
        way_out = " Is one of them a row number? Leave it out (pandas: index=False)."
    return f"{expected}. It starts with {','.join(cells)[:20]!r}.{way_out}"


def expected_label(cells: list[str]) -> str:
    """The expected form of a line of labels, with a guess at what the line is instead."""
    one_hot = {cell.strip() for cell in cells} <= {"0", "1", "0.0", "1.0"}
    hint = " Are the labels one-hot? Save the position of the 1 instead." if one_hot else ""
    return f"expected 1 (a label). It starts with {','.join(cells)[:20]!r}.{hint}"


def expected_arrays(axes: tuple[int, ...], shape: tuple[int, int] | None) -> str:
    """The expected shape of an array of images, with a guess at what the array is instead."""
    if len(axes) == 4 and axes[3] in (3, 4):
        return "expected one value per pixel. In colour? Save images[..., :3].mean(axis=3)."
    if shape is None:
        return f"expected (n, rows, columns), or (n, pixels) of square images. {SAY_SHAPE}"
    return f"expected (n, {shape[0]}, {shape[1]}) or (n, {shape[0] * shape[1]})."
