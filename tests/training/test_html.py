"""What a notebook shows of recipes and results."""

import re
import sys
from math import nan
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tinygrad_mnist import nn
from tinygrad_mnist.training import Epoch, Recipe, Result, fit
from tinygrad_mnist.training.progress import STEPS, in_notebook


def result(*losses, validation=(), interrupted=""):
    pairs = zip(losses, validation or losses, strict=True)
    rows = [Epoch(n, loss, 0.5, other, 0.25, 0.1, 1.0) for n, (loss, other) in enumerate(pairs, 1)]
    return Result(nn.ReLU(), rows, len(rows), interrupted)


def curves(shown):
    svg = ET.fromstring(shown[shown.index("<svg") :])
    lines = [line.get("points").split() for line in svg.iter("polyline")]
    return [[tuple(map(float, spot.split(","))) for spot in line] for line in lines]


def test_a_recipe_shows_what_differs_from_the_defaults():
    shown = Recipe("mine", lr=0.5, hidden=(300, 100))._repr_html_()
    keys = re.findall(r"<tr><td>(\w+)</td>", shown)
    assert keys == ["hidden", "lr"]
    assert "<td>(300, 100)</td><td>(256,)</td>" in shown
    assert "as by default" in Recipe("mine")._repr_html_()


def test_what_a_recipe_says_is_no_markup():
    shown = Recipe("mine", description="<script>", published_in="<b>" * 200)._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script" not in shown
    assert len(shown) < 1000


def test_a_result_draws_a_point_an_epoch_and_higher_is_more():
    training, validation = curves(result(3.0, 2.0, 1.0, validation=[4.0, 1.0, 2.0])._repr_html_())
    assert len(training) == len(validation) == 3
    assert [y for _, y in training] == sorted(y for _, y in training)
    assert validation[0][1] < training[0][1]
    assert validation[2][1] < validation[1][1]


def test_a_curve_of_nan_is_left_out():
    shown = result(2.0, 1.0, validation=[nan, nan])._repr_html_()
    assert (len(curves(shown)), "validation" in shown) == (1, False)


@pytest.mark.parametrize(("losses", "said"), [((), "0 epochs"), ((1.0,), "1 epoch,")])
def test_without_two_epochs_there_is_no_curve(losses, said):
    shown = result(*losses, interrupted="in epoch 1")._repr_html_()
    assert said in shown
    assert "interrupted in epoch 1" in shown
    assert "<svg" not in shown


class Bar:
    """Stands for the bar of IPython, and keeps what it was told."""

    made = []

    def __init__(self, total):
        self.total, self.moves = total, []
        Bar.made.append(self)

    def display(self):
        self.moves.append(0)

    @property
    def progress(self):
        return self.moves[-1]

    @progress.setter
    def progress(self, value):
        self.moves.append(value)


def test_training_in_a_notebook_moves_a_bar(monkeypatch, capsys):
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=True))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(ProgressBar=Bar))
    images, labels = np.zeros((40, 4), np.float32), np.arange(40) % 2
    fit(nn.Linear(4, 2), images, labels, epochs=2, batch_size=4)
    (bar,) = Bar.made
    assert bar.total == bar.moves[-1] == 2 * STEPS
    assert bar.moves == sorted(set(bar.moves))
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_elsewhere_there_is_no_bar():
    assert not in_notebook()
