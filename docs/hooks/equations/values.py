"""What the names of a page mean: random numbers, or a symbol for every entry."""

from __future__ import annotations

import inspect
import random
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import sympy

from equations.check import DIGITS, EquationError, entries

LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True)
class Term:
    """A name on a page: given, or defined by a formula.

    Attributes
    ----------
    sample : callable
        Draws its numbers, if not just any will do: ``sample(rng, shape)``.
    symbols : callable
        Makes what a proof is about from an array of symbols, if these may not be just any.
    positive : bool
        Whether its entries are.
    step : str
        If it is a sequence, the index that counts it, from 1.
    start : number or str
        Number 0 of a sequence, or the name of that. Its formula may use ``v[t - 1]``.
    """

    name: str
    shape: tuple[str, ...] = ()
    formula: Any = None
    sample: Any = None
    symbols: Any = None
    positive: bool = False
    step: str = ""
    start: Any = None


class Steps(dict[Any, Any]):
    """A sequence as on paper: ``v[1]`` is its first entry, and ``v[0]`` is its start."""

    def __init__(self, values: Values, term: Term) -> None:
        super().__init__()
        self.values, self.term = values, term

    def __missing__(self, t: Any) -> Any:
        self[t] = None  # until it is known: what needs itself cannot be computed
        self[t] = self._at(t)
        return self[t]

    def _at(self, t: Any) -> Any:
        values, term = self.values, self.term
        if t == 0:
            return values[term.start] if isinstance(term.start, str) else term.start
        if isinstance(t, int) and t not in values.steps(term.step):
            raise LookupError(f"{term.name} has no step {t}")
        if term.formula and (isinstance(t, int) or t.is_Symbol):
            return values.call(term.formula, {term.step: t})
        if values.seed is None:
            return sympy.Function(term.name, real=True)(t)
        return values.draw(term)[t - 1]


