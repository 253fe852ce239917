"""Numbered equations with one source: a Python function, from which the page is typeset, examples computed, and checks made.

    page = Derivation(2, B=2, n=3, m=2)
    page.given("X", "B n")
    page.given("W", "n m")

    @page.define("B m", code=lambda X, W: ops.matmul(X, W))
    def Z(X, W):
        return X @ W

    page.arriving("Z")  # a gradient dZ that comes from the layers above

    @page.gradient
    def dW(X, dZ):
        return X.T @ dZ

A definition is held against the package. Everything else is held against the definitions: SymPy differentiates those,
and the claim, computed on the same symbols, must be what comes out.
"""

from __future__ import annotations

import inspect
import random
import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy
from typeset import Tex, matrix, named, symbol, tex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Formula = Callable[..., Any]

DIGITS = 30
"""With how many digits numbers are compared."""


class EquationError(AssertionError):
    """An equation is wrong, or nothing checks it; the message says which one, and where it differs."""


@dataclass(frozen=True)
class Term:
    """A name on a page: given, or defined by an equation."""

    name: str
    shape: tuple[str, ...]
    formula: Formula | None = None
    sample: Callable[[random.Random, tuple[int, ...]], Any] | None = None
    positive: bool = False


@dataclass(frozen=True)
class Equal:
    """The claim that some formulas are the same."""

    sides: tuple[Any, ...]


def equal(*sides: Any) -> Equal:
    """Claim that two or more formulas are the same."""
    return Equal(sides)


class Steps:
    """A sequence as it is written on paper: entry t of the array is number t + 1, and number 0 is where it starts."""

    def __init__(self, values: Any, start: Any) -> None:
        self.values, self.start = values, start

    def __getitem__(self, t: int) -> Any:
        return self.values[t - 1] if t else self.start


class Values:
    """What the names of a page stand for: numbers drawn by a seed, or symbols. Found when they are first asked for."""

    def __init__(self, page: Derivation, sizes: dict[str, int], draw: Callable[[Term], Any], known: dict[str, Any] | None = None) -> None:
        self.page, self.sizes, self.draw = page, sizes, draw
        self.known: dict[str, Any] = dict(known or {})

    def __getitem__(self, name: str) -> Any:
        if name not in self.known:
            self.known[name] = self._find(name)
        return self.known[name]

    def _find(self, name: str) -> Any:
        if name in self.sizes:
            return self.sizes[name]
        if name not in self.page.terms and name[1:] in self.page.terms and name[0] == "d":
            return self.slopes("L", name[1:])
        if name not in self.page.terms:
            raise EquationError(f"page {self.page.number} says nowhere what {name} is.")
        term = self.page.terms[name]
        return self.draw(term) if term.formula is None else self.compute(term.formula, term.shape)

    def compute(self, formula: Formula, shape: tuple[str, ...]) -> Any:
        """A formula, or if it has indices the array of all its entries."""
        indices = self.page.indices_of(formula)
        if not indices:
            return self.call(formula, {})
        out = np.empty([self.sizes[size] for size in shape], object)
        if formula.__name__ in self.page.starts and formula.__name__ in parameters(formula):
            self.known[formula.__name__] = out  # each step may use those before it
        for place, entry in zip(product(*map(self.places, indices)), np.ndindex(out.shape), strict=True):
            out[entry] = self.call(formula, dict(zip(indices, place, strict=True)))
        return out

    def places(self, index: str) -> range:
        """All values of an index: positions in an array, or the numbers of steps."""
        count = self.sizes[self.page.indices[index]]
        return range(1, count + 1) if index in self.page.steps else range(count)

    def call(self, formula: Formula, indices: dict[str, int]) -> Any:
        """A formula's value, its parameters found by name."""
        found = {name: indices[name] if name in indices else self[name] for name in parameters(formula)}
        return formula(
            **{name: Steps(value, self.page.starts[name]) if name in self.page.starts else value for name, value in found.items()}
        )

    def slopes(self, of: str, by: str, order: int = 1) -> Any:
        """The derivatives of every entry of one term by every entry of another: SymPy's, of the definitions in between."""
        at = self[by]
        shape = np.shape(at)
        fresh = np.array([sympy.Symbol(f"{by}_{n}", real=True) for n in range(np.size(at))], object).reshape(shape)
        above = Values(self.page, self.sizes, lambda term: self[term.name], {by: fresh if shape else fresh.item()})
        here = dict(zip(fresh.ravel(), np.asarray(at, object).ravel(), strict=True))
        result = np.empty(np.shape(above[of]) + shape, object)
        for place in np.ndindex(result.shape):
            y, x = np.asarray(above[of], object)[place[: np.ndim(above[of])]], fresh[place[np.ndim(above[of]) :]]
            result[place] = sympy.diff(y, x, order).subs(here)
        return result if result.shape else result.item()


