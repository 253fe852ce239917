"""The computation that the tape recorded, printed as a program: forward pass and backward pass.

The backward pass is made of the same ops as the forward pass, so a sweep with `create_graph` is
recorded like any other computation. Here both recordings become Python: a line for every result
that has a name or is used more than once, with the other results written where they are used.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import keyword
import math
import re
import sys
import textwrap
from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import graph, ops
from tinygrad_mnist.autodiff.gradient import grad
from tinygrad_mnist.autodiff.graph import Op, leading_to
from tinygrad_mnist.autodiff.mode import everything
from tinygrad_mnist.autodiff.tensor import Tensor
from tinygrad_mnist.autodiff.variable import Variable, as_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

INFIX = {
    ops.add: "+", ops.sub: "-", ops.mul: "*", ops.div: "/", ops.remainder: "%", ops.power: "**",
    ops.matrix_product: "@", ops.floor_divide: "//", ops.equal: "==", ops.not_equal: "!=",
    ops.less: "<", ops.less_equal: "<=", ops.greater: ">", ops.greater_equal: ">=",
    ops.bitwise_and: "&", ops.bitwise_or: "|", ops.bitwise_xor: "^",
}  # fmt: skip
PREFIX = {ops.neg: "-", ops.invert: "~"}
METHODS = {ops.sum: "sum", ops.max: "max", ops.min: "min"}
PLAIN = (int, float, str, slice, type(...))
"""The types of parameters that are written as they are."""
KEPT = ", keepdims=True"
WIDEST = 48
"""A longer expression gets a line and a name of its own."""
MARGIN = 55
"""The column of the comments."""


class Program:
    """A forward and a backward pass as Python; `print` shows it.

    Attributes
    ----------
    source : str
        The listing. It is ordinary Python: ``exec(source, dict(given))`` computes the loss and
        every gradient, with the bits that the tape computes.
    given : dict
        Name -> array, for everything that the listing starts from: inputs, parameters, and
        constants, which are arrays that the ops were given from elsewhere, such as the mask of a
        dropout. They are shared, not copied. An op that cannot be imported is in it too.
    """

    def __init__(self, source: str, given: dict[str, Any], results: tuple[str, ...]) -> None:
        self.source, self.given, self._results = source, given, results

    def __str__(self) -> str:
        return self.source

    def run(self, **given: Any) -> dict[str, Any]:
        """Run the listing: name -> array for each of its lines.

        Parameters
        ----------
        **given : array
            Arrays of the same shape and dtype in place of those in `given`.

        Raises
        ------
        TypeError
            If the listing starts from nothing of that name.
        """
        if unknown := given.keys() - self.given.keys():
            raise TypeError(
                f"The program starts from {', '.join(self.given)}, "
                f"but was given {', '.join(sorted(unknown))}."
            )
        names = self.given | given
        with np.errstate(all="ignore"):
            exec(self.source, names)  # noqa: S102 - the listing that was made here
        return {name: names[name] for name in self._results}


def program(loss_fn: Callable[[Any, Any], Any], model: Any, x: Any, y: Any) -> Program:
    """The forward and the backward pass of ``loss_fn(model(x), y)`` as a program of ops.

    The model runs once, as in a step of training; no ``.grad`` is changed. If every parameter is a
    weight matrix or the bias of the matrix before it, they are called W1, b1, W2, b2, ..., and
    what is computed from them Z1, A1, Z2, ..., as on paper. Otherwise a parameter is called after
    its place in the model, as in ``blocks_1_norm_weight``, and a result after its op. The
    derivative of the loss with respect to a term is that term's name with a d in front.

    Only ops are recorded. An array that NumPy computed elsewhere, such as one-hot rows, is a
    constant of the program, and a branch that was not taken is not in it.

    Parameters
    ----------
    loss_fn : callable
        From the model's output and `y` to a single number.
    model : callable
        Has ``named_parameters()``, like every `nn.Module`.
    x, y : array_like or Tensor
        One batch. They are called X and y.

    Raises
    ------
    ValueError
        If the loss is not a single number, or depends on no parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist import nn, program
    >>> model = nn.Linear(3, 2, dtype=np.float64)
    >>> print(program(nn.MSELoss(), model, np.ones((4, 3)), np.zeros((4, 2))))
    # X (4, 3), y (4, 2), W1 (3, 2), b1 (2,)
    from numpy import ones_like
    from tinygrad_mnist.autodiff.ops import broadcast_to, linear, mean, squared_error
    <BLANKLINE>
    # forward
    Z1 = linear(X, W1, b1)                                   # (4, 2)
    loss = mean(squared_error(Z1, y))                        # ()
    <BLANKLINE>
    # backward
    dloss = ones_like(loss)                                  # ()
    dZ1 = 2 * broadcast_to(dloss / 8, shape=(4, 2)) * (Z1 - y)  # (4, 2)
    dW1 = X.mT @ dZ1                                         # (3, 2)
    db1 = dZ1.sum(axis=0)                                    # (2,)
    """
    named = {p: name for name, p in model.named_parameters()}
    X, y = (v if isinstance(v, Variable) else as_array(v) for v in (x, y))
    given = {"X": as_array(X), "y": as_array(y)}
    if given["X"].dtype.kind == "f":  # only what requires grad is recorded, so the input has to
        X = Tensor(given["X"], requires_grad=True)
    with everything():
        loss: Any = loss_fn(model(X), y)
        if not isinstance(loss, Tensor) or loss.op is None or loss._data.size != 1:
            raise ValueError(
                "The backward pass starts from a loss that is one number and depends on the "
                f"parameters, but loss_fn returned {loss!r:.80}."
            )
        reached = leading_to({p for p in named if p._requires_grad}, [loss])
        wanted = [t for t in sorted(reached, key=attrgetter("age")) if t._data.dtype.kind == "f"]
        start = Tensor(np.ones_like(loss._data), requires_grad=True)
        found = grad(loss, wanted, start, create_graph=True, allow_unused=True)
    return _Listing(loss, dict(zip(wanted, found, strict=True)), given).program(named)


def recorded(*results: Any) -> list[Any]:
    """Every recorded tensor that the results were computed from, in the order of recording."""
    found: set[Any] = set()
    stack = list(results)
    while stack:
        t = stack.pop()
        if isinstance(t, Variable) and t.op is not None and t not in found:
            found.add(t)
            stack.extend(t.inputs or ())
    return sorted(found, key=attrgetter("age"))


# ---------------------------------------------------------------- names


def on_paper(named: dict[Any, str], steps: list[Any]) -> dict[Any, str] | None:
    """W1, b1, ... and Z1, A1, ...; None if the parameters are not matrices and their biases."""
    names: dict[Any, str] = {}
    last: dict[Any, int] = {}  # the parameter that completes a layer's Z -> number of the layer
    layer, width = 0, None
    for p in named:
        if p._data.ndim == 2:
            layer, width = layer + 1, p._data.shape[1]
            names[p] = f"W{layer}"
        elif p._data.shape == (width,):
            last = {q: k for q, k in last.items() if k != layer}
            names[p], width = f"b{layer}", None
        else:
            return None
        last[p] = layer
    for t in steps:
        first, products = t.inputs[0], (ops.linear, ops.matrix_product)
        used = [x for x in t.inputs if isinstance(x, Variable) and x in last]
        if used and t.op in ((*products, ops.add) if used[0]._data.ndim == 1 else products):
            names[t] = f"Z{last.pop(used[0])}"
        elif len(t.inputs) == 1 and first in names and t.shape == first.shape:
            after = names[first].replace("Z", "A")
            names |= {} if after in names.values() else {t: after}
    return names


def identifier(name: str) -> str:
    """A dotted name as a name in Python: ``blocks.1.weight`` is blocks_1_weight."""
    text = re.sub(r"\W", "_", name)
    return f"layer_{text}" if not text.isidentifier() or keyword.iskeyword(text) else text


def derivative(name: str) -> str:
    """The name of the derivative of the loss with respect to a term."""
    return f"d{name}" if re.fullmatch(r"loss|[A-Z]|[A-Za-z]\d+", name) else f"d_{name}"


# ---------------------------------------------------------------- the listing


class _Listing:
    """The lines of a program, made one op after the other."""

    def __init__(self, loss: Any, gradients: dict[Any, Any], given: dict[str, Any]) -> None:
        self.loss, self.gradients, self.given = loss, gradients, given
        self.steps = recorded(loss, *gradients.values())
        self.names = {loss: "loss"}
        self.written: dict[Any, str] = {}  # tensor -> its name, or its expression
        self.leaves = {id(array): name for name, array in given.items()}
        self.imports = {"ones_like": "numpy"}
        self.taken = {"constant", "ones_like", *given, "loss", "dloss"}
        self.taken |= {t.op.name for t in self.steps}
        self.lines: list[str] = []
        self.results: list[str] = []

    def program(self, named: dict[Any, str]) -> Program:
        """The whole listing, with the arrays it starts from."""
        forward = [t for t in self.steps if t.age <= self.loss.age]
        called = on_paper(named, forward) or {p: identifier(name) for p, name in named.items()}
        self.names = {t: self.new(name) for t, name in called.items()} | self.names
        for p in named:
            self.leaves[id(p._data)] = name = self.names[p]
            self.given |= {name: p._data} if p in self.gradients else {}
            self.name_derivative(p)
        self.lines.append("\n# forward")
        self.write(forward)
        self.lines.append("\n# backward")
        start = self.gradients[self.loss]
        self.written[start] = "dloss"
        self.line("dloss", "ones_like(loss)", start)
        self.write(self.steps[len(forward) :])
        for p in named:  # a cotangent that several terms share has the name of one of them
            g, name = self.gradients.get(p), derivative(self.names[p])
            if g is not None and name not in self.results:
                self.line(name, tidy(self.operand(g, g._data)), g)
        return Program("\n".join([*self.head(), *self.lines]), self.given, tuple(self.results))

    def write(self, steps: Iterable[Any]) -> None:
        """A line for each step that has a name, is used again, or would make another too long."""
        uses = Counter(x for t in self.steps for x in t.inputs if isinstance(x, Variable))
        for t in steps:
            text = tidy(self.expression(t))
            if t in self.names or uses[t] > 1 or len(text) > WIDEST:
                name = self.names.get(t) or self.new(t.op.name)
                self.names[t] = self.written[t] = name
                self.line(name, text, t)
                self.name_derivative(t)
            else:
                self.written[t] = text

    def line(self, name: str, text: str, t: Any) -> None:
        """Add a line, with the shape of its result."""
        self.lines.append(f"{f'{name} = {text}':{MARGIN}}  # {t.shape}")
        self.results.append(name)

    def name_derivative(self, t: Any) -> None:
        """Give a cotangent the name of its term; if it is shared, that of the youngest."""
        g = self.gradients.get(t)
        if g is not None and g.op is not None and g.age > self.loss.age:
            self.names[g] = derivative(self.names[t])

    def head(self) -> list[str]:
        """What the listing starts from: arrays with their shapes, and imports."""
        shapes = ", ".join(
            f"{name}, an op" if isinstance(a, Op) else f"{name} {np.shape(a)}"
            for name, a in self.given.items()
        )
        lines = textwrap.wrap(shapes, 78, initial_indent="# ", subsequent_indent="# ")
        for module in sorted(set(self.imports.values())):
            found = ", ".join(sorted(op for op in self.imports if self.imports[op] == module))
            text = f"from {module} import {found}"
            if len(text) > 88:
                inside = textwrap.wrap(found, 84, initial_indent="    ", subsequent_indent="    ")
                text = "\n".join([f"from {module} import (", *inside, ")"])
            lines.append(text)
        return lines

    def new(self, name: str) -> str:
        """The name, or if it is taken, the name with the next number."""
        names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1)))
        found = next(one for one in names if one not in self.taken)
        self.taken.add(found)
        return found

    # ------------------------------------------------------------ expressions

    def expression(self, t: Any) -> str:
        """The op of a tensor, applied to its inputs, in Python."""
        op, params = t.op, t.params
        operands = list(map(self.operand, t.inputs, t.arrays))
        first = operands[0]
        if op in INFIX:
            return f"{first} {INFIX[op]} {operands[1]}"
        if op in PREFIX:
            return f"{PREFIX[op]}{first}"
        match op:
            case ops.index:
                return f"{first}[{self.subscript(params['key'])}]"
            case ops.transpose:
                return f"{first}{transposed(params['axes'])}"
            case ops.reshape if first.endswith(f"{KEPT}))") and self.only_drops(t):
                return first.replace(KEPT, "")
            case ops.reshape:
                return f"{first}.reshape({', '.join(map(str, params['shape'])) or '()'})"
            case graph.cast:
                return f"{first}.astype('{np.dtype(params['dtype'])}')"
        told = [f"{key}={self.literal(value)}" for key, value in changed(op, params).items()]
        if op in METHODS:
            return f"{first}.{METHODS[op]}({', '.join(told)})"
        return f"{self.function(op)}({', '.join([*operands, *told])})"

    def only_drops(self, t: Any) -> bool:
        """Whether a reshape drops the axes of length 1 that a sum has left, and does no more."""
        s = t.inputs[0]
        summed: bool = s.op is ops.sum and t.shape == s.arrays[0].sum(axis=s.params["axis"]).shape
        return summed

    def operand(self, x: Any, value: Any) -> str:
        """An input of an op: a name, a number, or an expression in brackets."""
        text = self.written.get(x) if isinstance(x, Variable) else None
        return f"({text or self.literal(value)})"

    def literal(self, value: Any) -> str:
        """A number or a parameter of an op; an array has a name."""
        if id(value) in self.leaves:
            return self.leaves[id(value)]
        if isinstance(value, tuple | list):
            inside = "".join(f"{self.literal(one)}, " for one in value)
            return f"[{inside}]" if isinstance(value, list) else f"({inside})"
        finite = not isinstance(value, float) or math.isfinite(value)
        if value is None or (isinstance(value, PLAIN) and finite):
            return repr(value)
        self.leaves[id(value)] = name = self.new("constant")
        self.given[name] = value
        return name

    def subscript(self, key: Any) -> str:
        """What is between the brackets of an index."""
        if isinstance(key, tuple) and key:
            return ", ".join(map(self.subscript, key))
        if isinstance(key, slice):
            ends = ["" if end is None else str(end) for end in (key.start, key.stop, key.step)]
            return ":".join(ends if key.step is not None else ends[:2])
        return self.literal(key)

    def function(self, op: Op) -> str:
        """The name of an op, which is imported, or given if no module has it."""
        for module in (ops.__name__, getattr(op.forward, "__module__", "")):
            if module != "__main__" and getattr(sys.modules.get(module), op.name, None) is op:
                self.imports[op.name] = module
                return op.name
        if id(op) not in self.leaves:
            self.leaves[id(op)] = name = self.new(identifier(op.name))
            self.given[name] = op
        return self.leaves[id(op)]


def tidy(text: str) -> str:
    """An expression without needless brackets."""
    return ast.unparse(ast.parse(text))


def transposed(axes: tuple[int, ...]) -> str:
    """A permutation of axes as an attribute or a method."""
    last_two = len(axes) > 1 and axes == (*range(len(axes) - 2), len(axes) - 1, len(axes) - 2)
    return ".mT" if last_two else f".transpose{axes}"


def changed(op: Op, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters that differ from the op's defaults."""
    ufunc = isinstance(op.forward, np.ufunc)  # some have no signature
    defaults = {
        name: parameter.default
        for name, parameter in ({} if ufunc else inspect.signature(op.forward).parameters).items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    told = {key: value for key, value in params.items() if defaults.get(key, op) is not value}
    axis = told.get("axis")
    return told | {"axis": axis[0]} if isinstance(axis, tuple) and len(axis) == 1 else told
