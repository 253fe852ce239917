"""Formulas that write themselves down: what they compute, as LaTeX or as SymPy numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MINUS, SUM, OPEN, PRODUCT, POWER, ATOM = range(6)
"""How tightly the outermost operation of a formula binds.

OPEN is what takes in all that follows it, such as a sum over an index: as a left factor it needs
parentheses.
"""

ENTRIES, MATRICES = r" \odot ", r"\; "
"""The signs of the product entry by entry and of that of matrices: neither goes first."""

GREEK = {
    "alpha", "beta", "gamma", "delta", "ell", "epsilon", "eta", "lambda", "mu", "nu", "pi",
    "rho", "sigma", "tau", "phi", "theta", "xi",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Tex:
    """A piece of LaTeX with the operators of an array; what is computed on it is written down."""

    latex: str
    binds: int = ATOM
    shape: tuple[str, ...] = ()
    name: str = ""
    product: str = ""

    def __add__(self, other: Any) -> Tex:
        latex = f"{self} + {_tight(other, SUM)}"
        return Tex(latex, min(self.binds, SUM), self.shape or _shape(other))

    def __radd__(self, other: Any) -> Tex:
        return tex(other) + self

    def __sub__(self, other: Any) -> Tex:
        latex = f"{self} - {_tight(other, OPEN)}"
        return Tex(latex, min(self.binds, SUM), self.shape or _shape(other))

    def __rsub__(self, other: Any) -> Tex:
        return tex(other) - self

    def __neg__(self) -> Tex:
        return Tex(f"-{_tight(self, OPEN)}", MINUS, self.shape)

    def __mul__(self, other: Any) -> Tex:
        other = tex(other)
        if self.shape and other.shape:
            return self._times(other, ENTRIES, ENTRIES, self.shape)
        right = _tight(other, OPEN)
        sign = r" \cdot " if right[:1].isdigit() else r"\, "
        if right.startswith(r"\left"):  # a large bracket brings its own space
            sign = " "
        kind = self.product or other.product
        return self._times(other, sign, kind, self.shape or other.shape)

    def __rmul__(self, other: Any) -> Tex:
        return tex(other) * self

    def __matmul__(self, other: Any) -> Tex:
        return self._times(other, MATRICES, MATRICES, self.shape[:-1] + other.shape[1:])

    def _times(self, other: Tex, sign: str, product: str, shape: tuple[str, ...]) -> Tex:
        left, right = _factor(self, product, PRODUCT), _factor(other, product, OPEN)
        binds = OPEN if other.binds == OPEN else PRODUCT
        return Tex(f"{left}{sign}{right}", binds, shape, product=product)

    def __truediv__(self, other: Any) -> Tex:
        return Tex(rf"\frac{{{self}}}{{{tex(other)}}}", PRODUCT, self.shape or _shape(other))

    def __rtruediv__(self, other: Any) -> Tex:
        return tex(other) / self

    def __pow__(self, other: Any) -> Tex:
        return Tex(f"{_tight(self, ATOM)}^{{{tex(other)}}}", POWER, self.shape)

    def __rpow__(self, other: Any) -> Tex:
        return tex(other) ** self

    def __gt__(self, other: Any) -> Tex:
        return Tex(f"{self} > {tex(other)}", SUM)

    def __getitem__(self, key: Any) -> Tex:
        places = [tex(k).latex for k in (key if isinstance(key, tuple) else (key,))]
        inner = self.name or self.latex
        base = f"({inner})" if "_" in inner or "^" in inner or self.binds != ATOM else inner
        between = "," if any(len(place) > 1 for place in places) else ""
        return Tex(f"{base}_{{{between.join(places)}}}", ATOM)

    @property
    def T(self) -> Tex:
        """The transpose."""
        shape = self.shape[::-1]
        if self.name:
            return named(rf"{self.name}^\top", shape)
        return Tex(rf"{_tight(self, ATOM)}^\top", POWER, shape)

    def __str__(self) -> str:
        return self.latex


def tex(value: Any) -> Tex:
    """A number or a formula as a formula."""
    if isinstance(value, Tex):
        return value
    return Tex(sympy.latex(sympy.nsimplify(value)), MINUS if value < 0 else ATOM)


def named(name: str, shape: Sequence[str] = ()) -> Tex:
    """A symbol, with its shape beneath it if it is a matrix or a vector."""
    under = r" \times ".join(map(symbol, shape))
    return Tex(rf"\underset{{{under}}}{{{name}}}" if shape else name, ATOM, tuple(shape), name)


def symbol(name: str) -> str:
    r"""The LaTeX of a Python name: ``W1`` is W_1, ``p_hat`` is \hat p, ``lambda_`` is \lambda."""
    name = name.rstrip("_")
    if match := re.fullmatch(r"(.+)_(hat|bar)", name):
        return rf"\{match[2]}{{{symbol(match[1])}}}"
    if match := re.fullmatch(r"([A-Za-z]+)_?(\d+|[a-z]+)", name):
        head, tail = match.groups()
        if tail.isdigit() or "_" in name:
            index = tail if len(tail) == 1 or tail.isdigit() else rf"\text{{{tail}}}"
            return f"{symbol(head)}_{{{index}}}"
    if name in GREEK:
        return rf"\{name}"
    return name if len(name) == 1 or re.fullmatch(r"d[A-Z]|d[a-z]", name) else rf"\mathrm{{{name}}}"


def _tight(value: Any, binds: int) -> str:
    value = tex(value)
    return value.latex if value.binds >= binds else rf"\left({value}\right)"


def _factor(value: Tex, product: str, binds: int) -> str:
    """In parentheses if it is the other product; read without them, it might go second."""
    return _tight(value, binds if value.product in ("", product) else ATOM)


def _shape(value: Any) -> tuple[str, ...]:
    return value.shape if isinstance(value, Tex) else ()


# ---------------------------------------------------------------- functions that have all readings


def elementwise(
    function: Callable[..., Any], write: Callable[..., str], binds: int = ATOM
) -> Callable[..., Any]:
    """A function of numbers that also works on arrays, entry by entry, and can be written down."""

    def apply(*args: Any) -> Any:
        if any(isinstance(x, Tex) for x in args):
            args = tuple(map(tex, args))
            return Tex(write(*args), binds, next((x.shape for x in args if x.shape), ()))
        result = np.frompyfunc(function, len(args), 1)(*args)
        return result if np.ndim(result) else sympy.sympify(result)

    return apply


def function(name: str, compute: Callable[..., Any]) -> Callable[..., Any]:
    """A function written as ``name(x)``."""
    return elementwise(compute, lambda *args: rf"{name}\left({', '.join(map(str, args))}\right)")


exp = elementwise(sympy.exp, lambda x: f"e^{{{x}}}", POWER)
sqrt = elementwise(sympy.sqrt, lambda x: rf"\sqrt{{{x}}}")
absolute = elementwise(sympy.Abs, lambda x: rf"\lvert {x} \rvert")
log = elementwise(sympy.log, lambda x: rf"\log {_tight(x, ATOM)}", OPEN)
tanh = function(r"\tanh", sympy.tanh)
maximum = function(r"\max", sympy.Max)
minimum = function(r"\min", sympy.Min)


def total(term: Callable[..., Any], *lasts: Any, first: int | None = None) -> Any:
    """The sum of a term over its parameters: indices, whose names they have.

    An index numbers the entries of a matrix, of which `lasts` are counted from 1 on paper and from
    0 in arrays; or, if `first` is given, it is a number itself, from `first` to the last, both
    included. If that is a symbol, the sum is one, too.
    """
    return _sum(term, list(zip(term.__code__.co_varnames, lasts, strict=False)), first)


def _sum(term: Callable[..., Any], ranges: list[tuple[str, Any]], first: int | None) -> Any:
    (index, last), *inner = ranges
    body = (lambda k: _sum(partial(term, k), inner, first)) if inner else term
    if isinstance(last, Tex):
        value = body(Tex(symbol(index)))
        low = 1 if first is None else first
        latex = rf"\sum_{{{symbol(index)}={low}}}^{{{last}}} {_tight(value, OPEN)}"
        return Tex(latex, OPEN, value.shape)
    if getattr(last, "free_symbols", None):
        k = sympy.Symbol(index, integer=True)
        return sympy.Sum(body(k), (k, first, last))
    terms = map(body, range(last) if first is None else range(first, last + 1))
    return sum(terms, next(terms, sympy.Integer(0)))


def delta(i: Any, j: Any) -> Any:
    """Kronecker's delta: 1 if both indices are the same, else 0."""
    return Tex(rf"\delta_{{{i}{j}}}") if isinstance(i, Tex) else sympy.Integer(i == j)


