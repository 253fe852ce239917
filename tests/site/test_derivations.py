"""The equations of the site: each is right and shown, and a flipped sign in any is noticed."""

import ast
import importlib.util
import inspect
import re
import sys
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import numpy as np
import pages
import pytest
import sympy
from equations import Derivation, EquationError, equal
from equations.check import vanishes
from equations.write import latex
from typeset import Tex, absolute, cases, exp, log, matrix, named, sqrt, tanh, total

from tinygrad_mnist import byhand
from tinygrad_mnist.byhand import two_layer

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "derivations").glob("*.py"))


def load(path, text=None):
    """The equations of a page; with `text`, of another version of its file."""
    module = type(importlib.util)("twin")
    module.__file__ = str(path)
    exec(compile(text or path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))
    return module.page


@cache
def built(path):
    """The text of a page as the site shows it, and its equations: building it checks each once."""
    shown = path.with_suffix(".md")
    text = pages.fill(shown.read_text(encoding="utf-8"), shown)
    return text, sys.modules[f"derivations.{path.stem}"].page


@contextmanager
def turned(node, name, value):
    """Another value for a field of a syntax tree, for a moment."""
    kept = getattr(node, name)
    setattr(node, name, value)
    yield
    setattr(node, name, kept)


def flips(path):
    """For each sign that can be turned, the equation's name and how to turn it in the tree."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in tree.body:
        if not any(map(is_of_the_page, getattr(function, "decorator_list", []))):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
                other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
                yield function.name, tree, partial(turned, node, "op", other)
            elif isinstance(node, ast.Return):
                value = node.value
                if isinstance(value, ast.Call) and ast.unparse(value.func) == "equal":
                    *first, last = value.args
                    negated = [*first, ast.UnaryOp(ast.USub(), last)]
                    yield function.name, tree, partial(turned, value, "args", negated)
                else:
                    negated = ast.UnaryOp(ast.USub(), value)
                    yield function.name, tree, partial(turned, node, "value", negated)


def is_of_the_page(decorator):
    return ast.unparse(decorator).startswith("page.")


FLIPS = [
    pytest.param(path, *flip, id=f"{path.stem}-{flip[0]}-{n}")
    for path in PAGES
    for n, flip in enumerate(flips(path))
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_equation_is_right(path):
    text, page = built(path)
    marks = re.findall(r'popovertarget="check-[\d-]+">([^<]+)</button>', text)
    assert len(marks) == len({x.number for x in page.equations.values()}) > 0
    kinds = {re.sub(" for .*", "", mark) for mark in marks}
    assert kinds <= {"proved", "a definition", "compared with numbers"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_a_mark_opens_has_short_lines(path):
    _, page = built(path)
    for equation in page.equations.values():
        assert max(map(len, inspect.getsource(equation.formula).splitlines())) <= 76


@pytest.mark.parametrize(("path", "name", "tree", "flip"), FLIPS)
def test_a_flipped_sign_is_noticed(path, name, tree, flip):
    with flip():
        page = load(path, ast.fix_missing_locations(tree))
    with pytest.raises(EquationError, match="is wrong"):
        page.equations[name].check()


def test_a_gradient_that_has_a_mean_spreads_as_its_mean_square_says():
    path = DOCS / "derivations" / "initialisation.py"
    square, variance = "lambda mean_x2: mean_x2", "lambda b, c: ((b - c) / 2) ** 2"
    text = path.read_text(encoding="utf-8")
    assert square in text
    with pytest.raises(EquationError, match=r"\(11.3\) backward is wrong"):
        load(path, text.replace(square, variance)).equations["backward"].check()


# ---------------------------------------------------------------- the network on paper

NETWORK = DOCS / "derivations" / "network.py"
PAPER = Path(byhand.mlp.__file__)


def test_the_hand_derivation_and_its_page_have_the_same_numbers_in_the_same_order():
    numbers = re.findall(r"  # \((\d+)\)$", PAPER.read_text(encoding="utf-8"), re.MULTILINE)
    shown = [equation.number for equation in load(NETWORK).equations.values()]
    assert [f"6.{n}" for n in dict.fromkeys(numbers)] == list(dict.fromkeys(shown))


@pytest.mark.parametrize("number", range(1, 18))
def test_a_bug_in_a_line_by_hand_fails_its_equation(number, monkeypatch):
    right = PAPER.read_text(encoding="utf-8")
    line = re.compile(rf"(= |return )(.+)(  # \({number}\))$", re.MULTILINE)
    text, lines = line.subn(r"\g<1>1 + (\2)\3", right)
    assert lines
    planted = vars(type(importlib.util)("planted"))
    exec(compile(text, "planted", "exec"), planted)
    equations = [x for x in load(NETWORK).equations.values() if x.number == f"6.{number}"]
    monkeypatch.setattr(byhand, "MLP", planted["MLP"])
    for equation in equations:
        with pytest.raises(EquationError, match="is wrong"):
            equation.check()


PLAIN = Path(two_layer.__file__)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6, 7, 10, 11, 12, 13])
def test_a_bug_in_a_line_of_two_layers_fails_its_equation(number, monkeypatch):
    line = re.compile(rf"(= )(.+)(  # \({number}\))$", re.MULTILINE)
    text, lines = line.subn(r"\g<1>1 + (\2)\3", PLAIN.read_text(encoding="utf-8"))
    assert lines
    planted = vars(type(importlib.util)("planted"))
    exec(compile(text, "planted", "exec"), planted)
    for name in ("forward", "loss", "backward"):
        monkeypatch.setattr(two_layer, name, planted[name])
    equations = [x for x in load(NETWORK).equations.values() if x.number == f"6.{number}"]
    for equation in equations:
        if "loss" in equation.tops:  # squared error has no line here
            with pytest.raises(EquationError, match="is wrong"):
                equation.check()


# ---------------------------------------------------------------- the machine that checks them


@pytest.fixture
def page():
    page = Derivation(1, B=2, n=3)
    page.given("X", "B n")
    page.given("a")
    page.index(i="B", j="n")
    return page


def test_a_wrong_gradient_is_refused_and_says_where(page):
    page.arriving("X")

    @page.define("B n", code=lambda X, a: X * a)
    def Y(X, a):
        return X * a

    @page.derivative("Y[i,j]", "a")
    def slope(X, i, j):
        return X[i, j] if (i, j) != (1, 2) else 0

    with pytest.raises(EquationError, match=r"\(1.2\) slope is wrong: entry 5 is"):
        page.equations["slope"].check()


def test_a_definition_that_the_package_does_not_compute_is_refused(page):
    @page.define("B n", code=lambda X: X * 2)
    def Y(X):
        return X * 3

    with pytest.raises(EquationError, match="Y is wrong"):
        page.equations["Y"].check()


def test_gradients_may_arrive_at_several_terms(page):
    page.given("Y", "B n")
    page.arriving("X")
    page.arriving("Y")

    @page.gradient
    def dX(dX, i, j):
        return dX[i, j]

    @page.gradient
    def dY(dY, i, j):
        return dY[i, j]

    assert [page.equations[name].check() for name in ("dX", "dY")] == [
        "proved for B = 2, n = 3"
    ] * 2


def test_a_gradient_that_the_package_does_not_compute_is_refused(page):
    page.arriving("X")

    @page.gradient(code=lambda dX: 2 * dX)
    def dX(dX, i, j):
        return dX[i, j]

    with pytest.raises(EquationError, match="dX is wrong"):
        page.equations["dX"].check()


@pytest.fixture
def chain():
    """Three numbers, of which there are two ends."""
    page = Derivation(1, top="twice")
    page.given("a0")
    page.let("twice", lambda a1: 2 * a1)
    page.let("thrice", lambda a1: 3 * a1)

    @page.define(code=lambda a0: a0 * a0)
    def a1(a0):
        return a0**2

    return page


def test_an_equation_of_several_ends_is_checked_for_each(chain):
    @chain.gradient(by="a0", of="twice thrice")
    def right(da1, a0):
        return 2 * a0 * da1

    @chain.gradient(by="a0", of="twice thrice")
    def wrong(a0):
        return 4 * a0

    assert chain.equations["right"].check() == "proved"
    with pytest.raises(EquationError, match="wrong is wrong"):
        chain.equations["wrong"].check()


def test_two_lines_have_one_number(chain):
    @chain.define(code=lambda a1: a1 + 1, same=True)
    def a2(a1):
        return a1 + 1

    lines = chain.equations["a1"], chain.equations["a2"]
    assert [line.number for line in lines] == ["1.1", "1.1"]
    shown = r"a_{1} &= a_{0}^{2}\\ a_{2} &= a_{1} + 1"
    assert latex(*lines) == rf"\begin{{aligned}} {shown} \end{{aligned}}"


def test_an_example_is_folded_where_a_line_may_end(page):
    @page.define("B n", code=lambda X: X + X)
    def Y(X):
        return X + X

    x, y = (rf"\begin{{bmatrix}} {n} \end{{bmatrix}}" for n in (1, 2))
    lines = rf"Y &= {x} \\ &\quad + {x} \\ &= {y}"
    assert page.example("Y", folded=True, X=[[1]]) == rf"\begin{{aligned}} {lines} \end{{aligned}}"


def test_a_second_derivative_is_that_of_the_gradient():
    page = Derivation(1, n=2)
    page.given("x", "n")
    page.index(i="n", j="n")
    page.let("L", lambda x: x.sum() ** 3)

    @page.derivative("dx[i]", "x[j]")
    def hessian(x, n):
        return 6 * total(lambda k: x[k], n)

    @page.derivative("dx[i]", "x[j]")
    def wrong(x, i, n):
        return 6 * total(lambda k: x[k], n) + x[i]

    assert page.equations["hessian"].check() == "proved for n = 2"
    with pytest.raises(EquationError, match="wrong is wrong"):
        page.equations["wrong"].check()


def test_another_shape_is_refused(page):
    page.arriving("X")

    @page.gradient
    def dX(dX):
        return dX.T

    with pytest.raises(EquationError, match=r"dX is wrong: the shape is \(2, 3\), not \(3, 2\)"):
        page.equations["dX"].check()


def test_a_name_that_nothing_explains_is_refused(page):
    @page.claim
    def what(q):
        return equal(q, q)

    with pytest.raises(EquationError, match="page 1 says nowhere what q is"):
        page.equations["what"].check()
    with pytest.raises(EquationError, match="page 1 says nowhere what q is"):
        latex(page.equations["what"])


@pytest.fixture
def sequence():
    page = Derivation(1, steps="t", T=4)
    page.given("g", "T", step="t")
    page.given("mu")

    def velocities(g, mu):
        return [sum(mu ** (t - s) * g[s] for s in range(t + 1)) for t in range(len(g))]

    @page.define("T", code=velocities, step="t", start=0)
    def v(v, g, mu, t):
        return mu * v[t - 1] + g[t]

    return page


def test_a_sequence_is_proved_for_every_step(sequence):
    @sequence.closed("v")
    def unrolled(g, mu, t):
        return total(lambda s: mu ** (t - s) * g[s], t, first=1)

    v, closed = sequence.equations.values()
    assert latex(v) == r"v_{t} = \mu\, v_{t - 1} + g_{t}"
    assert latex(closed) == r"v_{t} = \sum_{s=1}^{t} \mu^{t - s}\, g_{s}"
    assert [v.check(), closed.check()] == ["a definition", "proved for every t"]


def test_a_sequence_that_starts_elsewhere_is_refused(sequence):
    @sequence.closed("v")
    def shifted(g, mu, t):
        return total(lambda s: mu ** (t - s) * g[s], t, first=1) + mu**t

    with pytest.raises(EquationError, match="shifted is wrong: entry 0 is 0"):
        sequence.equations["shifted"].check()


def test_what_is_so_at_the_steps_that_are_computed_only_is_not_proved(sequence):
    @sequence.closed("v")
    def early(g, mu, t):
        late = np.prod([t - n for n in range(6)])
        return total(lambda s: mu ** (t - s) * g[s], t, first=1) + late

    with pytest.raises(EquationError, match="early has a difference that does not simplify"):
        sequence.equations["early"].check()


def test_sums_that_start_at_different_terms_do_not_cancel():
    t, k = sympy.Symbol("t", integer=True, positive=True), sympy.Symbol("k", integer=True)
    g = sympy.Function("g")
    first, second = (sympy.Sum(g(k), (k, n, t)) for n in (1, 2))
    assert vanishes(first - sympy.Sum(g(k), (k, 1, t - 1)) - g(t))
    assert not vanishes(first - second)


def test_what_depends_on_a_sign_is_proved_case_by_case(page):
    @page.claim
    def tilted(a):
        return equal(cases((exp(3 * a), a >= 0), (exp(-a), True)), exp(2 * absolute(a) + a))

    assert page.equations["tilted"].check() == "proved"


def test_a_derivative_can_be_used_by_its_name(page):
    @page.define("n", code=lambda X: np.sum(X**2, axis=0))
    def y(X, j, B):
        return total(lambda i: X[i, j] ** 2, B)

    @page.derivative("y[j]", "X[i,j]")
    def J(X, i, j):
        return 2 * X[i, j]

    page.arriving("y")

    @page.gradient
    def dX(J, dy):
        return J * dy

    product = r"\underset{B \times n}{J} \odot \underset{n}{dy}"
    assert latex(page.equations["dX"]) == rf"\underset{{B \times n}}{{dX}} = {product}"
    assert page.equations["dX"].check() == "proved for B = 2, n = 3"


def test_of_two_names_the_first_is_used(page):
    @page.define(code=lambda a: a * a, lhs="s = f(a)")
    def s(a):
        return a**2

    @page.derivative("s", "a")
    def slope(s, a):
        return 2 * s / a

    assert latex(page.equations["s"]) == "s = f(a) = a^{2}"
    assert latex(page.equations["slope"]).endswith(r"= \frac{2\, s}{a}")


def test_what_is_true_for_some_numbers_only_is_not_proved(page):
    @page.claim
    def root(a):
        return equal(sqrt(a * a), a)

    with pytest.raises(EquationError, match="root is wrong"):
        page.equations["root"].check()


@pytest.mark.parametrize(
    ("formula", "latex"),
    [
        (lambda x, y: x - (y - x), r"x - \left(y - x\right)"),
        (lambda x, y: x - y + x, "x - y + x"),
        (lambda x, y: (x + y) * x, r"\left(x + y\right)\, x"),
        (lambda x, y: -((x / y) ** 2), r"-\left(\frac{x}{y}\right)^{2}"),
        (lambda x, y: 2 * x * 3, r"2\, x \cdot 3"),
        (lambda x, y: x * (1 - y), r"x \left(1 - y\right)"),
        (lambda x, y: exp(-x) / (1 + y), r"\frac{e^{-x}}{1 + y}"),
        (lambda x, y: log(x + y) - tanh(x), r"\log \left(x + y\right) - \tanh\left(x\right)"),
        (lambda x, y: x * (-y), r"x \left(-y\right)"),
        (lambda x, y: 2 ** (x + y), "2^{x + y}"),
        (lambda x, y: x + -1, r"x + \left(-1\right)"),
        (
            lambda x, y: cases((x, x > 0), (0, True)),
            r"\begin{cases} x & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}",
        ),
        (
            lambda x, y: total(lambda k: x[k] + y, Tex("n")),
            r"\sum_{k=1}^{n} \left(x_{k} + y\right)",
        ),
        (lambda x, y: log(x) * y, r"\left(\log x\right)\, y"),
        (lambda x, y: y * log(x) * y, r"\left(y\, \log x\right)\, y"),
        (lambda x, y: x - log(y), r"x - \log y"),
    ],
)
def test_formulas_are_written_as_they_are_computed(formula, latex):
    assert str(formula(named("x"), named("y"))) == latex


def test_shapes_stand_beneath_matrices_and_numbers_in_them():
    W = named("W_1", ("n", "m"))
    assert str(W.T) == r"\underset{m \times n}{W_1^\top}"
    assert str(W[Tex("i"), Tex("j")]) == "(W_1)_{ij}"
    entries = r"1 & -0.5 \\ 1 \cdot 10^{-9} & 0"
    assert str(matrix([[1, -0.5], [1e-9, 0]])) == rf"\begin{{bmatrix}} {entries} \end{{bmatrix}}"


@pytest.mark.parametrize(
    ("markdown", "says"),
    [
        ("{{ equation Z }}", "but the page shows Z"),
        ("$$\nZ = X\n$$", "line 1 displays a formula that nothing checks"),
        ("{{ equation nothing }}", "there is no equation nothing"),
        ("{{ source tinygrad_mnist/autodiff/ops.py nothing }}", "has no nothing"),
        ("{{ test tests/autodiff/test_ops.py::test_nothing }}", "has no test_nothing"),
        ("{{ accuracy nothing }}", "has no 'nothing'"),
        ("{{ nothing }}", "there is no directive 'nothing'"),
    ],
)
def test_a_page_that_shows_what_is_not_so_stops_the_build(markdown, says):
    with pytest.raises((EquationError, LookupError), match=says):
        pages.fill(markdown, DOCS / "derivations" / "linear.md")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_equation_is_shown_in_order_with_its_mark(path):
    text, page = built(path)
    for equation in page.equations.values():
        lines = [x for x in page.equations.values() if x.number == equation.number]
        assert text.count(f"$$\n{latex(*lines)}\n$$") == 1
        assert f"({equation.number})</a>" in text
