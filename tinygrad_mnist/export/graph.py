"""An ONNX graph under construction, from a model that was recorded with two batches.

Each op becomes what its counterpart says. A length that differs between the two recordings depends
on the batch, and is computed from the input in the graph; any other difference is refused.
"""

from __future__ import annotations

import inspect
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.autodiff import Tensor
from tinygrad_mnist.export.counterparts import NoCounterpartError
from tinygrad_mnist.export.layers import ExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tinygrad_mnist import nn
    from tinygrad_mnist.export.recorded import Recorded

IR_VERSION, OPSET = 8, 17
"""Old enough for every runtime in use, unlike the default of `onnx`."""
SIZES = (2, 3)
"""Rows of the batches that a model is recorded with."""
WAY_OUT = "Any network can be exported as safetensors."


class Value(NamedTuple):
    """What a counterpart knows of an input or of the result of its op.

    Attributes
    ----------
    name : str
        In the graph.
    dtype : dtype
        In the model. In the graph all floats are float32, and all integers int64.
    shapes : tuple
        In both recordings.
    """

    name: str
    dtype: np.dtype[Any]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shapes[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths, with -1 for one that depends on the batch."""
        return tuple(a if a == b else -1 for a, b in zip(*self.shapes, strict=True))


class Operators:
    """ONNX's operators as functions: ``onnx.Add(x, 1.0)`` adds a node and returns its name.

    Attributes
    ----------
    out : Value
        The result of the op whose counterpart is being built.
    """

    FLOAT, INT64, BOOL = 1, 7, 9
    out: Value

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __getattr__(self, operator: str) -> Callable[..., str]:
        if not operator[0].isupper():
            raise AttributeError(operator)
        return partial(self.node, operator)

    def node(self, operator: str, *inputs: Any, **attributes: Any) -> str:
        """Add a node; an input is a `Value`, the name of one, or a constant."""
        out = self.graph.new(f"{self.out.name}.{operator}")
        names = [self.graph.name_of(x) for x in inputs]
        self.graph.nodes.append(Node(operator, names, out, attributes))
        return out

    def cast(self, x: Value, dtype: Any) -> Any:
        """The same in another dtype, if it is one in the graph too."""
        kind = _kind(dtype)
        return x if _kind(x.dtype) == kind else self.Cast(x, to=KINDS[kind][0])

    def alike(self, *values: Value) -> tuple[Any, ...]:
        """The values in one dtype: that of the result, or to compare them, their common one."""
        dtype = self.out.dtype
        if dtype.kind == "b":
            dtype = np.result_type(*(v.dtype for v in values))
        return tuple(self.cast(v, dtype) for v in values)

    def lengths(self, value: Value) -> Any:
        """The shape of a value as a vector; lengths that depend on the batch are computed."""
        rows = self.Slice(self.Shape("input"), [0], [1]) if -1 in value.shape else ""
        parts: list[Any] = []
        for a, b in zip(*value.shapes, strict=True):
            slope = (b - a) // (SIZES[1] - SIZES[0])
            rest = [a - slope * SIZES[0]]
            parts.append(self.Add(self.Mul(rows, [slope]), rest) if slope else rest)
        return self.Concat(*parts, axis=0) if rows else list(value.shape)


class Node(NamedTuple):
    """A call of an operator; the node is called after its output."""

    operator: str
    inputs: list[str]
    out: str
    attributes: dict[str, Any]


KINDS: dict[str, tuple[int, type]] = {
    "f": (Operators.FLOAT, np.float32),
    "i": (Operators.INT64, np.int64),
    "b": (Operators.BOOL, np.bool),
}
"""Kind of numbers -> ONNX's number for it, and NumPy's type."""


def _kind(dtype: Any) -> str:
    return np.dtype(dtype).kind.replace("u", "i")


class Graph:
    """Nodes and constants under construction; a parameter used twice is one constant."""

    def __init__(self, onnx: Any, model: nn.Module, recordings: Sequence[Recorded]) -> None:
        self.onnx, self.operators = onnx, Operators(self)
        self.nodes: list[Node] = []
        self.constants: dict[Any, tuple[str, NDArray[Any]]] = {}
        self.names = {"input", "output"}
        self.known: dict[int, str] = {}
        for name, t in model.state_dict().items():
            self.known.setdefault(id(t.data), name)
        self.values: dict[Any, Any] = {recordings[0].x: "input"}
        first, second = recordings
        if [t.op for t in first.steps] != [t.op for t in second.steps]:
            raise ExportError(f"The model computes by other ops for another batch. {WAY_OUT}")
        for a, b in zip(first.steps, second.steps, strict=True):
            self.add(a, b, first, second)
        self.out = self.operators.out = self.value("output", first.out, second.out)
        self.result = self.values.get(first.out)
        if self.result is None:
            raise ExportError(f"The output is not computed from the input by ops. {WAY_OUT}")

    def add(self, a: Any, b: Any, first: Recorded, second: Recorded) -> None:
        """Add the counterpart of an op, recorded twice."""
        module, onnx = first.module(a), self.operators
        path = first.paths.get(module, "")
        where = f"layer {path!r}" if path else "the model itself"
        told = f"{a.op.name}, called by {type(module).__name__} ({where}),"
        name = f"{path}.{a.op.name}".removeprefix(".")
        if first.outputs.get(a):
            name = f"{first.outputs[a]}.output"
        onnx.out = self.value(self.new(name), a, b)
        inputs = []
        for x, y, v, w in zip(a.inputs, b.inputs, a.arrays, b.arrays, strict=True):
            computed = isinstance(x, Tensor) and x in self.values
            if computed and first.number[x] == second.number.get(y):
                inputs.append(self.value(self.values[x], x, y))
            elif not computed and _same(v, w):
                inputs.append(self.constant(v, a))
            else:
                raise self.depends(told)
        # Where the shape is the only parameter, the counterpart looks at the result's instead.
        if a.params.keys() != {"shape"} and not _same(a.params, b.params):
            raise self.depends(told)
        self.values[a] = self.named(self.built(told, a, inputs))

    def built(self, told: str, a: Any, inputs: list[Value]) -> Any:
        """The result of an op's counterpart."""
        try:
            if isinstance(a.op.counterpart, str):
                params = _defaults(a.op.forward) | a.params
                return self.operators.node(
                    a.op.counterpart, *self.operators.alike(*inputs), **params
                )
            if a.op.counterpart is not None:
                return a.op.counterpart(self.operators, *inputs, **a.params)
            raise NoCounterpartError
        except NoCounterpartError as error:
            of = f" for {error}" if str(error) else ""
            raise ExportError(
                f"{told} has no counterpart in ONNX{of}. If the op is yours, declare one beneath "
                f"its rules: {a.op.name}.onnx(...). {WAY_OUT}"
            ) from error

    def named(self, made: Any) -> str:
        """Give the node that was made last the name of the op's result, if it is the result."""
        found = self.name_of(made)
        if not self.nodes or self.nodes[-1].out != found or found in self.values.values():
            return found
        self.nodes[-1] = self.nodes[-1]._replace(out=self.operators.out.name)
        return self.operators.out.name

    def depends(self, told: str) -> ExportError:
        """The error for a value that is another one for another batch."""
        return ExportError(
            f"{told} was given a number or an array that depends on the batch, and no op computed "
            "it from the input: len(x) as a number, for example, or an array made for so many "
            f"rows. Write x.mean(axis=0), or np.zeros((1, n)), which broadcasts. {WAY_OUT}"
        )

    # ------------------------------------------------------------ names and constants

    def new(self, name: str) -> str:
        """The name, or if it is taken, the name with the next number."""
        names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2)))
        found = next(one for one in names if one not in self.names)
        self.names.add(found)
        return found

    def value(self, name: str, a: Any, b: Any) -> Value:
        """A value that was recorded twice."""
        return Value(name, a.dtype, (a.shape, b.shape))

    def constant(self, array: Any, t: Any) -> Value:
        """A value that is not computed from the input; a number is of its neighbours' kind."""
        dtype = np.asarray(array).dtype
        if not isinstance(array, np.ndarray):
            dtype = np.result_type(array, *(v for v in t.arrays if isinstance(v, np.ndarray)))
        values = np.asarray(array, dtype)
        return Value(self.name_of(values, self.known.get(id(array))), dtype, (values.shape,) * 2)

    def name_of(self, x: Any, name: str | None = None) -> str:
        """The name of a value; for anything else, of the constant that it becomes."""
        if isinstance(x, Value):
            return x.name
        if isinstance(x, str):
            return x
        array = np.asarray(x, np.int64 if isinstance(x, list) else None)
        array = np.asarray(array, KINDS[_kind(array.dtype)][1], order="C")
        key = name or (array.dtype, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = self.new(name or f"{self.operators.out.name}.constant"), array
        return self.constants[key][0]

    # ------------------------------------------------------------ ONNX's own form

    def in_onnx(self, node: Node) -> Any:
        """A node as ONNX has it; the result of the model is called ``output``."""
        *inputs, out = ("output" if x == self.result else x for x in (*node.inputs, node.out))
        return self.onnx.helper.make_node(node.operator, inputs, [out], out, **node.attributes)

    def model(self, name: str, shape: Sequence[int]) -> Any:
        """The graph as a model, from ``input`` to ``output``, for any batch."""
        helper = self.onnx.helper
        if self.result not in {node.out for node in self.nodes}:
            self.result = self.operators.Identity(self.result)
        nodes = list(map(self.in_onnx, self.nodes))
        inputs, outputs = (
            [helper.make_tensor_value_info(end, KINDS[_kind(dtype)][0], ["batch", *lengths])]
            for end, dtype, lengths in (
                ("input", np.float32, shape),
                ("output", self.out.dtype, [None if n < 0 else n for n in self.out.shape[1:]]),
            )
        )
        constants = [
            self.onnx.numpy_helper.from_array(values, name)
            for name, values in self.constants.values()
        ]
        graph = helper.make_graph(nodes, name, inputs, outputs, constants)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            graph, ir_version=IR_VERSION, opset_imports=opset, producer_name="tinygrad_mnist"
        )


def _same(a: Any, b: Any) -> bool:
    """Whether two inputs or parameters are equal."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return a is b or (np.shape(a) == np.shape(b) and bool(np.all(a == b)))
    return bool(a == b)


def _defaults(forward: Callable[..., Any]) -> dict[str, Any]:
    """The default values of an op's parameters."""
    if isinstance(forward, np.ufunc):
        return {}
    signature = inspect.signature(forward).parameters.values()
    return {p.name: p.default for p in signature if p.kind is p.KEYWORD_ONLY}
