"""Pictures of any size become images like MNIST's, in whole numbers, as any language has them."""

import contextlib
import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tinygrad_mnist import data
from tinygrad_mnist.data import images as images_module
from tinygrad_mnist.data.images import to_grey


@pytest.fixture(scope="module")
def digits():
    images, _ = data.load_mnist(None)
    return images[:2000].reshape(-1, 28, 28)


def encoded(array, form="PNG", **options):
    """An array as the content of a picture file."""
    file = io.BytesIO()
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    picture.save(file, form, **options)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def drawing(digit, scale=9, size=(500, 400), at=(90, 30)):
    """A digit on a large black canvas, its edges smooth."""
    canvas, sides = np.zeros(size, np.uint8), (28 * scale, 28 * scale)
    large = np.asarray(Image.fromarray(digit).resize(sides, Image.Resampling.BICUBIC))
    canvas[at[0] : at[0] + large.shape[0], at[1] : at[1] + large.shape[1]] = large
    return canvas


def box(image):
    rows, columns = image.any(axis=1).nonzero()[0], image.any(axis=0).nonzero()[0]
    return rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


def centre(image):
    return [(image.sum(axis=1 - axis) @ np.arange(28.0)) / image.sum() for axis in (0, 1)]


def likeness(found, digits):
    """Median of the correlations between images and digits."""
    pairs = zip(found, digits, strict=False)
    return np.median([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])


# The algorithm of the docstrings of `to_grey` and `like_mnist` once more, pixel by pixel in
# Python's integers.


def twin(rgba):
    ink = ink_of(grey_of(rgba))
    spans = [last - first for first, last in (span(ink), span(across(ink)))]
    centred = start(ink) == start(across(ink)) == 0
    if len(rgba) == len(rgba[0]) == 28 and max(spans) == 20 and centred:
        return ink
    strongest = max(map(max, ink))
    ink = [[0 if 3 * v < strongest else v for v in row] for row in ink]
    (top, bottom), (left, right) = span(ink), span(across(ink))
    return placed(shrunk([row[left:right] for row in ink[top:bottom]]))


