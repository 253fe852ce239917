"""The data files, the IDX reader that trusts nothing, and how examples become batches."""

import contextlib
import gzip
import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist import data, evaluation
from tinygrad_mnist.data import mnist

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
# SHA-256 of the original, uncompressed files.
ORIGINALS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

# ---------------------------------------------------------------- the files in the package


@pytest.mark.parametrize("name", ORIGINALS)
def test_files_are_the_original_ones(name):
    content = gzip.decompress((mnist.FOLDER / f"{name}.gz").read_bytes())
    assert hashlib.sha256(content).hexdigest() == ORIGINALS[name]


def test_training_set():
    images, labels = data.load_mnist()
    assert (images.shape, images.dtype) == ((60_000, 784), np.float32)
    assert (labels.shape, labels.dtype) == ((60_000,), np.int64)
    assert np.bincount(labels).tolist() == TRAIN_COUNTS
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert images.mean(dtype=float) == pytest.approx(data.batches.MEAN, abs=1e-4)
    assert images.std(dtype=float) == pytest.approx(data.batches.STD, abs=1e-4)


def test_test_set():
    images, labels = data.load_mnist_test(None)
    assert (images.shape, images.dtype) == ((10_000, 784), np.uint8)
    assert np.bincount(labels).tolist() == TEST_COUNTS


def test_the_licence_notice_lies_beside_the_files():
    notice = (mnist.FOLDER / "NOTICE.md").read_text()
    assert "CC BY-SA 3.0" in notice
    assert "Yann LeCun and Corinna Cortes" in notice


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_or_missing_file_is_named(tmp_path, monkeypatch, damage):
    for path in mnist.FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    victim = tmp_path / "t10k-labels-idx1-ubyte.gz"
    victim.write_bytes(victim.read_bytes()[:-1] + b"?") if damage == "changed" else victim.unlink()
    monkeypatch.setattr(mnist, "FOLDER", tmp_path)
    message = r"t10k-labels-idx1-ubyte\.gz: (damaged|cannot be read).*Reinstall"
    with pytest.raises(data.DataError, match=message):
        data.load_mnist_test()


# ---------------------------------------------------------------- the IDX reader


