"""How equations read: LaTeX of letters, or of numbers in their place."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import sympy
from typeset import Tex, matrix, named, symbol, tex

from equations.check import EquationError
from equations.values import Term, Values, exact, letters, parameters

FOLD = re.compile(
    r"(?<=\\end{bmatrix}) (?=\+|\\odot)|(?<=\\right\)) (?=-)|(?<=\^\\top)\\; (?=\\begin)"
)
"""Where a long line of matrices may be broken."""


def letter(page: Any, name: str) -> str:
    """The LaTeX of a name alone."""
    if name[0] == "d" and name[1:] in page.written:
        return f"d{page.written[name[1:]]}"
    return page.written.get(name) or symbol(name)


def written(page: Any, name: str, indices: Any = ()) -> Tex:
    """A name of the page with its indices, or if there are none with its shape beneath it."""
    if name in page.indices or name in page.sizes or name in page.steps:
        return Tex(symbol(name))
    term = page.terms.get(name) or page.terms.get(name[1:])
    if term is None:
        raise EquationError(f"page {page.number} says nowhere what {name} is.")
    whole = named(letter(page, name), term.shape)
    return whole[tuple(Tex(symbol(index)) for index in indices)] if indices else whole


def lines(equation: Any) -> list[tuple[str, str]]:
    """The two sides of each line of an equation; a line that goes on has no left side."""
    names = parameters(equation.formula)
    value = equation.formula(**{name: written(equation.page, name) for name in names})
    left, *sides = [equation.left, value] if equation.left else value
    lefts = [str(left), *[""] * (len(sides) - 1)]
    return list(zip(lefts, [str(tex(side)) for side in sides], strict=True))


def latex(*equations: Any) -> str:
    """The lines of one or several equations, aligned at the equals sign."""
    shown = [line for equation in equations for line in lines(equation)]
    if len(shown) == 1:
        return " = ".join(shown[0])
    return aligned([f"{left} &= {right}".strip() for left, right in shown])


def aligned(lines: list[str], gap: str = "") -> str:
    """Lines of LaTeX beneath each other, with & where they line up."""
    return rf"\begin{{aligned}} {(chr(92) * 2 + gap + ' ').join(lines)} \end{{aligned}}"


class Given(Values):
    """The names of an example."""

    def draw(self, term: Term) -> Any:
        """A symbol for each entry that the example does not say: it may not matter."""
        return exact(letters(term.name, [self.sizes[size] for size in term.shape]))


def example(page: Any, *names: str, digits: int = 4, folded: bool = False, **given: Any) -> str:
    """LaTeX lines that show terms and gradients in numbers; `folded` into shorter lines."""
    exactly = np.vectorize(sympy.nsimplify, otypes=[object])
    sizes, supposed = dict(page.sizes), {}
    for name, value in given.items():
        term, array = page.terms[name], exact(exactly(value))
        sizes.update(zip(term.shape, np.shape(array), strict=True))
        supposed[name] = dict(enumerate(array, 1)) if term.step else array
    values = Given(page, page.top, 0, sizes=sizes, supposed=supposed)
    fold = r" \\ &= " if folded else " = "
    shown = []
    for name in names:
        sides = [*in_numbers(values, name, digits), matrix(values.array(name), digits)]
        line = f"{letter(page, name)} &= {fold.join(dict.fromkeys(map(str, sides)))}"
        shown.append(FOLD.sub(r" \\\\ &\\quad ", line) if folded else line)
    return aligned(shown, "[1ex]")


def in_numbers(values: Any, name: str, digits: int) -> Any:
    """The formula of a term, with numbers in place of its letters; none if it has indices."""
    page, equation = values.page, values.page.equations.get(name)
    names = parameters(equation.formula) if equation else []
    if equation and not any(x in page.indices or x in page.steps for x in names):
        sizes = values.sizes
        yield equation.formula(
            **{x: sizes[x] if x in sizes else matrix(values[x], digits) for x in names}
        )
