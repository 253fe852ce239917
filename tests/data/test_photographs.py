"""Photographs become images like MNIST's: each kind of damage, several digits, or none at all."""

import io
import json
from pathlib import Path

import numpy as np
import photographs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage

from tinygrad_mnist import data
from tinygrad_mnist.data import flatten, read_digits, read_page
from tinygrad_mnist.data.images import decode, like_mnist, to_grey
from tinygrad_mnist.data.marks import MOST_MARKS
from tinygrad_mnist.data.paper import EVEN
from tinygrad_mnist.evaluation import predict, show_page
from tinygrad_mnist.runs import load_trained

RUN = Path(__file__).parents[2] / "artifacts" / "default"
TUNED_ON, REPORTED = 0, 1
"""Seeds of photographs: all constants were chosen on the first, with other digits."""
OF_A_KIND, ENOUGH = 35, 0.85


@pytest.fixture(scope="module")
def mnist():
    return data.load_mnist(None)


@pytest.fixture(scope="module")
def network():
    trained = load_trained(RUN)
    return lambda images: predict(trained.classifier, images, trained.normalize)


def held_out(seed):
    """Rows that the network was not trained on: half of them for tuning, half for the report."""
    rng = np.random.default_rng(np.random.SeedSequence(0).spawn(4)[0])
    _, rows = data.split(60_000, 0.1, rng)
    return np.array_split(rows, 2)[seed]


def photographed(mnist, kind, seed, count, digits=1, **size):
    """Photographs, and the labels of the digits on each."""
    images, labels = mnist
    rng = np.random.default_rng([seed, digits, *kind.encode()])
    for rows in rng.choice(held_out(seed), (count, digits), replace=False):
        taken = photographs.take(images[rows].reshape(-1, 28, 28), kind, rng, **size)
        yield taken, labels[rows].tolist()


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def drawing(*digits, scale=6):
    """Digits side by side in white ink on black, their edges smooth."""
    row = Image.fromarray(np.concatenate([d.reshape(28, 28) for d in digits], axis=1))
    large = row.resize((scale * row.width, scale * row.height), Image.Resampling.BICUBIC)
    return np.asarray(large)


# ---------------------------------------------------------------- how many are read right


def test_the_digits_of_the_photographs_were_held_out_from_the_training(mnist, network):
    rows = np.concatenate([held_out(TUNED_ON), held_out(REPORTED)])
    right = network(mnist[0][rows]).argmax(axis=1) == mnist[1][rows]
    metrics = json.loads((RUN / "metrics.json").read_text())
    assert right.mean() == pytest.approx(metrics["validation"]["accuracy"], abs=1e-9)


@pytest.mark.parametrize("kind", photographs.KINDS)
def test_photographs_of_every_kind_are_read(mnist, network, kind):
    right = 0
    for photograph, labels in photographed(mnist, kind, REPORTED, OF_A_KIND):
        found = read_digits(photograph.jpeg(), kind)
        images = np.array([digit.image for digit in found])
        right += network(images).argmax(axis=1).tolist() == labels
    assert right >= ENOUGH * OF_A_KIND


# ---------------------------------------------------------------- clean pictures stay as they are


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(("scale", "count"), [(1, 100), (6, 10), (60, 1)])
def test_a_clean_picture_stays_as_it_is(mnist, invert, scale, count):
    for digit in mnist[0][:count]:
        grey = drawing(digit, scale=scale)
        grey = 255 - grey if invert else grey
        assert flatten(grey).grey is grey
        (found,) = read_digits(png(grey), "drawing")
        np.testing.assert_array_equal(found.image, like_mnist(grey).ravel())