def cases(*branches: tuple[Any, Any]) -> Any:
    """The first value whose condition holds; the last condition may be True."""
    if not any(isinstance(part, Tex) for branch in branches for part in branch):
        return sympy.Piecewise(*branches)
    lines = []
    for value, condition in branches:
        when = r"\text{otherwise}" if condition is True else rf"\text{{if }} {condition}"
        lines.append(f"{tex(value)} & {when}")
    return Tex(r"\begin{cases} " + r" \\ ".join(lines) + r" \end{cases}", SUM)


class Matrix(Tex):
    """Numbers as LaTeX, of which a row can be taken."""

    def __getitem__(self, key: Any) -> Tex:
        return matrix(self.values[key], self.digits)


def matrix(values: Any, digits: int = 4) -> Tex:
    """Numbers as LaTeX: a scalar, a row, or a matrix, rounded to so many significant digits."""
    array = np.asarray(values, object)
    rows = [[_number(x, digits) for x in row] for row in np.atleast_2d(array)]
    if array.ndim == 0:
        return Tex(rows[0][0], MINUS if rows[0][0].startswith("-") else ATOM)
    body = r" \\ ".join(" & ".join(row) for row in rows)
    made = Matrix(rf"\begin{{bmatrix}} {body} \end{{bmatrix}}", ATOM, ("",) * array.ndim)
    vars(made).update(values=array, digits=digits)
    return made


def _number(x: Any, digits: int) -> str:
    value = float(x)
    text = f"{value:.{digits}g}" if abs(value) >= 1e-12 else "0"
    mantissa, _, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
