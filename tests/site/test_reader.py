"""The page on the network line by line, and its sheet: made of the equations that are checked."""

import contextlib
import importlib
import io
import re
from pathlib import Path

import numpy as np
import pages
import pytest
import reader
from equations import EquationError

from tinygrad_mnist.byhand import two_layer

PAGE = pages.ROOT / "docs" / "derivations" / "network.py"
PLAIN = Path(two_layer.__file__)
FORWARD = ["Z1", "A1", "Z2", "A2"]
BACKWARD = ["dZ2", "dW2", "db2", "dA1", "dZ1", "dW1", "db1"]
NAMES = [*FORWARD, "cross_entropy", "loss", *BACKWARD]


@pytest.fixture(scope="module")
def page():
    return pages.load(PAGE).page


def test_the_reader_shows_every_line_of_the_program_in_its_order(page):
    shown = re.findall("<code>(.*)</code>", reader.lines(page, PLAIN, *NAMES))
    numbered = re.findall(r"^ +(\w+ = .*)  # \(\d+\)$", PLAIN.read_text("utf-8"), re.MULTILINE)
    assert shown == numbered


def test_the_page_reads_all_of_these_lines():
    text = PAGE.with_suffix(".md").read_text(encoding="utf-8")
    found = re.findall(r"\{\{ reader \S+ (.*) \}\}", text)
    assert " ".join(found).split() == NAMES


def test_shapes_are_those_of_the_program(page):
    B, n0, n1, C = (int(size) for size in reader.SIZES.values())
    W1, b1, W2, b2 = (np.zeros(shape) for shape in ((n0, n1), n1, (n1, C), C))
    X, Y = np.zeros((B, n0)), np.zeros((B, C))
    Z1, A1, Z2, A2 = two_layer.forward(X, W1, b1, W2, b2)
    found = two_layer.backward(X, Y, W1, W2, Z1, A1, A2)
    terms = dict(zip(FORWARD, (Z1, A1, Z2, A2), strict=True))
    terms |= dict(zip(BACKWARD, found, strict=True))
    for name, value in terms.items():
        shape = r" \times ".join(map(str, value.shape))
        assert f'shapes" markdown="span">$({shape})' in reader.lines(page, PLAIN, name), name


def test_a_line_with_another_number_is_refused(page, tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text(PLAIN.read_text(encoding="utf-8").replace("# (12)", "# (13)"))
    with pytest.raises(EquationError, match=r"no line computes dA1 as \(6.12\)"):
        reader.lines(page, wrong, "dA1")


def test_every_line_lights_something_up_in_the_drawing():
    text = PAGE.with_suffix(".md").read_text(encoding="utf-8")
    *_, last = re.findall(r'```python exec="true" html="true"\n(.*?)```', text, re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as drawn:
        exec(last, {})
    named = " ".join(re.findall(r'data-line="([^"]+)"', drawn.getvalue())).split()
    assert set(named) == set(NAMES)


@pytest.fixture
def sheet():
    pytest.importorskip("mkdocs")
    return importlib.import_module("sheet")


def test_the_sheet_has_all_equations_of_the_page_in_their_order(sheet, page):
    assert " ".join(sheet.PARTS.values()).split() == list(page.equations)


@pytest.mark.parametrize(("kind", "begin"), [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_sheet_is_a_file_that_is_the_same_each_time(sheet, kind, begin):
    made = sheet.sheet(kind)
    assert made.startswith(begin)
    assert made == sheet.sheet(kind)


def test_everything_on_the_sheet_fits_on_it(sheet, page):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((sheet.WIDTH, sheet.HEIGHT))
    renderer = FigureCanvasAgg(figure).get_renderer()
    sheet.draw(figure, page)
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    assert all(figure.bbox.contains(*box.min) for box in boxes)
    assert all(figure.bbox.contains(*box.max) for box in boxes)
    rows = sorted(boxes, key=lambda box: -box.y0)
    overlapping = [(a, b) for a in rows for b in rows if a is not b and a.overlaps(b)]
    assert overlapping == []
