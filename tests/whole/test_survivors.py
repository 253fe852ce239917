"""What mutants of the sources survived until it was asked here."""

import re

import numpy as np
import pytest

from tinygrad_mnist import nn, optim
from tinygrad_mnist.data import DataError, normalize, one_hot
from tinygrad_mnist.data.batches import RANGES
from tinygrad_mnist.evaluation import examine


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


# ---------------------------------------------------------------- layers and optimizers

FLATTEN = " Flatten 28x28 images with nn.Flatten() first?"


@pytest.mark.parametrize(
    ("shape", "features", "hint"),
    [
        ((28, 28), "28", FLATTEN),
        ((5, 28, 28), "28", FLATTEN),
        ((5, 28), "28", ""),
        ((28,), "28", ""),
        ((), "no", ""),
    ],
)
def test_wrong_features_are_counted_and_only_images_are_to_be_flattened(shape, features, hint):
    expected = (
        f"x of shape {shape} has {features} features, but this Linear expects 784 "
        f"(weight is (784, 2)).{hint}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        nn.functional.linear(np.zeros(shape), np.zeros((784, 2)))


def test_a_bias_that_is_no_numbers_is_refused_in_the_layers_name():
    with pytest.raises(TypeError, match=r"^Linear takes .* numbers .*, but was given 'abc'\.$"):
        nn.functional.linear(np.zeros((1, 2)), np.zeros((2, 3)), "abc")


@pytest.mark.parametrize("settings", [{"momentum": 0.0}, {"momentum": 0.9, "dampening": 0.1}])
def test_nesterov_says_what_it_needs(settings):
    expected = "Nesterov looks ahead along the velocity: it needs momentum > 0 and dampening = 0."
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        optim.SGD([nn.Parameter(np.zeros(2))], lr=0.1, nesterov=True, **settings)


# ---------------------------------------------------------------- metrics


def test_what_there_is_to_say_of_predictions_has_these_names():
    found = examine(np.eye(3)[[0, 1, 1]], np.array([0, 1, 2]))
    scores = ["accuracy", "correct", "incorrect", "cross_entropy", "ece"]
    report = ["per_class", "macro", "weighted", "confusions", "reliability", "confusion_matrix"]
    assert list(found) == scores + report
    assert list(found["reliability"][0]) == ["low", "high", "predictions", "confidence", "accuracy"]
    assert list(found["per_class"][0]) == ["class", "precision", "recall", "f1", "support"]
