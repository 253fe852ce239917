"""Code on the pages: long docstrings are folded away, and long lines go on further in."""

import pages
import wrapping


def test_of_a_long_docstring_the_first_line_is_shown_and_the_rest_folded():
    text = pages.source("tinygrad_mnist/byhand/mlp.py", "MLP.forward")
    code, _, folded = text.partition('??? quote "The docstring in full"')
    assert '"""Every term from input to probabilities: A0, Z1, A1, ..., ZL, AL."""\n' in code
    assert "Parameters" not in code
    assert "One example per row." in folded


def test_a_docstring_of_one_line_is_left_alone():
    text = pages.source("tinygrad_mnist/byhand/mlp.py", "relu")
    assert '"""max(z, 0)."""' in text
    assert "???" not in text


def line(text):
    """A line of code as the highlighter leaves it."""
    return f'<span id="__span-0-1">{text}\n</span>'


def test_a_long_line_says_how_far_in_it_begins():
    text = line(f'    <span class="n">x</span> = {"1 + " * 20}1')
    assert 'id="__span-0-1" style="--indentation:4ch">' in wrapping.on_page_content(text)


def test_a_line_that_fits_is_left_alone():
    assert wrapping.on_page_content(line("    x = 1")) == line("    x = 1")
