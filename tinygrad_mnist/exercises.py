"""Exercises: the format they are written in, its reader, and the grader of answers.

An exercise is a run of cells in a script with cells, next to the prose that it belongs to. The
question names the exercise, and each cell after it has a role. In this order:

    # %% [markdown] exercise="scalar-tape.double"
    # Write `double`: twice a number.

    # %% tags=["stub"]
    def double(x):
        return None  # your turn

    # %% [markdown] tags=["hint"]
    # Twice is the number and the number again.

    # %% tags=["check"]
    def check(double):
        assert double(3) != 9, "That is the square: multiply by 2, not by x."
        assert double(3) == 6, "Twice 3 is 6."

    # %% tags=["solution"]
    def double(x):
        return 2 * x

    # %% tags=["misconception"]
    # That is the square: multiply by 2, not by x.
    def double(x):
        return x * x

The parameters of ``check`` are the names that an answer defines. Its assertions say what is wrong,
in a sentence to the learner. A misconception opens with the sentence that names it, as a comment.
Where the answer is a number, and the work is on paper, the stub is ``slope = ...``: a name that is
still ``...`` counts as not defined.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import re
import traceback
import warnings
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

ROLES = ("stub", "hint", "check", "solution", "misconception")
ONCE = ("stub", "check", "solution")
HEADER = re.compile(
    r"# %%(?P<markdown> \[markdown\])?"
    r'(?: exercise="(?P<exercise>[a-z0-9-]+\.[a-z0-9-]+)")?'
    r'(?: tags=\["(?P<role>\w+)"\])?'
)
ANSWER = "<answer>"  # the file name of an answer in tracebacks


@dataclass(frozen=True)
class Misconception:
    """A wrong answer that learners give, and the sentence that says what is wrong with it."""

    answer: str
    sentence: str


@dataclass(frozen=True)
class Exercise:
    """A question, with hints, a solution, and a check that grades answers.

    Attributes
    ----------
    id : str
        Subject and name, such as ``scalar-tape.tanh``: unique and never changed, since records of
        grades refer to it.
    question : str
        Markdown.
    stub : str
        The Python code that a learner begins with.
    check : str
        Python code of a function ``check``, whose parameters are the names that an answer defines
        and whose assertions say what is wrong.
    hints : tuple of str
        Markdown, from a first nudge to a plain explanation.
    solution : str
        A right answer.
    misconceptions : tuple of Misconception
        Wrong answers, each with the sentence that the check says about it.
    """

    id: str
    question: str
    stub: str
    check: str
    hints: tuple[str, ...]
    solution: str
    misconceptions: tuple[Misconception, ...]


@dataclass(frozen=True)
class Cell:
    """A cell of a script: Markdown without its comment signs, or code.

    Attributes
    ----------
    source : str
        The text.
    markdown : bool
        Whether it is Markdown.
    exercise : str
        The id of the exercise whose question this is, or nothing.
    role : str
        One of `ROLES` in an exercise, or nothing.
    line : int
        The line of the script on which it begins.
    alt : str
        What its picture shows, for those who cannot see it: in the script, the lines at the head
        of the cell that begin with ``#|``. They are no part of the source.
    """

    source: str
    markdown: bool = False
    exercise: str = ""
    role: str = ""
    line: int = 1
    alt: str = ""


@dataclass(frozen=True)
class Verdict:
    """The result of grading an answer.

    Attributes
    ----------
    right : bool
        Whether the check passes.
    sentence : str
        "right", or what is wrong, in words.
    misconception : Misconception or None
        The misconception that the check has recognised.
    """

    right: bool
    sentence: str
    misconception: Misconception | None = None


class WrongAnswer(AssertionError):
    """Raised when a check finds a mistake; the message is the sentence for the learner."""

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows: the sentence, without the check's own lines."""
        return [f"Not right yet. {self}"]


def read(script: str | Path) -> list[Exercise]:
    """All exercises of a script.

    Parameters
    ----------
    script : str or Path
        The text of a script with cells, or the path of one.

    Returns
    -------
    list of Exercise
        In the order of the script.

    Raises
    ------
    ValueError
        If a cell is out of place or missing, or an id is used twice; names the line.
    """
    return [part for part in parts(script) if isinstance(part, Exercise)]


