"""Damaged and hostile files: read as they are or refused in one sentence, at the cost of little memory; nothing in them is run."""

import ast
import csv
import gzip
import hashlib
import io
import json
import pickle
import random
import sqlite3
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tinygrad_mnist
from tinygrad_mnist import byhand, cli, data, export, nn
from tinygrad_mnist.data import images as images_module
from tinygrad_mnist.data import mnist, stream
from tinygrad_mnist.store import PredictionLog, StoreError

MEMORY = 64 << 20
"""Bytes that reading a small file may take."""

# ---------------------------------------------------------------- small valid files


def bytes_of(write, *arguments, **options):
    """What a function writes to a file that it is given."""
    file = io.BytesIO()
    write(file, *arguments, **options)
    return file.getvalue()


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def text(images, labels):
    return "".join(",".join(map(str, [label, *image])) + "\n" for label, image in zip(labels, images.tolist(), strict=True))


def picture(form):
    return bytes_of(lambda file: Image.fromarray(np.pad(STROKES, 4)).save(file, form))


def log_of_three(tmp):
    """An SQLite log with small pages, so that there are few bytes to change."""
    path = tmp / "log"
    db = sqlite3.connect(path)
    db.execute("PRAGMA page_size = 512")
    db.execute("VACUUM")
    db.close()
    with PredictionLog(path, create=True) as log:
        probabilities = np.random.default_rng(0).dirichlet(np.ones(10), 3).astype(np.float32)
        log.add("run", {"lr": 0.1}, "abc", ["a.png", "b.png", "test 7"], np.tile(IMAGE, (3, 1)), probabilities, [None, 3, 4])
    content = path.read_bytes()
    path.unlink()
    return content


STROKES = np.zeros((20, 9), np.uint8)
STROKES[:3], STROKES[:, 6:] = 200, 255
IMAGE = np.pad(STROKES, ((4, 4), (10, 9))).reshape(784)
IMAGES, LABELS = np.stack([IMAGE, IMAGE[::-1]]), np.array([7, 2])
MODEL = nn.MLP((3, 2), rng=np.random.default_rng(0))


class Reader(NamedTuple):
    """How a format is read, and what may come of it if a byte has changed."""

    content: bytes | Callable[[Path], bytes]
    read: Callable[[Path], Any]
    error: type[Exception] = data.DataError
    sealed: bool = False
    """Whether the format has a checksum. Without one, another pixel, weight or name is as good as the right one."""


READERS = {
    "idx": Reader(idx(IMAGES.reshape(-1, 28, 28)), lambda path: data.read_idx(path, 3)),
    "idx.gz": Reader(gzip.compress(idx(LABELS.astype(np.uint8))), lambda path: data.read_idx(path, 1), sealed=True),
    "csv.gz": Reader(gzip.compress(text(IMAGES, LABELS).encode()), data.load, sealed=True),
    "npz": Reader(bytes_of(np.savez_compressed, images=IMAGES, labels=LABELS), data.load, sealed=True),
    "npz, not compressed": Reader(bytes_of(np.savez, x_train=IMAGES[:1], y_train=LABELS[:1]), data.load, sealed=True),
    "npz weights": Reader(bytes_of(lambda file: export.write_npz(MODEL, file)), lambda path: state(export.read_npz(path)), sealed=True),
    "npz weights on paper": Reader(
        bytes_of(lambda file: export.write_npz(MODEL, file)), lambda path: byhand.MLP.load(path).params, ValueError, sealed=True
    ),
    "safetensors": Reader(
        bytes_of(lambda file: export.write_safetensors(MODEL, file, {"recipe": {"lr": 0.1}})), lambda path: export.read_safetensors(path)
    ),
    "npy": Reader(bytes_of(np.save, IMAGE), lambda path: data.read_images(path.read_bytes(), str(path))),
    "png": Reader(picture("PNG"), lambda path: data.read_images(path.read_bytes(), str(path)), sealed=True),
    "jpeg": Reader(picture("JPEG"), lambda path: data.read_images(path.read_bytes(), str(path))),
    "log": Reader(log_of_three, lambda path: logged(path), StoreError),
}


def state(model):
    return {name: t.data for name, t in model.state_dict().items()}


def logged(path):
    with PredictionLog(path) as log:
        return list(log.predictions())


def fingerprint(value):
    """A value with its arrays, such that equal ones are equal."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (list, tuple)):
        return [fingerprint(one) for one in value]
    if isinstance(value, dict):
        return {name: fingerprint(one) for name, one in value.items()}
    return value


def outcome(reader, path, content):
    """Read a file of this content: what is in it, or None if it was refused in the way that it should be."""
    path.write_bytes(content)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            found = fingerprint(reader.read(path))
        except reader.error as error:
            found = None
            assert type(error) is reader.error
            assert_kind(str(error), path)
    assert tracemalloc.get_traced_memory()[1] - before < MEMORY
    assert warned == []
    assert path.read_bytes() == content
    return found


def assert_kind(message, path):
    """Names the file, and a cause that fits on two lines of a terminal and holds nothing that it would obey."""
    said = message.replace(str(path), "FILE")
    assert "FILE" in said
    assert said.isprintable()
    assert 8 < len(said) < 300


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


SOME_AND_ALL = [150, pytest.param(None, marks=pytest.mark.slow)]


def places(content, some):
    """All positions in a file, or so many of them."""
    return sorted(random.Random(0).sample(range(len(content)), min(some or len(content), len(content))))


@pytest.fixture(params=READERS)
def reader(request, tmp_path):
    chosen = READERS[request.param]
    return chosen if isinstance(chosen.content, bytes) else chosen._replace(content=chosen.content(tmp_path))


# ---------------------------------------------------------------- every byte, every length


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("some", SOME_AND_ALL)
def test_a_changed_byte_is_noticed_or_gives_what_might_as_well_be_true(reader, tmp_path, some):
    path = tmp_path / "file"
    right = outcome(reader, path, reader.content)
    assert right is not None
    for place in places(reader.content, some):
        for flip in (0xFF, 0x01) if some else (0xFF, 0x01, 0x02, 0x20, 0x80):
            changed = bytearray(reader.content)
            changed[place] ^= flip
            found = outcome(reader, path, bytes(changed))
            assert not reader.sealed or found in (None, right), f"byte {place} ^ {flip}"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("some", SOME_AND_ALL)
def test_a_file_cut_short_is_never_taken_for_a_whole_one(reader, tmp_path, some):
    path = tmp_path / "file"
    right = outcome(reader, path, reader.content)
    for length in places(reader.content, some):
        assert outcome(reader, path, reader.content[:length]) in (None, right), f"{length} bytes"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
