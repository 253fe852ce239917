"""Whether an equation is right: both sides with numbers, and if it is proved with symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

DIGITS = 30
"""With how many digits numbers are compared."""


class EquationError(AssertionError):
    """An equation is wrong, or nothing checks it; the message says which, and where it differs."""


@dataclass(frozen=True)
class Equation:
    """A numbered equation: how it reads, and how it is checked.

    Attributes
    ----------
    name, number : str
        What the page calls it, and the number shown behind it.
    formula : callable
        What is typeset, with `left` before it if that is not all.
    pairs : callable
        Given `Values`, pairs of what is so and what the equation claims. They are compared to 20
        digits, or to 12 where one is float64.
    mark, how : str
        What is done, in the fewest words and in a sentence. If it is "proved", the pairs are also
        compared as symbols.
    tops : tuple of str
        The terms that dX may be the derivative of: it holds for each.
    """

    page: Any
    name: str
    number: str
    formula: Any
    left: str
    pairs: Any
    mark: str
    how: str
    tops: tuple[str, ...]

    def check(self) -> str:
        """What was done to know that it is right, and for what: "proved for n = 3".

        Raises
        ------
        EquationError
            If it is wrong.
        """
        limits: dict[str, str] = {}
        for top in self.tops:
            for seed in range(self.page.draws):
                sides = self._entries(self.page.values(top, seed))
                for place, (found, claimed, digits) in enumerate(sides):
                    a, b = sympy.N(found, DIGITS), sympy.N(claimed, DIGITS)
                    if not agree(a, b, digits):
                        a, b = sympy.N(a, 8), sympy.N(b, 8)
                        raise self._wrong(f"is wrong: entry {place} is {a}, not {b}")
            values = self.page.values(top, limits=limits)
            for found, claimed, _ in self._entries(values) if self.mark == "proved" else ():
                if not vanishes(found - claimed):
                    raise self._wrong("has a difference that does not simplify to 0")
        order = [*sorted(limits.keys() - self.page.sizes.keys()), *self.page.sizes]
        said = ", ".join(limits[name] for name in order if name in limits)
        return f"{self.mark} for {said}" if said else self.mark

    def _entries(self, values: Any) -> Any:
        try:
            for found, claimed in self.pairs(values):
                shape, expected = np.shape(found), np.shape(claimed)
                if shape != expected:
                    raise self._wrong(f"is wrong: the shape is {shape}, not {expected}")
                digits = 12 if np.asarray(found).dtype == np.float64 else 20
                for a, b in zip(entries(found), entries(claimed), strict=True):
                    yield a, b, digits
        except (LookupError, TypeError, ValueError) as error:
            raise self._wrong(f"is wrong, it cannot be computed: {error}") from error

    def _wrong(self, what: str) -> EquationError:
        return EquationError(f"({self.number}) {self.name} {what}.")


def entries(values: Any) -> Any:
    """All entries of an array, or the one number, as SymPy has them."""
    return map(sympy.sympify, np.asarray(values, object).ravel())


def agree(a: Any, b: Any, digits: int) -> bool:
    """Whether two results are numbers, and equal to so many digits."""
    if not (a.is_number and b.is_number):
        return False
    return bool(abs(a - b) <= sympy.Float(10) ** -digits * (1 + abs(a)))


def vanishes(difference: Any) -> bool:
    """Whether an expression is 0 for all symbols.

    If it has kinks, on both sides of 0 and at 0 of each symbol. On one denominator that is often
    seen at once, where simplifying takes seconds.
    """
    if difference.has(sympy.Sum):
        return all(map(vanishes, without_sums(difference)))
    difference = difference.replace(is_step_power, split_power)
    numerator, _ = sympy.fraction(sympy.together(difference))
    if sympy.expand(numerator) == 0 or sympy.simplify(difference) == 0:
        return True
    signed = [x for x in difference.free_symbols if not x.is_positive]
    if not signed or not difference.has(sympy.Abs, sympy.Max, sympy.Min, sympy.Piecewise):
        return False
    size = sympy.Dummy(positive=True)
    return all(vanishes(difference.subs(signed[0], value)) for value in (size, -size, 0))


def is_step_power(x: Any) -> bool:
    """Whether an expression is a power whose exponent counts steps."""
    return bool(x.is_Pow and x.exp.is_integer and x.exp.free_symbols)


def split_power(x: Any) -> Any:
    """One of step t - 1 as one of step t, divided once."""
    once, rest = x.exp.as_coeff_Add()
    return sympy.Function("power")(x.base, rest) * x.base**once


def without_sums(difference: Any) -> tuple[Any, ...]:
    """Expressions without sums over steps: if all are 0, so is the difference.

    A geometric sum is evaluated, for a ratio other than 1. Of others the last term is taken out, so
    that all end at the same step and can be added up under one sign.
    """
    done = difference.doit().replace(sympy.Piecewise, lambda *branches: branches[-1][0])
    if not done.has(sympy.Sum):
        return (sympy.simplify(done),)
    apart = difference.replace(sympy.Sum, shortened).expand(deep=False)
    sums = apart.atoms(sympy.Sum)
    if len({s.limits for s in sums}) > 1:
        return (sympy.Integer(1),)  # they cannot be added up
    terms = sympy.Add(*(apart.coeff(s) * s.function for s in sums))
    return apart.subs(dict.fromkeys(sums, 0)), terms


def shortened(term: Any, limits: Any) -> Any:
    """A sum up to step t as one up to t - 1, and its last term."""
    k, first, last = limits
    shorter = sympy.Sum(term, (k, first, last - 1)) + term.subs(k, last)
    return shorter if last.is_Symbol else sympy.Sum(term, limits)
