"""Compare the hand derivation with the tape, term by term. No other file knows both."""

from __future__ import annotations

import html
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist import autodiff, byhand, nn
from tinygrad_mnist.byhand.mlp import ACTIVATIONS, one_hot, sigmoid_slope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


class Right(NamedTuple):
    """The right terms around one gradient of layer l; NaN where there is no such term."""

    value: Array  # the gradient itself
    X: Array  # A of the layer before
    W: Array
    b: Array
    slope: Array  # f'(Z)
    slope_at_A: Array
    dA: Array
    dZ: Array
    dA_above: Array
    dZ_above: Array
    W_above: Array
    l2: float


NOTHING = np.full((1, 1), np.nan)  # equals nothing, not even itself

# Mistakes: the gradients in which each is made, its description, and the value that it gives.
MISTAKES: tuple[tuple[str, str, Callable[[Right], Array]], ...] = (
    ("dA dZ dW db", "it is 0 everywhere", lambda r: np.zeros_like(r.value)),
    ("dA dZ dW", "it is transposed", lambda r: r.value.T),
    ("dA", "W{above} was not transposed",
     lambda r: r.dZ_above @ r.W_above if len(set(r.W_above.shape)) == 1 else NOTHING),
    ("dA", "dA{above} was used in place of dZ{above}, without the slope f'(Z{above})",
     lambda r: r.dA_above @ r.W_above.T),
    ("dA", "the upstream gradient dZ{above} is missing",
     lambda r: np.ones_like(r.dZ_above) @ r.W_above.T),
    ("dZ", "it equals dA{l}: the slope f'(Z{l}), the activation's derivative, is missing",
     lambda r: r.dA),
    ("dZ", "the slope f' was taken at A{l} instead of Z{l}", lambda r: r.dA * r.slope_at_A),
    ("dZ", "the slope f'(Z{l}) was applied once too often", lambda r: r.dZ * r.slope),
    ("dZ", "the upstream gradient dA{l} is missing, it is the slope f'(Z{l}) alone",
     lambda r: r.slope),
    ("dW", "dA{l} was used in place of dZ{l}, without the slope f'(Z{l})",
     lambda r: r.X.T @ r.dA + r.l2 * r.W),
    ("dW", "the upstream gradient dZ{l} is missing",
     lambda r: r.X.T @ np.ones_like(r.dZ) + r.l2 * r.W),
    ("dW", "λW{l}, the derivative of the L2 penalty, is missing", lambda r: r.value - r.l2 * r.W),
    ("dW", "λW{l} was added twice, as for a penalty of λW² instead of λ/2 W²",
     lambda r: r.value + r.l2 * r.W),
    ("dW", "λW{l} was subtracted instead of added", lambda r: r.value - 2 * r.l2 * r.W),
    ("dW", "λW{l} was divided by B, the batch size",
     lambda r: r.value - r.l2 * r.W + r.l2 * r.W / len(r.X)),
    ("db", "dA{l} was used in place of dZ{l}, without the slope f'(Z{l})",
     lambda r: r.dA.sum(axis=0)),
    ("db", "the upstream gradient dZ{l} is missing", lambda r: np.ones_like(r.dZ).sum(axis=0)),
    ("db", "it was summed over axis 1, the units, instead of axis 0, the batch",
     lambda r: r.dZ.sum(axis=1)),
    ("db", "it was not summed over axis 0, the batch", lambda r: r.dZ),
    ("db", "its shape is (1, n) instead of (n,), as with keepdims", lambda r: r.value[None]),
    ("db", "λb{l} was added, but L2 holds for weights only", lambda r: r.value + r.l2 * r.b),
)  # fmt: skip

# Factors that are easily forgotten or applied twice: the name, a hint, and the value for B examples
# and C classes.
FACTORS: tuple[tuple[str, str, Callable[[int, int], float]], ...] = (
    ("B, the batch size", "Was 1/B forgotten?", lambda B, C: B),
    ("1/B, B the batch size", "Was it divided by B twice?", lambda B, C: 1 / B),
    ("2", "Is there a 2 too many?", lambda B, C: 2),
    ("1/2", "Was a 2 forgotten, or a slope (the mask of relu) scaled by 0.5?", lambda B, C: 1 / 2),
    ("C, the number of classes", "Was 1/C forgotten?", lambda B, C: C),
    ("1/C, C the number of classes", "Was it divided by C once too often?", lambda B, C: 1 / C),
    ("C/2, C the number of classes",
     "Was the 2/C of a mean squared error forgotten?", lambda B, C: C / 2),
    ("2/C, C the number of classes",
     "Does it have the 2/C of a mean squared error once too often?", lambda B, C: 2 / C),
    ("BC, batch size times classes", "Was 1/(BC) forgotten?", lambda B, C: B * C),
    ("BC/2, half of batch size times classes",
     "Was the 2/(BC) of a mean squared error forgotten?", lambda B, C: B * C / 2),
)  # fmt: skip


class Guess(NamedTuple):
    """The gradient that a mistake would give."""

    apart: str  # a description of what both sides leave out
    mistake: str
    value: Array
    given: Array  # the value it has to be equal to


