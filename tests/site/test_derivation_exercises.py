"""The exercises to the derivations: their format, and that each check knows right from wrong."""

import ast
import importlib
import json
import re
from functools import cache
from pathlib import Path

import pytest
from mutations import difference, mutants

from tinygrad_mnist import tutorials
from tinygrad_mnist.exercises import Exercise, cells, grade, parts, read

pages = importlib.import_module("pages")  # in docs/hooks; it finds its neighbours by itself
hook = importlib.import_module("exercises")

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.stem for path in (ROOT / "docs" / "derivations").glob("*.md") if path.stem != "index"
)
SCRIPTS = {script.stem: script for script in tutorials.exercise_scripts()}
UNITS = ["activations", "broadcasting", "chain-rule", "linear", "network", "softmax", "tape"]
ALL = [exercise for script in SCRIPTS.values() for exercise in read(script)]
each = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
each_page = pytest.mark.parametrize("page", PAGES)
# Changes of a solution that change nothing that is asked for, and why.
EQUIVALENT = {
    "second-derivatives.stash": {"my_exp = Op(forward, '').vjp(rule)": "the name is for messages"},
}
# What is run inside a page one day: of NumPy, and of its arrays.
IN_THE_PAGE = {
    *("abs", "array", "exp", "log", "maximum", "ones_like", "sqrt", "tanh", "where", "zeros_like"),
    *("T", "max", "mean", "shape", "sum"),
}
FIRST = ["chain-rule", "linear", "activations", "softmax", "squared-error", "network"]


@cache
def before(page):
    """The names that the exercises of a page may use."""
    names = {}
    for part in parts(SCRIPTS[page]):
        if not isinstance(part, Exercise) and not part.markdown:
            exec(part.source, names)
    return names


def asks_oneself(exercise):
    """Whether it is a question of a self-test."""
    return ".self-" in exercise.id


def verdict(exercise, answer):
    """What the check says of an answer."""
    return grade(exercise, answer, before(exercise.id.partition(".")[0]))


def test_every_derivation_has_exercises_and_shows_them():
    assert sorted(SCRIPTS) == PAGES
    for page in PAGES:
        text = (ROOT / "docs" / "derivations" / f"{page}.md").read_text(encoding="utf-8")
        assert text.endswith(f"\n\n{{{{ exercises {page} }}}}\n")


@each_page
def test_a_page_has_four_to_six_exercises_from_paper_to_a_mistake(page):
    exercises = [asked for asked in read(SCRIPTS[page]) if not asks_oneself(asked)]
    assert 4 <= len(exercises) <= 6
    assert any("..." in asked.stub and "def " not in asked.stub for asked in exercises), "paper"
    assert any("def " in asked.stub for asked in exercises), "code"
    assert any("what is wrong here?" in asked.question for asked in exercises), "a mistake"


@each_page
def test_a_unit_of_the_course_ends_with_a_short_self_test(page):
    exercises = read(SCRIPTS[page])
    asked = [exercise for exercise in exercises if asks_oneself(exercise)]
    assert len(asked) in ((3, 4) if page in UNITS else (0,))
    assert exercises[len(exercises) - len(asked) :] == asked
    assert [exercise.id for exercise in asked] == [
        f"{page}.self-{n}" for n in range(1, len(asked) + 1)
    ]


@each_page
def test_the_head_names_the_page_and_says_how_long_it_takes(page):
    title, _, told = parts(SCRIPTS[page])[0].source.partition("\n")
    assert re.fullmatch(rf"# Exercises: \[.+\]\(\.\./derivations/{page}\.md\)", title)
    assert re.search(r"\*Time\*: about \d[05] minutes\.", " ".join(told.split()))


def test_no_id_is_used_twice_and_each_names_its_page():
    ids = [asked.id for script in tutorials.scripts() for asked in read(script)]
    ids += [exercise.id for exercise in ALL]
    assert len(set(ids)) == len(ids)
    for page, script in SCRIPTS.items():
        assert {exercise.id.partition(".")[0] for exercise in read(script)} == {page}


@each
def test_an_exercise_has_hints_and_usual_mistakes_with_a_sentence_each(exercise):
    sentences = [known.sentence for known in exercise.misconceptions]
    assert 2 <= len(sentences) <= 4
    assert len(set(sentences)) == len(sentences)
    assert 1 <= len(exercise.hints) <= 3 or asks_oneself(exercise)


