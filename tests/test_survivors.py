"""What mutants of the sources survived until it was asked here."""

import re

import numpy as np
import pytest

from tinygrad_mnist.data import DataError, normalize, one_hot
from tinygrad_mnist.data.batches import RANGES


def test_one_hot_rows_are_float32():
    assert one_hot(np.array([1, 0]), 3).dtype == np.float32


def test_an_unknown_normalisation_is_answered_with_all_there_are():
    expected = "Unknown normalisation 'bytes'. Choose from unit, seed, standardize."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        normalize(np.zeros((1, 4)), "bytes")


@pytest.mark.parametrize("how", RANGES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_no_images_are_no_images_normalised_too(how, dtype):
    assert normalize(np.empty((0, 784), dtype), how).shape == (0, 784)


@pytest.mark.parametrize("brightest", [1.5, 2.0, 254.0, 255.0])
def test_pixels_brighter_than_1_are_taken_for_those_up_to_255(brightest):
    assert normalize(np.array([[0.0, brightest]])).tolist() == [[0, brightest * (1 / 255)]]


def test_pixels_up_to_1_stay_as_they_are():
    x = np.array([[0.0, 1.0]])
    assert normalize(x) is x


@pytest.mark.parametrize(
    ("pixels", "said"),
    [([300.0, 400.0], "from 300.0 to 400.0"), ([-3.0, -2.0], "from -3.0 to -2.0")],
)
def test_pixels_in_no_range_are_refused_with_the_least_and_the_largest(pixels, said):
    with pytest.raises(DataError, match=re.escape(f"Pixels {said} are neither bytes")):
        normalize(np.array([pixels]))
