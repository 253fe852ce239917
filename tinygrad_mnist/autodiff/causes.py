"""Why a gradient is wrong: tries the usual mistakes and names those that explain the numbers.

A mistake is named only if the numbers confirm it: once it is repaired, the rule gives the right
gradient. If no mistake explains the numbers, the cause stays unknown.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations, combinations_with_replacement
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.autodiff.differences import central_differences, close, near
from tinygrad_mnist.autodiff.gradient import grad
from tinygrad_mnist.autodiff.graph import fit
from tinygrad_mnist.autodiff.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tinygrad_mnist.autodiff.graph import Op
    from tinygrad_mnist.autodiff.variable import Array

LARGEST = 2_000
"""Rules are checked one by one only for inputs of at most this many elements."""
UNKNOWN = "none of the usual mistakes explains it. Compare the rule with the derivation"


class OpCall(NamedTuple):
    """An op as it was called, and a cotangent of its output.

    Attributes
    ----------
    op : Op
    arrays : list of ndarray or number
        The op's arguments.
    params : dict
    out, g : ndarray
        Of the same shape.
    wanted : list of int
        Arguments that are differentiated and can be checked: few elements, in float64.
    """

    op: Op
    arrays: list[Any]
    params: dict[str, Any]
    out: Array
    g: Array
    wanted: list[int]

    def raw(self, i: int, g: Any = None, out: Any = None, arrays: Any = None) -> Array:
        """What the rule of argument `i` returns, with `g`, `out` or `arrays` replaced if given."""
        rule: Any = self.op.rules_for(len(self.arrays))[i]
        given = [self.g if g is None else g, self.out if out is None else out]
        with np.errstate(all="ignore"):
            return np.asarray(rule(*given, *(arrays or self.arrays), **self.params))

    def fitted(self, i: int, raw: Array) -> Array:
        """`raw` in the shape of the argument, fitted as the tape does it."""
        return fit(raw, self.arrays[i], self.op)

    def numeric(self, i: int, g: Any = None) -> Array:
        """The gradient with respect to argument `i` by central differences."""
        arrays, weights = list(self.arrays), self.g if g is None else g
        x = arrays[i] = arrays[i].copy()

        def weighted() -> float:
            return float((self.op.forward(*arrays, **self.params) * weights).sum())

        return central_differences(weighted, x)

    def is_right(self, i: int) -> bool:
        """Whether the rule of argument `i` agrees with central differences."""
        try:
            ours = self.fitted(i, self.raw(i))
        except Exception:  # noqa: BLE001  a rule of somebody else's: it may fail in any way
            return False
        return near(ours, self.numeric(i))


def calls_behind(out: Tensor) -> list[OpCall]:
    """Every op that led to a tensor, in the order in which they were called."""
    found: dict[Any, None] = {}
    waiting = [out]
    while waiting:
        y = waiting.pop()
        if y.op is not None and y not in found:
            found[y] = None
            waiting.extend(x for x in y.inputs or () if isinstance(x, Tensor))
    random = np.random.default_rng(2)
    calls = []
    for y in sorted(found, key=lambda y: y.age):
        g = random.uniform(0.5, 1.5, y.shape) * random.choice([-1.0, 1.0], y.shape)
        arrays = list(y.arrays)
        wanted = [
            i
            for i, x in enumerate(y.inputs or ())
            if isinstance(x, Tensor) and x.requires_grad and x.dtype == np.float64
            and x.size <= LARGEST and y.op.differentiates(i)
        ]  # fmt: skip
        calls.append(OpCall(y.op, arrays, y.params, y.data, g, wanted))
    return calls


def wrong_rules(calls: Sequence[OpCall]) -> Iterator[tuple[OpCall, int]]:
    """Each call with the argument whose rule, taken alone, disagrees with central differences."""
    return ((call, i) for call in calls for i in call.wanted if not call.is_right(i))


def located(out: Tensor) -> Iterator[str]:
    """Describe the mistakes in the rules of the ops behind a tensor, each with its op's name."""
    calls = calls_behind(out)
    for call, i in wrong_rules(calls):
        alone = len(calls) == 1
        place = "" if alone else f"in the rule of {call.op.name} for argument {i}: "
        for cause in mistakes(call, i):
            yield place + cause
        if not alone:
            yield place + UNKNOWN