@each
def test_its_check_takes_right_answers_only(exercise):
    assert verdict(exercise, exercise.solution).right
    assert not verdict(exercise, exercise.stub).right
    assert verdict(exercise, "").sentence.startswith("There is no ")
    for known in exercise.misconceptions:
        assert verdict(exercise, known.answer).misconception == known
    changed = {
        difference(exercise.solution, mutant): mutant for mutant in mutants(exercise.solution)
    }
    passed = {change for change, mutant in changed.items() if verdict(exercise, mutant).right}
    assert passed == set(EQUIVALENT.get(exercise.id, ()))


IN_PLACE = """
import numpy as np
from tinygrad_mnist.exercises import own
def in_place(function):
    def answer(*given, **named):
        result = function(*given, **named)
        kept = tuple(map(own, result)) if isinstance(result, tuple) else own(result)
        for array in given:
            if isinstance(array, np.ndarray) and array.ndim:
                array[...] = 7
        return kept
    return answer
"""


@each_page
def test_an_answer_that_overwrites_what_it_is_given_is_judged_by_what_it_returns(page):
    for exercise in read(SCRIPTS[page]):
        body = ast.parse(exercise.solution).body
        names = [part.name for part in body if isinstance(part, ast.FunctionDef)]
        wrapped = "".join(f"{name} = in_place({name})\n" for name in names)
        assert verdict(exercise, f"{exercise.solution}\n{IN_PLACE}{wrapped}").right, exercise.id


# Right answers that look different from the solution: other forms, orders and names.
IN_OTHER_WORDS = {
    "chain-rule.one-path": "dx = 28.0",
    "chain-rule.jacobian": "J = np.array([[5, 2], [1, 3]])\ndx = np.array([[1, -2]]) @ J",
    "chain-rule.backwards": "u, v = 1, 3\na, c = 3, 6\nda = c + a\ndu, dv = da * v, da * u + a",
    "chain-rule.vjp": "def vjp(a, b, c):\n    return (c * b).sum(axis=1) * a * 2",
    "linear.weights-and-bias": "dW = ((5.0,), (-3.0,))\ndb = np.array([2])",
    "linear.backward": "def backward(x, w, g):\n"
    "    return g @ w.T, (g.T @ x).T, g.sum(axis=0, keepdims=True)",
    "linear.shapes": "shape_dW, shape_db, shape_dX = [100, 5], 5, [32, 100]\n"
    "terms_dW, terms_dX = 32, 5",
    "linear.divided-twice": "def gradients(X, W, b, Y):\n    E = X @ W + b - Y\n"
    "    return X.T @ E / len(X), E.mean(axis=0)",
    "activations.layer": "dZ = np.array([[1, 1.5, -3]])",
    "activations.depth": "most, weight = 0.00098, 4.0",
    "activations.silu": "def silu_slope(z):\n    s = 1 / (1 + np.exp(-z))\n"
    "    return z * s + s * (1 - z * s)",
    "softmax.loss": "guessing, probability = np.log(10), np.exp(-0.1)",
    "softmax.probabilities": "p = 0.125, 0.25, 0.625\ndz = [[0.125, -0.75, 0.625]]",
    "softmax.jacobian": "first_row = 0.25, -0.125, -0.125\ngJ = np.array([[-0.5, -1.25, 1.75]])",
    "network.shapes": "shape_Z1, shape_dZ1 = [5, 3], (5, 3)\nshape_dW1 = [4, 3]\n"
    "shape_db2 = 1, 2\nparameters = 23.0",
    "network.backward": "dZ2, dA1, dZ1 = [[-0.5, 0.5]], [[-0.5, 0.5, -1]], [[-0.5, 0.5, 0]]\n"
    "dW1 = np.array([[1], [2]]) @ dZ1",
    "tape.division": "def division_rule(g, x, y):\n    r = g / y\n    return r, -r * x / y",
    "tape.youngest": "import heapq\n\ndef backward(y):\n    y.grad, waiting = 1, [(-y.age, y)]\n"
    "    while waiting:\n        _, taken = heapq.heappop(waiting)\n"
    "        for x, slope in taken.parents:\n            x.grad += taken.grad * slope\n"
    "            if (-x.age, x) not in waiting:\n"
    "                heapq.heappush(waiting, (-x.age, x))",
    "tape.accumulate": "x, found = tensor(2.0, requires_grad=True), []\n"
    "for y in (lambda: x * x), (lambda: 3 * x), (lambda: x * x * x):\n"
    "    x.grad = None if len(found) == 2 else x.grad\n    y().backward()\n"
    "    found.append(x.grad.item())\nafter_one, after_two, after_three = found",
    "broadcasting.shapes": "first, second, third, fourth = [4, 3], (4, 3), None, [5, 4, 3]",
    "broadcasting.outer": "dc, dr = np.array([[-2], [1]]), np.array([[2, 5, 5]])",
    "broadcasting.silent": "def loss(p, t):\n    return np.square(p - t.reshape(-1, 1)).mean()",
}


