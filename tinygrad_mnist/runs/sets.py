"""The images of a run: MNIST's, or those of your own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygrad_mnist.data import (
    DataError,
    Dataset,
    load_dataset,
    load_mnist,
    load_mnist_test,
    refuse_overlap,
)
from tinygrad_mnist.data.dataset import MNIST_SHAPE, is_of_digits
from tinygrad_mnist.runs.checkpoint import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tinygrad_mnist.data.dataset import Kind

MNIST = Path("mnist")
"""The word in place of a file name that means MNIST's test images."""


class Sets(NamedTuple):
    """The training set and the test set."""

    train: Dataset
    test: Dataset
    files: dict[str, str]  # the files that replace MNIST's, by the name of the option


def own_sets(
    data: Path | None = None,
    labels: Path | None = None,
    test_data: Path | None = None,
    test_labels: Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    shape: tuple[int, int] | None = None,
    like: Kind | None = None,
) -> Sets:
    """Read the training and test files, as `tinygrad_mnist.data.load_dataset` does.

    Without `data`, the training set is MNIST's. A network for other images is never tested with
    MNIST's labels, so `data` needs `test_data`.

    Parameters
    ----------
    data, labels, test_data, test_labels : Path, optional
        Images and their labels. ``Path("mnist")`` as `test_data` means MNIST's test images.
    classes, shape : optional
        Names of the classes, rows and columns of the images, as for `load_dataset`.
    like : optional
        The kind of the images, if a run that continues knows it.

    Raises
    ------
    DataError
        If a file is not valid, a test image is a training image, or there is no test set.
    """
    if data and not test_data:
        raise DataError(
            f"{data}: nothing to test on. Name other images like these: --test-data FILE. "
            "If they are digits like MNIST's, --test-data mnist tests on MNIST's."
        )
    names = like.classes if like else classes
    mnist = None if data else Dataset.of(*load_mnist(None))
    train = mnist or load_dataset(data or MNIST, labels, classes=names, shape=shape, like=like)
    test = set_to_judge(train, test_data, test_labels, names)
    refuse_overlap(train.images, test.images)
    files = {"data": data, "labels": labels, "test_data": test_data, "test_labels": test_labels}
    named = {name: str(path) for name, path in files.items() if path}
    return Sets(train, test, named)


def set_to_judge(
    kind: Kind,
    data: Path | None = None,
    labels: Path | None = None,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """Images to test a network on, of the kind that it was trained on.

    Parameters
    ----------
    kind : Dataset or About
        The kind of images it was trained on.
    data, labels : Path, optional
        The files; MNIST's test images if not given, or if `data` is ``Path("mnist")``.
    classes : sequence of str, optional
        Names that its classes were given by hand, which replace those in the file.

    Raises
    ------
    DataError
        If the images are not of that kind.
    """
    if data and data != MNIST:
        return load_dataset(data, labels, part="test", classes=classes, like=kind)
    if labels:
        raise DataError(f"MNIST's test images have labels of their own. Leave out {labels}.")
    if not is_of_digits(kind):
        theirs, ours = (" x ".join(map(str, shape)) for shape in (MNIST_SHAPE, kind.shape))
        raise DataError(
            f"MNIST's test images are digits from 0 to 9 in {theirs} pixels, but those trained on "
            f"are in {len(kind.classes)} classes from {kind.classes[0]} to {kind.classes[-1]} and "
            f"have {ours} pixels. Name a file of such images."
        )
    return Dataset.of(*load_mnist_test(None))


def found_again(files: Mapping[str, str], folder: str) -> dict[str, Any]:
    """The files of a run that was started in a folder, by the name of their option."""
    return {
        name: MNIST if (name, file) == ("test_data", str(MNIST)) else Path(folder) / file
        for name, file in files.items()
    }


def training_set(sets: Sets | None) -> Dataset:
    """The training set: the given one, or MNIST's."""
    return sets.train if sets else Dataset.of(*load_mnist(None))


def test_set(sets: Sets | None) -> Dataset:
    """The test set: the given one, or MNIST's."""
    return sets.test if sets else Dataset.of(*load_mnist_test(None))


def fingerprint(sets: Sets) -> str:
    """SHA-256 of the training set."""
    return f"{digest(sets.train.images)} {digest(sets.train.labels)}"