def unrecorded(out: Tensor) -> Iterator[str]:
    """Say that the mistake is not on the tape, if every rule behind a tensor is right."""
    calls = calls_behind(out)
    checked = all(np.size(x) <= LARGEST for call in calls for x in call.arrays)
    if calls and checked and not any(wrong_rules(calls)):
        yield (
            "every op on the tape is right, so part of the function is not on it: .data, "
            ".detach(), .numpy() or no_grad() makes a constant of what depends on this input"
        )


# ---------------------------------------------------------------- one rule, taken alone


def mistakes(call: OpCall, i: int) -> Iterator[str]:
    """What is wrong with the rule of argument `i`, the most telling first."""
    numeric = call.numeric(i)
    raw = ours = np.empty(0)
    try:
        raw = call.raw(i)
        ours = call.fitted(i, raw)
    except Exception as error:  # noqa: BLE001  it may still be right in another reading
        if isinstance(error, TypeError) and "positional argument" in str(error):
            yield "a rule takes g, out, then every input, and the parameters by their names"
    if ours.size:
        yield from by_numbers(ours, numeric, lambda: call.numeric(i, 1.0))
    else:
        yield from _misshapen(raw, numeric, call.out.shape)
    for words, j, others in _readings(call, i):
        with suppress(Exception):  # a reading that fails is not what was meant
            if close(call.fitted(i, call.raw(j, **others)), numeric):
                yield words
    if ours.size:
        yield from _elementwise(call, i, ours, numeric)


def by_numbers(ours: Array, numeric: Array, unweighted: Callable[[], Array]) -> Iterator[str]:
    """Describe the mistakes that comparing two gradients reveals, whatever computed them.

    Parameters
    ----------
    ours, numeric : ndarray of one shape
        The results of the rule and of central differences.
    unweighted : callable
        Returns `numeric` for a cotangent of ones.
    """
    if not ours.any():
        yield (
            "no gradient reaches this input. Was it turned into an array "
            "(.data, .numpy(), .detach()) or compared, or is its rule None?"
        )
    largest = np.unravel_index(np.abs(numeric).argmax(), numeric.shape)
    factor = ours[largest] / numeric[largest] if numeric[largest] else 0.0
    if factor and close(ours, factor * numeric):
        yield (
            "the sign is wrong"
            if abs(factor + 1) < 1e-4
            else f"a factor: the rule gives {factor:.6g} times the right gradient"
        )
    if numeric.ndim > 1 and close(ours.swapaxes(-1, -2), numeric):
        yield "the gradient is transposed"
    if close(ours, unweighted()):
        yield "the rule forgot the cotangent g"
    for axis, length in enumerate(numeric.shape):
        total = numeric.sum(axis, keepdims=True)
        if length > 1 and close(ours, np.broadcast_to(total, numeric.shape)):
            yield (
                f"summed over axis {axis}, along which this input was not repeated by broadcasting"
            )


def _misshapen(raw: Array, numeric: Array, shape: tuple[int, ...]) -> Iterator[str]:
    """Describe the mistakes behind a gradient whose shape is not that of its input."""
    if raw.ndim > 1 and close(raw.swapaxes(-1, -2), numeric):
        yield "the gradient is transposed"
    for axis in range(len(shape)):
        without = shape[:axis], shape[axis + 1 :]
        summed = raw.shape in (without[0] + without[1], (*without[0], 1, *without[1]))
        if summed and raw.size and close(raw.sum(), numeric.sum()):
            yield (
                f"the rule sums over axis {axis} by itself. Leave broadcasting out of the rule: "
                "the sweep adds up what belongs to one element"
            )
    if raw.size and raw.size < numeric.size:
        with suppress(ValueError):
            if close(np.broadcast_to(raw, numeric.shape), numeric):
                yield "the gradient has to be spread over the shape of the input: g * ones"


