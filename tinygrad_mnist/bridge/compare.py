"""The comparison of the hand derivation with the tape, term by term: no other file knows both."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist import autodiff, byhand, nn
from tinygrad_mnist.bridge import diagnosis
from tinygrad_mnist.bridge.mistakes import Right
from tinygrad_mnist.byhand.mlp import ACTIVATIONS, one_hot, sigmoid_slope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]
    Terms = dict[str, Array]


TINY = float(np.finfo(np.float64).tiny)


class Row(NamedTuple):
    """One term in both derivations: its name, its shape, and how far apart they are."""

    name: str
    shape: tuple[int, ...]
    error: float


def row_of(name: str, ours: Array, theirs: Array, scale: float) -> Row:
    """Compare one term in both derivations; the error is relative to `scale`, see `magnitudes`."""
    same_shape = ours.shape == theirs.shape
    difference = np.abs(ours - theirs).max(initial=0.0) if same_shape else np.inf
    return Row(name, ours.shape, float(difference) / max(scale, TINY))


class Comparison(NamedTuple):
    """The two derivations side by side, and the likely mistake if a gradient differs."""

    rows: list[Row]  # all terms in the order of computation
    tolerance: float  # the largest error that counts as agreement
    diagnosis: str | None = None
    mistakes: tuple[str, ...] = ()  # the names of those in the diagnosis, see `known_mistakes`

    @property
    def first_divergence(self) -> Row | None:
        """The first term on which the derivations disagree, or None."""
        return next((row for row in self.rows if not row.error <= self.tolerance), None)

    @property
    def verdict(self) -> str:
        """One line: that all terms agree, or the first divergence and its diagnosis."""
        bad = self.first_divergence
        if bad is None:
            return f"all {len(self.rows)} terms agree to {self.tolerance:.0e}"
        why = f": {self.diagnosis}" if self.diagnosis else ""
        return f"first divergence: {bad.name} (error {bad.error:.1e}){why}"

    def __str__(self) -> str:
        lines = [f"{'term':<6}{'shape':>14}{'max error':>14}"]
        for r in self.rows:
            mark = "" if r.error <= self.tolerance else "  differs"
            lines.append(f"{r.name:<6}{r.shape!s:>14}{r.error:>14.1e}{mark}")
        return "\n".join([*lines, self.verdict])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(r.name)}</td><td>{r.shape}</td><td>{r.error:.1e}</td></tr>"
            for r in self.rows
        )
        head = "<tr><th>term</th><th>shape</th><th>max error</th></tr>"
        return f"<table>{head}{rows}</table><p>{html.escape(self.verdict)}</p>"


def to_module(paper: byhand.MLP) -> nn.MLP:
    """The same network built from modules, with copies of the same weights."""
    shapes = [paper.params[f"W{layer}"].shape for layer in range(1, paper.depth + 1)]
    sizes = [shapes[0][0], *(n for _, n in shapes)]
    output = "softmax" if paper.loss_name == "cross_entropy" else "sigmoid"
    model = nn.MLP(sizes, paper.activation, output, dtype=paper.params["W1"].dtype)
    layers = [module for module in model if isinstance(module, nn.Linear)]
    for layer, module in enumerate(layers, start=1):
        for name, p in zip("Wb", module.parameters(), strict=True):
            p.data = paper.params[f"{name}{layer}"].copy()
    return model


def to_paper(
    model: nn.MLP, activation: str, l2: float = 0.0, *, dtype: DTypeLike | None = None
) -> byhand.MLP:
    """The network on paper, with copies of a model's weights, converted to `dtype` if given."""
    layers = [module for module in model if isinstance(module, nn.Linear)]
    sizes = [layers[0].weight.shape[0], *(m.weight.shape[1] for m in layers)]
    loss = "cross_entropy" if model.output == "softmax" else "mse"
    paper = byhand.MLP(sizes, activation, loss, l2)
    for layer, module in enumerate(layers, start=1):
        for name, p in zip("Wb", module.parameters(), strict=True):
            paper.params[f"{name}{layer}"] = np.array(p.data, dtype=dtype)
    return paper


