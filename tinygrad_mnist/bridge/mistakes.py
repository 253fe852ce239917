"""The mistakes that learners make in a backward pass: a table with the value that each gives.

Only plain operators are used on arrays: `@`, `.T`, `*`, `.sum(axis=...)`, comparisons. So this file
and `diagnosis.py` run unchanged with NumPy, and in the page "Find my mistake" with its arrays.

In the tables, `h` is the layer of the gradient: `h.dZ` is its own term, `h.next.W` belongs to the
next layer, `h.before.A` to the layer before, whose output is this layer's input. An entry that
needs a term which the network does not have is passed over, and so is one whose shapes do not fit.
In the sentences, {l}, {next} and {before} are the numbers of these layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Array = Any
    Formula = Callable[[Any], Array]


class Right:
    """All that is right about a network and a batch.

    Attributes
    ----------
    terms : mapping of str to array
        By names such as A0, Z1, W1, dW1: every term and gradient. Besides, for each layer, f'(Z)
        as slope1, f' taken at A as slope_at_A1, and as sigmoid_slope1 and tanh_slope1 what the
        slope would be with another activation.
    targets : array, (B, C)
        Y, one one-hot row per example.
    depth : int
        The number of layers.
    loss : str
        cross_entropy or mse.
    l2 : float
        λ, the weight of the penalty.
    """

    def __init__(
        self, terms: Mapping[str, Array], targets: Array, depth: int, loss: str, l2: float
    ) -> None:
        self.terms, self.targets, self.depth, self.loss, self.l2 = terms, targets, depth, loss, l2

    def roles(self, name: str) -> list[str]:
        """What a gradient is: its kind, such as dZ, and where the backward pass begins, the loss.

        dZ of the last layer is also "softmax" or "sigmoid", and dA of the last layer "squares".
        """
        kind = name[:2]
        if int(name[2:]) < self.depth:
            return [kind]
        squared = {"dA": "squares", "dZ": "sigmoid"}
        start = squared if self.loss == "mse" else {"dZ": "softmax"}
        return [kind, start[kind]] if kind in start else [kind]

    def equation(self, name: str) -> str:
        """The number of a gradient's equation in the derivation of the whole network."""
        return EQUATIONS[self.roles(name)[-1]]


EQUATIONS = {
    "softmax": "6.7",
    "squares": "6.8",
    "sigmoid": "6.9",
    "dW": "6.10",
    "db": "6.11",
    "dA": "6.12",
    "dZ": "6.13",
}


class Here:
    """The right terms as one layer sees them; LookupError where there is no such term."""

    def __init__(self, right: Right, layer: int) -> None:
        self.right, self.layer, self.l2, self.Y = right, layer, right.l2, right.targets
        self.B, self.C = right.targets.shape

    def __getattr__(self, name: str) -> Array:
        return self.right.terms[f"{name}{self.layer}"]

    @property
    def next(self) -> Here:
        """The next layer, nearer to the loss."""
        return Here(self.right, self.layer + 1)

    @property
    def before(self) -> Here:
        """The layer before, nearer to the input."""
        return Here(self.right, self.layer - 1)


def ones_like(x: Array) -> Array:
    """An array of ones in the shape of another."""
    return 0 * x + 1


def sign(x: Array) -> Array:
    """1 where a number is positive, -1 where it is negative."""
    return 1 * (x > 0) - 1 * (x < 0)


def chosen(x: Array) -> Array:
    """1 at the largest entry of each row, else 0."""
    return 1 * (x >= x.max(axis=1, keepdims=True))


def mask(x: Array) -> Array:
    """1 where a condition holds, else 0; LookupError if it holds everywhere or nowhere."""
    x = 1 * x
    if x.min() == x.max():
        raise LookupError
    return x


# fmt: off
# What can happen to any gradient: its name, the gradients it happens to, what is said of it, and
# what it makes of the right value.
WHOLE: list[tuple[str, str, str, Formula]] = [
    ("zero", "dA dZ dW db", "it is 0 everywhere", lambda right: 0 * right),
    ("transposed", "dA dZ dW", "it is transposed", lambda right: right.T),
    ("signs-lost", "dA dZ dW db", "every sign was lost, as with abs()", abs),
    ("batch-summed", "dA dZ", "it was summed over axis 0, but each example keeps a row of its own",
     lambda right: right.sum(axis=0)),
]

