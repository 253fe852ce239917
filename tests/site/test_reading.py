"""The formulas of the site as a reader sees them: their LaTeX, read back, is what was checked."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pages
import pytest
import typeset
from equations.values import Steps, floats, parameters
from equations.write import letter, lines
from reading import ENTRIES, MATRICES, read

DERIVATIONS = Path(__file__).parents[2] / "docs" / "derivations"
NOT_COMPUTED = re.compile(r"\\partial|\\frac{d}|'|\(g\\,J\)|f\(x\)|\\mathrm{Var}\((z|dx)\)$")
"""Left sides that name a derivative, or a sequence without its step."""


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_slope(x):
    return sigmoid(x) * (1 - sigmoid(x))


FUNCTIONS = {
    r"\sigma": sigmoid,
    r"\sigma'": sigmoid_slope,
    "f": sigmoid,
    "f'": sigmoid_slope,
    r"\tanh": np.tanh,
    r"\mathrm{relu}": lambda x: np.maximum(x, 0),
    r"\max": max,
    r"\min": min,
    r"\operatorname{diag}": np.diag,
}


@cache
def derivation(page):
    return pages.load(DERIVATIONS / f"{page}.py").page


def number(value):
    """A value of the page's as float64; a sequence as a function of the step."""
    if isinstance(value, Steps):
        return lambda t: float(value[int(t)])
    return floats(value)


def names(equation, values, at, text):
    """What the letters in a text mean; those of the equation's own formula go first."""
    page, found = equation.page, dict(FUNCTIONS)
    slopes = [f"d{x}" for x in page.terms if values.top in page.terms]
    for name in [*values.sizes, *page.terms, *slopes, equation.name, *parameters(equation.formula)]:
        known = name in values.sizes or name in page.terms or name in slopes
        if known and letter(page, name) in text:
            found[letter(page, name)] = number(values[name])
    return found | {i: n + (i in page.indices) for i, n in at.items()}


EQUATIONS = [
    pytest.param(page.stem, name, id=f"{equation.number} {name}")
    for page in sorted(DERIVATIONS.glob("*.py"))
    for name, equation in derivation(page.stem).equations.items()
]


def assert_read_as_checked(equation, first):
    """Each side of it, read back, has the value of the function, at all indices."""
    page = equation.page
    values = page.values(equation.tops[0], seed=1)
    counted = [x for x in parameters(equation.formula) if x in page.indices or x in page.steps]
    left, *rights = [text for sides in lines(equation) for text in sides if text]
    for at in values.everywhere(counted):
        claimed = values.call(equation.formula, at)
        claimed = floats(claimed if equation.left else claimed[0])
        for text in [*left.split(" = "), *rights]:
            if not NOT_COMPUTED.search(text):
                text = re.sub(r"_([a-z])(?!\w)", r"_{\1}", re.sub(r"\\text{\w+: }", "", text))
                found = read(text, names(equation, values, at, text), first)
                np.testing.assert_allclose(found, claimed, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("first", [ENTRIES, MATRICES])
@pytest.mark.parametrize(("stem", "name"), EQUATIONS)
def test_a_formula_means_what_was_checked_whichever_product_goes_first(stem, name, first):
    assert_read_as_checked(derivation(stem).equations[name], first)


def test_without_its_parentheses_a_product_of_both_kinds_is_misread(monkeypatch):
    monkeypatch.setattr(typeset, "_factor", lambda value, _, binds: typeset._tight(value, binds))
    with pytest.raises(ValueError, match="could not be broadcast together with shapes"):
        assert_read_as_checked(derivation("calibration").equations["s"], MATRICES)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r"((A)_{ij})_{ij}", "too many subscripts"),
        (r"\underset{B \times n0}{\underset{B \times n}{A}}", r"is \(2, 0\), not \(2, 3\)"),
        (r"\underset{n \times B}{A}", r"is \(3, 2\), not \(2, 3\)"),
        (r"\log i\, j - \left(\log i\right)\, j", "Not equal"),
        (r"\sum_{k=1}^{n} A_{ik} + k", "nothing is called"),
    ],
)
def test_what_reads_wrongly_is_refused(text, says):
    letters = {"A": np.ones((2, 3)), "i": 2, "j": 3, "B": 2, "n": 3}
    with pytest.raises(AssertionError, match=says):
        np.testing.assert_allclose(read(text, letters), 0)


@pytest.mark.parametrize("page", sorted(DERIVATIONS.glob("*.py")), ids=lambda page: page.stem)
def test_an_example_adds_nothing_to_0_and_has_no_index_at_a_matrix(page):
    markdown = page.with_suffix(".md").read_text(encoding="utf-8")
    twin = pages.load(page)
    for name in re.findall(r"{{ example (\w+) }}", markdown):
        assert not re.search(r"& ?=? ?0 \+|matrix}_", getattr(twin, name)())
