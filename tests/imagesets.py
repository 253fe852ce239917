"""Small sets of images that are no digits: one pattern per class, moved and noisy, soon learnt."""

import gzip
import struct

import numpy as np


def patterns(classes, shape, count, seed=0):
    """Images (count, rows, columns) of bytes, and the position (count,) of the class of each.

    Each class has a few bright blobs at places of its own; an image shows them a pixel aside, in
    another strength, and with noise.
    """
    rng, places = np.random.default_rng(seed), np.random.default_rng(12345)
    rows, columns = np.indices(shape)
    glyphs = np.zeros((classes, *shape))
    for glyph in glyphs:
        for _ in range(4):
            y, x = places.uniform(1, np.array(shape) - 1)
            glyph += np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * (min(shape) / 9) ** 2))
    labels = rng.permutation(np.arange(count) % classes)
    moved = [np.roll(glyphs[label], rng.integers(-1, 2, 2), (0, 1)) for label in labels]
    strength = rng.uniform(150, 220, (count, 1, 1))
    noise = rng.uniform(0, 30, (count, *shape))
    return (strength * np.minimum(moved, 1) + noise).astype(np.uint8), labels


def letters(count=1040, seed=0):
    """Images of 16 x 16 pixels in 26 classes."""
    return patterns(26, (16, 16), count, seed)


def small_digits(count=600, seed=0):
    """Images of 8 x 8 pixels in 10 classes."""
    return patterns(10, (8, 8), count, seed)


def write_idx(path, array):
    """Write bytes as an IDX file, compressed if its name says so."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_csv(path, images, labels):
    """Write lines of a label and its pixels."""
    rows = np.column_stack([labels, images.reshape(len(images), -1)])
    np.savetxt(path, rows, fmt="%d", delimiter=",")
