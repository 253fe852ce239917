"""Arrays of up to two dimensions in plain Python, with the operations of a backward pass.

In the pages of the site they stand in for NumPy, which is too large to load there: the same names,
the same rules for shapes, and the same numbers, which a test compares with NumPy's. They are not
NumPy: there are no dtypes and no further dimensions, a slice is a copy, and a large array is slow.
"""

INF = float("inf")
NAN = INF - INF


class Index:
    """Gives back what stands in its brackets."""

    def __getitem__(self, key):
        return key


WHOLE = Index()[:]  # there is no other way to a slice in MicroPython


class ShapeError(ValueError):
    """Shapes that do not fit, in words."""


class Array:
    """Numbers row by row in a list, and their shape: (), (n,) or (m, n)."""

    def __init__(self, data, shape):
        self.data, self.shape = data, shape

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: len(self.data))
    T = property(lambda self: transpose(self))

    def __repr__(self):
        return f"array({self.tolist()})"

    def __len__(self):
        if not self.shape:
            raise TypeError("a single number has no length")
        return self.shape[0]

    def __iter__(self):
        if self.ndim < 2:
            return iter([Array([v], ()) for v in self.data[: len(self)]])
        n = self.shape[1]
        return iter([Array(self.data[i * n : (i + 1) * n], (n,)) for i in range(len(self))])

    def __bool__(self):
        return bool(self.item())

    __hash__ = None

    def item(self, place=None):
        """The number at a place of the list, or the only one."""
        if place is not None:
            return self.data[place]
        if len(self.data) != 1:
            raise ValueError(
                f"an array of shape {self.shape} is many numbers, and one is needed here"
            )
        return self.data[0]

    def tolist(self):
        """The numbers in lists, one per row."""
        if self.ndim == 2:
            return [row.data for row in self]
        return self.data if self.ndim else self.data[0]

    def copy(self):
        """The same numbers in an array of their own."""
        return Array(list(self.data), self.shape)

    def astype(self, kind):
        """The numbers turned into another kind, such as float."""
        return self.map(kind if kind in (int, bool) else float)

    def map(self, function):
        """A function of each number."""
        return Array([function(v) for v in self.data], self.shape)

    def dot(self, other):
        """The same as @."""
        return self @ other

    def transpose(self):
        """The same as .T."""
        return self.T

    def ravel(self):
        """All numbers in one row."""
        return Array(list(self.data), (len(self.data),))

    flatten = ravel

    def reshape(self, *shape):
        """The same numbers in another shape; -1 is whatever is left."""
        shape = tuple(shape[0]) if isinstance(shape[0], (tuple, list)) else shape
        known = 1
        for length in shape:
            known *= length if length != -1 else 1
        whole = tuple([len(self.data) // max(known, 1) if n == -1 else n for n in shape])
        if volume(whole) != len(self.data) or shape.count(-1) > 1 or len(shape) > 2:
            raise ShapeError(f"{len(self.data)} numbers of shape {self.shape} do not fit {shape}")
        return Array(list(self.data), whole)

    def reduced(self, function, axis, keepdims):
        """A function of the numbers along an axis, or of all of them."""
        if axis is None:
            return Array([function(self.data)], (1,) * self.ndim if keepdims else ())
        if not isinstance(axis, int) or not -self.ndim <= axis < self.ndim:
            raise ShapeError(f"an array of shape {self.shape} has no axis {axis}")
        axis %= self.ndim
        if self.ndim == 1:
            return Array([function(self.data)], (1,) if keepdims else ())
        rows, columns = self.shape
        lines = self.T if axis == 0 else self
        found = [function(line.data) for line in lines]
        kept = (1, columns) if axis == 0 else (rows, 1)
        return Array(found, kept if keepdims else (len(found),))

    def sum(self, axis=None, keepdims=False):
        """The sum of all numbers, or along an axis."""
        return self.reduced(sum_of, axis, keepdims)

    def mean(self, axis=None, keepdims=False):
        """The mean of all numbers, or along an axis."""
        return self.reduced(lambda line: divide(sum_of(line), len(line)), axis, keepdims)

    def max(self, axis=None, keepdims=False):
        """The largest number, or those along an axis."""
        return self.reduced(lambda line: extreme(line, False), axis, keepdims)

    def min(self, axis=None, keepdims=False):
        """The smallest number, or those along an axis."""
        return self.reduced(lambda line: extreme(line, True), axis, keepdims)

    def clip(self, least=None, most=None):
        """No number below the first bound, and none above the second; None is no bound."""
        found = self.map(lambda v: least if least is not None and v < least else v)
        return found.map(lambda v: most if most is not None and v > most else v)

    # ---------------------------------------------------------------- parts

    def places(self, key):
        """The places in the list that an index names, and the shape of that part."""
        if isinstance(key, Array) and key.shape == self.shape and self.ndim:
            found = [place for place, wanted in enumerate(key.data) if wanted]
            return found, (len(found),)
        keys = list(key) if isinstance(key, tuple) else [key]
        keys = keys + [WHOLE] * (self.ndim - len([k for k in keys if k is not None]))
        axes, shape = [], ()
        for k in keys:
            if k is None:
                shape += (1,)
                continue
            if len(axes) == self.ndim:
                raise IndexError(f"too many indices for an array of shape {self.shape}")
            axes.append(chosen(k, self.shape[len(axes)]))
            shape += () if single(k) else (len(axes[-1]),)
        if len(shape) > 2:
            raise ShapeError("arrays here have at most two dimensions")
        if len(axes) < 2:
            return axes[0] if axes else [0], shape
        if all([isinstance(k, (range, list, Array)) for k in keys]):
            if len(axes[0]) != len(axes[1]):
                raise ShapeError(f"{len(axes[0])} rows and {len(axes[1])} columns are no pairs")
            return [i * self.shape[1] + j for i, j in zip(axes[0], axes[1])], shape[:1]
        return [i * self.shape[1] + j for i in axes[0] for j in axes[1]], shape

    def __getitem__(self, key):
        places, shape = self.places(key)
        return Array([self.data[place] for place in places], shape)

    def __setitem__(self, key, value):
        places, shape = self.places(key)
        value = broadcast(array(value), shape, "=")
        for place, number in zip(places, value.data):
            self.data[place] = number


def single(k):
    """Whether an index names one place, and so takes an axis away."""
    return not isinstance(k, (type(WHOLE), range, list)) and not getattr(k, "shape", ())


def chosen(k, length):
    """The places along an axis that an index names."""
    if isinstance(k, type(WHOLE)):
        return list(range(length))[k]
    return [at(k, length)] if single(k) else [at(i, length) for i in k]


def at(i, length):
    """A place counted from 0; one below 0 is counted from the end."""
    i = i.item() if isinstance(i, Array) else i
    if not isinstance(i, int):
        raise IndexError(f"an index is a whole number, and not {i}")
    if not -length <= i < length:
        raise IndexError(f"there is no number {i}: they go from 0 to {length - 1}")
    return i % length


def volume(shape):
    """How many numbers a shape holds."""
    found = 1
    for length in shape:
        found *= length
    return found


def array(x, dtype=None):
    """An array from a number, a list of numbers, or a list of rows."""
    if dtype is not None:
        return array(x).astype(dtype)
    if isinstance(x, Array):
        return x.copy()
    if isinstance(x, (bool, int, float)):
        return Array([x], ())
    if not isinstance(x, (list, tuple, range)):
        raise TypeError(f"an array is made of numbers, not of a {type(x).__name__}")
    rows = [array(row) for row in x]
    shapes = {row.shape for row in rows}
    if len(shapes) > 1 or any([row.ndim > 1 for row in rows]):
        raise ShapeError("all rows of an array need the same length, and rows hold numbers")
    inner = rows[0].shape if rows else ()
    return Array([v for row in rows for v in row.data], (len(rows),) + inner)


def asarray(x):
    """An array as it is, or one made from numbers."""
    return x if isinstance(x, Array) else array(x)


def broadcast(x, shape, sign):
    """An array repeated along axes of length 1, and along those it does not have, as NumPy does."""
    if x.shape == shape:
        return x
    own = (1,) * (len(shape) - x.ndim) + x.shape
    if len(own) != len(shape) or any([n not in (1, m) for n, m in zip(own, shape)]):
        raise ShapeError(f"{x.shape} does not fit into {shape}")
    if len(shape) == 1:
        return Array(x.data * shape[0], shape)
    rows, columns = shape
    lines = [x.data[i * own[1] : (i + 1) * own[1]] for i in range(own[0])]
    lines = lines * rows if own[0] == 1 else lines
    return Array([v for line in lines for v in (line * columns if own[1] == 1 else line)], shape)


def both(x, y, sign):
    """Two arrays of the same shape, made from two that fit."""
    x, y = asarray(x), asarray(y)
    if x.shape == y.shape:
        return x, y
    length = max(x.ndim, y.ndim)
    a, b = [(1,) * (length - z.ndim) + z.shape for z in (x, y)]
    if any([n != m and 1 not in (n, m) for n, m in zip(a, b)]):
        hint = ""
        if x.ndim == y.ndim == 2 and x.shape == y.T.shape:
            hint = " Is one of them transposed?"
        elif {x.ndim, y.ndim} == {1, 2} and len(x) == len(y):
            hint = " Is it one number per row? With keepdims=True it stays a column."
        raise ShapeError(
            f"{x.shape} {sign} {y.shape}: for {sign} both need the same shape, or a length of 1 "
            f"where they differ.{hint}"
        )
    shape = tuple([m if n == 1 else n for n, m in zip(a, b)])
    return broadcast(x, shape, sign), broadcast(y, shape, sign)


def transpose(x):
    """Rows and columns exchanged."""
    x = asarray(x)
    if x.ndim < 2:
        return x
    rows, columns = x.shape
    return Array([x.data[i * columns + j] for j in range(columns) for i in range(rows)],
                 (columns, rows))  # fmt: skip


def matmul(x, y):
    """The product of two matrices: rows of the first times columns of the second."""
    x, y = asarray(x), asarray(y)
    if not x.ndim or not y.ndim:
        raise TypeError("@ multiplies two arrays. To multiply by a number, use *.")
    a = x if x.ndim == 2 else x.reshape(1, -1)
    b = y if y.ndim == 2 else y.reshape(-1, 1)
    if a.shape[1] != b.shape[0]:
        raise ShapeError(product_in_words(x, y))
    columns = [column.data for column in b.T]
    data = [sum_of([u * v for u, v in zip(row.data, column)]) for row in a for column in columns]
    return Array(data, x.shape[:-1] + y.shape[1:])


def product_in_words(x, y):
    """Why two arrays have no product, and which transpose would have one."""
    text = (
        f"{x.shape} @ {y.shape}: the lengths in the middle, {x.shape[-1]} and {y.shape[0]}, have "
        "to be the same."
    )
    fitting = [
        f"{u.shape} @ {v.shape}, with .T on {which}"
        for u, v, which in ((x.T, y, "the first"), (x, y.T, "the second"), (x.T, y.T, "both"))
        if x.ndim == y.ndim == 2 and u.shape[1] == v.shape[0]
    ]
    return f"{text} What would fit: {' or '.join(fitting)}." if fitting else text


def sum_of(numbers):
    """The sum of a list of numbers."""
    total = 0
    for number in numbers:
        total += number
    return total


def extreme(numbers, least):
    """The largest number or the least; NaN if one is NaN."""
    if not numbers:
        raise ShapeError("an empty array has no largest or smallest number")
    strange = [v for v in numbers if v != v]
    return strange[0] if strange else min(numbers) if least else max(numbers)


def divide(a, b):
    """A quotient; infinite, or NaN, where Python would raise an error."""
    if b:
        return a / b
    return NAN if not a or a != a else INF if a > 0 else -INF


def power(a, b):
    """A power; infinite, or NaN, where Python would raise an error."""
    if a < 0 and b != int(b):
        return NAN
    try:
        return a**b if b >= 0 or a else INF
    except OverflowError:
        return INF


def operator(sign, function):
    """A method that applies a function to the numbers of two arrays, place by place."""

    def method(self, other):
        if not isinstance(other, (Array, bool, int, float, list)):
            return NotImplemented
        alike = isinstance(other, Array) and other.shape == self.shape
        x, y = (self, other) if alike else both(self, other, sign)
        return Array([function(a, b) for a, b in zip(x.data, y.data)], x.shape)

    def reflected(self, other):
        known = isinstance(other, (bool, int, float, list))
        return method(asarray(other), self) if known else NotImplemented

    def in_place(self, other):
        found = method(self, other)
        if found.shape != self.shape:
            raise ShapeError(
                f"{self.shape} {sign}= {asarray(other).shape}: the left side keeps its shape"
            )
        self.data[:] = found.data
        return self

    return method, reflected, in_place


for word, sign, function in (
    ("add", "+", lambda a, b: a + b),
    ("sub", "-", lambda a, b: a - b),
    ("mul", "*", lambda a, b: a * b),
    ("truediv", "/", divide),
    ("pow", "**", power),
):
    for prefix, method in zip(("", "r", "i"), operator(sign, function)):
        setattr(Array, f"__{prefix}{word}__", method)
for word, sign, function in (
    ("lt", "<", lambda a, b: a < b),
    ("le", "<=", lambda a, b: a <= b),
    ("gt", ">", lambda a, b: a > b),
    ("ge", ">=", lambda a, b: a >= b),
    ("eq", "==", lambda a, b: a == b),
    ("ne", "!=", lambda a, b: a != b),
    ("and", "&", lambda a, b: a & b),
    ("or", "|", lambda a, b: a | b),
):
    setattr(Array, f"__{word}__", operator(sign, function)[0])
Array.__matmul__ = matmul
Array.__rmatmul__ = lambda self, other: matmul(other, self)
Array.__neg__ = lambda self: self.map(lambda v: -v)
Array.__pos__ = lambda self: self
Array.__abs__ = lambda self: self.map(abs)
Array.__invert__ = lambda self: self.map(lambda v: not v)