def _readings(call: OpCall, i: int) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """What may have been meant: a description, the rule to apply, and the values to replace."""
    arrays, out, count = call.arrays, call.out, len(call.arrays)
    names = ["the input"] if count == 1 else [f"argument {j}" for j in range(count)]

    def with_arguments(others: dict[int, Any]) -> dict[str, Any]:
        return {"arrays": [others.get(j, x) for j, x in enumerate(arrays)]}

    for j in call.wanted:
        if j != i and not call.is_right(j):
            yield f"the rules of arguments {i} and {j} are exchanged", j, {}
    for j, (name, x) in enumerate(zip(names, arrays, strict=True)):
        yield f"the rule is evaluated at {name} instead of out", i, with_arguments({j: out})
        yield f"the rule is evaluated at out instead of {name}", i, {"out": x}
        if np.ndim(x) > 1:
            across = with_arguments({j: x.swapaxes(-1, -2)})
            yield f"{name} has to be transposed in the rule (.mT)", i, across
    for j, k in combinations(range(count), 2):
        exchanged = with_arguments({j: arrays[k], k: arrays[j]})
        yield f"{names[j]} and {names[k]} are exchanged in the rule", i, exchanged
    if out.ndim > 1:
        g = call.g.swapaxes(-1, -2)
        yield "the cotangent g has to be transposed in the rule (.mT)", i, {"g": g}


def _elementwise(call: OpCall, i: int, ours: Array, numeric: Array) -> Iterator[str]:
    """Describe the mistakes that show in single elements."""
    x, terms = call.arrays[i], _terms(call, i)
    right = np.abs(ours - numeric) <= 1e-5 * np.abs(numeric).max()
    for side, where in (("positive", x > 0), ("negative", x < 0)):
        if right.any() and np.array_equal(right, where):
            yield f"right where the input is {side}, and nowhere else: the rule misses a case"
    diagonal = np.empty_like(numeric)
    if numeric.shape == call.out.shape:
        for at in np.ndindex(numeric.shape):
            one = np.zeros_like(call.g)
            one[at] = call.g[at]
            diagonal[at] = call._replace(g=one).numeric(i)[at]
        if close(numeric, diagonal):
            if np.unique(x).size > 2:
                yield from _part_of_a_slope(ours / call.g, numeric / call.g, terms)
            return
        if close(ours, diagonal):
            yield (
                "only the diagonal of the Jacobian: an element of the input acts on several "
                "elements of the output, and the rule takes one of them into account"
            )
    yield from _missing_sum(numeric - ours, terms)


def _missing_sum(missing: Array, terms: dict[str, Array]) -> Iterator[str]:
    """A missing term: a sum over an axis, times an expression of each element."""
    for axis, length in enumerate(missing.shape):
        for name, term in terms.items():
            with np.errstate(all="ignore"):
                shared = missing / term
            mean = shared.mean(axis, keepdims=True)
            if length > 2 and mean.any() and close(np.broadcast_to(mean, shared.shape), shared):
                product = f"{name} times a sum" if name != "1" else "a sum"
                yield (
                    f"a term is missing: {product} over axis {axis}, through which the elements "
                    "along it act on each other"
                )


def _part_of_a_slope(ours: Array, slope: Array, terms: dict[str, Array]) -> Iterator[str]:
    """A factor or a term that is missing from a slope or does not belong there."""
    factors = (1.0, 2.0, 0.5, -1.0, -2.0, -0.5)
    for name, term in terms.items():
        for c in factors:
            text = {1.0: name, -1.0: f"-{name}"}.get(c, f"{c:g} * {name}")
            with np.errstate(all="ignore"):  # never around a yield: it would hold for the caller
                lacks_factor = close(ours * c * term, slope)
                has_factor = close(slope * c * term, ours)
                lacks_term = close(ours + c * term, slope)
            if lacks_factor:
                yield f"part of the slope: the factor {text} is missing"
            if has_factor:
                yield f"a factor {text} that does not belong to the slope"
            if lacks_term:
                yield f"part of the slope: the term {text} is missing"


