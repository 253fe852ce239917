"""Numbered equations, each of them one Python function that is typeset, computed and checked.

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

A definition is compared with the package. Everything else is compared with the definitions: SymPy
differentiates those, and the claim, computed on the same symbols, must be what comes out.
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
    from collections.abc import Callable, Iterator, Sequence

    Formula = Callable[..., Any]
    Pairs = Callable[["Values"], Iterator[tuple[Any, Any]]]

FOLD = re.compile(
    r"(?<=\\end{bmatrix}) (?=\+|\\odot)|(?<=\\right\)) (?=-)|(?<=\^\\top)\\; (?=\\begin)"
)
"""Where a long line of matrices may be broken."""

DIGITS = 30
"""With how many digits numbers are compared."""


class EquationError(AssertionError):
    """An equation is wrong, or nothing checks it; the message says which, and where it differs."""


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
    """A sequence as on paper: entry t of the array is number t + 1, and number 0 is the start."""

    def __init__(self, values: Any, start: Any) -> None:
        self.values, self.start = values, start

    def __getitem__(self, t: int) -> Any:
        return self.values[t - 1] if t else self.start


class Layers:
    """A term that every layer has, numbered as on paper: ``W[2]`` is the term W2."""

    def __init__(self, find: Callable[[Any], Any]) -> None:
        self.find = find

    def __getitem__(self, layer: Any) -> Any:
        return self.find(layer)


class Values:
    """What the names of a page mean: random numbers, or symbols; found when first asked for."""

    def __init__(
        self,
        page: Derivation,
        sizes: dict[str, int],
        draw: Callable[[Term], Any],
        known: dict[str, Any] | None = None,
    ) -> None:
        self.page, self.sizes, self.draw = page, sizes, draw
        self.known: dict[str, Any] = dict(known or {})
        self.found: dict[tuple[str, str, int], Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.known:
            self.known[name] = self._find(name)
        return self.known[name]

    def _find(self, name: str) -> Any:
        if name in self.sizes:
            size: Any = self.sizes[name]
            return sympy.sympify(size) if isinstance(size, int) else size
        if self.page.in_layers(name):
            return Layers(lambda layer: self[f"{name}{layer}"])
        if name not in self.page.terms and name[1:] in self.page.terms and name[0] == "d":
            return self.slopes(self.page.top, name[1:])
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
        every = product(*map(self.places, indices))
        for place, entry in zip(every, np.ndindex(out.shape), strict=True):
            out[entry] = self.call(formula, dict(zip(indices, place, strict=True)))
        return out

    def places(self, index: str) -> range:
        """All values of an index: positions in an array, or the numbers of steps."""
        count = self.sizes[self.page.indices[index]]
        return range(1, count + 1) if index in self.page.steps else range(count)

    def call(self, formula: Formula, indices: dict[str, int]) -> Any:
        """A formula's value, its parameters found by name."""
        return formula(
            **{
                name: indices[name] if name in indices else self._argument(name)
                for name in parameters(formula)
            }
        )

    def _argument(self, name: str) -> Any:
        if name not in self.page.starts:
            return self[name]
        start = self.page.starts[name]
        return Steps(self[name], self[start] if isinstance(start, str) else start)

    def slopes(self, of: str, by: str, order: int = 1) -> Any:
        """What SymPy finds: the derivative of each entry of a term with respect to each of another.

        It differentiates the definitions in between.
        """
        if (of, by, order) in self.found:
            return self.found[of, by, order]
        at = np.asarray(self[by], object)
        letters = [sympy.Symbol(f"{by}_{n}", real=True) for n in range(at.size)]
        fresh = np.array(letters, object).reshape(at.shape)
        known = {by: fresh if at.shape else fresh.item()}
        later = Values(self.page, self.sizes, lambda term: self[term.name], known)
        ys = np.asarray(later[of], object)
        here = dict(zip(fresh.ravel(), at.ravel(), strict=True))
        result = np.empty(ys.shape + at.shape, object)
        for place in np.ndindex(result.shape):
            y, x = ys[place[: ys.ndim]], fresh[place[ys.ndim :]]
            result[place] = sympy.diff(y, x, order).xreplace(here)
        self.found[of, by, order] = result if result.shape else result.item()
        return self.found[of, by, order]


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
    coded : callable
        Like `pairs`, but of what the package computes, in float64.
    only : tuple of str
        For which options of the page's choice it holds; if none is named, for all.
    """

    page: Derivation
    name: str
    number: str
    latex: str
    how: str
    formula: Formula
    pairs: Pairs
    symbolic: bool
    digits: int = 20
    coded: Pairs = lambda _: iter(())
    only: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The Python that it is made from."""
        return inspect.getsource(self.formula)

    def check(self) -> str:
        """How the equation is known to be right: ``"proved"`` with symbols, or ``"checked"``.

        Checked means with numbers only.

        Raises
        ------
        EquationError
            If it is wrong.
        """
        options = self.only or self.page.options
        for seed in range(self.page.draws):
            values = self.page.numbers(seed, options[seed % len(options)])
            self._compare(self.pairs, values, self.digits)
            self._compare(self.coded, values, 12)
        if not self.symbolic:
            return "checked"
        for option in options:
            for found, claimed in self._entries(self.pairs, self.page.symbols(option)):
                if not vanishes(found - claimed):
                    raise EquationError(
                        f"({self.number}) {self.name}: the difference does not simplify to 0. "
                        "Say symbolic=False."
                    )
        return "proved"

    def _compare(self, pairs: Pairs, values: Values, digits: int) -> None:
        for place, (found, claimed) in enumerate(self._entries(pairs, values)):
            a, b = sympy.N(found, DIGITS), sympy.N(claimed, DIGITS)
            if not agree(a, b, digits):
                raise EquationError(
                    f"({self.number}) {self.name} is wrong: "
                    f"entry {place} is {sympy.N(a, 8)}, not {sympy.N(b, 8)}."
                )

    def _entries(self, pairs: Pairs, values: Values) -> Iterator[tuple[Any, Any]]:
        try:
            sides = list(pairs(values))
        except (LookupError, TypeError, ValueError) as error:
            raise EquationError(
                f"({self.number}) {self.name} is wrong, it cannot be computed: {error}"
            ) from error
        for found, claimed in sides:
            shape, expected = np.shape(found), np.shape(claimed)
            if shape != expected:
                raise EquationError(
                    f"({self.number}) {self.name} is wrong: the shape is {shape}, not {expected}."
                )
            yield from zip(entries(found), entries(claimed), strict=True)


