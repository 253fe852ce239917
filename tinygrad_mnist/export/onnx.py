"""A model as an ONNX graph, which runs in a browser, on a phone, and in other languages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist import nn
from tinygrad_mnist.export.graph import SIZES, Graph
from tinygrad_mnist.export.layers import ExportError
from tinygrad_mnist.export.recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from numpy.typing import NDArray

TRIED = 5
"""Rows of the batch on which the graph and the model are compared."""


def write_onnx(
    model: nn.Module,
    file: BinaryIO,
    shape: Sequence[int] | None = None,
    about: Mapping[str, Any] | None = None,
    *,
    softmax: bool = False,
) -> None:
    r"""Write the computation of a model in evaluation mode, in float32, to an open binary file.

    The graph takes ``input``, (batch, \*shape), and gives ``output``; both are float32, and batch
    is free. It computes what `model` returns: logits, if the model leaves the softmax to its loss.
    Before anything is written, ONNX's own checker and its reference implementation have to accept
    the graph: run on a third batch, it has to give what the model gives.

    Parameters
    ----------
    model : nn.Module
        Any model that computes its output by ops with a counterpart in ONNX. You declare that of
        an op of your own with ``my_op.onnx(...)``.
    file : binary file
        Open for writing; nothing is written if an error is raised.
    shape : sequence of int, optional
        The shape of one example; by default (in_features,) of the first layer, if it is a Linear.
    about : mapping, optional
        Anything that JSON can express; becomes the graph's metadata ``tinygrad_mnist``. What a
        program needs to use the network becomes metadata of its own too, each as JSON: ``shape``,
        the rows and columns of an image, and ``classes``, the class names, which are entries under
        ``trained``; ``input_range``, the values of a black and of a white pixel; and ``output``,
        "logits" or "probabilities".
    softmax : bool
        Give probabilities, as `nn.Classifier` does, in place of logits.

    Raises
    ------
    ExportError
        If an op has no counterpart, if the model computes something else for another batch or
        does not take the shape, or if `onnx` is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ExportError(
            "ONNX export needs the package onnx: pip install 'tinygrad-mnist[onnx]'."
        ) from error
    shape = tuple(_shape(model) if shape is None else shape)
    graph = Graph(onnx, model, [Recorded(model, shape, rows) for rows in SIZES])
    gives = "probabilities" if getattr(model, "output", "softmax") != "softmax" else "logits"
    if added := softmax and gives == "logits":
        graph.result, gives = graph.operators.Softmax(graph.result, axis=-1), "probabilities"
    proto = graph.model(type(model).__name__, shape)
    if about is not None:
        told = {"tinygrad_mnist": dict(about), "output": gives} | _for_programs(about)
        texts = {key: json.dumps(value, sort_keys=True) for key, value in told.items()}
        onnx.helper.set_model_props(proto, texts)
    tried = Recorded(model, shape, TRIED)
    expected = nn.functional.softmax(tried.out, dim=-1) if added else tried.out
    _refuse_other_results(proto, tried.x.data, expected.data)
    file.write(proto.SerializeToString(deterministic=True))


def _for_programs(about: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `about` that a program needs to use the network."""
    known = {**about.get("trained", {}), **about}
    return {key: known[key] for key in ("shape", "classes", "input_range") if key in known}


def _shape(model: nn.Module) -> Sequence[int]:
    """The shape of an example, if the first layer tells it."""
    first = next((layer for layer in model.modules() if not list(layer.children())), model)
    if not isinstance(first, nn.Linear):
        raise ExportError(
            f"The model starts with a {type(first).__name__}, which does not say what goes in. "
            "Pass shape=(28, 28), say."
        )
    return first.weight.shape[:1]


def _refuse_other_results(proto: Any, x: NDArray[Any], expected: NDArray[Any]) -> None:
    """Refuse a graph that is not valid, or whose output is not that of the model."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"ONNX does not accept the graph: {error}") from error
    (found,) = ReferenceEvaluator(proto).run(None, {"input": x})
    size = np.abs(expected[np.isfinite(expected)]).max(initial=1)
    close = found.shape == expected.shape and np.allclose(
        found, expected, rtol=1e-3, atol=1e-4 * size, equal_nan=True
    )
    if not close:
        raise ExportError(
            "The graph computes something else than the model. Either a counterpart that you have "
            "declared is not that of its op, or the model decides by the number of rows, or by "
            "values, what it computes."
        )