def _terms(call: OpCall, i: int) -> dict[str, Array]:
    """Expressions that slopes are made of, as a dict from their source text to their values.

    All have the shape of argument `i`.
    """
    shape, count = call.arrays[i].shape, len(call.arrays)
    with np.errstate(all="ignore"):
        singles = _of_a_value("out", call.out)
        for j, x in enumerate(call.arrays):
            if getattr(x, "dtype", None) == np.float64:
                name = "x" if count == 1 else f"x{j}"
                singles |= _of_a_value(name, x) | _of_an_input(name, x)
        singles = {name: v for name, v in singles.items() if v.shape == shape}
        pairs = list(combinations_with_replacement(singles, 2))
        products = {_product(a, b): singles[a] * singles[b] for a, b in pairs}
    return {"1": np.ones(shape)} | singles | products


def _of_a_value(name: str, v: Array) -> dict[str, Array]:
    return {name: v, f"(1 - {name})": 1 - v, f"(1 + {name})": 1 + v, f"1 / {name}": 1 / v}


def _of_an_input(name: str, x: Array) -> dict[str, Array]:
    sigmoid = 1 / (1 + np.exp(-x))
    return {
        f"exp({name})": np.exp(x),
        f"log({name})": np.log(x),
        f"sin({name})": np.sin(x),
        f"cos({name})": np.cos(x),
        f"tanh({name})": np.tanh(x),
        f"sigmoid({name})": sigmoid,
        f"(1 - sigmoid({name}))": 1 - sigmoid,
    }


def _product(a: str, b: str) -> str:
    if a == b:
        return f"{a}**2"
    return f"{b} / {a[4:]}" if a.startswith("1 / ") else f"{a} * {b}"


# ---------------------------------------------------------------- second derivatives


def located_twice(out: Tensor, slopes: Tensor) -> Iterator[str]:
    """Why the gradient of a gradient is wrong, though the gradient itself is right.

    Parameters
    ----------
    out : Tensor
        The tensor that was differentiated.
    slopes : Tensor
        Its gradient, recorded.
    """
    calls = calls_behind(slopes)
    for call, i in wrong_rules(calls):
        for cause in (*mistakes(call, i), UNKNOWN):
            yield f"in the rule of {call.op.name} for argument {i}: {cause}"
    for call in calls_behind(out):
        for i in call.wanted:
            if _reads_a_stash(call, i):
                yield (
                    f"the rule of {call.op.name} reads what its forward function stored: to the "
                    "second derivative that is a constant. Compute it from g, out and the inputs"
                )
            if _hides_a_slope(call, i):
                yield (
                    f"the rule of {call.op.name} turns what it is given into arrays on its way "
                    "(.data, .numpy(), .detach(), np.asarray): to the second derivative that is a "
                    "constant. Use operators and ops"
                )


def _reads_a_stash(call: OpCall, i: int) -> bool:
    """Whether a rule gives another result after its forward function has run on other inputs."""
    arrays = list(call.arrays)
    for j in call.wanted:
        arrays[j] = arrays[j] * 1.01 + 0.02 * (j + 1)
    call.op.forward(*arrays, **call.params)
    elsewhere = call.raw(i)
    call.op.forward(*call.arrays, **call.params)
    return not np.array_equal(elsewhere, call.raw(i), equal_nan=True)


def _hides_a_slope(call: OpCall, i: int) -> bool:
    """Whether the tape cannot see how a rule depends on the arguments it is given."""
    leaves = [Tensor(x, j in call.wanted) for j, x in enumerate(call.arrays)]
    rule: Any = call.op.rules_for(len(leaves))[i]
    share = rule(Tensor(call.g), call.op(*leaves, **call.params), *leaves, **call.params)
    for j in call.wanted:
        arrays = list(call.arrays)
        arrays[j] = arrays[j].copy()

        def total(arrays: list[Any] = arrays) -> float:
            out = call.op.forward(*arrays, **call.params)
            return float(call.raw(i, out=out, arrays=arrays).sum())

        found = None
        if isinstance(share, Tensor) and share.requires_grad:
            (found,) = grad(share.sum(), leaves[j], retain_graph=True, allow_unused=True)
        seen = np.zeros_like(arrays[j]) if found is None else found.data
        if not near(seen, central_differences(total, arrays[j])):
            return True
    return False
