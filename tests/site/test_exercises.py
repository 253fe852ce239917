"""The format of exercises: what is read, what is refused, and what a grader says of an answer."""

import textwrap

import numpy as np
import pytest

from tinygrad_mnist import exercises
from tinygrad_mnist.exercises import WrongAnswer, grade, judge, read

SCRIPT = textwrap.dedent(
    exercises.__doc__.partition("order:\n\n")[2].partition("The parameters")[0]
)


@pytest.fixture
def double():
    """The exercise in the documentation of the format."""
    (exercise,) = read(SCRIPT)
    return exercise


def without(role):
    """The script without the cell of a role."""
    before, _, rest = SCRIPT.partition(next(line for line in SCRIPT.splitlines() if role in line))
    return before + rest[rest.index("# %%") :]


def test_the_example_of_the_documentation_is_read(double):
    assert double.id == "scalar-tape.double"
    assert double.question == "Write `double`: twice a number."
    assert double.stub == "def double(x):\n    return None  # your turn"
    assert double.hints == ("Twice is the number and the number again.",)
    assert double.check.startswith("def check(double):")
    assert double.solution == "def double(x):\n    return 2 * x"
    (square,) = double.misconceptions
    assert square.sentence == "That is the square: multiply by 2, not by x."
    assert square.answer == "def double(x):\n    return x * x"


def test_a_sentence_may_take_several_lines(double):
    wrapped = SCRIPT.replace("the square: multiply", "the square:\n# multiply")
    assert read(wrapped)[0].misconceptions == double.misconceptions


def test_ordinary_cells_stay_around_the_exercise(double):
    before, found, after = exercises.parts(
        f"# %%\nx = 1\n{SCRIPT}\n# %% [markdown]\n# # End\n#\n# ."
    )
    assert before.source == "x = 1"
    assert found == double
    assert (after.markdown, after.source) == (True, "# End\n\n.")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (without("stub"), "line 1: the cells of scalar-tape.double should be a stub, hints"),
        (without("check"), "line 1: the cells of scalar-tape.double should be a stub, hints"),
        (without("solution"), "but are stub, hint, check, misconception"),
        (without("exercise="), "line 1: a stub belongs after a question"),
        (SCRIPT.replace('"hint"', '"nudge"'), "line 8: no cell of an exercise is a nudge"),
        (
            SCRIPT.replace('[markdown] tags=["hint"]', 'tags=["hint"]'),
            "line 8: questions and hints",
        ),
        (
            SCRIPT.replace("# %% [markdown] ex", "# %% ex"),
            "line 1: questions and hints are Markdown",
        ),
        (SCRIPT.replace("scalar-tape.double", "Double"), 'exercise="subject.name"'),
        (SCRIPT.replace('tags=["stub"]', "stub"), "line 4: a cell begins with # %%"),
        (SCRIPT.replace("# That is the", ""), "a misconception begins with a comment"),
        (SCRIPT + SCRIPT, "scalar-tape.double is the id of another exercise"),
    ],
)
def test_what_is_out_of_place_is_named(script, said, tmp_path):
    assert script != SCRIPT
    with pytest.raises(ValueError, match="line") as raised:
        read(script)
    assert said in str(raised.value)
    path = tmp_path / "script.py"
    path.write_text(script, encoding="utf-8")
    with pytest.raises(ValueError, match="line") as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}, line ")


def test_a_right_answer_is_right(double):
    verdict = grade(double, double.solution)
    assert (verdict.right, verdict.sentence, verdict.misconception) == (True, "right", None)


def test_a_misconception_is_recognised(double):
    (square,) = double.misconceptions
    verdict = grade(double, square.answer)
    assert not verdict.right
    assert (verdict.sentence, verdict.misconception) == (square.sentence, square)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("def double(x): return 5", "Twice 3 is 6."),
        ("", "There is no double yet: write it, and run what you have written."),
        (
            "\ndef double(x):\n    return y",
            "It raised NameError in line 3: name 'y' is not defined",
        ),
        ("def double(x) return 2", "It raised SyntaxError: expected ':' (<answer>, line 1)"),
        ("import sys\nsys.exit('gone')", "It raised SystemExit in line 2: gone"),
        ("def double(x):\n    assert x < 0", "An assertion in your code fails."),
        (
            "def double(): pass",
            "The check cannot use what it is given (TypeError: double() takes 0",
        ),
        ("double = 2", "The check cannot use what it is given (TypeError: 'int' object is not"),
    ],
)
def test_whatever_else_an_answer_does_is_said_in_words(double, answer, sentence, capsys):
    verdict = grade(double, answer)
    assert not verdict.right
    assert verdict.misconception is None
    assert verdict.sentence.startswith(sentence)
    assert capsys.readouterr().out == ""


def test_an_answer_sees_what_is_defined_before_and_changes_none_of_it(double):
    names = {"two": 2, "double": None}
    before = dict(names)
    assert grade(double, "two = two + 0\nprint(two)\ndef double(x): return two * x", names).right
    assert names == before
    assert not grade(double, "two = 3\ndef double(x): return two * x", names).right
    assert names == before


def test_an_answer_may_work_in_place():
    def check(double):
        given = np.array([3.0])
        assert double(given) == 6, "Twice 3 is 6."
        assert given == 3, "The array of the check has changed."

    names = {}
    exec("def double(x):\n    x *= 2\n    return x", names)
    judge(check, names)


def test_a_check_that_needs_two_names_says_which_is_missing():
    def check(area, edge):
        assert area == edge, "They should agree."

    judge(check, {"area": 1, "edge": 1})
    with pytest.raises(WrongAnswer, match="They should agree"):
        judge(check, {"area": 1, "edge": 2})
    with pytest.raises(WrongAnswer, match="There is no area yet"):
        judge(check, {"edge": 2})
    with pytest.raises(WrongAnswer, match="There is no area and no edge yet"):
        judge(check, {})


def test_an_error_is_shown_from_the_line_of_the_learner_on(double):
    names = {}
    exec(compile("def double(x):\n    return y", "<cell 1>", "exec"), names)
    exec(compile(double.check, "<cell 2>", "exec"), names)
    with pytest.raises(NameError) as raised:
        judge(names["check"], names)
    frames = [frame.name for frame in raised.traceback]
    assert "check" not in frames
    assert frames[-2:] == ["judge", "double"]


def test_a_name_that_is_still_dots_is_not_there_yet():
    with pytest.raises(WrongAnswer, match="There is no dx yet"):
        judge(lambda dx: None, {"dx": ...})
