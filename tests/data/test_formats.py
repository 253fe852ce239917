"""Files of one's own: every format reads back what was written; what is wrong is named cheaply."""

import contextlib
import gzip
import io
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinygrad_mnist import data
from tinygrad_mnist.data import csv, stream
from tinygrad_mnist.training import Recipe, train

IMAGES, LABELS = (array[:300] for array in data.load_mnist(None))
NAMES = [f"pixel{n}" for n in range(784)]


def text(images, labels=None, header=None):
    """The CSV lines of images, or of labels and images."""
    rows = images.tolist()
    if labels is not None:
        rows = [[label, *row] for label, row in zip(labels.tolist(), rows, strict=True)]
    if header is not None:
        rows = [header, *rows]
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def idx(array):
    """The IDX bytes of an array."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def npz_bytes(save=np.savez, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def npz_with_header(header, body=b""):
    """An npz file whose images have this header."""
    padded = header.encode() + b"\n"
    member = b"\x93NUMPY\1\0" + struct.pack("<H", len(padded)) + padded + body
    file = io.BytesIO(npz_bytes(labels=LABELS))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", member)
    return file.getvalue()


def descr(dtype, shape):
    return f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}"


def write(folder, *contents):
    """Write files, and return their paths."""
    paths = [folder / name for name in ("images", "labels")[: len(contents)]]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return paths


def one_error(*paths, **options):
    """What `load` says of bad files: a single kind of error, of one or two short lines."""
    with pytest.raises(data.DataError) as caught:
        data.load(*paths, **options)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    assert len(message) < 300 + sum(len(str(path)) for path in paths)
    return message


# ---------------------------------------------------------------- what is read


def under(header, csv):
    """CSV lines below a header."""
    return ",".join(map(str, header)) + "\n" + csv


CSV, PIXELS = text(IMAGES, LABELS), text(IMAGES)
ONE_COLUMN = "".join(f"{label}\n" for label in LABELS)
CUBES = IMAGES.reshape(-1, 28, 28)
KAGGLE = under(["label", *NAMES], CSV)
QUOTED = [f'"{name}"' for name in [*NAMES, "class"]]
OPENML = text(np.hstack([IMAGES, LABELS[:, None]]), header=QUOTED)
KERAS = {"x_train": CUBES, "y_train": LABELS.astype(np.uint8)}
KERAS |= {"x_test": CUBES[:2], "y_test": LABELS[:2]}
FILES = {
    "csv without header": (CSV,),
    "csv of Kaggle": (KAGGLE,),
    "csv with header of pandas": (under(["label", *range(784)], CSV),),
    "csv with header of numbers only": (under(range(785), CSV),),
    "csv with quoted header": (under([f'"{name}"' for name in ("label", *NAMES)], CSV),),
    "csv of OpenML, labels last": (OPENML,),
    "csv and csv": (PIXELS, ONE_COLUMN),
    "csv and csv with headers": (under(NAMES, PIXELS), "label\n" + ONE_COLUMN),
    "csv with CRLF": (CSV.replace("\n", "\r\n"),),
    "csv with CR": (CSV.replace("\n", "\r"),),
    "csv with BOM": ("\ufeff" + CSV,),
    "csv with BOM, header and CRLF": (("\ufeff" + KAGGLE).replace("\n", "\r\n"),),
    "csv with spaces": (CSV.replace(",", " , "),),
    "csv with blank lines": (CSV.replace("\n", "\n\n") + "\n  \n",),
    "csv without last newline": (CSV.rstrip("\n"),),
    "csv.gz": (gzip.compress(CSV.encode()),),
    "csv.gz and csv": (gzip.compress(PIXELS.encode()), ONE_COLUMN),
    "csv of whole floats": (text(IMAGES.astype(float), LABELS.astype(float)),),
    "idx": (idx(CUBES), idx(LABELS)),
    "idx.gz": (gzip.compress(idx(CUBES)), gzip.compress(idx(LABELS))),
    "idx and csv": (idx(CUBES), ONE_COLUMN),
    "csv and idx": (PIXELS, idx(LABELS)),
    "npz of Keras": (npz_bytes(**KERAS),),
    "npz of images and labels": (npz_bytes(images=IMAGES, labels=LABELS),),
    "npz compressed": (
        npz_bytes(np.savez_compressed, images=CUBES[..., None], labels=LABELS.astype(np.float32)),
    ),
    "npz of integers": (npz_bytes(images=CUBES.astype(">i8"), labels=LABELS.astype(">u2")),),
    "npz in Fortran order": (npz_bytes(images=np.asfortranarray(CUBES), labels=LABELS),),
    "npz of whole floats": (npz_bytes(images=IMAGES.astype(np.float16), labels=LABELS),),
}


@pytest.mark.parametrize("contents", FILES.values(), ids=FILES)
def test_real_digits_read_back_as_they_were_written(tmp_path, contents):
    images, labels = data.load(*write(tmp_path, *contents))
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_headers_of_python_2_are_read(tmp_path):
    (path,) = write(tmp_path, npz_with_header(descr("|u1", "(300L, 784L)"), IMAGES.tobytes()))
    np.testing.assert_array_equal(data.load(path)[0], IMAGES)


def test_an_npz_file_of_keras_has_two_parts(tmp_path):
    parts = {"x_train": CUBES[:5], "y_train": LABELS[:5]}
    parts |= {"x_test": CUBES[5:7], "y_test": LABELS[5:7]}
    (path,) = write(tmp_path, npz_bytes(**parts))
    images, labels = data.load(str(path), part="test")
    np.testing.assert_array_equal(images, IMAGES[5:7])
    np.testing.assert_array_equal(labels, LABELS[5:7])


@pytest.mark.parametrize(
    "pack",
    [lambda a: (text(a, LABELS),), lambda a: (npz_bytes(images=a, labels=LABELS),)],
    ids=["csv", "npz"],
)
@pytest.mark.parametrize("scale", [1, 255])
def test_fractions_come_back_from_0_to_1(tmp_path, pack, scale):
    fractions = np.linspace(0, 1, IMAGES.size).reshape(IMAGES.shape)
    images, labels = data.load(*write(tmp_path, *pack(fractions * scale)))
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, fractions, rtol=1e-6)
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_pixels_that_are_only_0_or_1_are_black_and_white(tmp_path, dtype):
    (path,) = write(tmp_path, npz_bytes(images=(IMAGES > 127).astype(dtype), labels=LABELS))
    images, _ = data.load(path)
    np.testing.assert_array_equal(data.normalize(images), IMAGES > 127)


def test_whole_numbers_never_take_the_slow_way(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "_slow", lambda *_: pytest.fail("cell by cell"))
    monkeypatch.setattr(csv, "LINES", 7)
    np.testing.assert_array_equal(data.load(*write(tmp_path, CSV))[0], IMAGES)


def test_the_slow_way_reads_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "_fast", lambda *_: None)
    images, labels = data.load(*write(tmp_path, CSV))
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


# ---------------------------------------------------------------- what is wrong in a CSV file


def with_cell(line, column, value):
    """The CSV of three digits, one cell replaced; line and column from 1."""
    rows = [row.split(",") for row in CSV.splitlines()[:3]]
    rows[line - 1][column - 1] = value
    return "\n".join(map(",".join, rows))


BAD_CELLS = [
    "", "x", "nan", "-inf", "1e999", "256", "-1", "-0.5", "0x10", "5;", "255.5", "\ufffd", "é",
    "2_5_5", "\u0665", "\uff15", "\xa05", "1e4_0", "infinity",
    '"0"', "1.2.3",
]  # fmt: skip
HEADER = ",".join(["label", *NAMES]) + "\n"


@given(st.integers(1, 3), st.integers(1, 785), st.sampled_from(BAD_CELLS), st.booleans())
def test_a_bad_cell_is_named(tmp_path_factory, line, column, value, header):
    folder = tmp_path_factory.mktemp("csv")
    (path,) = write(folder, (HEADER if header else "") + with_cell(line, column, value))
    expected = f"pixel {value!r} is not a number from 0 to 255"
    if column == 1:
        assume(value != "256")  # for a label, this is right
        expected = f"label {value!r} is not a whole number from 0 to 9999"
    assert one_error(path) == f"{path}: line {line + header}, column {column}: {expected}."


@pytest.mark.parametrize("value", ["10000", "-1", "5.5", "nan", "", "five", "1e9", "1_0", "\u0665"])
def test_a_label_is_a_whole_number(tmp_path, value):
    message = one_error(*write(tmp_path, with_cell(2, 1, value)))
    assert f"line 2, column 1: label {value!r} is not a whole number from 0 to 9999" in message
    if value:
        labels = ONE_COLUMN.replace(str(LABELS[2]), value, 1)
        message = one_error(*write(tmp_path, PIXELS, labels))
        assert re.search(rf"labels: line \d, column 1: label {value!r} is", message)


EXPECTED = "expected a square number (pixels) or one more (a label and pixels)"
WRONG_FILES = [
    (("",), "images: empty."),
    (("\n \r\n",), "images: empty."),
    ((gzip.compress(b""),), "images: empty."),
    ((b"\xef\xbb\xbf",), "images: empty."),
    ((",".join(["label", *NAMES]),), "images: a header, and no line below it."),
    ((",".join(["label", *NAMES]) + "\n" + PIXELS,),
     "line 2 has 784 columns, but the first line has 785"),
    ((with_cell(2, 7, "1,2"),), "line 2 has 786 columns, but the first line has 785"),
    ((CSV[:-50],), "line 300 has"),
    ((CSV + "1,2\n",), "line 301 has 2 columns, but the first line has 785"),
    ((CSV.replace(",", ";"),), f"line 1 has 1 column, {EXPECTED}. It starts with '5;0;0"),
    ((",".join(["7"] * 786),), "line 1 has 786 columns"),
    ((CSV * 2, ONE_COLUMN), "holds labels of its own. Leave out "),
    ((PIXELS,), "holds images only. Name the file of their labels too."),
    ((PIXELS, ONE_COLUMN + "1\n"), "images holds 300 images, but "),
    ((PIXELS, "1,2\n"), "labels: line 1 has 2 columns, expected 1 (a label)"),
    ((PIXELS, CSV), "labels: line 1 has 785 columns, expected 1 (a label)"),
    ((CSV.encode("utf-16"),),
     "images: line 1 holds a zero byte. Not a text file, or saved as UTF-16?"),
    ((b"\x89PNG\r\n\x1a\n" + b"IHDR",), "images: a PNG picture. `tinygrad-mnist predict` reads"),
    ((b"%PDF-1.7",), f"line 1 has 1 column, {EXPECTED}. It starts with '%PDF-1.7'"),
    ((gzip.compress(CSV.encode())[:-20],), "images: cannot be read: "),
    ((idx(CUBES),), "holds images only"),
    ((idx(CUBES), idx(LABELS[1:])), "images holds 300 images, but "),
    ((idx(LABELS), idx(CUBES)), "Were images and labels exchanged?"),
]  # fmt: skip


@pytest.mark.parametrize(("contents", "message"), WRONG_FILES)
def test_what_is_wrong_with_a_file_is_said(tmp_path, contents, message):
    assert message in one_error(*write(tmp_path, *contents))


def test_a_file_that_is_not_there_is_named(tmp_path):
    gone = tmp_path / "gone.csv"
    assert one_error(gone) == f"{gone}: cannot be read: No such file or directory."
    assert "Is a directory" in one_error(tmp_path)
    (images,) = write(tmp_path, PIXELS)
    assert "gone: cannot be read" in one_error(images, tmp_path / "gone")


def test_bad_text_in_the_first_line_does_not_make_it_a_header(tmp_path):
    for column in (1, 2, 785):
        message = one_error(*write(tmp_path, with_cell(1, column, "abc")))
        assert f"line 1, column {column}: " in message
    assert "line 1, column 1: pixel '' is" in one_error(*write(tmp_path, "," * 783, ONE_COLUMN))


# ---------------------------------------------------------------- what is wrong in an npz file


class Boom:
    """Fails the test if it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def other_zip(compression):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for key, array in (("images", IMAGES), ("labels", LABELS)):
            with archive.open(f"{key}.npy", "w") as member:
                np.save(member, array)
    return file.getvalue()


