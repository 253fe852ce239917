"""What a page says about its equations."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import numpy as np

from equations import write
from equations.check import Equation, EquationError
from equations.values import Term, Values, parameters

DEFINED = "With random numbers, the package computes the same, to 12 digits."
SEEN = "With random numbers, the program was run and found the same, to 12 digits."
ZERO = (
    "and simplified the difference from the right side to 0. With random numbers, both sides agree "
    "to 20 digits, also for sizes that are one larger."
)
SLOPE = f"SymPy differentiated {{}} with respect to {{}}, through all definitions, {ZERO}"
CLAIM = f"SymPy computed the left side from the definitions {ZERO}"
INDUCTION = f"It is so at the start. From the right side, SymPy took a step as defined, {ZERO}"


def equal(*sides: Any) -> tuple[Any, ...]:
    """Claim that two or more formulas are the same."""
    return sides


def several(code: Any) -> tuple[Any, ...]:
    """The functions that compute what an equation says: none, one or several."""
    return code if isinstance(code, tuple) else (code,) * bool(code)


class Derivation:
    """The equations of one page.

    Parameters
    ----------
    number : int
        Of the page.
    top : str
        The term that is differentiated: dW is its gradient with respect to W.
    steps : str
        The letters that count the steps of sequences.
    **sizes : int
        What the letters in shapes stand for in checks; every second draw of numbers has each of
        them one larger. The number of steps t is T.
    """

    def __init__(self, number: int, top: str = "L", steps: str = "", **sizes: int) -> None:
        self.number, self.top, self.steps, self.sizes = number, top, steps, sizes
        self.terms: dict[str, Term] = {}
        self.indices: dict[str, str] = {}
        self.written: dict[str, str] = {}
        self.arrivals: list[str] = []
        self.draws = 3  # of numbers; a page of single ones needs more, so that both signs occur
        self.equations: dict[str, Equation] = {}
        self.readings: dict[tuple[str, int], Values] = {}

    # -- what there is

    def given(self, name: str, shape: str = "", **more: Any) -> None:
        """Name an input; ``shape`` lists its sizes, and the rest is that of a `Term`."""
        self.terms[name] = Term(name, tuple(shape.split()), **more)

    def let(self, name: str, formula: Any, symbol: str = "", shape: str = "", **more: Any) -> None:
        """Name what the page explains in words; ``symbol`` is its LaTeX."""
        self.given(name, shape, formula=formula, **more)
        self.written |= {name: symbol} if symbol else {}

    def index(self, **ranges: str) -> None:
        """Name indices and the size of which each takes all values."""
        self.indices.update(ranges)

    def arriving(self, name: str) -> None:
        """Let the gradient with respect to a term come from a later layer: any numbers G.

        The loss then is Σ G·term, as far as it matters here. Said of several terms, the loss is
        the sum over all of them.
        """
        self.given(f"d{name}", " ".join(self.terms[name].shape))
        self.given(self.top)
        self.arrivals.append(name)

    # -- what is said about it: `of` lists what dX may be the derivative of, if not the page's top;
    # -- what is the `same` equation as the one before is one more line of it; a `note` is shown

    def define(
        self,
        shape: str = "",
        *,
        code: Any,
        lhs: str = "",
        symbol: str = "",
        seen: bool = False,
        step: str = "",
        start: Any = None,
        **more: Any,
    ) -> Any:
        """A definition: the decorated formula; ``code`` computes the same with the package.

        That is on float64 arrays. It may be several functions. ``lhs`` is LaTeX of the whole left
        side, ``symbol`` that of the name. If it is `seen`, it defines nothing, but says what a
        program was seen to do. `step` and `start` are those of a `Term`.
        """
        mark, how = ("compared with numbers", SEEN) if seen else ("a definition", DEFINED)

        def add(formula: Any) -> Any:
            name = formula.__name__
            self.let(name, formula, symbol, shape, step=step, start=start)

            def pairs(values: Values) -> Any:
                for computed in several(code):
                    yield values.coded(computed), values.array(name)

            left = lhs or str(write.written(self, name, [*self.indices_of(formula), *step]))
            return self._add(formula, left, pairs, mark, how, **more)

        return add

    def gradient(self, formula: Any = None, *, by: str = "", **more: Any) -> Any:
        """The gradient of the loss with respect to a term: the decorated formula, ``dTERM``.

        If it has another name, `by` says which term.
        """
        if formula is None:
            return partial(self.gradient, by=by, **more)
        term, indices = by or formula.__name__[1:], self.indices_of(formula)
        left = str(write.written(self, f"d{term}", indices))
        return self.derivative("", f"{term}[{','.join(indices)}]", lhs=left, **more)(formula)

    def derivative(self, y: str, x: str, *, lhs: str = "", code: Any = None, **more: Any) -> Any:
        """A derivative of one term with respect to another: ``derivative("p[i]", "z[j]")``.

        The entries are named by indices. That of a gradient is a second derivative:
        ``derivative("dz[i]", "z[j]")``. Other formulas may use the derivative by its name, as a
        Jacobian to multiply with. If there is `code`, it computes the same with the package.
        """
        (y, *rows), (x, *columns) = (re.findall(r"\w+", name) or [""] for name in (y, x))

        def add(formula: Any) -> Any:
            name, sizes = formula.__name__, map(self.indices.get, self.indices_of(formula))

            def pairs(values: Values) -> Any:
                found = np.asarray(values.slopes(y or values.top, x), object)
                for at in values.everywhere([*rows, *columns]):
                    yield found[tuple(at[i] for i in [*rows, *columns])], values.call(formula, at)
                for computed in several(code) if values.seed is not None else ():
                    yield values.coded(computed), values.compute(formula, self.terms[x].shape)

            if y:
                self.terms.setdefault(name, Term(name, tuple(sizes), formula))
            above, below = write.written(self, y or self.top, rows), write.written(self, x, columns)
            left = lhs or rf"\frac{{\partial {above}}}{{\partial {below}}}"
            how = SLOPE.format(y or "the loss", x if y else "each entry") + f" {DEFINED}" * bool(
                code
            )
            return self._add(formula, left, pairs, "proved", how, **more)

        return add

    def claim(self, formula: Any = None, *, limit: str = "", **more: Any) -> Any:
        """Anything else: the decorated function returns `equal` of formulas that are the same.

        A `limit` says of what it is a proof, if that is less than the page says.
        """
        if formula is None:
            return partial(self.claim, limit=limit, **more)
        indices = [x for x in parameters(formula) if x in self.indices or x in self.steps]

        def pairs(values: Values) -> Any:
            values.limits |= {"limit": limit} if limit else {}
            for at in values.everywhere(indices):
                first, *others = values.call(formula, at)
                yield from ((first, other) for other in others)

        return self._add(formula, "", pairs, "proved", CLAIM, **more)

    def closed(self, name: str, *, lhs: str = "", code: Any = None, **more: Any) -> Any:
        """Each entry of a sequence as the decorated formula, without those before it: induction.

        If there is ``code``, it computes the entries in another way.
        """
        term = self.terms[name]

        def add(formula: Any) -> Any:
            def pairs(values: Values) -> Any:
                yield values[name][0], values.call(formula, {term.step: 0})
                for at in values.everywhere(term.step):
                    before = {t - 1: values.call(formula, {term.step: t - 1}) for t in at.values()}
                    after = values.supposing(name, before).call(term.formula, at)
                    yield after, values.call(formula, at)
                if code and values.seed is not None:
                    yield values.coded(code), values.array(name)

            left = lhs or str(write.written(self, name, term.step))
            return self._add(formula, left, pairs, "proved", INDUCTION, **more)

        return add

    def _add(
        self,
        formula: Any,
        left: str,
        pairs: Any,
        mark: str,
        how: str,
        *,
        of: str = "",
        same: bool = False,
        note: str = "",
    ) -> Any:
        name, numbers = formula.__name__, dict.fromkeys(x.number for x in self.equations.values())
        if name in self.equations:
            raise EquationError(f"page {self.number} has two equations called {name}.")
        number, tops = f"{self.number}.{len(numbers) + (not same)}", of.split() or [self.top]
        self.equations[name] = Equation(
            self, name, number, formula, left, pairs, mark, f"{how} {note}".strip(), tuple(tops)
        )
        return formula

    # -- readings

    def values(self, top: str = "", seed: int | None = None, **more: Any) -> Values:
        """What the names mean: symbols, or with a seed numbers."""
        top = top or self.top
        if seed is None:
            return Values(self, top, **more)
        return self.readings.setdefault((top, seed), Values(self, top, seed))

    def example(self, *names: str, **settings: Any) -> str:
        """LaTeX lines that show terms and gradients in numbers."""
        return write.example(self, *names, **settings)

    def indices_of(self, formula: Any) -> list[str]:
        """Those parameters of a formula that are indices."""
        return [name for name in parameters(formula) if name in self.indices]