class Derivation:
    """The equations of one page.

    Parameters
    ----------
    number : int
        Of the page.
    top : str
        The term that is differentiated: dW is its gradient by W.
    **sizes : int
        What the letters in shapes stand for in checks; half of them are made with every size one
        larger.
    """

    def __init__(self, number: int, top: str = "L", **sizes: int) -> None:
        self.number, self.top, self.sizes = number, top, sizes
        self.terms: dict[str, Term] = {}
        self.indices: dict[str, str] = {}
        self.steps: set[str] = set()
        self.starts: dict[str, Any] = {}
        self.written: dict[str, str] = {}
        self.draws = 3  # of numbers; a page of single ones needs more, so that both signs occur
        self.arrivals: list[str] = []
        self.letter, self.last, self.depth = "", "", 0
        self.layered: dict[str, str] = {}
        self.chooser, self.options = "", ("",)
        self.versions: dict[str, list[tuple[tuple[str, ...], Formula]]] = {}
        self.equations: dict[str, Equation] = {}
        self.readings: dict[tuple[int | str, str], Values] = {}

    # -- what there is

    def given(
        self,
        name: str,
        shape: str = "",
        *,
        sample: Callable[..., Any] | None = None,
        positive: bool = False,
        layers: tuple[int, ...] = (),
    ) -> None:
        """Name an input; ``shape`` lists its sizes.

        ``sample(rng, shape)`` draws what may not be just any numbers. The symbols of a proof stand
        for any numbers, or for any positive ones; of what is sampled and not positive, a sample.
        """
        for each, sizes, _ in self._each(name, shape, "[" in shape, layers):
            self.terms[each] = Term(each, sizes, None, sample, positive)

    def quantity(self, name: str, lhs: str) -> Callable[[Formula], Formula]:
        """Name what is computed without a formula to show, such as a mean; ``lhs`` is its LaTeX."""

        def add(compute: Formula) -> Formula:
            self.terms[name] = Term(name, (), compute)
            self.written[name] = lhs
            return compute

        return add

    def index(self, **ranges: str) -> None:
        """Name indices and the size of which each takes all values."""
        self.indices.update(ranges)

    def step(self, **ranges: str) -> None:
        """Name indices that count steps, from 1."""
        self.index(**ranges)
        self.steps.update(ranges)

    def sequence(self, name: str, start: Any = None) -> None:
        """Let the entries of a term be numbered by steps: ``g[t]`` with t from 1.

        ``start`` is number 0, or its name, if there is one. A formula of this name may then use
        itself: ``v[t - 1]``.
        """
        self.starts[name] = start

    def layers(self, letter: str, last: str, count: int, width: str) -> None:
        """Number layers by a letter, up to `last`, which is `count` in checks.

        Layer 2 has the width that the size n2 says. A term with the letter in its shape exists in
        every layer, and W[l - 1] is that of the layer before: ``given("W", "n[l-1] n[l]")``.
        A formula with the letter among its parameters holds in every layer.
        """
        self.letter, self.last, self.depth = letter, last, count
        self.layered[width] = ""

    def choice(self, name: str, *options: str) -> None:
        """Let the page treat several variants: a name means one of them, and each is checked."""
        self.chooser, self.options = name, options

    def let(self, name: str, formula: Formula) -> None:
        """Name a number that the page explains in words."""
        self.terms[name] = Term(name, (), formula)

    def arriving(self, name: str) -> None:
        """Let the gradient with respect to a term come from a later layer: any numbers G.

        The loss then is Σ G·term, as far as it matters here. Said of several terms, the loss is
        the sum over all of them.
        """
        self.given(f"d{name}", " ".join(self.terms[name].shape))
        self.arrivals.append(name)
        names = ", ".join(f"{name}, d{name}" for name in self.arrivals)
        sums = " + ".join(f"np.sum({name} * d{name})" for name in self.arrivals)
        self.terms["L"] = Term("L", (), eval(f"lambda {names}: {sums}", {"np": np}))

    # -- what is said about it

    def define(
        self,
        shape: str = "",
        *,
        code: Formula,
        lhs: str = "",
        layers: tuple[int, ...] = (),
        only: tuple[str, ...] = (),
    ) -> Callable[[Formula], Formula]:
        """A definition: the decorated formula; ``code`` computes the same with the package.

        That is on float64 arrays. ``lhs`` is LaTeX for its name, or for two, ``"s = f(x)"``: then
        other formulas use the first. A definition may hold in some layers only, or for some of the
        page's options.
        """

        def add(formula: Formula) -> Formula:
            name = formula.__name__
            versions = list(self._each(name, shape, self.letter in parameters(formula), layers))
            for each, sizes, layer in versions:
                self.terms[each] = Term(each, sizes, self._version(each, formula, layer, only))

            def pairs(values: Values) -> Iterator[tuple[Any, Any]]:
                for each, _, layer in versions:
                    yield self._coded(code, values, layer), values[each]

            how = "compared with what the package computes"
            if lhs:
                self.written[name] = lhs.partition(" = ")[0]
            left = lhs if " = " in lhs else self._left(name, formula)
            self._add(name, left, formula, pairs, how, digits=12, symbolic=False, only=only)
            return formula

        return add

    def gradient(
        self,
        formula: Formula | None = None,
        *,
        of: str = "",
        code: Formula | None = None,
        layers: tuple[int, ...] = (),
        only: tuple[str, ...] = (),
        symbolic: bool = True,
    ) -> Any:
        """The gradient of the loss with respect to a term: the decorated formula, ``dTERM``.

        If it has another name, `of` says which term: ``"A[l-1]"``. If there is `code`, the formula
        is also compared with what that computes with the package.
        """
        if formula is None:
            return lambda formula: self.gradient(
                formula, of=of, code=code, layers=layers, only=only, symbolic=symbolic
            )
        name, by = formula.__name__, of or formula.__name__[1:]
        base, _, place = by.rstrip("]").partition("[")
        versions = []
        for _, _, layer in self._each(base, "", self.letter in parameters(formula), layers):
            numbers = {self.letter: layer, self.last: self.depth}
            term = f"{base}{eval(place, numbers) if place else layer or ''}"
            versions.append((term, layer, self._version(f"d{term}", formula, layer, only)))
        at = {self.letter: Tex(symbol(self.letter)), self.last: Tex(self.last)}
        left = str(self._name(f"d{base}")[eval(place, at)]) if place else self._left(name, formula)

        def pairs(values: Values) -> Iterator[tuple[Any, Any]]:
            for term, _, version in versions:
                yield values.slopes(self.top, term), values.compute(version, self.terms[term].shape)

        def coded(values: Values) -> Iterator[tuple[Any, Any]]:
            for term, layer, version in versions if code else ():
                claimed = values.compute(version, self.terms[term].shape)
                yield self._coded(code, values, layer), claimed

        how = f"the loss, through all definitions, differentiated by every entry of {by}"
        how += "; also compared with what the package computes" if code else ""
        self._add(name, left, formula, pairs, how, symbolic, coded=coded, only=only)
        return formula

    def derivative(
        self,
        of: str,
        by: str,
        *,
        order: int = 1,
        shape: str = "",
        symbolic: bool = True,
        lhs: str = "",
    ) -> Callable[[Formula], Formula]:
        """A derivative of one term with respect to another: ``derivative("p[i]", "z[j]")``.

        The entries are named by indices. That of a gradient is a second derivative:
        ``derivative("dz[i]", "z[j]")``. Other formulas may use the derivative by its name, as a
        Jacobian to multiply with; with a ``shape`` the name is shown, too.
        """
        (top, rows), (bottom, columns) = indexed(of), indexed(by)

        def add(formula: Formula) -> Formula:
            def pairs(values: Values) -> Iterator[tuple[Any, Any]]:
                found = np.asarray(values.slopes(top, bottom, order), object)
                names = [*rows, *columns]
                for place in product(*map(values.places, dict.fromkeys(names))):
                    at = dict(zip(dict.fromkeys(names), place, strict=True))
                    entry = found[tuple(at[i] - (i in self.steps) for i in names)]
                    yield entry, values.call(formula, at)

            power = f"^{order}" if order > 1 else ""
            y, x = self._entry(top, rows), self._entry(bottom, columns)
            how = f"the definition of {top} differentiated by {bottom}"
            left = lhs or rf"\frac{{\partial{power} {y}}}{{\partial {x}{power}}}"
            name, sizes = formula.__name__, tuple(self.indices[i] for i in self.indices_of(formula))
            version = self._version(name, formula, 0, ())
            self.terms.setdefault(name, Term(name, tuple(shape.split()) or sizes, version))
            if shape:
                left = f"{self._left(name, formula)} = {left}"
            self._add(name, left, formula, pairs, how, symbolic)
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

        first, second, *others = map(tex, self._write(formula).sides)
        latex = f"{first} = {second}"
        if others:
            latex = aligned([f"{first} &= {second}", *(f"&= {other}" for other in others)])
        how = "both sides computed from the definitions"
        self._add(formula.__name__, latex, formula, pairs, how, symbolic)
        return formula

    # -- readings

    def constants(self, option: str = "") -> dict[str, Any]:
        """The number of layers, and what was chosen."""
        constants = {self.last: self.depth, self.chooser: option}
        return {name: value for name, value in constants.items() if name}

    def numbers(self, seed: int, option: str = "") -> Values:
        """Numbers, drawn by a seed, for everything that is given."""
        if (seed, option) in self.readings:
            return self.readings[seed, option]
        rng = random.Random(seed)
        sizes = {name: n + seed % 2 for name, n in self.sizes.items()} | self.constants(option)

        def draw(term: Term) -> Any:
            shape = tuple(sizes[size] for size in term.shape)
            if term.sample:
                return exact(term.sample(rng, shape))
            hundredths = [n for n in range(1 if term.positive else -200, 201) if n]
            count = int(np.prod(shape))
            drawn = [sympy.Float(rng.choice(hundredths), 2 * DIGITS) / 100 for _ in range(count)]
            return exact(np.reshape(drawn, shape))

        values = self.readings[seed, option] = Values(self, sizes, draw)
        for name, term in self.terms.items():
            if term.formula is None:
                values[name]  # in this order, whatever is asked for first
        return values

    def symbols(self, option: str = "") -> Values:
        """A symbol for every entry of everything that is given."""
        if ("symbols", option) in self.readings:
            return self.readings["symbols", option]
        rng = random.Random(0)

        def draw(term: Term) -> Any:
            shape = tuple(self.sizes[size] for size in term.shape)
            if term.sample and not term.positive:
                return exact(term.sample(rng, shape))
            return symbols(term, shape)

        values = Values(self, self.sizes | self.constants(option), draw)
        self.readings["symbols", option] = values
        return values

    def example(self, *names: str, digits: int = 4, folded: bool = False, **given: Any) -> str:
        """LaTeX lines that show terms and gradients in numbers; `folded` into shorter lines."""
        option = given.pop(self.chooser, self.options[0])
        exactly = np.vectorize(sympy.nsimplify, otypes=[object])
        given = {name: exact(exactly(value)) for name, value in given.items()}
        sizes = self.sizes | self.constants(option)
        for name, value in given.items():
            sizes.update(zip(self.terms[name].shape, np.shape(value), strict=True))

        def draw(term: Term) -> Any:
            if term.name in given:
                return given[term.name]
            return symbols(term, [sizes[size] for size in term.shape])

        values = Values(self, sizes, draw)
        fold = r" \\ &= " if folded else " = "
        lines = []
        for name in names:
            sides = [*self._in_numbers(name, option, values, digits), matrix(values[name], digits)]
            line = f"{self._symbol(name)} &= {fold.join(dict.fromkeys(map(str, sides)))}"
            lines.append(FOLD.sub(r" \\\\ &\\quad ", line) if folded else line)
        return aligned(lines, gap="[1ex]")

    def _in_numbers(self, name: str, option: str, values: Values, digits: int) -> Iterator[Any]:
        """The formula of a term, with numbers in place of its letters; none if it has indices."""
        for only, formula in self.versions.get(name, ()):
            if not only or option in only:
                if not self.indices_of(formula):
                    filled = {p: self._filled(values, p, digits) for p in parameters(formula)}
                    yield formula(**filled)
                return

    def _filled(self, values: Values, name: str, digits: int) -> Any:
        value = values[name]
        if name in values.sizes:
            return Tex(str(value)) if isinstance(value, int) else value
        if self.in_layers(name):
            return Layers(lambda layer: matrix(value[layer], digits))
        return matrix(value, digits)

    def _coded(self, code: Formula, values: Values, layer: int) -> Any:
        """What the package computes from the page's numbers."""
        letters = parameters(code)
        return floats(
            code(**{x: layer if x == self.letter else floats(values[x]) for x in letters})
        )

    def in_layers(self, name: str) -> bool:
        """Whether every layer has a term of this name."""
        return name in self.layered or (name[:1] == "d" and name[1:] in self.layered)

    def _each(
        self, name: str, shape: str, layered: bool, layers: tuple[int, ...] = ()
    ) -> Iterator[tuple[str, tuple[str, ...], int]]:
        """The names, shapes and layers of a term; if layers do not have it, the one name."""
        if layered:
            self.layered.setdefault(name, shape)
        for layer in (layers or range(1, self.depth + 1)) if layered else (0,):
            yield f"{name}{layer}" if layered else name, self._shape(shape, layer), layer

    def _shape(self, shape: str, layer: Any) -> tuple[str, ...]:
        """A shape in some layer: n[l-1] is the size n1 in layer 2."""
        sizes = []
        for size in shape.split():
            name, _, place = size.rstrip("]").partition("[")
            number = eval(place, {self.letter: layer}) if place else ""
            sizes.append(f"{name}_{{{number}}}" if isinstance(number, Tex) else f"{name}{number}")
        return tuple(sizes)

    def _version(self, name: str, formula: Formula, layer: int, only: tuple[str, ...]) -> Formula:
        """A formula in one layer, kept for examples."""
        version = formula
        if layer:
            signature = inspect.signature(formula)

            def version(**found: Any) -> Any:
                return formula(**found, **{self.letter: layer})

            version.__name__ = formula.__name__
            version.__signature__ = signature.replace(  # type: ignore[attr-defined]
                parameters=[p for p in signature.parameters.values() if p.name != self.letter]
            )
        self.versions.setdefault(name, []).append((only, version))
        return version

    def indices_of(self, formula: Formula) -> list[str]:
        """Those parameters of a formula that are indices."""
        return [name for name in parameters(formula) if name in self.indices]

    def _write(self, formula: Formula) -> Any:
        return formula(**{name: self._name(name) for name in parameters(formula)})

    def _name(self, name: str) -> Any:
        if name in {*self.indices, *self.sizes, *self.constants(), self.letter}:
            return Tex(symbol(name))
        if self.in_layers(name):
            shape = self.layered[name if name in self.layered else name[1:]]

            def written(layer: Any) -> Tex:
                return named(f"{symbol(name)}_{{{tex(layer)}}}", self._shape(shape, tex(layer)))

            return Layers(written)
        term = self.terms.get(name) or self.terms.get(name[1:])
        if term is None:
            raise EquationError(f"page {self.number} says nowhere what {name} is.")
        return named(self._symbol(name), term.shape)

    def _symbol(self, name: str) -> str:
        return self.written.get(name) or symbol(name)

    def _left(self, name: str, formula: Formula) -> str:
        indices = self.indices_of(formula)
        if self.letter in parameters(formula):
            return str(self._name(name)[Tex(symbol(self.letter))])
        return self._entry(name, indices) if indices else str(self._name(name))

    def _entry(self, name: str, indices: list[str]) -> str:
        places, whole = tuple(Tex(symbol(i)) for i in indices), named(self._symbol(name))
        return str(whole[places] if places else whole)

    def _add(
        self,
        name: str,
        left: str,
        formula: Formula,
        pairs: Any,
        how: str,
        symbolic: bool,
        **more: Any,
    ) -> None:
        if name in self.equations:
            raise EquationError(f"page {self.number} has two equations called {name}.")
        latex = left if how.startswith("both") else f"{left} = {self._write(formula)}"
        number = f"{self.number}.{len(self.equations) + 1}"
        self.readings.clear()
        self.equations[name] = Equation(
            self, name, number, latex, how, formula, pairs, symbolic, **more
        )