@dataclass(frozen=True)
class Equation:
    """A numbered equation: how it reads, and how it is checked.

    Attributes
    ----------
    name, number : str
        What the page calls it, and the number shown behind it.
    latex : str
        Both sides.
    how : str
        How it is checked, in words.
    formula : callable
        The right side.
    pairs : callable
        Given `Values`: pairs of what is so and what the equation claims.
    symbolic : bool
        Whether the check is also made with symbols.
    digits : int
        How many must agree.
    """

    page: Derivation
    name: str
    number: str
    latex: str
    how: str
    formula: Formula
    pairs: Callable[[Values], Iterator[tuple[Any, Any]]]
    symbolic: bool
    digits: int = 20

    @property
    def source(self) -> str:
        """The Python that it is made from."""
        return inspect.getsource(self.formula)

    def check(self) -> str:
        """Say how the equation is known to be right: ``"proved"`` for all symbols, or ``"checked"`` with numbers.

        Raises
        ------
        EquationError
            If it is wrong.
        """
        for seed in range(3):
            for place, (found, claimed) in enumerate(self._entries(self.page.numbers(seed))):
                a, b = sympy.N(found, DIGITS), sympy.N(claimed, DIGITS)
                if not (a.is_number and b.is_number and abs(a - b) <= sympy.Float(10) ** -self.digits * (1 + abs(a))):
                    raise EquationError(f"({self.number}) {self.name} is wrong: entry {place} is {sympy.N(a, 8)}, not {sympy.N(b, 8)}.")
        if not self.symbolic:
            return "checked"
        if any(sympy.simplify(found - claimed) != 0 for found, claimed in self._entries(self.page.symbols())):
            raise EquationError(f"({self.number}) {self.name}: the difference does not simplify to 0. Say symbolic=False.")
        return "proved"

    def _entries(self, values: Values) -> Iterator[tuple[Any, Any]]:
        for found, claimed in self.pairs(values):
            if np.shape(found) != np.shape(claimed):
                raise EquationError(f"({self.number}) {self.name} is wrong: the shape is {np.shape(found)}, not {np.shape(claimed)}.")
            sides = (map(sympy.sympify, np.asarray(side, object).ravel()) for side in (found, claimed))
            yield from zip(*sides, strict=True)


