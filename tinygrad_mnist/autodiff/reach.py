"""What a step can reach besides its arguments, and so what it may depend on or change."""

from __future__ import annotations

import dis
import json
import operator
import sys
import types
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff.variable import Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tinygrad_mnist.autodiff.variable import Array

LARGEST = 1 << 20
"""Bytes of an array that is still looked at; a larger one is likely to be data."""
STATELESS = ("numpy", "tinygrad_mnist")
"""Packages whose functions keep nothing in global variables."""
PLAIN = (bool, int, float, str, bytes, type(None))
data_of = operator.attrgetter("_data")
wants_grad = operator.attrgetter("_requires_grad")
contents_of = operator.attrgetter("cell_contents")


class Reach:
    """Everything that leads from a step: attributes, elements, variables, tensors, generators.

    Parameters
    ----------
    step : callable
        The function or method. Its variables are followed to objects, their attributes and
        `forward` methods, to lists and dicts, and to the functions that these call.
    """

    def __init__(self, step: Callable[..., Any]) -> None:
        self.scopes: list[Any] = []  # the values of dicts and lists, as they are at any time
        self.cells: list[Any] = []
        self.globals: list[tuple[dict[str, Any], str]] = []
        self.tensors: list[Any] = []
        self.arrays: list[Array] = []
        self.generators: list[np.random.Generator] = []
        waiting: list[Any] = [step]
        found: dict[int, Any] = {}
        while waiting:
            if id(x := waiting.pop()) not in found:
                found[id(x)] = x
                waiting.extend(self._inside(x))

    def _inside(self, x: Any) -> Iterable[Any]:
        """Note an object, and return those that it leads to."""
        if isinstance(x, Variable):
            self.tensors.append(x)
        elif isinstance(x, np.ndarray) and x.nbytes <= LARGEST:
            self.arrays.append(x)
        elif isinstance(x, np.random.Generator):
            self.generators.append(x)
        elif isinstance(x, types.FunctionType):
            return self._variables(x)
        elif isinstance(x, (dict, list)):
            self.scopes.append(x if isinstance(x, list) else x.values())
            return self.scopes[-1]
        elif isinstance(x, tuple):
            return x
        elif isinstance(x, types.MethodType):
            return x.__self__, x.__func__
        elif isinstance(x, partial):
            return x.func, *x.args, x.keywords
        elif hasattr(x, "__dict__") and not isinstance(x, (type, types.ModuleType)):
            return vars(x), *map(vars(type(x)).get, ("forward", "__call__"))
        return ()

    def _variables(self, function: types.FunctionType) -> Iterable[Any]:
        """The variables of a function that belong to a function around it, or are global."""
        cells, scope, names = list(function.__closure__ or ()), function.__globals__, []
        if not stateless(function):
            steps = dis.get_instructions(function)
            names = [step.argval for step in steps if step.opname == "LOAD_GLOBAL"]
        self.cells += cells
        self.globals += [(scope, name) for name in names]
        return [*map(contents_of, cells), *map(scope.get, names)]

    def now(self) -> list[Any]:
        """All objects; if one is another, or a number has changed, it may be another step."""
        return [
            *chain.from_iterable(self.scopes),
            *map(contents_of, self.cells),
            *[scope.get(name) for scope, name in self.globals],
            *map(wants_grad, self.tensors),
        ]

    def state(self) -> list[bytes]:
        """The values of all arrays and the states of all generators."""
        numbers = [rng.bit_generator.state for rng in self.generators]
        states = [json.dumps(state, default=np.ndarray.tolist).encode() for state in numbers]
        arrays = [*map(data_of, self.tensors), *self.arrays]
        return [*(array.tobytes() for array in arrays), *states]


def stateless(function: types.FunctionType) -> bool:
    """Whether a function is of a module of `STATELESS`, and not of somebody's program."""
    module = sys.modules.get(function.__module__ or "")
    of_it = module is not None and vars(module) is function.__globals__
    return of_it and function.__module__.partition(".")[0] in STATELESS


def same(before: list[Any], now: list[Any]) -> bool:
    """Whether objects are the same, and numbers and words equal."""
    if len(before) != len(now):
        return False
    return all(map(operator.is_, before, now)) or all(
        a is b or (type(a) is type(b) and type(a) in PLAIN and a == b)
        for a, b in zip(before, now, strict=True)
    )
