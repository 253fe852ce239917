"""Exercises for the site: how one is shown, and those at the end of a page of derivations.

What a page shows is graded while it is built: the solution has to be right, what a learner begins
with must not be, and the check has to answer each misconception with its sentence.
"""

from __future__ import annotations

import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tryit

from tinygrad_mnist.exercises import Cell, Exercise, grade, misconception, parts
from tinygrad_mnist.tutorials import check, exercise_scripts, notebook, text

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

HOW = """\
A check says whether your answer is right, and if not, what is wrong with it: in the notebook, and
here under *Try it here*. If you are stuck, open what you need: hints first, the solution last."""
SCRIPTS = Path(__file__).parent.parent.parent / "exercises"


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add a notebook to each page that has exercises."""
    from mkdocs.structure.files import File

    for script in exercise_scripts():
        name = f"derivations/{script.stem}.ipynb"
        files.append(File.generated(config, name, content=text(notebook(script))))
    return files


# ---------------------------------------------------------------- an exercise


def exercise(asked: Exercise, checked: str = "", *boxes: str, here: tryit.Page) -> str:
    """A question and its stub; hints, check, further boxes and the solution folded away.

    If its check runs in the page, it can also be answered `here`.
    """
    hints = [folded("tip", f"Hint {n}", hint) for n, hint in enumerate(asked.hints, 1)]
    return "\n\n".join(
        [
            asked.question,
            python(asked.stub) + here.exercise(asked),
            *hints,
            folded("question", "Check your own", python(check(asked)["source"]) + checked),
            *boxes,
            folded("success", "Solution", python(asked.solution)),
        ]
    )


def mistakes(asked: Exercise) -> str:
    """A box with the wrong answers that the check knows, each below the sentence about it."""
    known = [f"{said.sentence}\n\n{python(said.answer)}" for said in asked.misconceptions]
    return folded("failure", "If you got something else", "\n\n".join(known))


def self_test(asked: Exercise) -> str:
    """A question with its choices; below, folded away, a sentence about each: the right one first.

    Such an exercise asks for a letter, as in ``answer = "b"``. Its solution opens with the reason,
    like a misconception.
    """
    right = misconception(Cell(asked.solution))
    lines = [f"**{letter(right.answer)}.** {right.sentence}"]
    lines += [f"Not {letter(wrong.answer)}: {wrong.sentence}" for wrong in asked.misconceptions]
    return asked.question + "\n\n" + folded("question", "Answer", "\n\n".join(lines))


def letter(answer: str) -> str:
    """The letter that an answer names."""
    return answer.removeprefix('answer = "').removesuffix('"')


def folded(kind: str, title: str, content: str) -> str:
    """A box that opens when its title is clicked."""
    return f'??? {kind} "{title}"\n\n' + textwrap.indent(content, "    ")


def python(source: str) -> str:
    """Code, and room for what it shows."""
    return f"```python\n{source}\n```\n\n"


# ---------------------------------------------------------------- the exercises of a page


def section(page: str) -> str:
    """All exercises of a page of derivations, graded.

    Parameters
    ----------
    page : str
        The name of the page, which is that of its script in ``exercises/``.

    Returns
    -------
    str
        Markdown, from the heading "Exercises" to the self-test.

    Raises
    ------
    OSError
        If there is no such script.
    ValueError
        If an exercise is not in order, or its check says something wrong.
    """
    head, *rest = parts(SCRIPTS / f"{page}.py")
    download = f"[:material-download: Notebook]({page}.ipynb){{ .md-button .download download }}"
    blocks = ["## Exercises", download, HOW, head.source.partition("\n")[2]]
    names: dict[str, Any] = {}
    here = tryit.Page(page)
    for part in rest:
        if isinstance(part, Exercise):
            if wrong := fault(part, names):
                raise ValueError(wrong)
            tests_oneself = part.id.partition(".")[2].startswith("self-")
            asked = partial(exercise, part, "", mistakes(part), here=here)
            blocks.append(self_test(part) if tests_oneself else asked())
        elif part.markdown:
            blocks.append(part.source)
        else:
            exec(part.source, names)  # noqa: S102 - what the exercises may use
            here.cell("", part.source)
            blocks.append(python(part.source))
    return "\n\n".join(blocks)


def fault(asked: Exercise, names: dict[str, Any]) -> str:
    """What is wrong with an exercise, or nothing."""
    solved = grade(asked, asked.solution, names)
    if not solved.right:
        return f"The solution of {asked.id} is refused: {solved.sentence}"
    if grade(asked, asked.stub, names).right:
        return f"The stub of {asked.id} is taken for right."
    for known in asked.misconceptions:
        said = grade(asked, known.answer, names)
        if said.misconception != known:
            return f"{asked.id} says {said.sentence!r}, where {known.sentence!r} is meant."
    return ""
