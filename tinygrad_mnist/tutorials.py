"""Tutorials and exercises as notebooks: scripts with cells become .ipynb files for Jupyter."""

from __future__ import annotations

import html
import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tinygrad_mnist.exercises import Exercise, parts

HERE = Path(__file__).parent
INSTALL = """\
# Installs the package if it is missing. In a checkout, `pip install {checkout}` does the same.
try:
    {imports}
except ModuleNotFoundError:
    %pip install --quiet "{requirement}\""""
CHECK = """\
{check}


from tinygrad_mnist.exercises import judge

judge(check, globals())
print("right")"""
WHAT_IS_NEXT = "Run the next cell to check your answer. Its code is folded: it knows the mistakes."


def scripts() -> list[Path]:
    """The scripts of the tutorials in order.

    They are inside an installed package, or beside it in a checkout.
    """
    inside, beside = HERE / "notebooks", HERE.parent / "tutorials"
    return sorted(inside.glob("*.txt")) or sorted(beside.glob("[0-9]*.py"))


def exercise_scripts() -> list[Path]:
    """The scripts of the exercises to the derivations, each under the name of its page."""
    inside, beside = HERE / "notebooks" / "exercises", HERE.parent / "exercises"
    return sorted(inside.glob("*.txt")) or sorted(beside.glob("*.py"))


def notebook(script: Path, *, solutions: bool = False) -> dict[str, Any]:
    """A script as a notebook without outputs, in the form of its JSON.

    Parameters
    ----------
    script : Path
        The script of a tutorial, or of the exercises to a derivation.
    solutions : bool
        Whether the exercises are solved. Otherwise no cell holds a solution, and the check sees
        what the learner has written.

    Returns
    -------
    dict
        A notebook of format 4.5. Links lead to other notebooks, or name files of the documentation.

    Raises
    ------
    ValueError
        If the cells of an exercise are not in order; names the line.
    """
    made = [code(install(script))]
    for part in parts(script):
        if isinstance(part, Exercise):
            made += solved(part) if solutions else posed(part)
        else:
            made.append(markdown(part.source) if part.markdown else code(part.source))
    for number, cell in enumerate(made):
        cell["id"] = f"cell-{number}"
        if solutions and cell["cell_type"] == "markdown":
            cell["source"] = cell["source"].replace(".ipynb)", "-solutions.ipynb)")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": made,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def posed(exercise: Exercise) -> list[dict[str, Any]]:
    """The cells of an exercise for a learner: question, stub, folded hints, check."""
    hints = [folded(f"Hint {n}", hint) for n, hint in enumerate(exercise.hints, 1)]
    return [
        markdown(exercise.question),
        code(exercise.stub, exercise.id, "stub"),
        markdown("\n\n".join([*hints, WHAT_IS_NEXT])),
        check(exercise),
    ]


def solved(exercise: Exercise) -> list[dict[str, Any]]:
    """The cells of an exercise for a teacher: question, solution, check, known wrong answers."""
    mistakes = [
        folded(f"Wrong: {mistake.sentence}", f"```python\n{mistake.answer}\n```")
        for mistake in exercise.misconceptions
    ]
    return [
        markdown(exercise.question),
        code(exercise.solution, exercise.id, "solution"),
        check(exercise),
        markdown("\n\n".join(["Answers that the check knows to be wrong:", *mistakes])),
    ]


def check(exercise: Exercise) -> dict[str, Any]:
    """The cell that checks an answer. Its code is hidden, since it gives much away."""
    cell = code(CHECK.format(check=exercise.check), exercise.id, "check")
    cell["metadata"]["jupyter"] = {"source_hidden": True}
    return cell


def install(script: Path) -> str:
    """The code that installs the packages a script imports, if they are missing."""
    onnx = re.findall(r"^import (onnx\w*)$", script.read_text(encoding="utf-8"), re.MULTILINE)
    extra = "[onnx]" if onnx else ""
    return INSTALL.format(
        imports="\n    ".join(f"import {name}" for name in [*onnx, "tinygrad_mnist"]),
        checkout=f'".{extra}"' if extra else ".",
        requirement=f"tinygrad-mnist{extra}=={version('tinygrad-mnist')}",
    )


def markdown(source: str) -> dict[str, Any]:
    """A cell of prose."""
    source = re.sub(r"\[([^]]+)\]\(\.\./([\w/.-]+\.md)[^)]*\)", r"\1 (docs/\2)", source)
    source = re.sub(r"\]\(([\w-]+)\.md\)", r"](\1.ipynb)", source)
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def folded(title: str, source: str) -> str:
    """Markdown that opens when its title is clicked."""
    return f"<details><summary>{html.escape(title)}</summary>\n\n{source}\n\n</details>"


def code(source: str, exercise: str = "", role: str = "") -> dict[str, Any]:
    """A cell of code that has not been run; in an exercise, with its id and its role as a tag."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"exercise": exercise, "tags": [role]} if exercise else {},
        "outputs": [],
        "source": source,
    }


def write_notebooks(folder: Path, *, solutions: bool = False) -> list[Path]:
    """Write all tutorials to a folder, and the exercises to the derivations to one inside it.

    Parameters
    ----------
    folder : Path
        The folder; it is made if it does not exist, and so is its folder ``exercises``.
    solutions : bool
        Whether the exercises are solved; then ``-solutions`` is added to the names.

    Returns
    -------
    list of Path
        The notebooks.

    Raises
    ------
    FileExistsError
        If one of the files exists already: it may hold somebody's work.
    """
    ending = "-solutions.ipynb" if solutions else ".ipynb"
    made = {
        place / f"{script.stem}{ending}": notebook(script, solutions=solutions)
        for place, found in ((folder, scripts()), (folder / "exercises", exercise_scripts()))
        for script in found
    }
    for path in made:
        if path.exists():
            raise FileExistsError(
                f"{path} exists already, perhaps with work of yours in it. Name another folder."
            )
    for path, content in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(content), encoding="utf-8")
    return list(made)


def text(content: dict[str, Any]) -> str:
    """A notebook as the text of its file."""
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
