"""What the prose of the site claims, where a few lines of code can settle it."""

import ast
import importlib
import re
from itertools import permutations, product
from pathlib import Path

import course
import numpy as np
import pages
import pytest

from tinygrad_mnist import Tensor, optim, tensor, tutorials
from tinygrad_mnist.data import load_mnist, normalize
from tinygrad_mnist.exercises import parts
from tinygrad_mnist.runs import load_trained

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tape():
    """The file beside the page on the tape, with the walks that go wrong."""
    return pages.load(ROOT / "docs" / "derivations" / "tape.py")


def found(walk, f, *more):
    """The gradient at 3 that a walk finds."""
    x = Tensor(np.float64(3), requires_grad=True)
    y = f(x)
    grads = {y: np.ones(())}
    walk(y, grads, *more)
    return grads[x]


LEAVES = [(lambda x: x * x, 6), (lambda x: x * (x * 3), 18), (lambda x: x * 2 + x, 3)]


@pytest.mark.parametrize(("f", "right"), LEAVES)
def test_a_leaf_used_twice_is_safe_in_the_naive_walks(tape, f, right):
    assert found(tape.depth_first, f) == right
    assert found(tape.each_once, f, set()) == right


def test_a_computed_value_used_twice_is_wrong_in_both(tape):
    def f(x):
        hidden = x * x
        return hidden * hidden  # x to the power 4: the derivative is 108

    assert found(tape.depth_first, f) > 108
    assert found(tape.each_once, f, set()) < 108


def products(X, dZ):
    """All products of two factors, transposed or not."""
    for left, right in permutations((X, dZ)):
        for A, B in product((left, left.T), (right, right.T)):
            if A.shape[1] == B.shape[0]:
                yield A @ B


def test_shapes_find_the_gradient_of_the_weights_unless_they_are_equal(rng):
    X, dZ = rng.normal(size=(2, 3)), rng.normal(size=(2, 4))
    fits = [P for P in products(X, dZ) if P.shape == (3, 4)]
    assert len(fits) == 1
    assert np.array_equal(fits[0], X.T @ dZ)
    square = rng.normal(size=(2, 3, 3))
    assert len([P for P in products(*square) if P.shape == (3, 3)]) == 8


def test_the_largest_logit_of_the_default_network_is_about_40():
    trained = load_trained(ROOT / "artifacts" / "default")
    images, _ = load_mnist(None)
    logits = trained.classifier.module(normalize(images[:20_000], trained.normalize)).data
    assert 35 < np.abs(logits).max() < 45


def test_the_graph_and_the_walk_are_one_file_of_some_400_lines():
    graph = importlib.import_module("tinygrad_mnist.autodiff.graph")
    lines = Path(graph.__file__).read_text(encoding="utf-8").splitlines()
    assert 350 <= len(lines) <= 450


# ---------------------------------------------------------------- tutorials


def script(number):
    """A tutorial by its number."""
    return next(path for path in tutorials.scripts() if path.stem.startswith(number))


def defined(number, name):
    """The syntax of a function or class that a tutorial defines first under this name."""
    nodes = ast.walk(ast.parse(script(number).read_text(encoding="utf-8")))
    return next(node for node in nodes if getattr(node, "name", None) == name)


def test_lion_waits_where_the_gradient_is_0_only_before_its_first_step():
    names = {"optim": optim, "np": np}
    exec(ast.unparse(defined("05", "Lion")), names)
    p = tensor([1.0], requires_grad=True)
    lion, seen = names["Lion"]([p], lr=0.25), []
    for g in (0.0, 5.0, 0.0):
        lion.zero_grad()
        (p * g).sum().backward()
        lion.step()
        seen.append(p.item())
    assert seen == [1.0, 0.75, 0.5]


def test_by_hand_four_lines_lead_forward_and_seven_back():
    lines = [
        [line for line in defined("02", name).body if isinstance(line, ast.Assign)]
        for name in ("forward", "backward")
    ]
    assert list(map(len, lines)) == [4, 7]


def test_the_time_a_tutorial_states_is_that_of_its_length():
    for path in tutorials.scripts():
        (told,) = re.findall(r"\*Time\*:\s+(\d+)\s+minutes", plain(parts(path)[0].source))
        assert int(told) == course.minutes(f"tutorials/{path.stem}.md"), path.stem


def plain(markdown):
    """Text on one line."""
    return " ".join(markdown.split())
