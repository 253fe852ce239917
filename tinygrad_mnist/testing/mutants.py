"""Wrong twins of derivative rules, and a search for those that a test does not notice."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.autodiff import Op, Tensor
from tinygrad_mnist.autodiff.variable import plain
from tinygrad_mnist.testing.search import unshrunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Rule = Callable[..., Any]
    Mutant = tuple[int, str, Rule]


class Survivor(NamedTuple):
    """A wrong rule that no test noticed.

    Attributes
    ----------
    op : str
        The name of the op.
    argument : int
        The position of the argument that the rule belongs to.
    kind : str
        The kind of mistake.
    why : str
        The reason why no test noticed it.
    """

    op: str
    argument: int
    kind: str
    why: str

    def __str__(self) -> str:
        """The survivor in a sentence."""
        return f"{self.op}, rule of argument {self.argument}, {self.kind}: {self.why}"


# ---------------------------------------------------------------- what can be wrong with a rule


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) else x


TWINS: dict[str, Callable[[Rule], Rule]] = {
    "cotangent forgotten": lambda rule: (
        lambda g, *rest, **params: rule(np.ones(g.shape, g.dtype), *rest, **params)
    ),
    "sign": lambda rule: lambda g, *rest, **params: -rule(g, *rest, **params),
    "half": lambda rule: lambda g, *rest, **params: rule(g, *rest, **params) * 0.5,
    "double": lambda rule: lambda g, *rest, **params: rule(g, *rest, **params) * 2,
    "stash": lambda rule: lambda g, *rest, **params: rule(g, *map(_detached, rest), **params),
    "x for out": lambda rule: lambda g, out, x, *xs, **params: rule(g, x, x, *xs, **params),
    "out for x": lambda rule: lambda g, out, x, *xs, **params: rule(g, out, out, *xs, **params),
    "transposed": lambda rule: lambda *args, **params: rule(*args, **params).mT,
}
"""Kind of mistake -> a function that makes a wrong twin of a right rule."""

MAY_BE_RIGHT = {"stash", "x for out", "out for x", "transposed", "exchanged"}
"""Kinds that do not change every rule: the rule of a sum, for example, reads neither x nor out."""


def mutants(op: Op, count: int) -> Iterator[Mutant]:
    """Tuples of argument, kind of mistake, and wrong rule, for the `count` arguments of an op."""
    rules = op.rules_for(count)
    for i, rule in enumerate(rules):
        if rule is not None and op.differentiates(i):
            yield from ((i, kind, twin(rule)) for kind, twin in TWINS.items())
            others = [other for j, other in enumerate(rules) if j != i and other is not None]
            yield from ((i, "exchanged", other) for other in others[:1] if op.differentiates(i))


@contextmanager
def planted(op: Op, change: Callable[[int, Rule], Rule]) -> Iterator[None]:
    """Replace every rule of an op by `change(position, rule)` inside a with block."""
    right, kept = copy(op), dict(vars(op))

    def each(i: int, g: Any, out: Any, *xs: Any, **params: Any) -> Any:
        rule: Any = right.rules_for(len(xs))[i]
        return change(i, rule)(g, out, *xs, **params)

    op.rules = tuple(rule and partial(each, i) for i, rule in enumerate(op.rules))
    op.each = each if op.each or op.together else None
    op.together = None
    op.may_write = True
    try:
        yield
    finally:
        vars(op).update(kept)


@contextmanager
def mutated(op: Op, argument: int, rule: Rule) -> Iterator[None]:
    """Give an op a wrong rule for one argument inside a with block."""
    with planted(op, lambda i, right: rule if i == argument else right):
        yield


# ---------------------------------------------------------------- what the tests notice


class Seen:
    """Records the calls that a test makes of the rules of an op, as arrays."""

    def __init__(self) -> None:
        self.calls: dict[int, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {}
        self.count = 0

    def watch(self, i: int, rule: Rule) -> Rule:
        """The same rule, with its calls recorded."""

        def watched(*args: Any, **params: Any) -> Any:
            arrays = tuple(np.array(plain(x)) for x in args)
            self.calls.setdefault(i, []).append((arrays, dict(params)))
            self.count = max(self.count, len(args) - 2)
            return rule(*args, **params)

        return watched

    def differ(self, op: Op, i: int, wrong: Rule, kind: str) -> bool:
        """Whether a wrong rule gives something else than the right one in one of the calls.

        A stash gives what the right rule gives for other inputs.
        """
        right: Any = op.rules_for(self.count)[i]
        for (g, out, *xs), params in self.calls.get(i, []):
            if kind == "stash":
                moved = [x * _factors(x) if x.dtype.kind == "f" else x for x in xs]
                with np.errstate(all="ignore"):
                    other = right, (g, np.asarray(op.forward(*moved, **params)), *moved)
            else:
                other = wrong, (g, out, *xs)
            if not _alike(_result(*other, params), _result(right, (g, out, *xs), params)):
                return True
        return False


def _factors(x: Any) -> Any:
    """Numbers a little above 1, so that no sign and no order changes."""
    return 1 + 1e-3 * np.random.default_rng(0).random(x.shape)


def _result(rule: Rule, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """What a rule makes of arrays; None if it fails."""
    try:
        with np.errstate(all="ignore"):
            return np.asarray(rule(*args, **params))
    except Exception:  # noqa: BLE001  whatever fails is a difference
        return None


def _alike(a: Any, b: Any) -> bool:
    """Whether two results are the same up to rounding."""
    if a is None or b is None or a.shape != b.shape:
        return a is b
    return np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)


def survivors(op: Op, test: Callable[[], object], own: Iterable[Mutant] = ()) -> list[Survivor]:
    """The wrong rules of an op that a test does not notice.

    Each rule is replaced by wrong twins, one after the other: with the wrong sign, half or twice as
    large, without its cotangent, with input and output exchanged, transposed, with the rule of
    another argument, and with one that is wrong in the second derivative only. A twin that agrees
    with the right rule in every call of the test is left out, unless a better test would tell them
    apart.

    Parameters
    ----------
    op : Op
    test : callable
        Takes no arguments, and raises if it fails.
    own : iterable of (int, str, callable)
        Further wrong rules: argument, kind of mistake, rule.

    Returns
    -------
    list of Survivor
        Empty if the test notices every wrong rule.

    Raises
    ------
    AssertionError
        If the test fails for the unchanged op.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist.autodiff import Op, gradcheck
    >>> from tinygrad_mnist.testing import survivors
    >>> square = Op(np.square, "square").vjp(lambda g, out, x: 2 * g * x)
    >>> for survivor in survivors(square, lambda: gradcheck(square, [[1.0, 3.0]])):
    ...     print(survivor)
    square, rule of argument 0, stash: no test fails
    """
    return list(surviving(op, watched(op, test), fails(test), own))


def watched(op: Op, test: Callable[[], object]) -> Seen:
    """Run a test of the unchanged op, and record the calls of its rules."""
    seen = Seen()
    with planted(op, seen.watch):
        try:
            test()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise AssertionError(
                f"The test of {op.name} fails without a mutant: {error}"
            ) from error
    return seen


def surviving(
    op: Op, seen: Seen, noticed: Callable[[], bool], own: Iterable[Mutant] = ()
) -> Iterator[Survivor]:
    """The wrong rules with which no test fails."""
    for i, kind, alive in tried(op, seen, noticed, own):
        if alive:
            why = "no test fails" if i in seen.calls else "no test calls this rule"
            yield Survivor(op.name, i, kind, why)


def tried(
    op: Op, seen: Seen, noticed: Callable[[], bool], own: Iterable[Mutant] = ()
) -> Iterator[tuple[int, str, bool]]:
    """Every mutant that could be noticed, and whether it survived."""
    count = max(seen.count, len(op.rules))
    as_it_is = copy(op)
    for i, kind, wrong in [*mutants(as_it_is, count), *own]:
        if kind in MAY_BE_RIGHT and not seen.differ(as_it_is, i, wrong, kind):
            continue
        with mutated(op, i, wrong):
            yield i, kind, not noticed()


def fails(test: Callable[[], object]) -> Callable[[], bool]:
    """A function that tells whether a test fails, to be called once per mutant."""

    def noticed() -> bool:
        try:
            with unshrunk():
                test()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001  whatever it raises, as pytest.fail does, it noticed
            return True
        return False

    return noticed
