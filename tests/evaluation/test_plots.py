"""The plots of the tutorials: each draws what it is given, and says what it shows."""

import numpy as np
import pytest

from tinygrad_mnist.evaluation import plots

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _nowhere_to_draw():
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


def drawn():
    """The axes of the plot that was drawn."""
    return pyplot.gcf().axes


def test_curves_are_drawn_from_1_on_with_their_names():
    plots.curves({"a": [3, 2, 1], "b": [1, 2, 3]}, ylim=(0, 4))
    (axis,) = drawn()
    assert axis.lines[0].get_xydata().tolist() == [[1, 3], [2, 2], [3, 1]]
    assert [text.get_text() for text in axis.get_legend().texts] == ["a", "b"]
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_ylim()) == ("step", "loss", (0, 4))


def test_neighbouring_values_of_a_curve_are_averaged():
    plots.curves({"a": [0, 2, 4, 0]}, mean=2)
    assert drawn()[0].lines[0].get_ydata().tolist() == [1, 3, 2]
    assert drawn()[0].get_legend() is None


def test_curves_may_be_over_given_places_and_on_a_logarithmic_scale():
    plots.curves({"a": [1, 10]}, x=[5, 7], log=True, points=True)
    (axis,) = drawn()
    assert axis.lines[0].get_xdata().tolist() == [5, 7]
    assert (axis.get_yscale(), axis.lines[0].get_marker()) == ("log", "o")


def test_six_curves_differ_in_line_or_colour():
    plots.curves({str(n): [n, n] for n in range(6)})
    looks = {(line.get_color(), line.get_linestyle()) for line in drawn()[0].lines}
    assert len(looks) == 6


def test_images_are_squares_of_pixels_in_rows_and_places_left_over_are_empty():
    plots.images(np.arange(12).reshape(3, 4), ["a", "b"], columns=2)
    axes = drawn()
    assert [len(axis.images) for axis in axes] == [1, 1, 1, 0]
    assert axes[1].images[0].get_array().tolist() == [[4, 5], [6, 7]]
    assert [axis.get_title() for axis in axes] == ["a", "b", "", ""]


def test_zero_is_in_the_middle_of_the_colours_of_signed_images():
    plots.images([[[-1.0, 3.0]], [[0.5, 0.1]]], columns=2, signed=True)
    assert [axis.images[0].get_clim() for axis in drawn()] == [(-3, 3), (-0.5, 0.5)]
    plots.images([[[-1.0, 3.0]]], columns=1, signed=True, limit=2)
    assert drawn()[0].images[0].get_clim() == (-2, 2)


def test_an_image_has_its_probabilities_below():
    plots.answers(np.zeros((2, 4)), np.array([[0.1, 0.9], [1.0, 0.0]]))
    first, _, below, _ = drawn()
    assert first.images[0].get_array().shape == (2, 2)
    assert [bar.get_height() for bar in below.patches] == [0.1, 0.9]


def test_shares_are_bars_in_per_cent():
    plots.bars({"a": 0.25, "b": 1.0}, "read")
    (axis,) = drawn()
    assert [bar.get_width() for bar in axis.patches] == [25, 100]
    assert [text.get_text() for text in axis.texts] == ["25.0 %", "100.0 %"]


def test_a_histogram_counts_every_value():
    plots.histogram(np.arange(80).reshape(8, 10), "value")
    assert sum(bar.get_height() for bar in drawn()[0].patches) == 80


def test_windows_are_framed_where_they_are_and_laid_out_as_rows():
    pixels = np.arange(16).reshape(4, 4)
    rows = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3)).reshape(4, 9)
    plots.windows(pixels, rows, marked=5)
    left, right = drawn()
    frames = [patch for patch in left.patches if patch.get_width() == 3]
    assert [np.round(frame.get_xy()).tolist() for frame in frames] == [
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
    ]
    assert [text.get_text() for text in right.texts][:9] == list(map(str, rows[0]))