def parts(script: str | Path) -> list[Cell | Exercise]:
    """The parts of a script in order: ordinary cells, and exercises put together from their cells.

    Parameters
    ----------
    script : str or Path
        The text of a script with cells, or the path of one.

    Returns
    -------
    list of Cell or Exercise
        Without empty cells.

    Raises
    ------
    ValueError
        If a cell is out of place or missing, or an id is used twice; names the line.
    """
    text, place = (script, "") if isinstance(script, str) else (script.read_text("utf-8"), script)
    try:
        return put_together(cells(text))
    except ValueError as error:
        raise ValueError(f"{place}, {error}" if place else str(error)) from None


def cells(text: str) -> list[Cell]:
    """The cells of a script; the text before the first ``# %%`` is code, too."""
    found: list[Cell] = []
    begins: list[tuple[int, str, list[str]]] = [(1, "# %%", [])]
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# %%"):
            begins.append((number, line, []))
        else:
            begins[-1][2].append(line)
    for number, header, lines in begins:
        told = HEADER.fullmatch(header)
        if told is None:
            raise ValueError(
                f'line {number}: a cell begins with # %%, then [markdown], exercise="subject.name" '
                f'or tags=["{ROLES[0]}"], in this order, but this is {header}'
            )
        markdown = bool(told["markdown"])
        shown = list(takewhile(lambda line: line.startswith("#| "), lines))
        lines = lines[len(shown) :]
        alt = " ".join(line.removeprefix("#| ") for line in shown)
        source = "\n".join(map(uncommented, lines) if markdown else lines).strip("\n")
        if source:
            named = told["exercise"] or "", told["role"] or ""
            found.append(Cell(source, markdown, *named, number, alt))
    return found


def uncommented(line: str) -> str:
    """A line of Markdown without its comment sign."""
    return line.removeprefix("#").removeprefix(" ")


def put_together(waiting: list[Cell]) -> list[Cell | Exercise]:
    """Ordinary cells unchanged, and an exercise for each question and the cells that follow it."""
    found: list[Cell | Exercise] = []
    ids: set[str] = set()
    while waiting:
        cell, *waiting = waiting
        if cell.role:
            raise ValueError(f"line {cell.line}: a {cell.role} belongs after a question")
        if not cell.exercise:
            found.append(cell)
            continue
        if cell.exercise in ids:
            raise ValueError(f"line {cell.line}: {cell.exercise} is the id of another exercise")
        ids.add(cell.exercise)
        belonging = list(takewhile(lambda cell: cell.role, waiting))
        waiting = waiting[len(belonging) :]
        found.append(exercise(cell, belonging))
    return found


def exercise(question: Cell, belonging: list[Cell]) -> Exercise:
    """An exercise from a question and the cells that follow it."""
    for cell in (question, *belonging):
        if cell.role not in ("", *ROLES):
            raise ValueError(f"line {cell.line}: no cell of an exercise is a {cell.role}")
        if cell.markdown != (cell.role in ("", "hint")):
            raise ValueError(
                f"line {cell.line}: questions and hints are Markdown, the rest is code"
            )
    roles = [cell.role for cell in belonging]
    if roles != sorted(roles, key=ROLES.index) or any(roles.count(role) != 1 for role in ONCE):
        raise ValueError(
            f"line {question.line}: the cells of {question.exercise} should be a stub, hints, "
            f"a check, a solution and misconceptions, but are {', '.join(roles) or 'missing'}"
        )
    by_role = {role: [cell for cell in belonging if cell.role == role] for role in ROLES}
    return Exercise(
        question.exercise,
        question.source,
        by_role["stub"][0].source,
        by_role["check"][0].source,
        tuple(cell.source for cell in by_role["hint"]),
        by_role["solution"][0].source,
        tuple(map(misconception, by_role["misconception"])),
    )


def misconception(cell: Cell) -> Misconception:
    """A misconception from a cell: a wrong answer, with the comment above it as its sentence."""
    lines = cell.source.splitlines()
    said = list(takewhile(lambda line: line.startswith("#"), lines))
    if not said:
        raise ValueError(f"line {cell.line}: a misconception begins with a comment that names it")
    answer = "\n".join(lines[len(said) :]).strip("\n")
    return Misconception(answer, " ".join(map(uncommented, said)))