def changed(array, index, value):
    array = array.astype(float)
    array[index] = value
    return array


WRONG_ARCHIVES = [
    (npz_bytes(x=IMAGES, y_train=LABELS),
     "holds 'x', 'y_train'; expected x_train and y_train, or images and labels"),
    (npz_bytes(x_test=IMAGES, y_test=LABELS), "holds 'x_test', 'y_test'; expected x_train"),
    (npz_bytes(), "holds nothing; expected"),
    (npz_bytes(**{f"\x1b[31m{n}": LABELS for n in range(99)}), r"holds '\x1b[31m0', "),
    (npz_bytes(images=IMAGES, labels=LABELS[1:]), "holds 300 images, but it 299 labels"),
    (npz_bytes(images=IMAGES, labels=np.eye(10)[LABELS]),
     "labels has shape (300, 10), expected (n,). Are the labels one-hot?"),
    (npz_bytes(images=IMAGES[:, 1:], labels=LABELS),
     "images has shape (300, 783), expected (n, rows, columns), or (n, pixels) of square images"),
    (npz_bytes(images=IMAGES[:, 0], labels=LABELS), "images has shape (300,), expected"),
    (npz_bytes(images=IMAGES[:0], labels=LABELS[:0]), "images.npy announces 0 x 784 elements"),
    (npz_bytes(images=IMAGES.astype(str), labels=LABELS),
     "images.npy has elements of type <U3, expected numbers"),
    (npz_bytes(images=IMAGES + 0j, labels=LABELS),
     "images.npy has elements of type complex128, expected numbers"),
    (npz_bytes(images=IMAGES, labels=np.array([Boom()])),
     "labels.npy has elements of type object, expected numbers"),
    (npz_bytes(images=changed(CUBES, (2, 3, 4), -1), labels=LABELS),
     "images[2, 3, 4] is -1.0, not a number from 0 to 255"),
    (npz_bytes(images=changed(CUBES, (2, 3, 4), np.nan), labels=LABELS),
     "images[2, 3, 4] is nan, not"),
    (npz_bytes(images=changed(CUBES, 299, 256), labels=LABELS), "images[299, 0, 0] is 256.0, not"),
    (npz_bytes(images=IMAGES, labels=changed(LABELS, 7, 2.5)),
     "labels[7] is 2.5, not a whole number from 0 to 9999"),
    (npz_bytes(images=IMAGES, labels=changed(LABELS, 7, np.nan)), "labels[7] is nan, not a whole"),
    (npz_bytes(images=IMAGES, labels=LABELS + 9999), "labels[0] is 10004, not a whole"),
    (npz_bytes(images=IMAGES, labels=LABELS)[:-100], "not an npz file of arrays, or damaged: "),
    (gzip.compress(npz_bytes(images=IMAGES, labels=LABELS)),
     "not an npz file of arrays, or damaged: "),
    (other_zip(zipfile.ZIP_BZIP2), "images.npy is compressed in a way that NumPy does not use"),
    (npz_with_header(descr("|u1", (10, 784)), bytes(10)),
     "announces 7,840 bytes, but 7,830 of them are missing"),
    (npz_with_header(descr("|u1", (10, 784)), bytes(7841)), "more data follows the 7,840 bytes"),
    (npz_with_header(descr("|u1", (-10, -784)), bytes(7840)),
     "not an npz file of arrays, or damaged: "),
    (npz_with_header(descr("|u1", (1 << 40, 784))),
     "images.npy announces 1099511627776 x 784 elements, which cannot be right"),
    (npz_with_header(descr("|u1", "[" * 5000)), "not an npz file of arrays, or damaged: "),
    (npz_with_header(" " * 20_000), "not an npz file of arrays, or damaged: "),
    (npz_with_header("-" * 9000 + "1"), "not an npz file of arrays, or damaged: "),
    (npz_with_header("{'descr': 'Q\\d', 'shape': 1is 2}"),
     "not an npz file of arrays, or damaged: "),
    (npz_with_header(descr([("a", "|u1")], (10, 784)), bytes(7840)), "expected numbers"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"), WRONG_ARCHIVES, ids=[message for _, message in WRONG_ARCHIVES]
)
def test_what_is_wrong_with_an_npz_file_is_said(tmp_path, content, message):
    assert message in one_error(*write(tmp_path, content))


def test_labels_beside_an_npz_file_are_refused(tmp_path):
    paths = write(tmp_path, npz_bytes(images=IMAGES, labels=LABELS), ONE_COLUMN)
    assert "holds labels of its own" in one_error(*paths)


# ---------------------------------------------------------------- hostile files


@pytest.fixture(scope="module")
def bomb():
    """16 MB of one byte, in 16 kB."""
    return lambda byte: gzip.compress(byte * (1 << 24), 1)


def peak(action):
    """The most memory that an action held, in bytes."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("byte", "message"),
    [
        (b"0", "line 1 has more than 1048576 characters"),
        (b"\n", "lines, which cannot be right for a file of this size"),
        (b"0,", "line 1 has more than"),
    ],
)
def test_a_gzip_bomb_stops_early(tmp_path, bomb, byte, message):
    (path,) = write(tmp_path, bomb(byte))
    said = []
    assert peak(lambda: said.append(one_error(path))) < 4 << 20
    assert message in said[0]


@pytest.mark.parametrize(
    "content",
    [
        npz_with_header(descr("|u1", (10, 784)), bytes(1 << 24)),
        npz_with_header(descr("|u1", (1 << 40, 784)), bytes(1 << 24)),
        npz_with_header(descr("|O", (10, 784)), bytes(1 << 24)),
        npz_with_header(descr("|V99999999", ()), bytes(1 << 24)),
    ],
    ids=["more than announced", "less than announced", "objects", "one large element"],
)
def test_a_zip_bomb_stops_early(tmp_path, content):
    (path,) = write(tmp_path, content)
    assert peak(lambda: one_error(path)) < 4 << 20


def test_a_header_of_another_version_is_not_read(tmp_path):
    file = io.BytesIO(npz_bytes(labels=LABELS))
    member = b"\x93NUMPY\2\0" + struct.pack("<I", 1 << 24) + bytes(1 << 24)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", member)
    (path,) = write(tmp_path, file.getvalue())
    assert peak(lambda: one_error(path)) < 4 << 20


def test_the_training_images_may_be_read_from_a_file_of_any_kind_of_number():
    assert 60_000 * 784 * 8 < stream.LARGEST < 2 * 60_000 * 784 * 8
    for numbers in (CUBES, CUBES.astype(np.int64), CUBES / 255, np.uint8(CUBES > 127)):
        packed = len(npz_bytes(np.savez_compressed, x=numbers))
        assert numbers.nbytes < stream.DENSEST * packed


SMALL = [
    text(IMAGES[:3], LABELS[:3]).encode(),
    text(IMAGES[:3], LABELS[:3], ["label", *NAMES]).encode(),
    npz_bytes(images=CUBES[:3], labels=LABELS[:3]),
    npz_bytes(np.savez_compressed, x_train=CUBES[:3], y_train=LABELS[:3]),
    gzip.compress(text(IMAGES[:3], LABELS[:3]).encode()),
]
PATCH = st.tuples(st.integers(0, 1 << 16), st.binary(max_size=8))
PATCHES = st.lists(PATCH, min_size=1, max_size=4)


def loads_or_says_why(path, *labels):
    """Load files of any content: an exception other than a `DataError` fails the test."""
    with contextlib.suppress(data.DataError, data.DataWarning):
        images, digits = data.load(path, *labels)
        assert len(images) == len(digits)
        assert 0 <= images.min() <= images.max() <= 255
        assert 0 <= digits.min() <= digits.max() < 10_000


STARTS = [b"", b"PK\3\4", b"\0\0\x08\3", b"\x1f\x8b\x08", b"\xff\xfe", b"\xef\xbb\xbf"]


@given(st.sampled_from(STARTS), st.binary(max_size=3000))
def test_garbage_gives_one_kind_of_error(tmp_path_factory, start, rest):
    paths = write(tmp_path_factory.mktemp("garbage"), start + rest, start + rest)
    loads_or_says_why(paths[0])
    loads_or_says_why(*paths)


LETTERS = st.sampled_from("0123456789.,-+e \"'\n\r\tnaif_x;\0\u0663\u2028\ufeff")


@given(st.text(LETTERS, max_size=3000))
def test_garbage_of_numbers_gives_one_kind_of_error(tmp_path_factory, garbage):
    images, labels = write(tmp_path_factory.mktemp("garbage"), text(IMAGES[:1]), garbage)
    loads_or_says_why(images, labels)
    loads_or_says_why(labels)


@given(st.sampled_from(SMALL), PATCHES)
def test_a_damaged_file_gives_one_kind_of_error(tmp_path_factory, content, patches):
    damaged = bytearray(content)
    for position, patch in patches:
        position %= len(damaged)
        damaged[position : position + len(patch) or position + 1] = patch
    loads_or_says_why(*write(tmp_path_factory.mktemp("damaged"), bytes(damaged)))


# ---------------------------------------------------------------- training and test images


def test_an_image_in_both_sets_is_refused_and_counted():
    train, test = IMAGES[:200], IMAGES[200:].copy()
    test[[4, 9]] = IMAGES[[0, 199]]
    message = "^2 of the 100 test images are also training images, the first of them number 5"
    for mine, theirs in [(train, test), (train, test * (1 / 255)), (train * (1 / 255), test)]:
        with pytest.raises(data.DataError, match=message):
            data.refuse_overlap(mine, theirs)


def test_the_images_of_mnist_are_in_one_set_only():
    data.refuse_overlap(data.load_mnist(None)[0], data.load_mnist_test(None)[0])
    data.refuse_overlap(IMAGES[:100], IMAGES[100:])


@pytest.mark.parametrize(("images", "validation"), [("4 images are", 0.1), ("1 image is", 0.9)])
def test_too_few_images_to_hold_some_out_are_refused(images, validation):
    count = int(images.split()[0])
    message = f"^{images} too few to hold out a fraction of {validation}"
    with pytest.raises(data.DataError, match=message):
        train(Recipe(name="small", validation=validation), IMAGES[:count], LABELS[:count])
