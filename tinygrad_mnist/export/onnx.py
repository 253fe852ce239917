"""A model as an ONNX graph, which runs in a browser, on a phone, and in other languages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist import nn
from tinygrad_mnist.autodiff import no_grad
from tinygrad_mnist.export.layers import ExportError, forward_of, layers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

IR_VERSION, OPSET = 8, 17
"""Old enough for every runtime in use, unlike the default of `onnx`."""

# Layer -> operator, and for each attribute of the operator the attribute of the layer it equals.
COUNTERPARTS: dict[type[nn.Module], tuple[str, dict[str, str]]] = {
    nn.Linear: ("Gemm", {}),
    nn.ReLU: ("Relu", {}),
    nn.LeakyReLU: ("LeakyRelu", {"alpha": "negative_slope"}),
    nn.Sigmoid: ("Sigmoid", {}),
    nn.Tanh: ("Tanh", {}),
    nn.Softmax: ("Softmax", {"axis": "dim"}),
    nn.LogSoftmax: ("LogSoftmax", {"axis": "dim"}),
    nn.Flatten: ("Flatten", {}),
    nn.Identity: ("Identity", {}),
    nn.Dropout: ("Identity", {}),
}


def write_onnx(
    model: nn.Module,
    file: BinaryIO,
    shape: Sequence[int] | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    r"""Write the computation of a model in evaluation mode, in float32, to an open binary file.

    The graph takes ``input``, (batch, \*shape), and gives ``output``; both are float32, and batch
    is free. It computes what `model` returns: logits, if the model leaves the softmax to its loss.

    Parameters
    ----------
    model : nn.Module
        A layer of `COUNTERPARTS`, or a Sequential (nested ones too).
    file : binary file
        Open for writing; nothing is written unless ONNX's own checker accepts the graph.
    shape : sequence of int, optional
        The shape of one example; by default (in_features,) of the first layer, if it is a Linear.
    about : mapping, optional
        Anything that JSON can express; becomes the graph's metadata ``tinygrad_mnist``. The
        entries under ``trained`` become metadata of their own too, so that other programs find
        ``shape``, the rows and columns of an image, and ``classes``, the class names, as JSON.

    Raises
    ------
    ExportError
        If a layer has no counterpart or does not fit the shape, or `onnx` is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ExportError(
            "ONNX export needs the package onnx: pip install 'tinygrad-mnist[onnx]'."
        ) from error
    chain = list(layers(model, COUNTERPARTS))
    example = np.zeros((2, *_shape(chain, shape)), np.float32)
    graph = _Graph(onnx)
    value, given = "input", example.shape
    for position, (path, layer) in enumerate(chain, start=1):
        out = "output" if position == len(chain) else f"{path}.output"
        graph.add(path, layer, example.ndim, value, out)
        value, example = out, _apply(path, layer, example)
    proto = graph.model(type(model).__name__, given, example.shape)
    if about is not None:
        told = {"tinygrad_mnist": dict(about)} | _image_and_classes(about)
        texts = {key: json.dumps(value, sort_keys=True) for key, value in told.items()}
        onnx.helper.set_model_props(proto, texts)
    onnx.checker.check_model(proto, full_check=True)
    file.write(proto.SerializeToString(deterministic=True))


def _image_and_classes(about: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `about` that a program needs to use the network: shape and class names."""
    trained = about.get("trained", {})
    return {key: trained[key] for key in ("shape", "classes") if key in trained}


def _shape(chain: list[tuple[str, nn.Module]], shape: Sequence[int] | None) -> Sequence[int]:
    if not chain:
        raise ExportError("The model is an empty Sequential: there is nothing to export.")
    if shape is not None:
        return shape
    first = chain[0][1]
    if not isinstance(first, nn.Linear):
        raise ExportError(
            f"The model starts with a {type(first).__name__}, which does not say what goes in. "
            "Pass shape=(28, 28), say."
        )
    return first.weight.shape[:1]


def _apply(path: str, layer: nn.Module, x: Any) -> Any:
    """The output of a layer in evaluation mode, for its shape, or an ExportError if it fails."""
    try:
        with no_grad():
            return x if isinstance(layer, nn.Dropout) else np.asarray(layer(x))
    except ValueError as error:
        raise ExportError(f"{type(layer).__name__} at {path!r}: {error}") from error


class _Graph:
    """Nodes and constants under construction; a parameter shared by layers is one constant."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: dict[nn.Parameter, Any] = {}

    def add(self, path: str, layer: nn.Module, ndim: int, value: str, out: str) -> None:
        """Add the nodes of a layer between two values, the first of which has `ndim` axes."""
        operator, own_names = next(
            entry for kind, entry in COUNTERPARTS.items() if kind.forward is forward_of(layer)
        )
        parameters = [
            self.constant(f"{path}.{name}" if path else name, p)
            for name, p in layer.named_parameters()
        ]
        if operator == "Gemm" and ndim != 2:  # Gemm accepts only matrices
            weight, *bias = parameters
            product = f"{out}.product" if bias else out
            self.node("MatMul", [value, weight], product)
            if bias:
                self.node("Add", [product, *bias], out)
        else:
            attributes = {name: getattr(layer, own) for name, own in own_names.items()}
            self.node(operator, [value, *parameters], out, **attributes)

    def node(self, operator: str, inputs: list[str], out: str, **attributes: Any) -> None:
        """Add a node, named after its output."""
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [out], out, **attributes))

    def constant(self, name: str, parameter: nn.Parameter) -> str:
        """The name of a parameter's values in the graph: that of its first use."""
        if parameter not in self.constants:
            values = np.asarray(parameter.data, np.float32, order="C")
            self.constants[parameter] = self.onnx.numpy_helper.from_array(values, name)
        return str(self.constants[parameter].name)

    def model(self, name: str, given: Sequence[int], found: Sequence[int]) -> Any:
        """The graph as a model, from ``input`` to ``output`` of these shapes, for any batch."""
        helper, number = self.onnx.helper, self.onnx.TensorProto.FLOAT
        inputs, outputs = (
            [helper.make_tensor_value_info(value, number, ["batch", *shape[1:]])]
            for value, shape in (("input", given), ("output", found))
        )
        constants = list(self.constants.values())
        graph = helper.make_graph(self.nodes, name, inputs, outputs, constants)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            graph, ir_version=IR_VERSION, opset_imports=opset, producer_name="tinygrad_mnist"
        )