@pytest.mark.parametrize("id", IN_OTHER_WORDS)
def test_a_right_answer_in_other_words_is_right(id):
    (exercise,) = (asked for asked in ALL if asked.id == id)
    assert verdict(exercise, IN_OTHER_WORDS[id]).sentence == "right"


@pytest.mark.parametrize("page", FIRST)
def test_answers_to_the_first_pages_need_only_what_runs_in_the_page(page):
    for exercise in read(SCRIPTS[page]):
        answers = [known.answer for known in exercise.misconceptions]
        for answer in (exercise.stub, exercise.solution, *answers):
            nodes = [n for n in ast.walk(ast.parse(answer)) if isinstance(n, ast.Attribute)]
            assert {node.attr for node in nodes} <= IN_THE_PAGE, exercise.id


@each_page
def test_its_cells_are_those_that_jupytext_reads(page):
    jupytext = pytest.importorskip("jupytext")
    text = SCRIPTS[page].read_text(encoding="utf-8")
    theirs = [(cell.cell_type, cell.source) for cell in jupytext.read(SCRIPTS[page]).cells]
    assert theirs == [("markdown" if c.markdown else "code", c.source) for c in cells(text)]


def test_the_section_of_a_page_folds_all_that_gives_something_away():
    section = hook.section("linear")
    assert section.startswith("## Exercises\n")
    open_ = re.sub(r"(^\?\?\? .*\n)(\n|    .*\n)*", r"\1", section, flags=re.MULTILINE)
    shared = next(asked for asked in ALL if asked.id == "linear.shared")
    assert shared.question in open_
    for told in (*shared.hints, shared.solution, shared.misconceptions[0].sentence):
        assert told.splitlines()[-1].strip() not in open_
    assert open_.index("### Exercise 6") < open_.index("## Before you go on")
    assert open_.count('??? question "Answer"') == 3


FAULTS = {
    "The solution of linear.input is refused: That is the transpose": (
        'tags=["solution"]',
        "dX = [[2, -2, 4], [1, -1, 2]]",
    ),
    "The stub of linear.input is taken for right.": (
        'tags=["stub"]',
        "dX = [[2, 1], [-2, -1], [4, 2]]",
    ),
    "linear.input says 'right', where 'Four.' is meant.": (
        'tags=["misconception"]',
        "# Four.\ndX = [[2, 1], [-2, -1], [4, 2]]",
    ),
}


@pytest.mark.parametrize(("said", "changed"), FAULTS.items(), ids=lambda text: str(text)[:12])
def test_a_page_with_a_faulty_exercise_is_not_built(tmp_path, monkeypatch, said, changed):
    header, source = changed
    text = SCRIPTS["linear"].read_text(encoding="utf-8")
    start = text.index(header, text.index('exercise="linear.input"')) + len(header)
    text = f"{text[:start]}\n{source}\n\n{text[text.index('# %%', start) :]}"
    (tmp_path / "linear.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(hook, "SCRIPTS", tmp_path)
    with pytest.raises(ValueError, match=re.escape(said)):
        hook.section("linear")


@each_page
def test_its_notebooks_are_valid_and_hide_the_solutions(page):
    nbformat = pytest.importorskip("nbformat")
    for solutions in (False, True):
        nbformat.validate(tutorials.notebook(SCRIPTS[page], solutions=solutions))
    text = json.dumps(tutorials.notebook(SCRIPTS[page]), ensure_ascii=False)
    for exercise in read(SCRIPTS[page]):
        assert json.dumps(exercise.solution, ensure_ascii=False) not in text
