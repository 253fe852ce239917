"""Images of any size and any classes: read from every format, trained on, and judged by no other's.

Sets of MNIST's kind are in test_formats.py and test_plausible.py.
"""

import io
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from imagesets import letters, patterns, small_digits, write_csv, write_idx
from PIL import Image

from tinygrad_mnist import data
from tinygrad_mnist.data import DataError, Dataset, DataWarning, load_dataset, read_names
from tinygrad_mnist.data.dataset import MOST_CLASSES, default_names
from tinygrad_mnist.runs import About, new_run, own_sets, run
from tinygrad_mnist.training import Recipe

SHAPES = [(8, 8), (16, 16), (32, 32), (28, 28), (8, 16), (5, 3)]
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(form, images, labels, **more):
    """Write a data set in a format, and return what `load_dataset` is to read it with."""
    if form == "npz":
        np.savez("set.npz", images=images, labels=labels, **more)
        return {"path": "set.npz"}
    if form == "flat npz":
        np.savez("set.npz", images=images.reshape(len(images), -1), labels=labels, **more)
        return {"path": "set.npz", "shape": images.shape[1:]}
    if form == "csv":
        write_csv("set.csv", images, labels)
        return {"path": "set.csv", "shape": images.shape[1:]}
    write_idx(Path("images.gz"), images)
    write_idx(Path("labels"), labels)
    return {"path": "images.gz", "labels": "labels"}


FORMS = ["npz", "flat npz", "csv", "idx"]

# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("first", [0, 1])
def test_every_format_keeps_any_size_and_positions_count_from_0(form, shape, first):
    images, labels = patterns(13, shape, 26)
    found = load_dataset(**write(form, images, labels + first))
    np.testing.assert_array_equal(found.images, images.reshape(26, -1))
    np.testing.assert_array_equal(found.labels, labels)
    assert (found.shape, found.first) == (shape, first)
    assert found.classes == tuple(str(n) for n in range(first, 13 + first))


@pytest.mark.parametrize("form", ["flat npz", "csv"])
@pytest.mark.parametrize("side", [2, 8, 16, 28, 33])
def test_images_of_unknown_shape_are_square(form, side):
    asked = write(form, *patterns(5, (side, side), 10))
    assert load_dataset(asked["path"]).shape == (side, side)


@pytest.mark.parametrize("axes", [(16, 8, 1), (1, 16, 8)])
def test_an_axis_for_one_colour_is_left_out(axes):
    images, labels = patterns(5, (16, 8), 10)
    asked = write("npz", images.reshape(10, *axes), labels[:, None])
    found = load_dataset(**asked)
    assert found.shape == (16, 8)
    np.testing.assert_array_equal(found.labels, labels)


@pytest.mark.parametrize("classes", [47, 300])
def test_there_may_be_many_classes(classes):
    images, labels = patterns(classes, (9, 9), classes)
    for form in ("npz", "csv"):
        found = load_dataset(**write(form, images, labels))
        np.testing.assert_array_equal(found.labels, labels)
        assert len(found.classes) == classes


@pytest.mark.parametrize(("shape", "largest"), [((28, 28), 9), ((28, 28), 3), ((28, 28), 7)])
def test_images_like_mnist_whose_labels_are_digits_are_digits(shape, largest):
    images, labels = patterns(largest, shape, 2 * largest)
    found = load_dataset(**write("npz", images, labels + 1))
    assert (found.classes, found.first) == (tuple("0123456789"), 0)
    np.testing.assert_array_equal(found.labels, labels + 1)


def test_only_images_of_mnist_s_size_are_taken_for_digits():
    assert default_names((28, 28), 4) == tuple("0123456789")
    assert default_names((28, 28), 10) == tuple(map(str, range(11)))
    assert default_names((8, 8), 3) == ("0", "1", "2", "3")
    images, labels = patterns(9, (8, 8), 18)
    assert load_dataset(**write("npz", images, labels + 1)).classes == tuple("123456789")


