"""The only place where both rooms meet: the hand derivation held against the tape, term by term."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist import autodiff, byhand, nn
from tinygrad_mnist.byhand.mlp import ACTIVATIONS, sigmoid_slope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]
    Terms = dict[str, Array]


TINY = np.finfo(np.float64).tiny


class Row(NamedTuple):
    """One term in both derivations: its name, its shape, and how far apart they are."""

    name: str
    shape: tuple[int, ...]
    error: float


class Comparison(NamedTuple):
    """All terms in the order of computation, and the largest error that counts as agreement."""

    rows: list[Row]
    tolerance: float

    @property
    def first_divergence(self) -> Row | None:
        """The first term on which the derivations disagree, or None."""
        return next((row for row in self.rows if not row.error <= self.tolerance), None)

    def __str__(self) -> str:
        lines = [f"{'term':<6}{'shape':>14}{'max error':>14}"]
        lines += [f"{r.name:<6}{r.shape!s:>14}{r.error:>14.1e}{'' if r.error <= self.tolerance else '  differs'}" for r in self.rows]
        bad = self.first_divergence
        verdict = (
            f"first divergence: {bad.name} (error {bad.error:.1e})" if bad else f"all {len(self.rows)} terms agree to {self.tolerance:.0e}"
        )
        return "\n".join([*lines, verdict])

    def _repr_html_(self) -> str:
        cells = "".join(f"<tr><td>{r.name}</td><td>{r.shape}</td><td>{r.error:.1e}</td></tr>" for r in self.rows)
        return f"<table><tr><th>term</th><th>shape</th><th>max error</th></tr>{cells}</table><p>{str(self).splitlines()[-1]}</p>"


def to_module(paper: byhand.MLP) -> nn.MLP:
    """The same network built from modules, with copies of the same weights."""
    shapes = [paper.params[f"W{layer}"].shape for layer in range(1, paper.depth + 1)]
    output = "softmax" if paper.loss_name == "cross_entropy" else "sigmoid"
    model = nn.MLP([shapes[0][0], *(n for _, n in shapes)], paper.activation, output, dtype=paper.params["W1"].dtype)
    layers = [module for module in model if isinstance(module, nn.Linear)]
    for layer, module in enumerate(layers, start=1):
        for name, p in zip("Wb", module.parameters(), strict=True):
            p.data = paper.params[f"{name}{layer}"].copy()
    return model


def to_paper(model: nn.MLP, activation: str, l2: float = 0.0, *, dtype: DTypeLike | None = None) -> byhand.MLP:
    """The network on paper, with copies of a model's weights, in another `dtype` if one is given."""
    layers = [module for module in model if isinstance(module, nn.Linear)]
    loss = "cross_entropy" if model.output == "softmax" else "mse"
    paper = byhand.MLP([layers[0].weight.shape[0], *(m.weight.shape[1] for m in layers)], activation, loss, l2)
    for layer, module in enumerate(layers, start=1):
        for name, p in zip("Wb", module.parameters(), strict=True):
            paper.params[f"{name}{layer}"] = np.array(p.data, dtype=dtype)
    return paper


def tape_terms(paper: byhand.MLP, X: Array, labels: Array) -> Terms:
    """Every named term and gradient of `paper`, computed by the tape instead."""
    model = to_module(paper)
    layers = [module for module in model if isinstance(module, nn.Linear)]
    places: dict[str, Any] = {f"{kind}{i}": p for i, m in enumerate(layers, 1) for kind, p in zip("Wb", m.parameters(), strict=True)}
    A: Any = autodiff.Tensor(X)
    layer = 0
    for module in model:
        A = module(A)
        layer += isinstance(module, nn.Linear)
        places[f"{'Z' if isinstance(module, nn.Linear) else 'A'}{layer}"] = A
    if paper.loss_name == "cross_entropy":
        loss, output = nn.CrossEntropyLoss()(A, labels), autodiff.ops.softmax(A)
    else:
        loss, output = nn.MSELoss()(A, np.eye(A.shape[1], dtype=A.dtype)[labels]), A
    loss = loss + sum((m.weight * m.weight).sum() for m in layers) * (paper.l2 / 2)
    gradients = zip(places, autodiff.grad(loss, list(places.values())), strict=True)
    values = places | {"A0": autodiff.Tensor(X), f"A{layer}": output, "loss": loss}
    return {name: value.data for name, value in values.items()} | {f"d{name}": g.data for name, g in gradients if g is not None}


def magnitudes(paper: byhand.MLP, t: Terms, d: Terms, labels: Array) -> dict[str, float]:
    """How large each term's ingredients are: the largest sum of absolute values that was added up for it.

    An error is measured against this. A term may be tiny because large ones cancelled, and then
    rounding decides its digits: relative to the term itself the two derivations could be far apart.
    """
    L, slope = paper.depth, ACTIVATIONS[paper.activation][1]
    B, C = t[f"A{L}"].shape
    size = {name: np.abs(value) for name, value in (paper.params | t).items()} | {"loss": np.abs(paper.loss(t, labels))}
    for layer in range(1, L + 1):
        size[f"Z{layer}"] = size[f"A{layer - 1}"] @ size[f"W{layer}"] + size[f"b{layer}"]
    error = size[f"A{L}"] + np.eye(C)[labels]
    size[f"dA{L}"] = 2 * error / (B * C)
    size[f"dZ{L}"] = error / B if paper.loss_name == "cross_entropy" else size[f"dA{L}"] * sigmoid_slope(t[f"Z{L}"])
    for layer in range(L, 0, -1):
        dZ, W = size[f"dZ{layer}"], size[f"W{layer}"]
        size[f"dW{layer}"] = size[f"A{layer - 1}"].T @ dZ + paper.l2 * W
        size[f"db{layer}"] = dZ.sum(axis=0)
        if layer > 1:
            size[f"dA{layer - 1}"] = dZ @ W.T
            size[f"dZ{layer - 1}"] = size[f"dA{layer - 1}"] * slope(t[f"Z{layer - 1}"])
    return {name: float(size[name].max()) for name in [*t, "loss", *d]}


def compare(
    paper: byhand.MLP, X: Array, labels: Array, *, gradients: Mapping[str, Array] | None = None, tolerance: float = 1e-10
) -> Comparison:
    """Run the hand derivation and the tape on one batch and compare every term and gradient.

    Parameters
    ----------
    paper : byhand.MLP
        The network, in float64 for the default tolerance.
    X : ndarray, (B, in)
        The batch, one example a row.
    labels : ndarray of int, (B,)
        Class numbers.
    gradients : mapping of str to ndarray, optional
        Your own dZ2, dW2, ... to be compared instead of those of ``paper.backward``.
    tolerance : float
        Largest error that counts as agreement: max |a - b| over the largest sum of absolute terms in that array.
    """
    t = paper.forward(X)
    d = dict(gradients) if gradients is not None else paper.backward(t, labels)
    ours: dict[str, Any] = t | {"loss": np.asarray(paper.loss(t, labels))} | d
    theirs = tape_terms(paper, X, labels)
    scale = magnitudes(paper, t, d, labels)
    rows = []
    for name, value in ours.items():
        same_shape = value.shape == theirs[name].shape
        difference = np.abs(value - theirs[name]).max(initial=0.0) if same_shape else np.inf
        rows.append(Row(name, value.shape, float(difference) / max(scale[name], TINY)))
    return Comparison(rows, tolerance)