# A mistake: its name, the roles of gradients in which it is made, what is said of it, and the value
# that it gives. That of dW is without the penalty, whose mistakes have a table of their own.
MISTAKES: list[tuple[str, str, str, Formula]] = [
    # dA = dZ_next @ W_next.T
    ("w-not-transposed", "dA", "W{next} was not transposed", lambda h: h.next.dZ @ h.next.W),
    ("da-for-dz", "dA",
     "dA{next} was used in place of dZ{next}, without the slope f'(Z{next})",
     lambda h: h.next.dA @ h.next.W.T),
    ("upstream-missing", "dA", "the upstream gradient dZ{next} is missing",
     lambda h: ones_like(h.next.dZ) @ h.next.W.T),
    ("a-for-dz", "dA", "A{next}, of the forward pass, was used in place of dZ{next}",
     lambda h: h.next.A @ h.next.W.T),
    ("z-for-dz", "dA", "Z{next}, of the forward pass, was used in place of dZ{next}",
     lambda h: h.next.Z @ h.next.W.T),
    ("targets-for-dz", "dA", "the targets Y were used in place of dZ{next}",
     lambda h: h.Y @ h.next.W.T),
    ("slope-again", "dA", "the slope f'(Z{next}) was applied again: dZ{next} has it already",
     lambda h: (h.next.dZ * h.next.slope) @ h.next.W.T),
    ("slope-too-early", "dA", "it is dZ{l} already: the slope f'(Z{l}) belongs to the line for dZ",
     lambda h: h.dZ),
    ("dw-for-w", "dA", "dW{next} was used in place of W{next}", lambda h: h.next.dZ @ h.next.dW.T),
    ("another-layers-weights", "dA", "W{l} was used in place of W{next}",
     lambda h: h.next.dZ @ h.W.T),

    # dZ = dA * f'(Z)
    ("slope-missing", "dZ",
     "it equals dA{l}: the slope f'(Z{l}), the activation's derivative, is missing",
     lambda h: h.dA),
    ("slope-at-a", "dZ", "the slope f' was taken at A{l} instead of Z{l}",
     lambda h: h.dA * h.slope_at_A),
    ("slope-twice", "dZ", "the slope f'(Z{l}) was applied once too often",
     lambda h: h.dZ * h.slope),
    ("upstream-missing", "dZ",
     "the upstream gradient dA{l} is missing, it is the slope f'(Z{l}) alone", lambda h: h.slope),
    ("a-for-slope", "dZ", "A{l}, the activation itself, was used in place of its slope f'(Z{l})",
     lambda h: h.dA * h.A),
    ("half-a-slope", "dZ", "1 - A{l} was used in place of the slope f'(Z{l})",
     lambda h: h.dA * (1 - h.A)),
    ("square-without-one", "dZ", "A{l} squared was used in place of the slope f'(Z{l})",
     lambda h: h.dA * h.A * h.A),
    ("z-for-slope", "dZ", "Z{l} was used in place of the slope f'(Z{l})", lambda h: h.dA * h.Z),
    ("sigmoids-slope", "dZ", "A{l}(1 - A{l}) is the slope of sigmoid, but this layer has another",
     lambda h: h.dA * h.A * (1 - h.A)),
    ("sigmoids-slope", "dZ", "the slope is that of sigmoid at Z{l}, but this layer has another",
     lambda h: h.dA * h.sigmoid_slope),
    ("tanhs-slope", "dZ", "1 - A{l}² is the slope of tanh, but this layer has another",
     lambda h: h.dA * (1 - h.A * h.A)),
    ("tanhs-slope", "dZ", "the slope is that of tanh at Z{l}, but this layer has another",
     lambda h: h.dA * h.tanh_slope),
    ("relus-slope", "dZ", "the mask Z{l} > 0 is the slope of relu, but this layer has another",
     lambda h: h.dA * mask(h.Z > 0)),
    ("mask-reversed", "dZ", "the mask is reversed: it keeps the gradient where Z{l} <= 0",
     lambda h: h.dA * mask(h.Z <= 0)),
    ("mask-of-gradient", "dZ", "the mask was made from dA{l} instead of Z{l}",
     lambda h: h.dA * mask(h.dA > 0)),
    ("formula-at-z", "dZ", "Z{l}(1 - Z{l}): the formula of sigmoid's slope takes A{l}, not Z{l}",
     lambda h: h.dA * h.Z * (1 - h.Z)),
    ("formula-at-z", "dZ", "1 - Z{l}²: the formula of tanh's slope takes A{l}, not Z{l}",
     lambda h: h.dA * (1 - h.Z * h.Z)),
    ("formula-at-gradient", "dZ", "dA{l}(1 - dA{l}): the formula of a slope takes A{l}, not dA{l}",
     lambda h: h.dA * (1 - h.dA)),
    ("slope-of-another-layer", "dZ", "the slope is that of layer {next}, f'(Z{next})",
     lambda h: h.dA * h.next.slope),
    ("slope-of-another-layer", "dZ", "the slope is that of layer {before}, f'(Z{before})",
     lambda h: h.dA * h.before.slope),
    ("slope-added", "dZ", "the slope f'(Z{l}) was added to dA{l} instead of multiplied",
     lambda h: h.dA + h.slope),
    ("slope-divided", "dZ", "dA{l} was divided by the slope f'(Z{l}) instead of multiplied",
     lambda h: h.dA / h.slope),
    ("product-for-elementwise", "dZ", "@ was used in place of *, which multiplies entry by entry",
     lambda h: h.dA @ h.slope),

    # the start, softmax with cross-entropy: dZ = (A - Y) / B
    ("targets-forgotten", "softmax", "the targets Y are missing: it is A{l} / B",
     lambda h: h.A / h.B),
    ("output-forgotten", "softmax", "the output A{l} is missing: it is -Y / B",
     lambda h: -h.Y / h.B),
    ("all-classes", "softmax", "1 was subtracted for every class, not for the right one alone",
     lambda h: (h.A - 1) / h.B),
    ("z-for-a", "softmax", "Z{l} was used in place of the probabilities A{l}",
     lambda h: (h.Z - h.Y) / h.B),
    ("decision", "softmax", "the chosen class was used in place of the probabilities A{l}",
     lambda h: (chosen(h.A) - h.Y) / h.B),
    ("softmax-missing", "softmax",
     "it is dA{l} = -Y / (B A{l}): the derivative of softmax is missing",
     lambda h: -h.Y / h.A / h.B),
    ("softmax-diagonal", "softmax",
     "only the diagonal of softmax's Jacobian was used, A{l}(1 - A{l})",
     lambda h: -h.Y / h.A * h.A * (1 - h.A) / h.B),
    ("binary-loss", "softmax", "it is the derivative of binary cross-entropy with respect to A{l}",
     lambda h: (h.A - h.Y) / (h.A * (1 - h.A)) / h.B),
    ("loss-not-derivative", "softmax", "A{l} - Y was squared: that is a loss, not its derivative",
     lambda h: (h.A - h.Y) * (h.A - h.Y) / h.B),

    # the start, sigmoid with mean squared error: dA = 2 (A - Y) / (BC), dZ = dA * A (1 - A)
    ("targets-forgotten", "squares", "the targets Y are missing: it is 2 A{l} / (BC)",
     lambda h: 2 * h.A / (h.B * h.C)),
    ("output-forgotten", "squares", "the output A{l} is missing: it is -2Y / (BC)",
     lambda h: -2 * h.Y / (h.B * h.C)),
    ("all-classes", "squares", "1 was subtracted for every class, not for the right one alone",
     lambda h: 2 * (h.A - 1) / (h.B * h.C)),
    ("z-for-a", "squares", "Z{l} was used in place of the output A{l}",
     lambda h: 2 * (h.Z - h.Y) / (h.B * h.C)),
    ("decision", "squares", "the chosen class was used in place of the output A{l}",
     lambda h: 2 * (chosen(h.A) - h.Y) / (h.B * h.C)),
    ("loss-not-derivative", "squares",
     "A{l} - Y was squared: that is the loss, not its derivative",
     lambda h: (h.A - h.Y) * (h.A - h.Y) / (h.B * h.C)),
    ("absolute-error", "squares", "it is the derivative of the absolute error |A{l} - Y|",
     lambda h: sign(h.A - h.Y) / (h.B * h.C)),
    ("another-loss", "squares", "it is the derivative of cross-entropy, -Y / (B A{l})",
     lambda h: -h.Y / h.A / h.B),
    ("another-loss", "sigmoid",
     "it is (A{l} - Y) / B, which belongs to softmax with cross-entropy",
     lambda h: (h.A - h.Y) / h.B),
    ("targets-forgotten", "sigmoid", "the targets Y are missing",
     lambda h: 2 * h.A / (h.B * h.C) * h.slope),

    # dW = A_before.T @ dZ, and the penalty
    ("da-for-dz", "dW", "dA{l} was used in place of dZ{l}, without the slope f'(Z{l})",
     lambda h: h.before.A.T @ h.dA),
    ("upstream-missing", "dW", "the upstream gradient dZ{l} is missing",
     lambda h: h.before.A.T @ ones_like(h.dZ)),
    ("z-for-a", "dW", "Z{before} was used in place of A{before}, the input of layer {l}",
     lambda h: h.before.Z.T @ h.dZ),
    ("output-for-input", "dW", "A{l}, the layer's output, was used in place of its input A{before}",
     lambda h: h.A.T @ h.dZ),
    ("another-layers-input", "dW", "the input of layer {before} was used in place of A{before}",
     lambda h: h.before.before.A.T @ h.dZ),
    ("another-layers-input", "dW", "the input of an even earlier layer was used, not A{before}",
     lambda h: h.before.before.before.A.T @ h.dZ),
    ("another-layers-dz", "dW", "dZ{next} was used in place of dZ{l}",
     lambda h: h.before.A.T @ h.next.dZ),
    ("another-layers-dz", "dW", "dZ{before} was used in place of dZ{l}",
     lambda h: h.before.A.T @ h.before.dZ),
    ("a-for-dz", "dW", "A{l}, of the forward pass, was used in place of dZ{l}",
     lambda h: h.before.A.T @ h.A),
    ("z-for-dz", "dW", "Z{l}, of the forward pass, was used in place of dZ{l}",
     lambda h: h.before.A.T @ h.Z),
    ("targets-for-dz", "dW", "the targets Y were used in place of dZ{l}",
     lambda h: h.before.A.T @ h.Y),
    ("slope-again", "dW", "the slope f'(Z{l}) was applied again: dZ{l} has it already",
     lambda h: h.before.A.T @ (h.dZ * h.slope)),
    ("slope-of-input", "dW", "f'(Z{before}) was used in place of the input A{before}",
     lambda h: h.before.slope.T @ h.dZ),
    ("first-example", "dW", "it is that of the first example alone, without the others",
     lambda h: h.before.A[:1].T @ h.dZ[:1]),
    ("last-example", "dW", "it is that of the last example alone: is there = for += in a loop?",
     lambda h: h.before.A[-1:].T @ h.dZ[-1:]),
    ("sums-multiplied", "dW", "the examples were summed before they were multiplied",
     lambda h: h.before.A.T.sum(axis=1, keepdims=True) @ h.dZ.sum(axis=0, keepdims=True)),
    ("elementwise-for-product", "dW", "* was used in place of @, so that no example was summed",
     lambda h: h.before.A * h.dZ),

    # db = dZ.sum(axis=0)
    ("da-for-dz", "db", "dA{l} was used in place of dZ{l}, without the slope f'(Z{l})",
     lambda h: h.dA.sum(axis=0)),
    ("upstream-missing", "db", "the upstream gradient dZ{l} is missing",
     lambda h: ones_like(h.dZ).sum(axis=0)),
    ("a-for-dz", "db", "A{l}, of the forward pass, was used in place of dZ{l}",
     lambda h: h.A.sum(axis=0)),
    ("z-for-dz", "db", "Z{l}, of the forward pass, was used in place of dZ{l}",
     lambda h: h.Z.sum(axis=0)),
    ("targets-for-dz", "db", "the targets Y were used in place of dZ{l}",
     lambda h: h.Y.sum(axis=0)),
    ("slope-again", "db", "the slope f'(Z{l}) was applied again: dZ{l} has it already",
     lambda h: (h.dZ * h.slope).sum(axis=0)),
    ("wrong-axis", "db", "it was summed over axis 1, the units, instead of axis 0, the batch",
     lambda h: h.dZ.sum(axis=1)),
    ("both-axes", "db", "it was summed over both axes to a single number",
     lambda h: h.dZ.sum(axis=0).sum(axis=0)),
    ("not-summed", "db", "it was not summed over axis 0, the batch", lambda h: h.dZ),
    ("kept-axis", "db", "its shape is (1, n) instead of (n,), as with keepdims",
     lambda h: h.db[None]),
    ("first-example", "db", "it is that of the first example alone, without the others",
     lambda h: h.dZ[0]),
    ("last-example", "db", "it is that of the last example alone: is there = for += in a loop?",
     lambda h: h.dZ[-1]),
    ("from-weights", "db", "it was summed from dW{l} instead of dZ{l}", lambda h: h.dW.sum(axis=0)),
    ("times-bias", "db", "it was multiplied by b{l}, but a bias is added: its slope is 1",
     lambda h: h.db * h.b),
    ("input-for-one", "db", "dZ{l} was multiplied by the input A{before}, as for dW",
     lambda h: h.dZ.T @ h.before.A),
    ("bias-penalty", "db", "λb{l} was added, but L2 holds for weights only",
     lambda h: h.db + h.l2 * h.b),
]

