"""The picture of the first screen: real numbers, drawn at their places."""

import re

import numpy as np
import picture
import pytest

from tinygrad_mnist.runs import load_trained


@pytest.fixture(scope="module")
def terms():
    return picture.terms()[0]


def test_its_answer_is_that_of_the_trained_network(terms):
    found = load_trained(picture.RUN).classifier.predict_proba(terms["A0"])
    np.testing.assert_allclose(terms["A2"], found, atol=1e-5)


def test_the_digit_is_read_correctly_and_not_without_doubt(terms):
    label = picture.terms()[1]
    assert terms["A2"].argmax() == label
    assert 0.5 < terms["A2"].max() < 0.75


def test_it_tells_in_words_what_is_seen_and_names_every_term():
    drawn = picture.there_and_back()
    assert "the network answers 4 with 65% and 9 with 35%" in drawn
    names = re.findall(r'font-weight="bold"[^>]*>([^<]+)<', drawn)
    assert names == ["X", "Z₁", "A₁", "A₂", "dW₁", "dZ₁", "dA₁", "dZ₂"]


def test_a_bar_goes_right_if_its_number_is_positive_and_left_if_not():
    boxes = re.findall(
        r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', picture.bars(np.array([-1.0, 0.5]), 45)
    )
    (left, length), (right, _) = (tuple(map(float, box)) for box in boxes)
    assert (left + length, right) == (45, 45)


def test_letters_are_legible_on_a_phone():
    sizes = map(float, re.findall(r'font-size="([\d.]+)"', picture.there_and_back()))
    assert min(sizes) * 358 / picture.WIDTH >= 9.9
