"""Equations line by line: each with its shapes in numbers, and the code that computes it."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

from equations import EquationError
from equations.write import lines as sides

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {"B": "32", "n_{0}": "784", "n_{1}": "256", "C": "10"}
"""The network that is trained most often, with a batch of 32."""
BRACED = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
MATRIX = re.compile(rf"\\underset{BRACED}{BRACED}")
"""A name with its shape beneath it."""
CODE = re.compile(r"^ +(\w+) = (.*)  # \((\d+)\)$", re.MULTILINE)
"""A line that computes a numbered equation."""
TARGETS = {"cross_entropy": "data", "loss": "penalty"}
"""What the code calls the left side of an equation, if not as the page does."""


def lines(page: Any, file: Path, *names: str) -> str:
    """The lines of a reader, as Markdown.

    Raises
    ------
    EquationError
        If the file has no line for an equation, or has it under another number.
    """
    code = {match[1]: match for match in CODE.finditer(file.read_text(encoding="utf-8"))}
    return f'<div class="reader" markdown>\n{"".join(line(page, code, n) for n in names)}</div>'


def line(page: Any, code: dict[str, re.Match[str]], name: str) -> str:
    """An equation, its shapes, and its code."""
    equation, target = page.equations[name], TARGETS.get(name, name)
    found = code.get(target)
    if found is None or not equation.number.endswith(f".{found[3]}"):
        raise EquationError(f"no line computes {target} as ({equation.number}).")
    ((left, right),) = sides(equation)
    at = equation.number.replace(".", "-")
    return (
        f'<div class="line" id="line-{name}" data-line="{name}" markdown>\n'
        f'<p class="line-formula" markdown="span">${bare(f"{left} = {right}")}$</p>\n'
        f'<p class="line-shapes" markdown="span">${shapes(page, name, left, right)}$</p>\n'
        f'<p class="line-code"><code>{escape(found[0].strip().rpartition("  # ")[0])}</code></p>\n'
        f'<p class="line-number"><a href="#eq-{at}">({equation.number})</a></p>\n</div>\n'
    )


def bare(latex: str) -> str:
    """An equation without the shapes beneath its names."""
    return MATRIX.sub(r"{\2}", latex).replace(r"\text{softmax: }", "").strip()


def shapes(page: Any, name: str, left: str, right: str) -> str:
    """An equation with a shape for each name; that of the result alone if there are no others."""
    result = numbers(" \\times ".join(page.terms[name].shape) if name in page.terms else "")
    if match := MATRIX.search(left):
        result = numbers(match[1])
    if not MATRIX.search(right):
        return result
    found = MATRIX.sub(lambda match: numbers(match[1]), right).replace("{B}", "{32}")
    return result + " = " + re.sub(r"\\left\((\(.*?\))\\right\)", r"\1", found)


def numbers(shape: str) -> str:
    """A shape in numbers."""
    if not shape:
        return r"\text{one number}"
    for letter, size in SIZES.items():
        shape = shape.replace(letter, size)
    return f"({shape})"
