"""Distorted images: the same for the same seed, displaced as far as promised, rightly read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist import data
from tinygrad_mnist.data import augment, distort


def random_images(rng, n, side, dtype):
    pixels = rng.integers(0, 256, (n, side * side), np.uint8)
    return pixels if dtype == np.uint8 else (pixels / 255 * 3.25 - 0.42).astype(dtype)


def ramps(n, side):
    """Images whose pixels are their own row, and column: distorted, they tell what was read."""
    rows, columns = np.indices((side, side), np.float32).reshape(2, 1, -1)
    return rows.repeat(n, axis=0), columns.repeat(n, axis=0)


def displacements(n, side, **strength):
    """(n, side, side) displacements of rows and of columns, as two images show them."""
    found = []
    for ramp in ramps(n, side):
        moved = distort(ramp, np.random.default_rng(1), **strength)
        found.append((moved - ramp).reshape(n, side, side).astype(float))
    return found


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_the_same_seed_gives_the_same_images_of_the_same_kind(dtype):
    images = random_images(np.random.default_rng(0), 40, 28, dtype)
    kept = images.copy()
    rngs = map(np.random.default_rng, (0, 0, 1))
    first, again, other = (distort(images, rng, affine=0.1) for rng in rngs)
    assert (first.shape, first.dtype) == (images.shape, images.dtype)
    assert (first == again).all()
    assert (first != other).any(axis=1).all()
    assert (images == kept).all()


KINDS = st.sampled_from([np.uint8, np.float32])


@given(st.integers(0, 2**32), st.integers(0, 5), st.integers(2, 30), KINDS)
def test_without_strength_nothing_changes(seed, n, side, dtype):
    rng = np.random.default_rng(seed)
    images = random_images(rng, n, side, dtype)
    assert np.array_equal(distort(images, rng, alpha=0.0, affine=0.0), images)


def test_how_images_are_cut_into_blocks_leaves_no_trace(monkeypatch):
    images = random_images(np.random.default_rng(0), 50, 9, np.float32)
    whole = distort(images, np.random.default_rng(1), affine=0.2)
    monkeypatch.setattr(augment, "BLOCK", 7)
    assert np.array_equal(distort(images, np.random.default_rng(1), affine=0.2), whole)


def test_elastic_displacements_are_centred_smooth_and_as_large_as_promised():
    n, side, alpha, sigma = 3000, 33, 20.0, 3.0
    # A Gaussian of one axis has squares that sum to 1/(2 sqrt(pi) sigma); uniform in ±1 is a
    # variance of 1/3.
    promised = alpha / np.sqrt(3) / (2 * np.sqrt(np.pi) * sigma)
    by_row, by_column = displacements(n, side, alpha=alpha, sigma=sigma)
    for moved in (by_row, by_column):
        centre = moved[:, 16, 16]
        assert abs(centre.mean()) < 4 * promised / np.sqrt(n)
        assert abs(centre.std() / promised - 1) < 0.06
        for distance in (1, 3, 6):
            for neighbour in (moved[:, 16 + distance, 16], moved[:, 16, 16 + distance]):
                correlation = np.corrcoef(centre, neighbour)[0, 1]
                assert abs(correlation - np.exp(-((distance / sigma) ** 2) / 4)) < 0.06
    assert abs(np.corrcoef(by_row[:, 16, 16], by_column[:, 16, 16])[0, 1]) < 0.07


def test_linear_displacements_are_linear_about_the_centre():
    n, side, affine = 2000, 29, 0.2
    y, x = (moved[:, 7:22, 7:22] for moved in displacements(n, side, alpha=0.0, affine=affine))
    for moved in (y, x):
        slopes = moved[:, 8, 7] - moved[:, 7, 7], moved[:, 7, 8] - moved[:, 7, 7]
        place = np.arange(-7, 8)
        plane = slopes[0][:, None, None] * place[:, None] + slopes[1][:, None, None] * place
        np.testing.assert_allclose(moved, plane, atol=1e-4)
        for slope in slopes:
            assert np.abs(slope).max() <= affine + 1e-5
            assert abs(slope.std() / (affine / np.sqrt(3)) - 1) < 0.05
    assert abs(np.corrcoef(y[:, 0, 7], x[:, 0, 7])[0, 1]) < 0.08


def test_beyond_the_edge_the_edge_continues():
    white = np.full((20, 784), 255, np.uint8)
    assert (distort(white, np.random.default_rng(0), alpha=2000.0, affine=1.0) == 255).all()


def test_bytes_are_rounded_not_cut_off():
    images, _ = data.load_mnist(None)
    images = images[:200]
    from_bytes = distort(images, np.random.default_rng(0)).astype(float)
    from_floats = distort(images.astype(np.float32), np.random.default_rng(0))
    assert np.abs(from_bytes - from_floats).max() <= 0.5


def plain_gather(image, dy, dx):
    """The pixel beside each place, one after the other."""
    side = len(image)
    moved = np.empty((side, side))
    for row in range(side):
        for column in range(side):
            y = min(max(row + dy[row, column], 0), side - 1)
            x = min(max(column + dx[row, column], 0), side - 1)
            above, left = int(y), int(x)
            below, right = min(above + 1, side - 1), min(left + 1, side - 1)
            fy, fx = y - above, x - left
            upper = (1 - fx) * image[above, left] + fx * image[above, right]
            lower = (1 - fx) * image[below, left] + fx * image[below, right]
            moved[row, column] = (1 - fy) * upper + fy * lower
    return moved


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(2, 9), st.floats(0, 20))
def test_the_gather_agrees_with_a_plain_loop(seed, n, side, reach):
    rng = np.random.default_rng(seed)
    images = rng.random((n, side, side), np.float32)
    shifts = rng.uniform(-reach, reach, (n, 2, side, side)).astype(np.float32)
    shifts[rng.random(shifts.shape) < 0.2] = np.rint(reach)
    pairs = zip(images, shifts.astype(float), strict=True)
    expected = [plain_gather(image, *shift) for image, shift in pairs]
    np.testing.assert_allclose(augment.gather(images, shifts), expected, atol=1e-5)


def test_smoothing_and_gather_agree_with_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(0)
    field, image = rng.uniform(-1, 1, (2, 28, 28))
    K = augment.gaussian(28, 4.0)
    smooth = ndimage.gaussian_filter(field, 4.0, mode="constant", truncate=10)
    np.testing.assert_allclose(K @ field @ K.T, smooth, atol=1e-6)
    shift = rng.normal(0, 5, (2, 28, 28))
    expected = ndimage.map_coordinates(image, np.indices((28, 28)) + shift, order=1, mode="nearest")
    (gathered,) = augment.gather(image[None], shift[None].astype(np.float32))
    np.testing.assert_allclose(gathered, expected, atol=1e-5)


@pytest.mark.parametrize("pixels", [783, 2 * 28 * 28, 1, 0])
def test_images_that_are_not_square_are_refused(pixels):
    message = f"square images can be distorted, but these have {pixels} pixels"
    with pytest.raises(data.DataError, match=message):
        distort(np.zeros((3, pixels), np.uint8), np.random.default_rng(0))