def tape_terms(paper: byhand.MLP, X: Array, labels: Array) -> Terms:
    """Every named term and gradient of `paper`, computed by the tape."""
    model = to_module(paper)
    layers = [module for module in model if isinstance(module, nn.Linear)]
    places: dict[str, Any] = {}
    for i, m in enumerate(layers, 1):
        places |= {f"W{i}": m.weight, f"b{i}": m.bias}
    A: Any = autodiff.Tensor(X)
    layer = 0
    for module in model:
        A = module(A)
        linear = isinstance(module, nn.Linear)
        layer += linear
        places[f"{'Z' if linear else 'A'}{layer}"] = A
    if paper.loss_name == "cross_entropy":
        loss, output = nn.CrossEntropyLoss()(A, labels), autodiff.ops.softmax(A)
    else:
        loss, output = nn.MSELoss()(A, one_hot(labels, A.data)), A
    loss = loss + sum((m.weight * m.weight).sum() for m in layers) * (paper.l2 / 2)
    gradients = zip(places, autodiff.grad(loss, list(places.values())), strict=True)
    values = places | {"A0": autodiff.Tensor(X), f"A{layer}": output, "loss": loss}
    values |= {f"d{name}": g for name, g in gradients}
    return {name: value.data for name, value in values.items()}


def magnitudes(paper: byhand.MLP, t: Terms, d: Terms, labels: Array) -> dict[str, float]:
    """For each term, the largest sum of absolute values that is added up for one of its elements.

    Errors are measured relative to this. A term may be tiny because large numbers cancelled, and
    rounding then decides its digits: relative to the term itself, the error could be large.
    """
    L, slope = paper.depth, ACTIVATIONS[paper.activation][1]
    softmax = paper.loss_name == "cross_entropy"
    B, C = t[f"A{L}"].shape
    size = {name: np.abs(value) for name, value in (paper.params | t).items()}
    for layer in range(1, L + 1):
        size[f"Z{layer}"] = size[f"A{layer - 1}"] @ size[f"W{layer}"] + size[f"b{layer}"]
    error = size[f"A{L}"] + one_hot(labels, size[f"A{L}"])
    least = 1.0 if softmax else (error**2).mean()  # 1: e^0 is in the sum under the logarithm
    size["loss"] = np.abs(paper.loss(t, labels)) + least
    size[f"dA{L}"] = 2 * error / (B * C)
    size[f"dZ{L}"] = error / B if softmax else size[f"dA{L}"] * sigmoid_slope(t[f"Z{L}"])
    for layer in range(L, 0, -1):
        dZ, W = size[f"dZ{layer}"], size[f"W{layer}"]
        size[f"dW{layer}"] = size[f"A{layer - 1}"].T @ dZ + paper.l2 * W
        size[f"db{layer}"] = dZ.sum(axis=0)
        if layer > 1:
            size[f"dA{layer - 1}"] = dZ @ W.T
            size[f"dZ{layer - 1}"] = size[f"dA{layer - 1}"] * slope(t[f"Z{layer - 1}"])
    return {name: float(size[name].max()) for name in [*t, "loss", *d]}