# What was added for the penalty, whose derivative is λW.
PENALTIES: list[tuple[str, str, Formula]] = [
    ("penalty-missing", "λW{l}, the derivative of the L2 penalty, is missing", lambda h: 0 * h.W),
    ("penalty-twice", "λW{l} was added twice, as for a penalty of λW² instead of λ/2 W²",
     lambda h: 2 * h.l2 * h.W),
    ("penalty-halved", "λW{l} was halved: the derivative of λ/2 W² is λW",
     lambda h: h.l2 / 2 * h.W),
    ("penalty-subtracted", "λW{l} was subtracted instead of added", lambda h: -h.l2 * h.W),
    ("penalty-by-batch", "λW{l} was divided by B, the batch size", lambda h: h.l2 * h.W / h.B),
    ("penalty-itself", "λ/2 W{l}² was added: that is the penalty itself, not its derivative",
     lambda h: h.l2 / 2 * h.W * h.W),
    ("penalty-itself", "λW{l}² was added, but the derivative of a square has no square",
     lambda h: h.l2 * h.W * h.W),
    ("penalty-summed", "λ/2 times the sum of W{l}² was added to every entry",
     lambda h: h.l2 / 2 * (h.W * h.W).sum() + 0 * h.W),
    ("penalty-constant", "λ was added without W{l}", lambda h: h.l2 + 0 * h.W),
    ("penalty-l1", "λ times the sign of W{l} was added, which belongs to an L1 penalty",
     lambda h: h.l2 * sign(h.W)),
    ("penalty-size", "λ|W{l}| was added, without the signs of W{l}", lambda h: h.l2 * abs(h.W)),
    ("penalty-norm", "λW{l} was divided by the norm of W{l}, as if the norm were not squared",
     lambda h: h.l2 * h.W / (h.W * h.W).sum() ** 0.5),
    ("penalty-without-lambda", "W{l} was added without λ", lambda h: h.W),
    ("penalty-transposed", "λW{l} was transposed", lambda h: h.l2 * h.W.T + 0 * h.W),
    ("penalty-of-gradient", "λdW{l} was added instead of λW{l}",
     lambda h: h.l2 * (h.dW - h.l2 * h.W)),
]