class Derivation:
    """The equations of one page.

    Parameters
    ----------
    number : int
        Of the page.
    **sizes : int
        What the letters in shapes stand for in checks; half of them are made with every size one larger.
    """

    def __init__(self, number: int, **sizes: int) -> None:
        self.number, self.sizes = number, sizes
        self.terms: dict[str, Term] = {}
        self.indices: dict[str, str] = {}
        self.steps: set[str] = set()
        self.starts: dict[str, Any] = {}
        self.arrivals: list[str] = []
        self.equations: dict[str, Equation] = {}

    # -- what there is

    def given(self, name: str, shape: str = "", *, sample: Callable[..., Any] | None = None, positive: bool = False) -> None:
        """Name an input: ``shape`` lists sizes; ``sample(rng, shape)`` draws what may not be just any numbers."""
        self.terms[name] = Term(name, tuple(shape.split()), None, sample, positive)

    def index(self, **ranges: str) -> None:
        """Name indices and the size of which each takes all values."""
        self.indices.update(ranges)

    def step(self, **ranges: str) -> None:
        """Name indices that count steps, from 1."""
        self.index(**ranges)
        self.steps.update(ranges)

    def sequence(self, name: str, start: Any = None) -> None:
        """Let the entries of a term be numbered by steps: ``g[t]`` with t from 1; ``start`` is number 0, if there is one.

        A formula of this name may then use itself: ``v[t - 1]``.
        """
        self.starts[name] = start

    def arriving(self, name: str) -> None:
        """Let the gradient by a term come from above: any numbers G. The loss then is Σ G·term, as far as it matters here.

        Said of several terms, the loss is the sum over all of them.
        """
        self.given(f"d{name}", " ".join(self.terms[name].shape))
        self.arrivals.append(name)
        names = ", ".join(f"{name}, d{name}" for name in self.arrivals)
        sums = " + ".join(f"np.sum({name} * d{name})" for name in self.arrivals)
        self.terms["L"] = Term("L", (), eval(f"lambda {names}: {sums}", {"np": np}))

    # -- what is said about it

    def define(self, shape: str = "", *, code: Formula, lhs: str = "") -> Callable[[Formula], Formula]:
        """A definition: the decorated formula; ``code`` computes the same with the package, on float64 arrays."""

        def add(formula: Formula) -> Formula:
            name = formula.__name__
            term = self.terms[name] = Term(name, tuple(shape.split()), formula)

            def pairs(values: Values) -> Iterator[tuple[Any, Any]]:
                yield from [(floats(code(**{p: floats(values[p]) for p in parameters(code)})), values[name])]

            self._add(name, lhs or self._left(term), formula, pairs, "compared with what the package computes", digits=12, symbolic=False)
            return formula

        return add

    def gradient(self, formula: Formula | None = None, *, symbolic: bool = True) -> Any:
        """The gradient of the loss by a term: the decorated formula is called ``dTERM``."""
        if formula is None:
            return lambda formula: self.gradient(formula, symbolic=symbolic)
        name = formula.__name__
        shape = self.terms[name[1:]].shape

        def pairs(values: Values) -> Iterator[tuple[Any, Any]]:
            yield values.slopes("L", name[1:]), values.compute(formula, shape)

        how = f"the loss, through all definitions, differentiated by every entry of {name[1:]}"
        self._add(name, self._left(Term(name, shape, formula)), formula, pairs, how, symbolic)
        return formula

    def derivative(self, of: str, by: str, *, order: int = 1, symbolic: bool = True, lhs: str = "") -> Callable[[Formula], Formula]:
        """A derivative of one term by another, entries named by indices: ``derivative("p[i]", "z[j]")``.

        That of a gradient is a second derivative: ``derivative("dz[i]", "z[j]")``.
        """
        (top, rows), (bottom, columns) = ((name, re.findall(r"\w", rest)) for name, _, rest in (x.partition("[") for x in (of, by)))

        def add(formula: Formula) -> Formula:
            def pairs(values: Values) -> Iterator[tuple[Any, Any]]:
                found = np.asarray(values.slopes(top, bottom, order), object)
                names = [*rows, *columns]
                for place in product(*map(values.places, dict.fromkeys(names))):
                    at = dict(zip(dict.fromkeys(names), place, strict=True))
                    yield found[tuple(at[i] - (i in self.steps) for i in names)], values.call(formula, at)

            power = f"^{order}" if order > 1 else ""
            y, x = (self._entry(name, places) for name, places in ((top, rows), (bottom, columns)))
            how = f"the definition of {top} differentiated by {bottom}"
            self._add(formula.__name__, lhs or rf"\frac{{\partial{power} {y}}}{{\partial {x}{power}}}", formula, pairs, how, symbolic)
            return formula

        return add

    def claim(self, formula: Formula | None = None, *, symbolic: bool = True) -> Any:
        """Anything else: the decorated function returns `equal` of formulas that are the same."""
        if formula is None:
            return lambda formula: self.claim(formula, symbolic=symbolic)
        indices = self.indices_of(formula)

        def pairs(values: Values) -> Iterator[tuple[Any, Any]]:
            for place in product(*map(values.places, indices)):
                first, *others = values.call(formula, dict(zip(indices, place, strict=True))).sides
                yield from ((first, other) for other in others)

        first, *others = map(tex, self._write(formula).sides)
        latex = aligned([f"{first} &= {others[0]}", *(f"&= {other}" for other in others[1:])]) if others[1:] else f"{first} = {others[0]}"
        self._add(formula.__name__, latex, formula, pairs, "both sides computed from the definitions", symbolic)
        return formula

    # -- readings

    def numbers(self, seed: int) -> Values:
        """Numbers, drawn by a seed, for everything that is given."""
        rng = random.Random(seed)
        sizes = {name: n + seed % 2 for name, n in self.sizes.items()}

        def draw(term: Term) -> Any:
            shape = tuple(sizes[size] for size in term.shape)
            if term.sample:
                return exact(term.sample(rng, shape))
            low = 1 if term.positive else -200
            return exact(
                np.reshape([sympy.Rational(rng.choice([n for n in range(low, 201) if n]), 100) for _ in range(int(np.prod(shape)))], shape)
            )

        values = Values(self, sizes, draw)
        for name, term in self.terms.items():
            if term.formula is None:
                values[name]  # in this order, whatever is asked for first
        return values

    def symbols(self) -> Values:
        """A symbol for every entry of everything that is given."""
        rng = random.Random(0)

        def draw(term: Term) -> Any:
            shape = tuple(self.sizes[size] for size in term.shape)
            if term.sample:
                return exact(term.sample(rng, shape))
            options = {"positive": True} if term.positive else {"real": True}
            return exact(np.reshape([sympy.Symbol(f"{term.name}_{n}", **options) for n in range(int(np.prod(shape)))], shape))

        return Values(self, self.sizes, draw)

    def example(self, *names: str, digits: int = 4, **given: Any) -> str:
        """LaTeX lines that show some terms and gradients with numbers filled in."""
        given = {name: exact(np.vectorize(sympy.nsimplify, otypes=[object])(value)) for name, value in given.items()}
        sizes = dict(self.sizes)
        for name, value in given.items():
            sizes.update(zip(self.terms[name].shape, np.shape(value), strict=True))
        values = Values(self, sizes, lambda term: given[term.name])
        lines = []
        for name in names:
            parts = [symbol(name)]
            if name in self.equations and not self.indices_of(self.equations[name].formula):
                formula = self.equations[name].formula
                parts.append(
                    str(formula(**{p: Tex(str(sizes[p])) if p in sizes else matrix(values[p], digits) for p in parameters(formula)}))
                )
            lines.append(" &= ".join([parts[0], " = ".join([*parts[1:], str(matrix(values[name], digits))])]))
        return aligned(lines, gap="[1ex]")

    def indices_of(self, formula: Formula) -> list[str]:
        """Those parameters of a formula that are indices."""
        return [name for name in parameters(formula) if name in self.indices]

    def _write(self, formula: Formula) -> Any:
        return formula(**{name: self._name(name) for name in parameters(formula)})

    def _name(self, name: str) -> Tex:
        if name in self.indices or name in self.sizes:
            return Tex(symbol(name))
        term = self.terms.get(name) or self.terms.get(name[1:])
        if term is None:
            raise EquationError(f"page {self.number} says nowhere what {name} is.")
        return named(symbol(name), term.shape)

    def _left(self, term: Term) -> str:
        assert term.formula is not None
        indices = self.indices_of(term.formula)
        return self._entry(term.name, indices) if indices else str(named(symbol(term.name), term.shape))

    def _entry(self, name: str, indices: list[str]) -> str:
        places = tuple(Tex(symbol(i)) for i in indices)
        return str(named(symbol(name))[places] if places else named(symbol(name)))

    def _add(self, name: str, left: str, formula: Formula, pairs: Any, how: str, symbolic: bool, digits: int = 20) -> None:
        if name in self.equations:
            raise EquationError(f"page {self.number} has two equations called {name}.")
        latex = left if how.startswith("both") else f"{left} = {self._write(formula)}"
        number = f"{self.number}.{len(self.equations) + 1}"
        self.equations[name] = Equation(self, name, number, latex, how, formula, pairs, symbolic, digits)


def parameters(formula: Formula) -> list[str]:
    """The names of a function's parameters."""
    return list(inspect.signature(formula).parameters)


def aligned(lines: list[str], gap: str = "") -> str:
    """Lines of LaTeX beneath each other, with & where they line up."""
    return rf"\begin{{aligned}} {(chr(92) * 2 + gap + ' ').join(lines)} \end{{aligned}}"


def exact(values: Any) -> Any:
    """Numbers or symbols as an array of SymPy objects; a single one on its own."""
    array = np.frompyfunc(sympy.sympify, 1, 1)(np.asarray(values, object))
    return array if np.ndim(array) else sympy.sympify(np.asarray(values, object).item())


def floats(values: Any) -> Any:
    """SymPy numbers, tensors or arrays as float64."""
    if isinstance(values, int):
        return values
    data = np.asarray(getattr(values, "data", values) if type(values).__name__ == "Tensor" else values, object)
    return np.asarray(np.frompyfunc(float, 1, 1)(data), np.float64) if data.shape else float(data.item())
