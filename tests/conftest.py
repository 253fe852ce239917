"""For every test: in place of the pictures of a run, a sum of what they would show."""

import hashlib
import json
import os

import pytest

from tinygrad_mnist import data
from tinygrad_mnist.evaluation import figures
from tinygrad_mnist.evaluation.subject import MNIST

NAMES = ("curves", "confusion", "reliability", "mistakes", "saliency", "first_layer")
DRAW = figures.draw


def fingerprints(model, how, history, metrics, test, subject=MNIST):
    """In place of each picture, a sum of all that it would be drawn from, but for wall times."""
    rows = [{**row, "seconds": 0} for row in history]
    said = json.dumps(
        [how, rows, {**metrics, "training_seconds": 0}, subject], sort_keys=True, default=str
    )
    found = hashlib.sha256(said.encode())
    for array in (*(p.data for p in model.parameters()), *test):
        found.update(array.tobytes())
    return {name: b"\x89PNG\r\n\x1a\n" + found.digest() for name in NAMES}


@pytest.fixture(scope="session")
def mnist():
    """The training images of MNIST, as bytes, and their labels; read once."""
    images, labels = data.load_mnist(None)
    for array in (images, labels):
        array.flags.writeable = False
    return images, labels


@pytest.fixture(autouse=True, scope="session")
def nothing_is_drawn():
    """Runs keep sums in place of pictures: to draw six takes longer than a small training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "draw", fingerprints)
        yield


@pytest.fixture
def drawn():
    """Runs draw their pictures, as they do for people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "draw", DRAW)
        yield


@pytest.fixture
def small_runs(mnist, tmp_path, monkeypatch):
    """An empty folder in which runs see 120 images, draw nothing, and do not wait for the disk."""
    images, labels = mnist
    few = images[:120].copy(), labels[:120].copy()
    test = [part[:30] for part in data.load_mnist_test(None)]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist", lambda how: few)
    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist_test", lambda how: test)
    monkeypatch.setattr(figures, "draw", lambda *_: {"curves": b"PNG"})
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return few