def test_load_gives_the_images_and_positions_of_a_data_set():
    asked = write("idx", *letters(52))
    images, labels = data.load(asked["path"], asked["labels"])
    found = load_dataset(**asked)
    np.testing.assert_array_equal(images, found.images)
    np.testing.assert_array_equal(labels, found.labels)


def test_a_header_may_put_the_label_last_in_small_images_too():
    images, labels = patterns(3, (8, 8), 6)
    rows = np.column_stack([images.reshape(6, -1), labels])
    header = ",".join([*(f"p{i}" for i in range(64)), "class"])
    np.savetxt("set.csv", rows, fmt="%d", delimiter=",", header=header, comments="")
    np.testing.assert_array_equal(load_dataset("set.csv").labels, labels)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("first", [0, 1])
def test_names_can_be_given_in_the_order_of_the_labels(first):
    images, labels = letters(52)
    found = load_dataset(**write("idx", images, labels + first), classes=LETTERS)
    assert (found.classes, found.first) == (LETTERS, first)
    np.testing.assert_array_equal(found.labels, labels)


@pytest.mark.parametrize("names", [np.array(LETTERS), np.arange(100, 126)])
def test_names_may_be_in_the_npz_file(names):
    asked = write("npz", *letters(52), classes=names)
    assert load_dataset(**asked).classes == tuple(map(str, names))
    assert load_dataset(**asked, classes=LETTERS).classes == LETTERS


def test_names_are_typed_with_commas_or_one_per_line():
    Path("names.txt").write_bytes("\ufeffcat\r\nT-shirt, red\r\n\u00e9t\u00e9\n\n".encode())
    assert read_names("names.txt") == ("cat", "T-shirt, red", "\u00e9t\u00e9")
    assert read_names("cat, dog") == ("cat", "dog")
    Path("a,b").write_text("one\ntwo\n")
    assert read_names("a,b") == ("one", "two")


WRONG_NAMES = {
    "nowhere": "nowhere: no such file of class names. Name one with a name per line, or type",
    "cat,,dog": "cat,,dog: Class name 2 is ''; expected 1 to 100 characters",
    "cat,dog,cat": "The class name 'cat' comes twice. Each class has a name of its own.",
    "empty": "empty: no names in it",
    "bytes": "bytes: not a text file of class names in UTF-8",
    "gap": "gap: Class name 2 is ''",
    "long": "long: Class name 1 is 'xxxxxxxxxxxxxxxxxxxx'",
    "red": r"red: Class name 1 is '\x1b[31m'",
    "large": "large: more than 1,000,000 bytes",
}


@pytest.mark.parametrize(("source", "message"), WRONG_NAMES.items(), ids=WRONG_NAMES)
def test_names_that_are_none_are_refused(source, message):
    files = {"empty": b"\n", "bytes": b"\xff\xfe\x00", "gap": b"a\n\nb\n", "long": b"x" * 101}
    files |= {"red": b"\x1b[31m\n", "large": b"ab\n" * 400_000}
    for name, content in files.items():
        Path(name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_names(source)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("first", "count", "message"),
    [
        (1, 25, "set.npz: 25 class names, but labels from 1 to 26: name 26 classes"),
        (1, 28, "set.npz: 28 class names, but labels from 1 to 26: name 26 classes"),
        (0, 25, "set.npz: 25 class names, but labels from 0 to 25: name 26 classes"),
        (0, 27, "set.npz: 27 class names, but labels from 0 to 25: name 26 classes"),
    ],
)
def test_another_number_of_names_than_classes_is_refused(first, count, message):
    images, labels = letters(52)
    names = tuple(map(str, range(count)))
    for more in ({}, {"classes": np.array(names)}):
        asked = write("npz", images, labels + first, **more)
        with pytest.raises(DataError) as caught:
            load_dataset(**asked, classes=None if more else names)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (np.array(["a"] * 26), "set.npz: classes: The class name 'a' comes twice"),
        (np.array([*LETTERS[:25], ""]), "set.npz: classes: Class name 26 is ''"),
        (np.eye(3), "classes.npy has elements of type float64, expected text"),
    ],
)
def test_names_in_an_npz_file_that_are_none_are_refused(names, message):
    with pytest.raises(DataError) as caught:
        load_dataset(**write("npz", *letters(52), classes=names))
    assert message in str(caught.value)


