"""Which images a run is on: MNIST's, or those of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tinygrad_mnist.data import Dataset, load, load_mnist, load_mnist_test, refuse_overlap
from tinygrad_mnist.runs.checkpoint import digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Sets(NamedTuple):
    """What to train and to test on."""

    train: Dataset
    test: Dataset
    files: dict[str, str]  # what replaces MNIST's, by the name of the option


def own_sets(
    data: Path | None = None,
    labels: Path | None = None,
    test_data: Path | None = None,
    test_labels: Path | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> Sets:
    """Read the files to train on and those to test on, as `tinygrad_mnist.data.load` does.

    MNIST is in place of images not given; its test images are read here only to see that none is
    trained on.

    Raises
    ------
    DataError
        If a file is not what it should be, or a test image is a training image.
    """
    train_set = load(data, labels) if data else load_mnist(None)
    test_set = load(test_data, test_labels, part="test") if test_data else load_mnist_test(None)
    refuse_overlap(train_set[0], test_set[0])
    files = {"data": data, "labels": labels, "test_data": test_data, "test_labels": test_labels}
    named = {name: str(path) for name, path in files.items() if path}
    return Sets(Dataset.of(*train_set), Dataset.of(*test_set), named)


def training_set(sets: Sets | None) -> Dataset:
    """What to train on: what is given, or MNIST."""
    return sets.train if sets else Dataset.of(*load_mnist(None))


def test_set(sets: Sets | None) -> Dataset:
    """What to test on: what is given, or MNIST's test images."""
    return sets.test if sets else Dataset.of(*load_mnist_test(None))


def fingerprint(sets: Sets) -> str:
    """SHA-256 of what is trained on."""
    return f"{digest(sets.train.images)} {digest(sets.train.labels)}"