def judge(check: Callable[..., object], names: Mapping[str, Any]) -> None:
    """Run a check on what the learner has defined.

    A function of the learner is given copies of the check's arrays, so it may work in place.

    Parameters
    ----------
    check : callable
        The check of an exercise; its parameters name what an answer defines.
    names : mapping
        The learner's names and their values; in a notebook, ``globals()``.

    Raises
    ------
    WrongAnswer
        If a name is not defined or still ``...``, an assertion fails, or the check cannot use the
        answer; the message says what is wrong. An error in the learner's code is passed on, without
        the lines of the check that lead to it, which would give much away.
    """
    wanted = list(inspect.signature(check).parameters)
    missing = " and no ".join(name for name in wanted if names.get(name, ...) is ...)
    if missing:
        raise WrongAnswer(f"There is no {missing} yet: write it, and run what you have written.")
    try:
        check(*(working_on_copies(names[name]) for name in wanted))
    except AssertionError as error:
        raise WrongAnswer(str(error) or "An assertion in your code fails.") from None
    except Exception as error:  # noqa: BLE001 - whatever an answer may lead to
        if learners := learners_lines(error, check, names):
            raise error.with_traceback(learners) from error.__cause__
        what = f"{type(error).__name__}: {error}"
        raise WrongAnswer(f"The check cannot use what it is given ({what}).") from None


def working_on_copies(answer: Any) -> Any:
    """A function of a learner that may work in place: the arrays of the check stay as they are."""
    if not inspect.isfunction(answer):
        return answer

    @functools.wraps(answer)
    def called(*given: Any, **named: Any) -> Any:
        return answer(*map(own, given), **{name: own(value) for name, value in named.items()})

    return called


def own(value: Any) -> Any:
    """An array with the same numbers; anything else as it is."""
    return value.copy() if isinstance(value, np.ndarray) else value


def learners_lines(
    error: Exception, check: Callable[..., object], names: Mapping[str, Any]
) -> TracebackType | None:
    """The part of a traceback from the learner's first line on, if there is one."""
    lines = error.__traceback__
    while lines is not None:
        frame = lines.tb_frame
        if frame.f_globals is names and frame.f_code.co_filename != inspect.getfile(check):
            break
        lines = lines.tb_next
    return lines


def grade(exercise: Exercise, answer: str, names: dict[str, Any] | None = None) -> Verdict:
    """Run an answer, then the check, and return the verdict.

    The code is run in this process, so it can do whatever this process can. To grade the code of
    strangers, call this in a process that may be stopped and has nothing to lose.

    Parameters
    ----------
    exercise : Exercise
        The exercise that was answered.
    answer : str
        The Python code that a learner has written.
    names : dict, optional
        Names that are defined before the exercise. Answer and check run with these names, as in
        a notebook; afterwards every name has its old value again.

    Returns
    -------
    Verdict
        Right, or a sentence that says what is wrong, whatever the answer raises. Its output and
        warnings are not shown.

    Examples
    --------
    >>> double = Exercise(
    ...     id="numbers.double",
    ...     question="Write `double`: twice a number.",
    ...     stub="def double(x): ...",
    ...     check="def check(double): assert double(3) == 6, 'Twice 3 is 6.'",
    ...     hints=("Multiply.",),
    ...     solution="def double(x): return 2 * x",
    ...     misconceptions=(),
    ... )
    >>> grade(double, double.solution).right
    True
    >>> grade(double, "def double(x): return x * x").sentence
    'Twice 3 is 6.'
    >>> grade(double, "def double(x): return y").sentence
    "It raised NameError in line 1: name 'y' is not defined"
    """
    names = {} if names is None else names
    before = dict(names)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(answer, ANSWER, "exec"), names)  # noqa: S102 - what grading means
            exec(exercise.check, names)  # noqa: S102
            judge(names["check"], names)
    except WrongAnswer as error:
        said = str(error)
        named = (known for known in exercise.misconceptions if known.sentence == said)
        return Verdict(False, said, next(named, None))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an answer raises
        return Verdict(False, in_words(error))
    finally:
        names.clear()
        names.update(before)
    return Verdict(True, "right")


def in_words(error: BaseException) -> str:
    """A sentence that says what an answer raised, and in which of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == ANSWER]
    where = f" in line {lines[-1]}" if lines else ""
    return f"It raised {type(error).__name__}{where}: {error}"
