"""Files that can be read but are not what they seem: refused or warned of, never silently taken."""

import gzip
import io
import json

import numpy as np
import pytest
from test_formats import CSV, IMAGES, LABELS, NAMES, idx, npz_bytes, one_error, text, write

from tinygrad_mnist import data

DIFFERENT = LABELS[:40]
FEW = IMAGES[:40]
LAST = np.hstack([FEW, DIFFERENT[:, None]])
ONE_HOT = np.eye(10, dtype=int)[DIFFERENT]


def npy_bytes(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


# ---------------------------------------------------------------- refused

PIXELS_FIRST = "the header calls no column a label, and the first of its 785 "
REFUSED = {
    "785 pixels": (
        (text(LAST, header=[*NAMES, "pixel784"]),),
        f"{PIXELS_FIRST}'pixel0'. Call the column of the labels 'label'.",
    ),
    "label under another name, last": ((text(LAST, header=[*NAMES, "ziffer"]),), PIXELS_FIRST),
    "rows by columns": (
        (text(LAST, header=[f"{i // 28}x{i % 28}" for i in range(785)]),),
        f"{PIXELS_FIRST}'0x0'",
    ),
    "row numbers": ((text(LAST, header=["id", *NAMES]),), f"{PIXELS_FIRST}'id'"),
    "row numbers of pandas": ((text(LAST, header=["", *NAMES]),), f"{PIXELS_FIRST}''"),
    "a pixel lost": (
        (text(FEW, header=["label", *NAMES[1:]]),),
        "the header calls column 1 'label', which leaves 783 pixels, expected 784",
    ),
    "labels last": ((text(LAST),), "column 1 is 0 in all 40 lines, and column 785 has different"),
    "labels last, fractions": ((text(LAST.astype(float)),), "Are the labels last? Move them"),
    "labels one-hot": ((text(np.hstack([ONE_HOT, FEW])),), "Are the labels one-hot, ten columns?"),
    "labels one-hot apart": ((text(FEW), text(ONE_HOT)), "expected 1 (a label)"),
    "a row number too many": (
        (text(np.column_stack([range(40), DIFFERENT, FEW])),),
        "line 1 has 786 columns, expected a square number (pixels) or one more (a label",
    ),
    "labels alike, csv": ((text(FEW, 0 * DIFFERENT),), "all 40 labels are 0, so there is nothing"),
    "labels alike, npz": (
        (npz_bytes(images=FEW, labels=0 * DIFFERENT + 7),),
        "all 40 labels are 7",
    ),
    "labels alike, idx": (
        (idx(FEW.reshape(-1, 28, 28)), idx(0 * DIFFERENT + 3)),
        "all 40 labels are 3",
    ),
    "nothing but black": ((text(0 * FEW, DIFFERENT),), "all pixels of all images are 0"),
    "nothing but white": ((npz_bytes(images=0 * FEW + 255, labels=DIFFERENT),), "images are 255"),
    "npy": ((npy_bytes(FEW),), "an npy file, which holds one array and so no labels. Keep both"),
    "npy.gz": ((gzip.compress(npy_bytes(FEW)),), "an npy file"),
    "npy of labels": ((text(FEW), npy_bytes(DIFFERENT)), "labels: an npy file"),
    "jpeg": ((b"\xff\xd8\xff\xe0",), "a JPEG picture. `tinygrad-mnist predict` reads pictures"),
}


@pytest.mark.parametrize(("contents", "message"), REFUSED.values(), ids=REFUSED)
def test_what_a_file_seems_to_be_is_said(tmp_path, contents, message):
    assert message in one_error(*write(tmp_path, *contents))


@pytest.mark.parametrize("name", ["label", "Labels", "class", "target", '"digit"', "y"])
@pytest.mark.parametrize("at", [0, 100, 784])
def test_a_header_may_call_any_column_the_labels(tmp_path, name, at):
    header = [*NAMES[:at], name, *NAMES[at:]]
    rows = np.insert(FEW.astype(int), at, DIFFERENT, axis=1)
    images, labels = data.load(*write(tmp_path, text(rows, header=header)))
    np.testing.assert_array_equal(images, FEW)
    np.testing.assert_array_equal(labels, DIFFERENT)


@pytest.mark.parametrize("header", [[f"V{n + 1}" for n in range(785)], ["5", *NAMES], range(785)])
def test_a_header_that_says_nothing_leaves_the_label_first(tmp_path, header):
    _, labels = data.load(*write(tmp_path, text(FEW, DIFFERENT, header)))
    np.testing.assert_array_equal(labels, DIFFERENT)


# ---------------------------------------------------------------- warned of


def blank(images):
    images = images.copy()
    images[[3, 9]] = 0
    return images


def on_two_scales(images, whole=False):
    scaled = images / 255 if not whole else images > 127
    return np.vstack([images[:30], scaled[30:]])


WARNED = {
    "dark on white": (
        255 - FEW,
        "the mean pixel is 8. % of white, that of MNIST 13 %. .* 255 - im",
    ),
    "dark on white, fractions": (1 - FEW / 255, r"exchange them with 1 - images"),
    "blank": (blank(FEW), "2 images of 40 with nothing on it, .* the first of them number 4"),
    "16 levels": (FEW // 16, "the brightest pixel is 15, where white is 255"),
    "two scales, fractions": (
        on_two_scales(FEW),
        "in 10 images of 40, the first of them number 31, no pixel exceeds 1/255 of white",
    ),
    "two scales, bytes": (
        on_two_scales(FEW, whole=True),
        "Were pixels from 0 to 1 put together with pixels from 0 to 255?",
    ),
    "divided twice": (FEW / 255 / 255, "the brightest pixel is 0.003922, where white is 1"),
}


@pytest.mark.parametrize(("images", "message"), WARNED.values(), ids=WARNED)
def test_what_can_be_used_but_looks_wrong_is_warned_of_once(tmp_path, images, message):
    for content in (text(images, DIFFERENT), npz_bytes(images=images, labels=DIFFERENT)):
        with pytest.warns(data.DataWarning, match=message) as caught:
            data.load(*write(tmp_path, content))
        assert len(caught) == 1
        assert caught[0].filename == __file__


def test_a_test_on_one_digit_only_is_possible(tmp_path):
    (path,) = write(tmp_path, npz_bytes(images=FEW, labels=0 * DIFFERENT + 7))
    with pytest.warns(data.DataWarning, match="all 40 labels are 7"):
        assert len(data.load(path, part="test")[0]) == 40


def test_arrays_of_digits_on_paper_are_warned_of(tmp_path):
    with pytest.warns(data.DataWarning, match="mine.npy: the mean pixel is 8. % of white"):
        data.read_images(npy_bytes(255 - FEW), "mine.npy")


def test_arrays_of_pixels_on_two_scales_are_warned_of():
    with pytest.warns(data.DataWarning, match="mine.npy: in 10 images of 40") as caught:
        data.read_images(npy_bytes(on_two_scales(FEW)), "mine.npy")
    assert caught[0].filename == __file__


def test_a_single_dark_image_is_no_second_scale(tmp_path):
    images = FEW.copy()
    images[7] //= 255
    data.load(*write(tmp_path, npz_bytes(images=images, labels=DIFFERENT)))


def test_mnist_itself_is_not_warned_of(tmp_path):
    for content in (CSV, text(IMAGES / 255, LABELS), npz_bytes(images=IMAGES > 127, labels=LABELS)):
        data.load(*write(tmp_path, content))


# ---------------------------------------------------------------- on the command line


@pytest.mark.parametrize("asked", ["train --out run --set epochs=1 hidden=[4] validation=0.5"])
def test_the_command_warns_on_standard_error_and_goes_on(command, tmp_path, monkeypatch, asked):
    monkeypatch.chdir(tmp_path)
    np.savez("paper.npz", images=255 - FEW[:20], labels=DIFFERENT[:20])
    np.savez("test.npz", images=FEW[20:], labels=DIFFERENT[20:])
    files = ["--data", "paper.npz", "--test-data", "test.npz", "--json"]
    code, out, err = command(*asked.split(), *files)
    assert (code, json.loads(out)["out"]) == (0, "run")
    assert err.startswith("warning: paper.npz: the mean pixel is 8")
    assert "Traceback" not in err
    code, out, err = command("evaluate", "run", "--data", "paper.npz")
    assert (code, len(err.splitlines())) == (0, 1)
    assert err.startswith("warning: paper.npz: the mean pixel is 8")


def test_the_same_file_to_train_and_to_test_is_refused(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", images=FEW, labels=DIFFERENT)
    asked = "train --out run --data mine.npz --test-data mine.npz"
    code, _, err = command(*asked.split())
    assert (code, len(err.splitlines())) == (2, 1)
    assert "40 of the 40 test images are also training images" in err
    assert "Is it the same file?" in err
    assert not (tmp_path / "run").exists()