def grey_of(rgba):
    seen = [
        [((299 * r + 587 * g + 114 * b + 500) // 1000, a) for r, g, b, a in row] for row in rgba
    ]
    dark = sum(a * (y - 128) for row in seen for y, a in row) < 0
    behind = 255 if dark else 0
    return [[(a * y + (255 - a) * behind + 127) // 255 for y, a in row] for row in seen]


def ink_of(grey):
    m, n = len(grey), len(grey[0])

    def outermost(i, j):
        return i in (0, m - 1) or j in (0, n - 1)

    edge = sorted(grey[i][j] for i in range(m) for j in range(n) if outermost(i, j))
    paper = edge[(len(edge) - 1) // 2]
    low, high = min(map(min, grey)), max(map(max, grey))
    dark = paper - low > high - paper
    return [[max(paper - v if dark else v - paper, 0) for v in row] for row in grey]


def span(lines):
    inked = [i for i, line in enumerate(lines) if any(line)]
    return inked[0], inked[-1] + 1


def start(lines):
    s, m = sum(map(sum, lines)), sum(i * sum(line) for i, line in enumerate(lines))
    return -((2 * m - 27 * s) // (2 * s))


def across(lines):
    return [list(column) for column in zip(*lines, strict=True)]


def shrunk(ink):
    m, n = len(ink), len(ink[0])
    longer = max(m, n)
    m2, n2 = (max(1, (40 * k + longer) // (2 * longer)) for k in (m, n))

    def overlap(i, y, old, new):
        return max(0, min((i + 1) * old, (y + 1) * new) - max(i * old, y * new))

    def mean(i, j):
        return sum(
            overlap(i, y, m, m2) * ink[y][x] * overlap(j, x, n, n2)
            for y in range(m)
            for x in range(n)
        )

    sums = [[mean(i, j) for j in range(n2)] for i in range(m2)]
    s = max(map(max, sums))
    return [[(510 * v + s) // (2 * s) for v in row] for row in sums]


def placed(digit):
    top, left = (min(max(start(lines), 0), 28 - len(lines)) for lines in (digit, across(digit)))
    image = [[0] * 28 for _ in range(28)]
    for i, row in enumerate(digit):
        image[top + i][left : left + len(row)] = row
    return image


SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(4))


@given(hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 60, 128, 200, 254, 255])))
def test_two_programs_that_follow_the_docstring_agree_to_the_last_bit(rgba):
    grey = to_grey(rgba)
    if grey.min() == grey.max():
        with pytest.raises(data.DataError, match="all pixels are alike"):
            data.like_mnist(grey)
    else:
        assert data.like_mnist(grey).tolist() == twin(rgba.tolist())


def test_the_two_programs_agree_on_real_digits_too(digits):
    moved = [digits[8][2:, 3:], np.roll(digits[9], 3, axis=1)]
    for digit in [*digits[:5], *(255 - digits[5:8]), *moved]:
        rgba = np.stack([digit, digit, digit, np.full_like(digit, 255)], axis=-1)
        assert data.like_mnist(to_grey(rgba)).tolist() == twin(rgba.tolist())


# ---------------------------------------------------------------- like MNIST's


@pytest.mark.parametrize("invert", [False, True])
def test_images_of_mnist_stay_as_they_are(digits, invert):
    given = 255 - digits if invert else digits
    same = [np.array_equal(data.like_mnist(a), b) for a, b in zip(given, digits, strict=True)]
    assert sum(same) >= len(digits) - 3  # the box of 13 in 60 000 is not 20 long


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("JPEG", {"quality": 75})])
def test_a_digit_drawn_large_and_off_centre_comes_back_nearly(digits, form, options, invert):
    drawings = [255 - drawing(digit) if invert else drawing(digit) for digit in digits[:20]]
    found = [data.read_images(encoded(picture, form, **options), "drawing") for picture in drawings]
    assert likeness(found, digits) > 0.97


def test_a_digit_on_a_photo_with_shadow_and_noise_is_found(digits, rng):
    light = np.linspace(-10, 10, 400) + np.linspace(-8, 8, 500)[:, None]
    found = []
    for digit in digits[:20]:
        photo = 200 - 0.5 * drawing(digit) + light + rng.normal(0, 3, light.shape)
        found.append(data.read_images(encoded(photo.astype(np.uint8), "JPEG"), "photo"))
    assert likeness(found, digits) > 0.95


SIDES = st.tuples(st.integers(1, 60), st.integers(1, 60))


@given(hnp.arrays(np.uint8, SIDES, elements=st.sampled_from([0, 90, 255])))
def test_the_longer_side_is_20_and_the_strongest_ink_white(grey):
    grey = np.pad(grey, 3)
    if not grey.any() or grey.shape == (28, 28):
        return
    image = data.like_mnist(grey)
    assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)
    assert max(box(image)) <= 20


@pytest.mark.parametrize("shape", [(200, 100), (50, 120), (7, 7), (1, 300), (20, 20)])
def test_the_aspect_ratio_is_kept_and_the_centre_of_mass_in_the_middle(shape):
    image = data.like_mnist(np.pad(np.full(shape, 255, np.uint8), 31))
    sides = [max(1, round(20 * n / max(shape))) for n in shape]
    assert list(box(image)) == sides
    assert all(13.5 <= c < 14.5 for c in centre(image))


def test_ink_is_averaged_over_the_area_of_a_pixel():
    stripes = np.zeros((40, 40), np.uint8)
    stripes[:, ::2] = 200  # each new pixel covers one white and one black column ...
    stripes[:2, 39] = 200  # ... but the last of the first row covers white only
    image = data.like_mnist(np.pad(stripes, 10))
    assert sorted(set(image.ravel())) == [0, 128, 255]
    assert (image == 255).sum() == 1


def test_brightness_is_that_of_colours_and_transparent_paper_is_the_other_of_ink():
    colours = np.array([[[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]]], np.uint8)
    assert to_grey(colours).tolist() == [[76, 150, 29]]
    black_ink = np.array([[[0, 0, 0, 255], [9, 9, 9, 0], [0, 0, 0, 51]]], np.uint8)
    assert to_grey(black_ink).tolist() == [[0, 255, 204]]
    white_ink = np.array([[[255, 255, 255, 255], [9, 9, 9, 0]]], np.uint8)
    assert to_grey(white_ink).tolist() == [[255, 0]]


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_of_every_kind_gives_the_same_image(digits, mode):
    ink = np.where(digits[0] > 127, 255, 0).astype(np.uint8)
    picture = Image.fromarray(ink.astype(np.uint16) * 257)
    if mode != "I;16":
        picture = Image.fromarray(ink).convert(mode)
    expected = data.like_mnist(ink)
    np.testing.assert_array_equal(data.read_images(encoded(picture), "x")[0], expected.ravel())


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_of_every_kind_is_read(digits, mode):
    picture = Image.fromarray(drawing(digits[0])).convert(mode)
    found = data.read_images(encoded(picture, "JPEG", quality=95), "x")
    assert likeness([found], digits) > 0.9


def test_a_picture_that_the_camera_held_sideways_is_turned(digits):
    picture = Image.fromarray(drawing(digits[0])).rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise to be upright
    upright = data.read_images(encoded(drawing(digits[0])), "x")
    np.testing.assert_array_equal(data.read_images(encoded(picture, exif=exif), "x"), upright)


@pytest.mark.parametrize("shape", [(28, 28), (784,), (1, 784), (3, 784), (3, 28, 28)])
@pytest.mark.parametrize("kind", ["bytes", "0 to 255", "0 to 1", "integers"])
def test_arrays_are_images_already(digits, shape, kind):
    pixels = digits[: (shape[0] if len(shape) > 1 and shape != (28, 28) else 1)].reshape(shape)
    convert = {
        "bytes": pixels,
        "0 to 255": pixels.astype(np.float32),
        "0 to 1": pixels / 255,
        "integers": pixels.astype(np.int64),
    }
    found = data.read_images(npy(convert[kind]), "x")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pixels.reshape(-1, 784))


def test_a_mask_of_bools_is_black_and_white():
    assert np.unique(data.read_images(npy(np.eye(28, dtype=bool)), "x")).tolist() == [0, 255]


PNG = encoded(np.eye(30, dtype=np.uint8) * 255)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither a PNG nor a JPEG picture nor an npy array"),
        (b"%PDF-1.7", "neither a PNG nor a JPEG"),
        (encoded(np.eye(9, dtype=np.uint8), "GIF"), "neither a PNG nor a JPEG"),
        (PNG[:45], "cannot be decoded"),
        (encoded(np.full((9, 9), 7, np.uint8)), "all pixels are alike: no digit to be seen"),
        (encoded(np.zeros((9, 9, 4), np.uint8)), "all pixels are alike"),
        (npy(np.zeros((5, 5))), r"shape \(5, 5\), expected \(28, 28\) or \(784,\)"),
        (npy(np.zeros((0, 784))), r"announces 0 x 784 elements"),
        (npy(np.zeros(())), r"shape \(\)"),
        (npy(np.full(784, np.nan)), "expected numbers from 0 to 255"),
        (npy(np.full(784, 256)), "expected numbers from 0 to 255"),
        (npy(np.full(784, "a")), "the array has elements of type <U1, expected numbers"),
        (npy(np.full(784, None)), "the array has elements of type object, expected numbers"),
        (npy(np.zeros(784))[:-1], "announces 6,272 bytes, but 1 of them is missing"),
        (npy(np.zeros(784)).replace(b"(784,)", b"(784 )"), "not an array of numbers, or damaged"),
    ],
)
def test_files_of_something_else_are_refused_and_named(content, message):
    with pytest.raises(data.DataError, match=rf"^my\.file: .*{message}") as caught:
        data.read_images(content, "my.file")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("side", [4097, 20_000])  # Pillow warns of the second itself