def right_terms(paper: byhand.MLP, terms: Terms, name: str) -> Right:
    """The terms that surround the gradient `name`, such as dW2, among the `terms` of the tape."""
    l, L = int(name[2:]), paper.depth
    f_slope = ACTIVATIONS[paper.activation][1] if l < L else sigmoid_slope
    A, Z, dZ = terms[f"A{l}"], terms[f"Z{l}"], terms[f"dZ{l}"]
    dZ_above = terms.get(f"dZ{l + 1}", NOTHING)
    return Right(
        value=terms[name],
        X=terms[f"A{l - 1}"],
        W=terms[f"W{l}"],
        b=terms[f"b{l}"],
        slope=A * (1 - A) if l == L and paper.loss_name == "cross_entropy" else f_slope(Z),
        slope_at_A=f_slope(A),
        dA=terms.get(f"dA{l}", dZ * np.nan),
        dZ=dZ,
        dA_above=terms.get(f"dA{l + 1}", dZ_above * np.nan),
        dZ_above=dZ_above,
        W_above=terms.get(f"W{l + 1}", NOTHING),
        l2=paper.l2,
    )


@np.errstate(all="ignore")
def diagnose(paper: byhand.MLP, terms: Terms, name: str, value: Array, rounding: float) -> str:
    """The simplest mistake, or mistakes, that would give the gradient `name` this `value`.

    Each known mistake is tried on the right terms, alone and together with a wrong sign or factor.
    It counts as the cause if its result is the value, up to a millionth of the difference to be
    explained.

    Parameters
    ----------
    paper : byhand.MLP
        The network.
    terms : dict of str to ndarray
        Every right term and gradient, from `tape_terms`.
    name : str
        Name of the gradient, such as dW2.
    value : ndarray
        The wrong gradient.
    rounding : float
        The largest difference that rounding alone may cause.
    """
    if not np.isfinite(value).all():
        wrong = int((~np.isfinite(value)).sum())
        return (
            f"{wrong} of {value.size} elements {'is' if wrong == 1 else 'are'} NaN or infinite. "
            "Was there an overflow, a division by 0 or a logarithm of 0?"
        )
    right = right_terms(paper, terms, name)
    same_shape = value.shape == right.value.shape
    unexplained = np.abs(value - right.value if same_shape else value).max(initial=0.0)
    limit = 1e-6 * unexplained + rounding

    def explains(guess: Array, given: Array) -> bool:
        return guess.shape == given.shape and bool(np.abs(guess - given).max(initial=0.0) <= limit)

    scaled, mistaken = guesses(right, name, value)
    causes: dict[str, int] = {}  # explanation of the value -> the number of mistakes in it
    signs = [("", 1), ("its sign is wrong", -1)]
    scales = factors(*terms[f"A{paper.depth}"].shape)
    for guess, (sign, s), (factor, c) in product([*scaled, *mistaken], signs, scales):
        if explains(s * c * guess.value, guess.given):
            parts = [part for part in (guess.mistake, sign, factor) if part]
            causes[guess.apart + ", ".join(parts)] = len(parts)
    for guess in () if causes else scaled:
        c = quotient(guess)
        if explains(c * guess.value, guess.given):
            causes[f"{guess.apart}it is {c:.10g} times the right value"] = 1
    if causes:
        simplest = [text for text, mistakes in causes.items() if mistakes == min(causes.values())]
        return " Or: ".join(f"{text}." if text[-1] != "?" else text for text in simplest)
    return unknown(right.value, value)


def guesses(right: Right, name: str, value: Array) -> tuple[list[Guess], list[Guess]]:
    """The right value and others that may be scaled, and the results of the known mistakes."""
    kind, l, decay = name[:2], int(name[2:]), right.l2 * right.W
    scaled = [Guess("", "", right.value, value)]
    if kind == "dW" and right.l2 and value.shape == right.W.shape:
        scaled.append(Guess(f"apart from λW{l}, ", "", right.value - decay, value - decay))
    mistaken = [
        Guess("", text.format(l=l, above=l + 1), make(right), value)
        for kinds, text, make in MISTAKES
        if kind in kinds
    ]
    return scaled, mistaken


def factors(B: int, C: int) -> list[tuple[str, float]]:
    """No factor and all `FACTORS`, as descriptions and numbers for B examples and C classes."""
    found = [("", 1.0)]
    for label, hint, of in FACTORS:
        c = of(B, C)
        size = f"{c:.6g} times too large" if c > 1 else f"{1 / c:.6g} times too small"
        found.append((f"it is {size}: a factor {label}. {hint}", c))
    return found


def quotient(guess: Guess) -> float:
    """The factor that makes a guess right at its largest element; NaN if no factor is needed."""
    if np.count_nonzero(guess.value) < 2 or guess.value.shape != guess.given.shape:
        return np.nan
    largest = np.abs(guess.value).argmax()
    return float(guess.given.flat[largest] / guess.value.flat[largest])


def unknown(right: Array, value: Array) -> str:
    """Describe a gradient that no known mistake explains."""
    if value.shape != right.shape:
        return f"its shape is {value.shape}, expected {right.shape}."
    close = np.allclose(value, right, rtol=0, atol=1e-5 * np.abs(right).max())
    if value.dtype == np.float32 and close:
        return "it is rounded to float32. Compare in float64, or with a larger tolerance."
    return (
        "no known mistake (factor, sign, transpose, axis, slope, upstream gradient, L2) "
        "explains it. Compare it with its equation."
    )


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
    return comparison._replace(diagnosis=diagnose(paper, theirs, bad.name, d[bad.name], rounding))
