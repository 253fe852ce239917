"""Code of a page that a reader may change and run there: what it needs is written beside it."""

from __future__ import annotations

import ast
import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.exercises import grade

if TYPE_CHECKING:
    from tinygrad_mnist.exercises import Exercise

PAGES = {
    *("01-scalar-tape", "chain-rule", "linear", "activations"),
    *("softmax", "squared-error", "network", "tape", "broadcasting", "optimizers"),
}
"""Where code is offered to be run: it is small enough there for a page's Python."""

STAND_IN = Path(__file__).parent.parent / "assets" / "python" / "functions.py"


class Page:
    """The code of a page from its beginning: whatever is run there comes after it."""

    def __init__(self, name: str) -> None:
        self.before, self.offered = "", name in PAGES
        self.complete = self.offered  # whether all code so far runs in the page

    def cell(self, name: str, code: str) -> str:
        """A button that opens a cell for changes; nothing once a cell does not run in a page."""
        self.complete = self.complete and runs_in_a_page(code)
        if not self.complete:
            return ""
        shown = element(name, self.before, code)
        self.before += code + "\n"
        return shown

    def exercise(self, asked: Exercise) -> str:
        """A place to answer an exercise, or nothing if it cannot be graded in the page."""
        if not self.offered or not runs_in_a_page(
            self.before, asked.stub, asked.check, asked.solution
        ):
            return ""
        names: dict[str, Any] = {}
        exec(self.before, names)  # noqa: S102 - code of the page itself
        if not grade(asked, asked.solution, names).right:
            return ""
        return element(
            asked.id, self.before, asked.stub, check=asked.check, wanted=parameters(asked.check)
        )


def runs_in_a_page(*sources: str) -> bool:
    """Whether code uses nothing that the page's Python lacks."""
    functions = {"random"} | {
        name.id if isinstance(name, ast.Name) else name.name
        for name in ast.walk(ast.parse(STAND_IN.read_text(encoding="utf-8")))
        if isinstance(name, ast.Name | ast.FunctionDef)
    }
    for node in ast.walk(ast.parse("\n".join(sources))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if not set(names) <= {"math", "numpy"}:
            return False
        parts = node.elts if isinstance(node, ast.Tuple | ast.List) else []
        if any(isinstance(part, ast.Starred) for part in parts):
            return False  # MicroPython has no (1, *shape)
        of_numpy = isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np"
        if of_numpy and node.attr not in functions:
            return False
    return True


def parameters(check: str) -> list[str]:
    """The names that a check takes."""
    function = next(node for node in ast.parse(check).body if isinstance(node, ast.FunctionDef))
    return [argument.arg for argument in function.args.args]


def element(name: str, before: str, code: str, **more: str | list[str]) -> str:
    """The element that `assets/mistakes.js` makes an editor of."""
    told = json.dumps({"id": name, "before": before, "code": code, **more})
    return f'<div><try-it data-told="{html.escape(told)}"></try-it></div>'
