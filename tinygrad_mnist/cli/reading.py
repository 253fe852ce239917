"""The input of `predict`: pictures, arrays, and test images of MNIST."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygrad_mnist.cli.app import UserFileError

if TYPE_CHECKING:
    from pathlib import Path

    from tinygrad_mnist.data import Page
    from tinygrad_mnist.runs import About


class Picture(NamedTuple):
    """A picture with digits."""

    name: str
    page: Page
    rows: slice  # of its digits among all images


class ToRead(NamedTuple):
    """The source of each image, the images, their labels if known, and the pictures they are from.

    The images are bytes (n, pixels).
    """

    sources: list[str]
    images: Any
    labels: list[int | None]
    pictures: list[Picture]


def images_to_read(files: tuple[Path, ...], test: tuple[int, ...], about: About) -> ToRead:
    """Read files, and look up test images."""
    import numpy as np

    sources: list[str] = []
    images: list[Any] = []
    pictures: list[Picture] = []
    for file in files:
        name = "standard input" if str(file) == "-" else str(file)
        content = content_of(file, name)
        found, page = images_in(content, name, about)
        if page:
            pictures.append(Picture(name, page, slice(len(sources), len(sources) + len(found))))
        sources += [name] if len(found) == 1 else several(name, len(found), page)
        images.append(found)
    labels: list[int | None] = [None] * len(sources)
    if test:
        found, truth = test_images(test, about)
        sources += [f"test {i}" for i in test]
        images.append(found)
        labels += truth
    return ToRead(sources, np.concatenate(images), labels, pictures)


def several(name: str, count: int, page: Page | None) -> list[str]:
    """The names of the images of one file: a number, or the place on a picture."""
    if page is None:
        return [f"{name}[{i}]" for i in range(count)]
    boxes = [digit.box for digit in page.digits]
    return [
        f"{name}[{i}] at {left},{top}, {width}x{height}"
        for i, (left, top, width, height) in enumerate(boxes)
    ]


def content_of(file: Path, name: str) -> bytes:
    """The bytes of a file, or of standard input if it is -."""
    from tinygrad_mnist.data import DataError
    from tinygrad_mnist.data.images import MOST_BYTES

    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as stream:
            return stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}.") from error


def images_in(content: bytes, name: str, about: About) -> tuple[Any, Page | None]:
    """Images (n, pixels), and the page that they are on, if it is a page of digits."""
    import numpy as np

    from tinygrad_mnist.data import read_images, read_page
    from tinygrad_mnist.data.dataset import is_of_digits

    if not is_of_digits(about) or content.startswith(b"\x93NUMPY"):
        return read_images(content, name, about.shape), None
    page = read_page(content, name)
    return np.stack([digit.image for digit in page.digits]), page


def test_images(positions: tuple[int, ...], about: About) -> tuple[Any, list[int]]:
    """MNIST's test images at these positions, and their labels."""
    from tinygrad_mnist.data import load_mnist_test

    if not about.on_mnist:
        raise UserFileError(
            "--test reads MNIST's test images, but this network was trained on "
            f"{about.files['data']}. Name files of such images."
        )
    every, truth = load_mnist_test(None)
    for i in positions:
        if not 0 <= i < len(every):
            raise UserFileError(
                f"There is no test image {i}: they are numbered from 0 to {len(every) - 1}."
            )
    return every[list(positions)], truth[list(positions)].tolist()
