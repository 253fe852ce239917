"""Reads a formula's LaTeX as a reader does, and computes it with numbers.

Letters are found in a dictionary: numbers, arrays whose entries count from 1, functions, and
sequences as functions of the step. Shapes beneath letters are compared with the arrays. `first`
says which product binds more tightly, that of entries or that of matrices: a formula that nobody
can misread has one value for both. A logarithm and a sum over an index take in all factors behind
them.
"""

import re
from inspect import isfunction

import numpy as np

SPACE = re.compile(r"(?: |\\,|\\;|\\displaystyle)+")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
ENTRIES, MATRICES = r"\odot", "@"


class Column:
    """A vector, transposed: before another it makes the matrix of all products."""

    def __init__(self, vector):
        self.vector = vector


class Reader:
    def __init__(self, text, names, first):
        self.text, self.names, self.first, self.at = text, dict(names), first, 0

    def all(self):
        """The value of the whole text."""
        value = self.sum()
        assert self.rest() == "", f"cannot read {self.rest()!r} in {self.text!r}"
        return value

    # -- where we are

    def rest(self):
        if space := SPACE.match(self.text, self.at):
            self.at = space.end()
        return self.text[self.at :]

    def sees(self, *tokens):
        """The token that comes next, if it is one of these; it is then behind us."""
        for token in tokens:
            if self.rest().startswith(token):
                self.at += len(token)
                return token
        return ""

    def expect(self, token):
        assert self.sees(token), f"{token!r} is not before {self.rest()!r} in {self.text!r}"

    # -- sums, products, powers

    def sum(self):
        value = -self.product() if self.sees("-") else self.product()
        while sign := self.sees("+", "-"):
            other = self.product()
            value = value + other if sign == "+" else value - other
        return value

    def product(self):
        factors, signs = [self.power()], []
        while self.rest() and not re.match(r"[+\-=<>&,})]|\\right|\\rvert|\\\\|\\end", self.rest()):
            self.sees(r"\cdot")
            signs.append(self.sees(ENTRIES) or MATRICES)
            factors.append(self.power())
        for place in range(len(signs) - 1, -1, -1):  # a number goes with either side
            if not all(map(is_array, factors[place : place + 2])):
                factors[place : place + 2] = [factors[place] * factors[place + 1]]
                del signs[place]
        for sign in (self.first, {ENTRIES: MATRICES, MATRICES: ENTRIES}[self.first]):
            while sign in signs:
                place = signs.index(sign)
                left, right = factors[place : place + 2]
                factors[place : place + 2] = [times(left, right, signs.pop(place))]
        return factors[0]

    def power(self):
        value = self.atom()
        while token := self.sees("_", r"^\top", "^"):
            if token == "_":
                value = entry(value, self.places())
            elif token == "^":
                value = value ** self.exponent()
            else:
                value = Column(value) if value.ndim == 1 else value.T
        return value

    def exponent(self):
        if self.sees("{"):
            value = self.sum()
            self.expect("}")
            return value
        digit = self.rest()[0]
        self.at += 1
        return int(digit)

    def places(self):
        """The numbers in a subscript: ``ij``, ``t - 1``, ``1``."""
        if not self.sees("{"):
            letter = self.rest()[0]
            self.at += 1
            return [self.names.get(letter) or int(letter)]
        if letters := re.match(r"([a-z\d]+)}", self.rest()):
            self.at += letters.end()
            return [self.names.get(x) or int(x) for x in letters[1]]
        value = self.sum()
        self.expect("}")
        return [value]

    # -- what stands alone

    def atom(self):
        for token, read in ATOMS.items():
            if self.sees(token):
                return read(self)
        if number := NUMBER.match(self.rest()):
            self.at += number.end()
            return int(number[0]) if number[0].isdigit() else float(number[0])
        names = [name for name in self.names if self.rest().startswith(name)]
        assert names, f"nothing is called as in {self.rest()!r}"
        name = max(names, key=len)
        self.at += len(name)
        value = self.names[name]
        applied = callable(value) and self.rest().startswith((r"\left(", "("))
        return value(*self.arguments()) if applied else value

    def arguments(self):
        close = {"(": ")", r"\left(": r"\right)"}[self.sees(r"\left(", "(")]
        values = [self.sum()]
        while self.sees(","):
            values.append(self.sum())
        self.expect(close)
        return values

    def until(self, close):
        value = self.sum()
        self.expect(close)
        return value

    def fraction(self):
        above = self.until("}")
        self.expect("{")
        return above / self.until("}")

    def with_shape(self):
        shape, self.at = self.rest().split("}{", 1)[0], self.at + self.rest().index("}{") + 2
        sizes = tuple(Reader(n, self.names, self.first).all() for n in shape.split(r" \times "))
        value = self.sum()
        self.expect("}")
        found = value.vector.shape if isinstance(value, Column) else value.shape
        assert found == sizes, f"{shape} is {sizes}, not {found}"
        return value

    def over_index(self):
        index, first = re.match(r"([^=]+)=(\d+)}\^{", self.rest()).groups()
        self.at += len(f"{index}={first}}}^{{")
        last = self.until("}")
        start, outside, total = self.at, self.names, 0
        for n in range(int(first), int(last) + 1):
            self.at, self.names = start, outside | {index: n}
            total = total + self.product()
        self.names = outside
        return total

    def logarithm(self):
        return np.log(self.product())

    def exponential(self):
        return np.exp(self.until("}"))

    def delta(self):
        i, j = self.places()
        return int(i == j)

    def cases(self):
        value, known = None, False
        while not self.sees(r"\end{cases}"):
            branch = self.sum()
            self.expect("&")
            true = bool(self.sees(r"\text{otherwise}"))
            if not true:
                self.expect(r"\text{if }")
                left, sign, right = self.sum(), self.sees("<", ">"), self.sum()
                true = left < right if sign == "<" else left > right
            value, known = (branch, True) if true and not known else (value, known)
            self.sees(r"\\")
        return value


ATOMS = {
    r"\left(": lambda reader: reader.until(r"\right)"),
    "(": lambda reader: reader.until(")"),
    r"\lvert": lambda reader: abs(reader.until(r"\rvert")),
    r"\frac{": Reader.fraction,
    r"\sqrt{": lambda reader: np.sqrt(reader.until("}")),
    r"\underset{": Reader.with_shape,
    r"\sum_{": Reader.over_index,
    r"\log": Reader.logarithm,
    "e^{": Reader.exponential,
    r"\delta_": lambda reader: reader.delta(),
    r"\begin{cases}": Reader.cases,
}


def is_array(value):
    return isinstance(value, Column) or np.ndim(value) > 0


def times(left, right, sign):
    if isinstance(left, Column):
        return np.outer(left.vector, right)
    if sign == MATRICES:
        return left @ right
    return left * right


def entry(value, places):
    """An entry of an array, counted from 1; or a step of a sequence."""
    if isfunction(value):
        return value(*places)
    assert len(places) <= np.ndim(value), f"{places} is too many subscripts"
    return value[tuple(place - 1 for place in places)]


def read(text, names, first=ENTRIES):
    """The value of a formula."""
    return Reader(text, names, first).all()