def test_a_name_for_label_0_that_no_image_has_is_warned_of():
    images, labels = letters(52)
    with pytest.warns(DataWarning, match=r"no image for 1 of the 27 classes: N/A\."):
        found = load_dataset(**write("idx", images, labels + 1), classes=("N/A", *LETTERS))
    assert (found.first, found.labels.min()) == (0, 1)


@pytest.mark.parametrize("number", [0x110000, 0x7FFFFFFF, 0xD800])
@pytest.mark.parametrize("order", "<>")
def test_names_that_no_text_can_hold_are_refused(number, order):
    names = np.full(26, number, f"{order}u4").view(f"{order}U1")
    with pytest.raises(DataError, match=r"set\.npz: classes: "):
        load_dataset(**write("npz", *letters(52), classes=names))


# ---------------------------------------------------------------- what does not fit


def csv_of(width):
    np.savetxt("set.csv", np.arange(3 * width).reshape(3, width) % 200, fmt="%d", delimiter=",")
    return {"path": "set.csv"}


SQUARE = "expected a square number (pixels) or one more (a label and pixels)"
WRONG = {
    "rectangle, csv": (lambda: csv_of(129), f"line 1 has 129 columns, {SQUARE}. It starts with"),
    "way out": (lambda: csv_of(129), "not square, say rows and columns: --shape 8,16."),
    "row number": (lambda: csv_of(66), "Is one of them a row number?"),
    "one-hot": (lambda: csv_of(74), "Are the labels one-hot, ten columns?"),
    "pixels only": (lambda: csv_of(64), "set.csv: holds images only"),
    "another shape": (
        lambda: {**csv_of(129), "shape": (8, 8)},
        "line 1 has 129 columns, expected 64 (pixels) or 65 (a label and pixels)",
    ),
    "colour": (
        lambda: write("npz", np.ones((5, 8, 8, 3)), np.arange(5)),
        "images has shape (5, 8, 8, 3), expected one value per pixel. In colour? Save images[",
    ),
    "rectangle, npz": (
        lambda: {**write("flat npz", *patterns(3, (8, 16), 6)), "shape": None},
        "images has shape (6, 128), expected (n, rows, columns), or (n, pixels) of square images.",
    ),
    "turned": (
        lambda: {**write("npz", *patterns(3, (8, 16), 6)), "shape": (16, 8)},
        "images has shape (6, 8, 16), expected (n, 16, 8) or (n, 128).",
    ),
    "turned, idx": (
        lambda: {**write("idx", *patterns(3, (8, 16), 6)), "shape": (16, 8)},
        "images of 8 x 16 pixels, expected 16 x 8.",
    ),
    "one class": (
        lambda: write("npz", *patterns(1, (8, 8), 6)),
        "all 6 labels are 0, so there is nothing to tell apart",
    ),
    "one class from 1": (
        lambda: write("npz", patterns(2, (8, 8), 6)[0], np.ones(6, int)),
        "all 6 labels are 1, so there is nothing to tell apart",
    ),
    "too many": (
        lambda: write("npz", patterns(2, (8, 8), 6)[0], np.arange(6) + MOST_CLASSES),
        "labels[0] is 10000, not a whole number from 0 to 9999",
    ),
    "below 0": (
        lambda: write("npz", patterns(2, (8, 8), 6)[0], np.arange(6) - 1),
        "labels[0] is -1, not a whole number from 0 to 9999",
    ),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused_in_words(make, message):
    with pytest.raises(DataError) as caught:
        load_dataset(**make())
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


def test_labels_in_the_last_column_of_small_images_are_noticed():
    images, labels = patterns(5, (8, 8), 20)
    images[:, 0, 0] = 0
    rows = np.column_stack([images.reshape(20, -1), labels])
    np.savetxt("set.csv", rows, fmt="%d", delimiter=",")
    with pytest.raises(DataError, match="column 65 has different whole numbers"):
        load_dataset("set.csv")


def test_a_label_that_leaves_others_without_an_image_is_warned_of():
    images, labels = letters(52)
    labels[7] = 33
    message = "set.npz: no image for 7 of the 34 classes: 26, 27, 28, 29, 30, .... Is one"
    with pytest.warns(DataWarning) as caught:
        load_dataset(**write("npz", images, labels))
    assert [str(warning.message).startswith(message) for warning in caught] == [True]
    assert caught[0].filename == __file__


def test_bright_images_that_are_no_digits_are_no_reason_to_warn():
    images, labels = letters(52)
    load_dataset(**write("npz", 255 - images, labels))
    bright = 255 - patterns(10, (28, 28), 20)[0]
    with pytest.warns(DataWarning, match="Are the digits dark on white"):
        load_dataset(**write("npz", bright, np.arange(20) % 10))
    load_dataset(**write("npz", bright, np.arange(20) % 10), classes=tuple("abcdefghij"))


# ---------------------------------------------------------------- like what was trained on


def test_a_test_set_has_the_names_and_the_counting_of_its_training_set():
    images, labels = letters(52)
    train = load_dataset(**write("npz", images, labels + 1), classes=LETTERS)
    few = (labels > 3) & (labels < 9)
    test = load_dataset(**write("csv", images[few], labels[few] + 1), part="test", like=train)
    assert (test.classes, test.first, test.shape) == (LETTERS, 1, (16, 16))
    np.testing.assert_array_equal(test.labels, labels[few])


def test_a_flat_test_set_has_the_shape_of_its_training_set():
    images, labels = patterns(3, (8, 16), 30)
    train = load_dataset(**write("npz", images, labels))
    for form in ("flat npz", "csv"):
        asked = {**write(form, images, labels), "shape": None}
        assert load_dataset(**asked, part="test", like=train).shape == (8, 16)


@pytest.mark.parametrize("form", FORMS)
def test_a_label_that_was_not_trained_on_is_refused(form):
    images, labels = letters(52)
    train = load_dataset(**write("npz", images, labels + 1))
    labels[5] = 26
    for unknown, shift in ((0, 0), (27, 1)):
        changed = np.where(labels == 26, unknown, np.maximum(labels + shift, 1))
        with pytest.raises(DataError) as caught:
            load_dataset(**write(form, images, changed), part="test", like=train)
        assert f"label {unknown} of image 6 is none of the 26 classes" in str(caught.value)
        assert "whose labels are 1 to 26" in str(caught.value)


@pytest.mark.parametrize("form", FORMS)
def test_another_size_than_that_trained_on_is_refused(form):
    train = Dataset.of(*patterns(5, (8, 8), 10))
    asked = {**write(form, *patterns(5, (9, 9), 10)), "shape": None}
    with pytest.raises(DataError, match=r"expected \(n, 8, 8\)|expected 64|expected 8 x 8"):
        load_dataset(**asked, part="test", like=train)


def test_other_names_in_a_test_file_are_refused_unless_names_were_given_by_hand():
    images, labels = letters(52)
    train = load_dataset(**write("npz", images, labels), classes=LETTERS)
    load_dataset(**write("npz", images, labels, classes=np.array(LETTERS)), like=train)
    asked = write("npz", images, labels, classes=np.array(LETTERS[::-1]))
    with pytest.raises(DataError, match=r"set\.npz: its classes are not those trained on"):
        load_dataset(**asked, like=train)
    assert load_dataset(**asked, like=train, classes=LETTERS).classes == LETTERS


# ---------------------------------------------------------------- arrays


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((3, 4)), [0, 1]), "3 images, but 2 labels: each image has one."),
        ((np.ones((2, 4)), [0, 1], (3, 2)), "Images of 4 pixels are not 3 x 2."),
        ((np.ones((2, 4)), [0, 2], None, "ab"), "2 class names for labels up to 2: 3 are needed"),
        ((np.ones((2, 4)), [0, 1], None, "aa"), "The class name 'a' comes twice."),
        ((np.ones((2, 4)), [0.5, 1]), "Labels are whole numbers from 0"),
        ((np.ones((2, 4)), [-1, 1]), "The label at position 0 is -1"),
        ((np.ones((2, 4)), [0, 1 << 60]), "Label 1152921504606846976, but there may be 10,000"),
        ((np.ones((1, 4)), [0], None, range(MOST_CLASSES + 1)), "10,001 class names, and 10,000"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(arguments, message):
    with pytest.raises(DataError) as caught:
        Dataset.of(*arguments)
    assert message in str(caught.value)


def test_arrays_of_another_length_than_a_square_are_one_row():
    assert Dataset.of(np.ones((2, 6)), [0, 1]).shape == (1, 6)
    assert Dataset.of(np.ones((2, 9)), [0, 1]).shape == (3, 3)
    assert Dataset.of(np.ones((2, 2, 5)), [0, 1]).inputs == 10


# ---------------------------------------------------------------- pictures and arrays to be read


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("axes", [(128,), (8, 16), (3, 128), (3, 8, 16)])
def test_arrays_for_a_network_of_other_images_have_their_shape(axes):
    array = np.random.default_rng(0).integers(0, 256, axes, np.uint8)
    found = data.read_images(npy(array), "mine.npy", (8, 16))
    np.testing.assert_array_equal(found, array.reshape(-1, 128))


def test_an_array_of_another_shape_is_refused():
    message = r"mine\.npy: shape \(28, 28\), expected \(8, 16\) or \(128,\) for one image, "
    with pytest.raises(DataError, match=message):
        data.read_images(npy(np.ones((28, 28), np.uint8)), "mine.npy", (8, 16))


def test_a_picture_for_a_network_of_other_images_is_scaled_and_nothing_else():
    picture = np.kron(np.arange(128).reshape(8, 16), np.ones((5, 3))).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    found = data.read_images(file.getvalue(), "mine.png", (8, 16))
    np.testing.assert_array_equal(found, np.arange(128).reshape(1, 128))


def test_a_picture_of_nothing_is_refused_for_every_network():
    file = io.BytesIO()
    Image.fromarray(np.full((9, 9), 77, np.uint8)).save(file, "PNG")
    with pytest.raises(DataError, match=r"mine\.png: all pixels are alike: nothing to be seen"):
        data.read_images(file.getvalue(), "mine.png", (8, 16))


# ---------------------------------------------------------------- end to end

SMALL = "--set hidden=[48] batch_size=16 epochs=2 seed=3 --json"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the files of 26 letters that count from 1, and a network trained on them."""
    folder = tmp_path_factory.mktemp("letters")
    for part, count, seed in (("train", 1040, 0), ("test", 260, 1)):
        images, labels = letters(count, seed)
        write_idx(folder / f"{part}-images.gz", images)
        write_idx(folder / f"{part}-labels.gz", labels + 1)
    (folder / "names.txt").write_text("\n".join(LETTERS))
    files = [folder / f"{part}-{what}.gz" for part in ("train", "test") for what in WHAT]
    sets = own_sets(*files, classes=LETTERS)
    recipe = Recipe.load("default").changed(["hidden=[48]", "batch_size=16", "epochs=2"])
    run(recipe, folder / "run", sets)
    return folder


WHAT = ("images", "labels")
FILES = "--data train-images.gz --labels train-labels.gz"
TEST_FILES = "--test-data test-images.gz --test-labels test-labels.gz"


@pytest.fixture
def in_the_folder(trained, monkeypatch):
    monkeypatch.chdir(trained)


@pytest.mark.usefixtures("in_the_folder")
def test_letters_are_learnt_and_evaluated(command):
    made = json.loads(Path("run/metrics.json").read_text())
    asked = "evaluate run --data test-images.gz --labels test-labels.gz --json"
    found = json.loads(command(*asked.split())[1])
    assert found["correct"] == made["test"]["correct"] > 200
    assert found["layers"] == "256-48-26 relu"


@pytest.mark.usefixtures("in_the_folder")
def test_a_run_knows_shape_names_and_counting(command, tmp_path):
    asked = f"train {FILES} {TEST_FILES} --classes names.txt {SMALL} --out {tmp_path / 'run'}"
    assert command(*asked.split())[0] == 0
    table = tomllib.loads((tmp_path / "run/config.toml").read_text())["trained"]
    assert (table["shape"], table["classes"], table["first"]) == ([16, 16], list(LETTERS), 1)


@pytest.mark.usefixtures("in_the_folder")
def test_a_training_on_letters_goes_on_as_if_it_had_not_stopped(command, tmp_path):
    asked = f"train {FILES} {TEST_FILES} --classes names.txt --set hidden=[8] schedule=constant"
    whole, part = str(tmp_path / "whole"), str(tmp_path / "part")
    assert command(*asked.split(), "epochs=2", "--out", whole)[0] == 0
    assert command(*asked.split(), "epochs=1", "--out", part)[0] == 0
    again = f"train --resume {part} --override epochs=2 {FILES} {TEST_FILES}"
    assert command(*again.split())[0] == 0
    twice = [Path(folder, "weights.npz").read_bytes() for folder in (whole, part)]
    assert twice[0] == twice[1]
    about = About.read(tomllib.loads(Path(part, "config.toml").read_text())["trained"], "")
    assert (about.classes, about.first) == (LETTERS, 1)


def test_names_given_by_hand_stay_when_a_training_goes_on(command):
    images, labels = small_digits()
    parts = {"x_train": images[:500], "y_train": labels[:500], "classes": list("abcdefghij")}
    np.savez("both.npz", **parts, x_test=images[500:], y_test=labels[500:])
    files = "--data both.npz --test-data both.npz"
    asked = f"train {files} --classes k,l,m,n,o,p,q,r,s,t --out run"
    settings = "--set hidden=[8] epochs=1 schedule=constant"
    assert command(*f"{asked} {settings}".split())[0] == 0
    assert command(*f"train --resume run --override epochs=2 {files}".split())[0] == 0
    trained = tomllib.loads(Path("run/config.toml").read_text())["trained"]
    assert "".join(trained["classes"]) == "klmnopqrst"


def test_a_run_of_old_that_names_no_test_set_can_be_given_one(command, monkeypatch):
    images, labels = (part[:400] for part in data.load_mnist(None))
    np.savez("mine.npz", images=images[:350], labels=labels[:350])
    np.savez("others.npz", images=images[350:], labels=labels[350:])
    sets = own_sets(Path("mine.npz"), test_data=Path("others.npz"))
    recipe = Recipe.load("default").changed(["hidden=[8]", "epochs=1"])
    with new_run(recipe, Path("run"), sets._replace(files={"data": "mine.npz"})) as new:
        new.save()
    code, _, err = command("train", "--resume", "run", "--data", "mine.npz")
    assert (code, "mine.npz: nothing to test on." in err) == (2, True)
    few = (images[350:], labels[350:])
    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist_test", lambda how: few)
    asked = "train --resume run --data mine.npz --test-data mnist"
    assert command(*asked.split())[0] == 0
    assert json.loads(Path("run/metrics.json").read_text())["files"]["test_data"] == "mnist"


REFUSED = {
    "no test set": (
        f"train {FILES}",
        "train-images.gz: nothing to test on. Name other images like these: --test-data FILE.",
    ),
    "MNIST's test set": (
        f"train {FILES} --test-data mnist",
        "but those trained on are in 26 classes from 1 to 26 and have 16 x 16 pixels.",
    ),
    "labels for MNIST": (
        "train --test-data mnist --test-labels test-labels.gz",
        "MNIST's test images have labels of their own. Leave out test-labels.gz.",
    ),
    "evaluated on MNIST": (
        "evaluate run",
        "not on MNIST. Name the images to test it on: --data FILE.",
    ),
    "evaluated on the word": ("evaluate run --data mnist", "MNIST's test images are digits"),
    "read from MNIST": ("predict run --test 3", "--test reads MNIST's test images, but this"),
    "names of nothing": ("train --classes a,b", "--classes belongs to --data"),
    "shape of nothing": ("train --shape 8,8", "--shape belongs to --data"),
    "names of a run": (f"train --resume run {FILES} --classes a,b", "--classes belongs to --data"),
    "a shape in words": (f"train {FILES} --shape 16x16", "--shape is rows and columns, as 8,16"),
    "no rows": (f"train {FILES} --shape 0,16", "--shape is rows and columns, as 8,16"),
    "another shape": (f"train {FILES} {TEST_FILES} --shape 8,32", "of 16 x 16 pixels, expected 8"),
    "too few names": (
        f"train {FILES} {TEST_FILES} --classes a,b",
        "train-labels.gz: 2 class names, but labels from 1 to 26: name 26 classes",
    ),
}


@pytest.mark.usefixtures("in_the_folder")
@pytest.mark.parametrize(("asked", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_by_the_command_in_one_line(command, tmp_path, asked, message):
    out = ["--out", str(tmp_path / "new")] if "train" in asked and "--resume" not in asked else []
    code, _, err = command(*asked.split(), *out)
    assert (code, len(err.splitlines()), message in err) == (2, 1, True), err
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("in_the_folder")
def test_pictures_and_arrays_are_read_by_a_network_of_letters(command, tmp_path):
    images, labels = letters(8, 2)
    np.save(tmp_path / "few.npy", images)
    Image.fromarray(images[0]).resize((64, 64), 0).save(tmp_path / "one.png")
    files = [str(tmp_path / name) for name in ("few.npy", "one.png")]
    code, out, _ = command("predict", "run", *files, "--db", str(tmp_path / "log.db"), "--json")
    predicted = [row["predicted"] for row in json.loads(out)]
    assert (code, predicted[8]) == (0, predicted[0])
    assert sum(predicted[:8] == labels) >= 6


def test_small_digits_in_one_npz_file_are_learnt(command):
    (x_train, y_train), (x_test, y_test) = small_digits(), small_digits(200, 1)
    np.savez("both.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    files = "--data both.npz --test-data both.npz --out run"
    code, out, _ = command("train", *files.split(), *SMALL.split())
    assert (code, json.loads(out)["test"]["accuracy"] > 0.6) == (0, True)


def test_a_network_trained_on_digits_of_ones_own_may_be_tested_on_mnist(command, monkeypatch):
    images, labels = (part[:400] for part in data.load_mnist(None))
    test = tuple(part[:50] for part in data.load_mnist_test(None))
    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist_test", lambda how: test)
    np.savez("mine.npz", images=images, labels=labels)
    asked = "train --data mine.npz --test-data mnist --set hidden=[8] epochs=1 --out run --json"
    code, out, _ = command(*asked.split())
    assert (code, json.loads(out)["files"]["test_data"]) == (0, "mnist")
    monkeypatch.chdir("run")
    assert command("train", "--resume", "../run", "--data", "../mine.npz")[0] == 0
    monkeypatch.chdir("..")
    found = json.loads(command("evaluate", "run", "--data", "mnist", "--json")[1])
    assert found["correct"] + found["incorrect"] == 50