class Values:
    """What each name means in one reading; found when first asked for.

    Without a seed, given names are symbols. dX is the derivative of `top` with respect to X. What
    is `supposed` replaces what the page says, and `limits` notes for which sizes all this holds.
    """

    def __init__(self, page: Any, top: str, seed: int | None = None, **more: Any) -> None:
        self.page, self.top, self.seed = page, top, seed
        self.sizes = more.get("sizes", {x: n + (seed or 0) % 2 for x, n in page.sizes.items()})
        self.supposed, self.limits = more.get("supposed", {}), more.get("limits", {})
        self.known: dict[str, Any] = {"top": top} | self.supposed
        self.found: dict[Any, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.known:
            self.known[name] = self._find(name)
        return self.known[name]

    def _find(self, name: str) -> Any:
        terms, arrivals = self.page.terms, self.page.arrivals
        if name in self.sizes:
            return sympy.Integer(self.size(name))
        if name == self.top and arrivals:
            return sum(np.sum(self[x] * self[f"d{x}"]) for x in arrivals)
        if name not in terms and name[0] == "d" and name[1:] in terms:
            return self.slopes(self.top, name[1:])
        if name not in terms:
            raise EquationError(f"page {self.page.number} says nowhere what {name} is.")
        term = terms[name]
        if term.step:
            return Steps(self, term)
        return self.compute(term.formula, term.shape) if term.formula else self.draw(term)

    def draw(self, term: Term) -> Any:
        """Numbers, or symbols, for what is given."""
        shape = tuple(map(self.size, term.shape))
        if self.seed is None:
            drawn = letters(term.name, shape, **{"positive" if term.positive else "real": True})
            return exact(term.symbols(drawn) if term.symbols else drawn)
        rng = random.Random(f"{term.name} {self.seed}")
        if term.sample:
            return exact(term.sample(rng, shape))
        hundredths = [n for n in range(1 if term.positive else -200, 201) if n]
        drawn = [rng.choice(hundredths) for _ in range(int(np.prod(shape)))]
        return exact(np.reshape([sympy.Float(n, 2 * DIGITS) / 100 for n in drawn], shape))

    def size(self, name: str) -> int:
        """What a letter in shapes stands for."""
        self.limits[name] = f"{name.translate(LOWERED)} = {self.sizes[name]}"
        return self.sizes[name]

    def everywhere(self, indices: Any) -> Any:
        """All values of some indices: positions in an array, or steps; of a proof, any step."""
        indices = list(dict.fromkeys(indices))
        for place in product(*map(self._places, indices)):
            yield dict(zip(indices, place, strict=True))

    def steps(self, index: str) -> range:
        """The steps that are computed in numbers."""
        return range(1, self.sizes.get(index.upper(), 4) + 1)

    def _places(self, index: str) -> Any:
        if index in self.page.indices:
            return range(self.size(self.page.indices[index]))
        if self.seed is not None:
            return self.steps(index)
        self.limits[index] = f"every {index}"
        return [sympy.Symbol(index, integer=True, positive=True)]

    def compute(self, formula: Any, shape: Any) -> Any:
        """A formula, or if it has indices the array of all its entries."""
        indices = self.page.indices_of(formula)
        if not indices:
            return self.call(formula, {})
        found = [self.call(formula, at) for at in self.everywhere(indices)]
        return np.reshape(np.array(found, object), tuple(map(self.size, shape)))

    def call(self, formula: Any, at: dict[str, Any]) -> Any:
        """A formula's value, its parameters found by name."""
        return formula(**{x: at[x] if x in at else self[x] for x in parameters(formula)})

    def array(self, name: str) -> Any:
        """The value of a name; a sequence as the array of its entries."""
        value, term = self[name], self.page.terms.get(name)
        if term and term.step:
            return np.array([value[t] for t in self._places(term.step)], object)
        return value

    def coded(self, code: Any) -> Any:
        """What the package computes from the same numbers."""
        return floats(code(**{name: floats(self.array(name)) for name in parameters(code)}))

    def supposing(self, name: str, value: Any) -> Values:
        """The same with another value of one name, and of all that is computed from it."""
        more = {"sizes": self.sizes, "limits": self.limits}
        supposed = self.supposed | {name: value}
        return type(self)(self.page, self.top, self.seed, supposed=supposed, **more)

    def slopes(self, of: str, by: str) -> Any:
        """What SymPy finds: the derivative of each entry of a term with respect to each of another.

        It differentiates the definitions in between.
        """
        if (of, by) not in self.found:
            at = np.asarray(self[by], object)
            fresh = letters(by, at.shape, real=True)
            ys = np.asarray(self.supposing(by, fresh if at.shape else fresh.item())[of], object)
            here = dict(zip(fresh.flat, at.flat, strict=True))
            found = [y.diff(x).xreplace(here) for y in entries(ys) for x in fresh.flat]
            self.found[of, by] = exact(np.reshape(found, ys.shape + at.shape))
        return self.found[of, by]


def parameters(formula: Any) -> list[str]:
    """The names of a function's parameters."""
    return list(inspect.signature(formula).parameters)


def letters(name: str, shape: Any, **assumptions: bool) -> Any:
    """A symbol for every entry of an array."""
    drawn = [sympy.Symbol(f"{name}_{n}", **assumptions) for n in range(int(np.prod(shape)))]
    return np.reshape(np.array(drawn, object), shape)


def exact(values: Any) -> Any:
    """Numbers or symbols as an array of SymPy objects; a single one on its own."""
    array = np.frompyfunc(sympy.sympify, 1, 1)(np.asarray(values, object))
    return array if np.ndim(array) else sympy.sympify(np.asarray(values, object).item())


def floats(values: Any) -> Any:
    """SymPy numbers, tensors or arrays as float64; whole numbers and names as they are."""
    if isinstance(values, int | str | sympy.Integer):
        return values if isinstance(values, str) else int(values)
    values = values.data if type(values).__name__ == "Tensor" else values
    array = np.asarray(values, object).astype(np.float64)
    return array if array.shape else array.item()