def test_even_paper_with_a_little_noise_counts_as_clean(mnist, rng):
    grey = (200 - 0.5 * drawing(mnist[0][0]) + rng.uniform(-EVEN / 2, EVEN / 2)).astype(np.uint8)
    assert flatten(grey).grey is grey
    assert flatten(grey // np.linspace(1, 2, grey.shape[1]).astype(np.uint8)).grey is not grey


def test_a_flat_photograph_is_white_but_for_the_ink(mnist):
    for photograph, _ in photographed(mnist, "all", TUNED_ON, 5):
        grey = to_grey(decode(photograph.jpeg()))
        ink = photograph.seen(photograph.coverage[0][..., None])[..., 0]
        flat = flatten(grey).grey
        assert (flat[ink == 0] == 255).mean() > 0.98
        assert np.median(flat[ink == 1]) < 100


def test_lines_as_dark_as_the_ink_are_gone_if_the_pen_is_wider():
    grey = PAPER.copy()
    grey[::20], grey[1::20], grey[:, ::25] = 30, 30, 30
    grey[60:140, 58:70] = 30
    (digit,) = read_digits(png(grey), "squares")
    assert overlap(digit.box, (58, 60, 12, 80)) > 0.5


def test_white_chalk_on_a_board_in_shadow_becomes_dark_ink_on_white(mnist):
    for photograph, _ in photographed(mnist, "shadow", TUNED_ON, 5):
        flat = flatten(255 - to_grey(decode(photograph.jpeg()))).grey
        ink = photograph.coverage[0]
        assert np.median(flat[ink == 1]) < 100
        assert np.median(flat[ink == 0]) == 255


# ---------------------------------------------------------------- several digits


def test_digits_of_a_clean_drawing_are_found_from_left_to_right(mnist):
    digits = mnist[0][[1, 3, 2]]
    found = read_digits(png(drawing(*digits)), "drawing")
    alone = [like_mnist(drawing(digit)).ravel() for digit in digits]
    likeness = [np.corrcoef(a.image, b)[0, 1] for a, b in zip(found, alone, strict=True)]
    assert min(likeness) > 0.97


@pytest.mark.parametrize("kind", ["clean", "all"])
def test_digits_of_a_photograph_are_found_where_they_are(mnist, kind):
    counted = 0
    for photograph, labels in photographed(mnist, kind, REPORTED, 8, digits=3, width=420):
        found = read_digits(photograph.jpeg(), kind)
        counted += len(found) == len(labels)
        if len(found) == len(labels):
            pairs = zip(found, photograph.boxes(), strict=True)
            assert min(overlap(digit.box, box) for digit, box in pairs) > 0.6
    assert counted >= 7


def overlap(a, b):
    """The area of two boxes in common, over that of both."""
    across, down = (min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    common = max(across, 0) * max(down, 0)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def test_a_large_photograph_has_boxes_in_its_own_pixels():
    grey = np.full((1300, 1000), 255, np.uint8)
    grey[301:904, 500:580] = 0
    (digit,) = read_digits(png(grey), "large")
    assert overlap(digit.box, (500, 301, 80, 603)) > 0.9


PAPER = np.full((200, 300), 230, np.uint8)


def page_with(*strokes):
    """Dark strokes (top, left, height, width) on bright paper."""
    grey = PAPER.copy()
    for top, left, height, width in strokes:
        grey[top : top + height, left : left + width] = 30
    return read_page(png(grey), "strokes")


FIVE = (60, 50, 80, 12)


def test_a_bar_beside_its_digit_belongs_to_it():
    (digit,) = page_with(FIVE, (54, 66, 10, 40)).digits
    assert digit.box == (50, 54, 56, 86)


def test_a_digit_beside_another_stays_apart():
    assert [d.box[0] for d in page_with(FIVE, (62, 70, 78, 12), (90, 100, 40, 30)).digits] == [
        50, 70, 100,
    ]  # fmt: skip


def test_a_speck_is_no_digit_and_does_not_move_the_one_there_is():
    page = page_with(FIVE, (20, 200, 5, 5))
    assert [d.box for d in page.digits] == [(50, 60, 12, 80)]
    np.testing.assert_array_equal(page.digits[0].image, page_with(FIVE).digits[0].image)


def test_dirt_close_to_a_digit_does_not_belong_to_it():
    assert [digit.box for digit in page_with(FIVE, (70, 64, 5, 5)).digits] == [(50, 60, 12, 80)]


def test_a_digit_whose_box_reaches_into_that_of_another_is_not_on_its_image():
    corner = [FIVE, (130, 50, 10, 60)]
    first, second = page_with(*corner, (60, 105, 60, 16)).digits
    (alone,) = page_with(*corner).digits
    np.testing.assert_array_equal(first.image, alone.image)
    assert second.box == (105, 60, 16, 60)


def test_rows_are_read_one_after_the_other_also_when_they_rise():
    upper = [(40, 20, 40, 8), (30, 100, 40, 8), (20, 180, 40, 8)]
    lower = [(120, 10, 40, 8), (120, 90, 40, 8)]
    page = page_with(*lower, *upper)
    assert [d.box[:2] for d in page.digits] == [
        (20, 40),
        (100, 30),
        (180, 20),
        (10, 120),
        (90, 120),
    ]


# ---------------------------------------------------------------- what may be wrong


def hints(page):
    return " ".join([*page.hints, *(hint for digit in page.digits for hint in digit.hints)])


def test_a_digit_like_those_of_mnist_has_no_hints(mnist):
    for digit in mnist[0][:20]:
        assert hints(read_page(png(drawing(digit)), "drawing")) == ""


def test_faint_ink_is_named():
    grey = PAPER.copy()
    grey[60:140, 50:62] = 190
    assert "The ink is faint: it swallows 17 % of the light" in hints(read_page(png(grey), "x"))


@pytest.mark.parametrize(
    ("strokes", "hint"),
    [
        ([(60, 50, 100, 3)], "strokes are thin: 3 % of its size"),
        ([(60, 50, 80, 30)], "strokes are thick: 36 % of its size"),
        ([(60, 50, 60, 60)], "It is a blot rather than strokes"),
        ([(60, 50, 12, 80)], "It is 6.7 times as wide as high"),
        ([FIVE, (60, 150, 80, 12)], "There are 2 marks"),
        ([FIVE, (20, 200, 5, 5)], "1 small mark beside the digits left out"),
        ([FIVE, (0, 200, 90, 12)], "runs over the edge of the picture"),
    ],
)
def test_what_is_unlike_mnist_is_named(strokes, hint):
    assert hint in hints(page_with(*strokes))
    assert hint not in hints(page_with(FIVE))


def test_a_digit_that_is_cut_off_is_read_if_there_is_no_other():
    page = page_with((0, 200, 90, 12))
    assert [digit.box for digit in page.digits] == [(200, 0, 12, 90)]
    assert "runs over the edge" in hints(page)


# ---------------------------------------------------------------- what is no digit


def noise(rng, strength):
    return (128 + strength * rng.standard_normal((300, 200))).clip(0, 255).astype(np.uint8)


SQUARE = np.pad(np.full((9, 9), 255, np.uint8), 9)


@pytest.mark.parametrize(
    ("grey", "message"),
    [
        (np.full((1, 1), 9, np.uint8), "all pixels are alike: no digit to be seen"),
        (np.full((4096, 4096), 255, np.uint8), "all pixels are alike"),
        (np.zeros((1, 4097, 3), np.uint8), "all pixels are alike"),
        (np.arange(256, dtype=np.uint8)[None].repeat(300, 0), "nothing on it stands out"),
        (noise(np.random.default_rng(0), 90), "no digit to be seen"),
        (noise(np.random.default_rng(0), 20), "only specks of ink, none as large as a digit"),
        (np.pad(np.tile(SQUARE, (10, 7)), 9), f"70 separate marks, at most {MOST_MARKS} are read"),
        (np.zeros((4097, 4097), np.uint8), "4097 x 4097 pixels are too many"),
    ],
    ids=["one pixel", "white", "long", "gradient", "noise", "some noise", "squares", "huge"],
)
def test_what_shows_no_digit_is_refused_in_words(grey, message):
    with pytest.raises(data.DataError, match=rf"^photo: .*{message}") as caught:
        read_page(png(grey), "photo")
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_no_picture_is_refused():
    with pytest.raises(data.DataError, match="photo: neither a PNG nor a JPEG picture"):
        read_digits(b"%PDF-1.7", "photo")


SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(hnp.arrays(np.uint8, SIDES, elements=st.sampled_from([0, 90, 128, 255])))
def test_any_picture_is_read_or_refused(grey):
    try:
        page = read_page(png(grey), "x")
    except data.DataError:
        return
    for digit in page.digits:
        left, top, width, height = digit.box
        assert 0 <= left < left + width <= grey.shape[1]
        assert 0 <= top < top + height <= grey.shape[0]
        assert (digit.image.shape, digit.image.dtype, digit.image.max()) == ((784,), np.uint8, 255)


# ---------------------------------------------------------------- what the network saw


def shown(page, confidence=0.987):
    """The picture of a page whose digits were all read as 5: (rows, columns, 3)."""
    content = show_page(page, [5] * len(page.digits), [confidence] * len(page.digits))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


STROKES = [(20 + 50 * (i // 5), 20 + 50 * (i % 5), 40, 12) for i in range(10)]
ORANGE = np.array([0xD5, 0x5E, 0x00])


@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_a_page_is_shown_with_a_box_and_an_image_for_each_digit(count):
    picture = shown(page_with(*STROKES[:count]))
    assert picture.shape[1] == 800
    boxed = np.abs(picture.astype(int) - ORANGE).max(axis=2) < 3
    black = (picture == 0).all(axis=2)
    assert ndimage.label(boxed)[1] >= count
    large = np.bincount(ndimage.label(black)[0].ravel())[1:]
    assert (large > 4000).sum() == count  # of letters, none


def test_what_is_shown_has_the_caption_given():
    page = page_with(FIVE)
    assert (shown(page) != shown(page, confidence=0.5)).any()


def test_captions_of_another_page_are_refused():
    with pytest.raises(ValueError, match="1 digit, but 2 labels and 1 confidence"):
        show_page(page_with(FIVE), [1, 2], [0.5])