def idx(array, kind=8):
    """The IDX bytes of an array."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


IMAGES = np.arange(2 * 3 * 4).reshape(2, 3, 4)
HUGE = b"\0\0\x08\3" + b"\xff" * 12


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_plain_and_compressed_files_whatever_their_name(tmp_path, pack):
    (tmp_path / "file").write_bytes(pack(idx(IMAGES)))
    np.testing.assert_array_equal(data.read_idx(tmp_path / "file", 3), IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing"),
        (b"PK\3\4 a zip file", "starts with 50 4b 03 04"),
        (b"\0\0\x08", "starts with 00 00 08"),
        (idx(IMAGES, kind=0x0D), "type 0x0d, expected unsigned bytes"),
        (idx(IMAGES[0]), "2 axes, expected 3. Were images and labels exchanged"),
        (idx(IMAGES)[:10], "ends inside the header"),
        (idx(IMAGES)[:-1], "announces 24 bytes, but 1 of them is missing"),
        (idx(IMAGES) + b"x", "more data follows the 24 bytes"),
        (HUGE, "4294967295 x 4294967295 x 4294967295 elements, which cannot be right"),
        (idx(IMAGES[:0]), "0 x 3 x 4 elements, which cannot be right"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_damaged_files_are_refused_and_named(tmp_path, content, message, pack):
    (tmp_path / "broken").write_bytes(pack(content))
    with pytest.raises(data.DataError, match=message) as caught:
        data.read_idx(tmp_path / "broken", 3)
    assert str(tmp_path / "broken") in str(caught.value)


@given(st.data())
def test_any_changed_byte_gives_the_same_shape_or_one_kind_of_error(tmp_path_factory, draw):
    path = tmp_path_factory.mktemp("idx") / "file"
    content = bytearray((gzip.compress if draw.draw(st.booleans()) else bytes)(idx(IMAGES)))
    content[draw.draw(st.integers(0, len(content) - 1))] ^= draw.draw(st.integers(1, 255))
    path.write_bytes(content)
    with contextlib.suppress(data.DataError):
        assert data.read_idx(path, 3).size == 24


def test_a_compressed_file_cut_short_is_refused(tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(idx(IMAGES))[:-12])
    with pytest.raises(data.DataError, match=r"cut\.gz: cannot be read"):
        data.read_idx(tmp_path / "cut.gz", 3)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(data.DataError, match=r"nowhere: cannot be read: No such file"):
        data.read_idx(tmp_path / "nowhere", 3)


def test_images_and_labels_must_belong_together(tmp_path):
    (tmp_path / "images").write_bytes(idx(IMAGES))
    (tmp_path / "labels").write_bytes(idx(np.array([1, 2, 3])))
    with pytest.raises(data.DataError, match=r"2 images, but .* 3 labels"):
        data.read_idx_pair(tmp_path / "images", tmp_path / "labels")


# ---------------------------------------------------------------- pixels


def test_no_normalisation_leaves_any_number_as_it_is():
    numbers = np.array([[-1e6, 300.5]])
    assert data.normalize(numbers, None) is numbers
    with pytest.raises(data.DataError):
        data.normalize(numbers)


@pytest.mark.parametrize(
    ("how", "black", "white"),
    [("unit", 0, 1), ("seed", 0.01, 1), ("standardize", -0.1307 / 0.3081, 0.8693 / 0.3081)],
)
def test_normalisation_maps_black_and_white(how, black, white):
    pixels = np.array([[0, 255]], np.uint8)
    from_bytes = data.normalize(pixels, how)
    assert from_bytes.dtype == np.float32
    from_floats = (data.normalize(pixels / 255.0, how), data.normalize(pixels * 1.0, how))
    for found in (from_bytes, *from_floats):
        np.testing.assert_allclose(found, [[black, white]], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("how", ["unit", "seed", "standardize"])
def test_pixels_already_in_range_are_left_alone(how):
    once = data.normalize(np.arange(256, dtype=np.uint8), how)
    assert data.normalize(once, how) is once


def test_pixels_in_no_known_range_are_refused():
    with pytest.raises(data.DataError, match=r"from -3.0 to 0.5"):
        data.normalize(np.array([-3.0, 0.5]), "unit")
    with pytest.raises(ValueError, match="'zscore'"):
        data.normalize(np.zeros(1), "zscore")


def test_one_hot():
    assert data.one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


NO_CLASSES = [
    ([0, -1], ValueError, r"position 1 is -1, but classes are numbered from 0 to 2"),
    (np.array([0, 3], np.uint8), ValueError, "position 1 is 3, but classes are numbered"),
    ([0.0, 1.0], TypeError, "whole numbers from 0 to 2, but these are float64"),
    ([True, False], TypeError, "but these are bool"),
    (["1", "2"], TypeError, "whole numbers"),
    ([[0], [1]], ValueError, r"shape \(2, 1\). Of one-hot rows, pass labels.argmax"),
    (1, ValueError, r"one class number per example, \(n,\)"),
]


@pytest.mark.parametrize(("labels", "kind", "message"), NO_CLASSES)
def test_labels_that_are_no_classes_are_refused_in_words(labels, kind, message):
    scores = np.full((2, 3), 1 / 3)
    for use in (
        lambda: data.one_hot(labels, 3),
        lambda: evaluation.score(scores, np.asarray(labels)),
        lambda: evaluation.confusion_matrix(np.array([0, 1]), np.asarray(labels), 3),
    ):
        with pytest.raises(kind, match=message):
            use()


def test_no_labels_give_no_rows():
    assert data.one_hot([], 3).shape == (0, 3)
    with pytest.raises(ValueError, match="at least 1, but is 0"):
        data.one_hot([], 0)


# ---------------------------------------------------------------- splits and batches


BETWEEN = st.floats(0, 1, exclude_min=True, exclude_max=True)


@given(st.integers(1, 200), BETWEEN, st.integers(0, 99))
def test_a_split_has_every_example_once_and_depends_on_the_seed_only(examples, fraction, seed):
    training, validation = data.split(examples, fraction, np.random.default_rng(seed))
    assert sorted([*training, *validation]) == list(range(examples))
    assert len(validation) == round(examples * fraction)
    again = data.split(examples, fraction, np.random.default_rng(seed))
    assert all((a == b).all() for a, b in zip((training, validation), again, strict=True))


@given(st.integers(0, 200), st.integers(1, 64), st.booleans())
def test_batches_have_every_example_once(examples, batch_size, shuffle):
    rng = np.random.default_rng(0) if shuffle else None
    batches = list(data.minibatches(examples, batch_size, rng))
    assert sorted(i for batch in batches for i in batch) == list(range(examples))
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_batches_are_shuffled_by_their_generator():
    rngs = map(np.random.default_rng, (1, 2))
    first, second = (np.concatenate(list(data.minibatches(100, 7, rng))) for rng in rngs)
    assert (first != second).any()
    assert np.concatenate(list(data.minibatches(100, 7))).tolist() == list(range(100))


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((10, 0), ValueError, "batch_size, the rows per step, must be at least 1, but is 0"),
        ((10, -3), ValueError, "at least 1, but is -3"),
        ((10, 2.0), TypeError, "batch_size, the rows per step, must be a whole number, but is 2.0"),
        ((10, "2"), TypeError, "whole number, but is '2'"),
        ((10, True), TypeError, "whole number, but is True"),
        ((10, None), TypeError, "whole number, but is None"),
        ((-1, 2), ValueError, "examples, the number of rows, must be at least 0, but is -1"),
        ((np.zeros((5, 3)), 2), TypeError, r"array of shape \(5, 3\). Pass len\(...\) of it"),
        ((10, 2, 0), TypeError, r"generator of random numbers, but is 0. Make one from a seed"),
    ],
)
def test_senseless_batches_are_refused_before_the_first(arguments, kind, message):
    with pytest.raises(kind, match=message):
        data.minibatches(*arguments)


def test_a_batch_size_above_the_number_of_examples_makes_one_batch_of_all():
    assert [len(rows) for rows in data.minibatches(3, np.int64(10), RNG)] == [3]
    assert list(data.minibatches(0, 10)) == []


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((10, 0.0, RNG), ValueError, "fraction held out, must lie between 0 and 1, but is 0.0"),
        ((10, 1, RNG), ValueError, "must lie between 0 and 1, but is 1"),
        ((10, 4, RNG), ValueError, "but is 4. For 4 of 10 examples, pass 4 / 10"),
        ((10, 40, RNG), ValueError, "but is 40.$"),
        ((10, -0.1, RNG), ValueError, "but is -0.1"),
        ((10, np.nan, RNG), ValueError, "but is nan"),
        ((10, "0.1", RNG), TypeError, "must be a number between 0 and 1, but is '0.1'"),
        ((10, None, RNG), TypeError, "but is None"),
        ((10.0, 0.1, RNG), TypeError, "examples, the number of rows, must be a whole number"),
        ((-10, 0.1, RNG), ValueError, "at least 0, but is -10"),
        ((np.zeros((5, 3)), 0.1, RNG), TypeError, "Pass len"),
        ((10, 0.1, 7), TypeError, "generator of random numbers, but is 7"),
        ((10, 0.1, None), TypeError, "generator of random numbers, but is None"),
    ],
)
def test_senseless_splits_are_refused_in_words(arguments, kind, message):
    with pytest.raises(kind, match=message):
        data.split(*arguments)