# What was added to a right gradient, c times.
ADDED: list[tuple[str, str, str, Formula]] = [
    ("weights-after-update", "dA",
     "W{next} had been updated before it was used, by {c:.4g} dW{next}",
     lambda h: h.next.dZ @ h.next.dW.T),
    ("penalty-factor", "dW", "{c:.4g} W{l} was added besides the penalty's λW{l}", lambda h: h.W),
    ("bias-backwards", "dA", "{c:.4g} b{l} was added, but no bias is added on the way back",
     lambda h: h.b + 0 * h.dA),
]

# Factors that are easily forgotten or applied twice: the roles in which this is said, what comes
# before the size, the factor's name, a hint, and its value for B examples and C classes.
FACTORS: list[tuple[str, str, str, str, str, Callable[[int, int], float]]] = [
    ("factor-batch", "dA dZ dW db", "", "B, the batch size", "Was 1/B forgotten?",
     lambda B, C: B),
    ("factor-batch-twice", "dA dZ dW", "", "1/B, B the batch size", "Was it divided by B twice?",
     lambda B, C: 1 / B),
    ("mean-for-sum", "db", "it is the mean over the batch instead of the sum, as dZ has 1/B: ",
     "1/B, B the batch size", "Was it divided by B twice?", lambda B, C: 1 / B),
    ("factor-two", "dA dZ dW db", "", "2", "Is there a 2 too many?", lambda B, C: 2),
    ("factor-half", "dA dZ dW db", "", "1/2",
     "Was a 2 forgotten, or a slope (the mask of relu) scaled by 0.5?", lambda B, C: 1 / 2),
    ("factor-classes", "dA dZ dW db", "", "C, the number of classes", "Was 1/C forgotten?",
     lambda B, C: C),
    ("factor-classes-twice", "dA dZ dW db", "", "1/C, C the number of classes",
     "Was it divided by C once too often?", lambda B, C: 1 / C),
    ("factor-squares", "dA dZ dW db", "", "C/2, C the number of classes",
     "Was the 2/C of a mean squared error forgotten?", lambda B, C: C / 2),
    ("factor-squares-twice", "dA dZ dW db", "", "2/C, C the number of classes",
     "Does it have the 2/C of a mean squared error once too often?", lambda B, C: 2 / C),
    ("factor-all", "dA dZ dW db", "", "BC, batch size times classes", "Was 1/(BC) forgotten?",
     lambda B, C: B * C),
    ("factor-all-squares", "dA dZ dW db", "", "BC/2, half of batch size times classes",
     "Was the 2/(BC) of a mean squared error forgotten?", lambda B, C: B * C / 2),
]
# fmt: on