def symbols(term: Term, shape: Sequence[int]) -> Any:
    """A symbol for every entry of a term."""
    options = {"positive": True} if term.positive else {"real": True}
    count = int(np.prod(shape))
    letters = [sympy.Symbol(f"{term.name}_{n}", **options) for n in range(count)]
    return exact(np.reshape(letters, shape))


def agree(a: Any, b: Any, digits: int) -> bool:
    """Whether two results are numbers, and equal to so many digits."""
    if not (a.is_number and b.is_number):
        return False
    return bool(abs(a - b) <= sympy.Float(10) ** -digits * (1 + abs(a)))


def entries(values: Any) -> Iterator[Any]:
    """All entries of an array, or the one number, as SymPy has them."""
    return map(sympy.sympify, np.asarray(values, object).ravel())


def indexed(name: str) -> tuple[str, list[str]]:
    """A term and its indices: ``p[i]`` is p and i."""
    term, _, indices = name.partition("[")
    return term, re.findall(r"\w", indices)


def parameters(formula: Formula) -> list[str]:
    """The names of a function's parameters."""
    return list(inspect.signature(formula).parameters)


def aligned(lines: list[str], gap: str = "") -> str:
    """Lines of LaTeX beneath each other, with & where they line up."""
    return rf"\begin{{aligned}} {(chr(92) * 2 + gap + ' ').join(lines)} \end{{aligned}}"


