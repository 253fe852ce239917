"""The exercises and cells that a page lets its reader run: in the page's Python."""

import contextlib
import html
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import inpage
import pytest
import tryit
from mutations import mutants

from tinygrad_mnist import tutorials
from tinygrad_mnist.exercises import Exercise, grade, parts, read

pytestmark = pytest.mark.browser  # it needs what the site is built with

HERE = Path(__file__).parent
WRITTEN = [*tutorials.scripts(), *tutorials.exercise_scripts()]
SCRIPTS = [script for script in WRITTEN if script.stem in tryit.PAGES]


def runnable(script):
    """What a page lets its reader run: each part, and what its editor is given."""
    here = tryit.Page(script.stem)
    for part in parts(script)[1:]:
        shown = ""
        if isinstance(part, Exercise):
            shown = here.exercise(part)
        elif not part.markdown:
            shown = here.cell("", part.source)
        if shown:
            yield part, json.loads(html.unescape(re.search(r'data-told="([^"]*)"', shown)[1]))


def told(id):
    """What the editor of an exercise is given."""
    shown = (found for script in SCRIPTS for found in runnable(script))
    return next(given for part, given in shown if getattr(part, "id", "") == id)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Tasks in the page's Python, and their answers."""
    folder = tmp_path_factory.mktemp("python")
    inpage.put_together(folder)

    def ask(tasks):
        command = [shutil.which("node"), HERE / "micropython.mjs"]
        asked = json.dumps([str(folder), tasks])
        done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return ask


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_every_exercise_of_these_pages_can_be_answered_in_its_page(script):
    offered = [part.id for part, _ in runnable(script) if isinstance(part, Exercise)]
    assert offered == [exercise.id for exercise in read(script)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_answers_are_graded_as_in_python(run, script):
    tasks, expected = [], []
    for part, given in runnable(script):
        if not isinstance(part, Exercise):
            continue
        wrong = [(known.answer, known.sentence) for known in part.misconceptions]
        for answer, sentence in [(part.solution, "right"), *wrong]:
            tasks.append(["answered", given["before"], answer, given["check"], given["wanted"]])
            expected.append((answer, sentence))
    for (answer, sentence), found in zip(expected, run(tasks) if tasks else [], strict=True):
        assert found["sentence"] == sentence, answer


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("dX = ...", "There is no dX yet: write it."),
        ("dX = None", "There is None, which is nothing, instead of numbers. Is a return missing?"),
    ],
)
def test_an_answer_that_is_not_there_yet_is_asked_for(run, answer, sentence):
    given = told("linear.input")
    [found] = run([["answered", given["before"], answer, given["check"], given["wanted"]]])
    assert sentence in found["sentence"]


def test_an_answer_may_work_in_place_as_in_python(run):
    answer = "def softmax_vjp(P, G):\n    G -= (P * G).sum(axis=1, keepdims=True)\n    G *= P\n"
    given = told("softmax.vjp")
    task = ["answered", given["before"], answer + "    return G", given["check"], given["wanted"]]
    assert run([task])[0]["sentence"] == "right"


UNEXPLAINED = "The check cannot use", "It raised"  # an error, whose words are Python's


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_what_a_check_says_of_a_changed_solution_it_can_say_in_the_page(run, script):
    asked, tasks = [], []
    for part, given in runnable(script):
        names = {}
        exec(given["before"], names)
        for answer in mutants(part.solution) if isinstance(part, Exercise) else ():
            verdict = grade(part, answer, names)
            if not verdict.sentence.startswith(UNEXPLAINED):
                asked.append((answer, verdict.right))
                given_to = given["before"], answer, given["check"], given["wanted"]
                tasks.append(["answered", *given_to])
    for (answer, right), found in zip(asked, run(tasks), strict=True):
        assert found["right"] == right, answer
        assert "Python stops here" not in found["sentence"], (answer, found)


def test_the_cells_of_the_scalar_tape_run_in_their_page(run):
    cells = [given for _, given in runnable(SCRIPTS[0]) if "check" not in given]
    assert len(cells) >= 8
    answers = run([["printed", cell["before"], cell["code"]] for cell in cells])
    assert [a["error"] for a in answers] == [""] * len(cells)
    assert any("Value(-1.63212, grad 0)" in a["output"] for a in answers), answers


def test_what_needs_the_package_is_not_offered():
    here = tryit.Page("linear")
    assert here.cell("", "x = 1")
    assert here.cell("", "from tinygrad_mnist import tensor") == here.cell("", "x = 2") == ""
    assert tryit.Page("initialisation").cell("", "x = 1") == ""
    assert not tryit.runs_in_a_page("import itertools")
    assert not tryit.runs_in_a_page("np.einsum('ij', x)")
    assert tryit.runs_in_a_page("import math\nimport numpy as np")


@pytest.mark.parametrize(
    "lines",
    [
        "y = x; y *= 3; y /= 2  # both are one array",
        "y = x\ny **= (2 +  # on two lines\n  1)",
        "for y in [x]: y *= 2",
        "y = {'a:b': x}\ny['a:b'] *= x + 1",
        'def double(y):\n    """Twice: y *= 2."""\n    y *= 2\n\n\ndouble(x)',
        "n = 7\nn //= 2\nn *= 1.5\nx += n",
    ],
)
def test_an_assignment_with_an_operator_changes_an_array_in_place(run, lines):
    code = f"import numpy as np\nx = np.array([1.0, 2.0])\n{lines}\nprint(x.sum().item())"
    expected = io.StringIO()
    with contextlib.redirect_stdout(expected):
        exec(code, {})
    [found] = run([["printed", "", code]])
    assert (found["output"], found["error"]) == (expected.getvalue(), "")


def test_an_answer_that_stops_is_not_called_wrong(run):
    code = "def double(x):\n    return np.einsum('i->i', 2 * x)"
    check = "def check(double):\n    assert double(np.array([1]))[0] == 2"
    [found] = run([["answered", "import numpy as np", code, check, ["double"]]])
    assert found["stopped"]
    assert "has no einsum" in found["sentence"]


BEFORE = "def double(x):\n    return 2 * x\n"


@pytest.mark.parametrize(
    ("code", "output", "error", "line"),
    [
        ("double(4)", "8\n", "", 0),
        ("print('a')\nx = 1\ndouble(x)", "a\n2\n", "", 0),
        ("double(", "", "There is one ( too many", 0),
        ("x = 1\ny", "", "There is no y here", 2),
        ("exit()", "", "There is no exit", 1),
        ("print(1)\n1 / 0", "1\n", "divided by 0", 2),
        ("", "", "", 0),
    ],
)
def test_a_cell_shows_its_last_value_or_what_stopped_it(run, code, output, error, line):
    [found] = run([["printed", BEFORE, code]])
    assert found["output"] == output
    assert error in found["error"]
    assert found["line"] == line