def right_of(paper: byhand.MLP, terms: Terms, labels: Array) -> Right:
    """Everything right about a network and a batch: what a diagnosis compares mistakes with.

    Parameters
    ----------
    paper : byhand.MLP
        The network.
    terms : dict of str to ndarray
        Every term and gradient, from `tape_terms`.
    labels : ndarray of int, (B,)
        Class numbers.

    Returns
    -------
    mistakes.Right
        The terms, the slopes of all layers, the targets as one-hot rows, and what the loss is.
    """
    L, known = paper.depth, dict(terms)
    softmax = paper.loss_name == "cross_entropy"
    for layer in range(1, L + 1):
        A, Z = terms[f"A{layer}"], terms[f"Z{layer}"]
        slope = ACTIVATIONS[paper.activation][1] if layer < L else sigmoid_slope
        known[f"slope{layer}"] = A * (1 - A) if layer == L and softmax else slope(Z)
        known[f"slope_at_A{layer}"] = slope(A)
        known |= {f"{name}_slope{layer}": f_slope(Z) for name, (_, f_slope) in ACTIVATIONS.items()}
    targets = one_hot(labels, terms[f"A{L}"])
    return Right(known, targets, L, paper.loss_name, paper.l2)


@np.errstate(all="ignore")
def diagnose(right: Right, name: str, value: Array, rounding: float) -> diagnosis.Diagnosis:
    """The diagnosis, which finds out besides whether a gradient was rounded to float32."""
    found = diagnosis.diagnose(right, name, value, rounding)
    expected = right.terms[name]
    if found.names or value.dtype != np.float32:
        return found
    if not np.allclose(value, expected, rtol=0, atol=1e-5 * np.abs(expected).max()):
        return found
    text = "it is rounded to float32. Compare in float64, or with a larger tolerance."
    return diagnosis.Diagnosis(text, ("float32",))


def compare(
    paper: byhand.MLP,
    X: Array,
    labels: Array,
    *,
    gradients: Mapping[str, Array] | None = None,
    tolerance: float = 1e-10,
) -> Comparison:
    """Run the hand derivation and the tape on one batch and compare every term and gradient.

    Parameters
    ----------
    paper : byhand.MLP
        The network, in float64 for the default tolerance.
    X : ndarray, (B, in)
        The batch, one example per row.
    labels : ndarray of int, (B,)
        Class numbers.
    gradients : mapping of str to ndarray, optional
        Your own dZ2, dW2, ..., all or some of them, which are compared instead of those from
        ``paper.backward``.
    tolerance : float
        Largest error that counts as agreement: max |a - b|, divided by the largest sum of absolute
        values added up for an element of that array.

    Returns
    -------
    Comparison
        One row per term, in the order of computation, and a diagnosis if the first divergence is
        a gradient. A mistake spreads to everything computed from it, so later divergences say
        little.

    Raises
    ------
    ValueError
        If `gradients` has a name that is not one of this network's gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist import bridge, byhand
    >>> paper = byhand.MLP((3, 5, 4), dtype=np.float64, rng=np.random.default_rng(0))
    >>> X, labels = np.eye(3), np.array([0, 3, 1])
    >>> mine = paper.backward(paper.forward(X), labels)
    >>> mine["dW2"] = mine["dW2"] * 3
    >>> bridge.compare(paper, X, labels, gradients=mine).diagnosis
    'it is 3 times too large: a factor B, the batch size. Was 1/B forgotten?'
    """
    t = paper.forward(X)
    d = paper.backward(t, labels)
    if gradients is not None:
        strange = [name for name in gradients if name not in d]
        if strange:
            raise ValueError(
                f"There is no gradient {', '.join(map(str, strange))}. "
                f"Those of this network are {', '.join(d)}."
            )
        d = {name: np.asarray(gradients[name]) for name in d if name in gradients}
    ours: dict[str, Any] = t | {"loss": np.asarray(paper.loss(t, labels))} | d
    theirs = tape_terms(paper, X, labels)
    scale = magnitudes(paper, t, d, labels)
    rows = [row_of(name, value, theirs[name], scale[name]) for name, value in ours.items()]
    comparison = Comparison(rows, tolerance)
    bad = comparison.first_divergence
    if bad is None or bad.name not in d:
        return comparison
    rounding = 0.01 * tolerance * scale[bad.name]
    found = diagnose(right_of(paper, theirs, labels), bad.name, d[bad.name], rounding)
    return comparison._replace(diagnosis=found.text, mistakes=found.names)