def vanishes(difference: Any) -> bool:
    """Whether an expression is 0 for all symbols.

    If it has kinks, on both sides of 0 and at 0 of each symbol. On one denominator that is often
    seen at once, where simplifying takes seconds.
    """
    numerator, _ = sympy.fraction(sympy.together(difference))
    if sympy.expand(numerator) == 0 or sympy.simplify(difference) == 0:
        return True
    signed = [x for x in difference.free_symbols if not x.is_positive]
    if not signed or not difference.has(sympy.Abs, sympy.Max, sympy.Min, sympy.Piecewise):
        return False
    size = sympy.Dummy(positive=True)
    return all(vanishes(difference.subs(signed[0], value)) for value in (size, -size, 0))


def exact(values: Any) -> Any:
    """Numbers or symbols as an array of SymPy objects; a single one on its own."""
    array = np.frompyfunc(sympy.sympify, 1, 1)(np.asarray(values, object))
    return array if np.ndim(array) else sympy.sympify(np.asarray(values, object).item())


def floats(values: Any) -> Any:
    """SymPy numbers, tensors or arrays as float64; whole numbers and names as they are."""
    if isinstance(values, int | str | sympy.Integer):
        return int(values) if isinstance(values, sympy.Integer) else values
    if isinstance(values, Layers):
        return Layers(lambda layer: floats(values[layer]))
    data = np.asarray(values.data if type(values).__name__ == "Tensor" else values, object)
    return data.astype(np.float64) if data.shape else float(data.item())