def test_a_huge_picture_is_refused_before_it_is_decoded(side):
    bomb = encoded(Image.new("1", (side, side)))
    tracemalloc.start()
    with pytest.raises(data.DataError, match=r"^bomb\.png: .*(pixels are too many|exceeds limit)"):
        data.read_images(bomb, "bomb.png")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_huge_file_is_refused(monkeypatch):
    monkeypatch.setattr(images_module, "MOST_BYTES", 100)
    with pytest.raises(data.DataError, match="x: more than 100 bytes"):
        data.read_images(b"?" * 101, "x")


JPEG = encoded(np.eye(30, dtype=np.uint8) * 255, "JPEG")


@given(st.sampled_from([PNG, JPEG, npy(np.eye(28))]), st.data())
def test_any_changed_byte_is_read_or_refused_with_one_kind_of_error(content, draw):
    changed = bytearray(content)
    changed[draw.draw(st.integers(0, len(content) - 1))] ^= draw.draw(st.integers(1, 255))
    with contextlib.suppress(data.DataError):
        assert data.read_images(bytes(changed), "x").shape[1] == 784


def test_when_dark_and_bright_are_equally_far_from_the_paper_the_bright_is_ink():
    grey = np.full((40, 40), 100, np.uint8)
    grey[5:10, 5:35] = 50  # lies
    grey[12:38, 18:22] = 150  # stands
    rows, columns = box(data.like_mnist(grey))
    assert rows > columns
    grey[5:10, 5:35] = 49
    rows, columns = box(data.like_mnist(grey))
    assert rows < columns
