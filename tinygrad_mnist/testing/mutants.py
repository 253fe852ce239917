"""Wrong twins of derivative rules, and which of them a test would let through."""

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
    """A wrong rule with which the tests pass.

    Attributes
    ----------
    op : str
        Its name.
    argument : int
        Whose rule it is.
    kind : str
        What is wrong with it.
    why : str
        What the tests lack.
    """

    op: str
    argument: int
    kind: str
    why: str

    def __str__(self) -> str:
        """In a sentence."""
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
"""Kind -> a wrong twin made from any right rule."""

MAY_BE_RIGHT = {"stash", "x for out", "out for x", "transposed", "exchanged"}
"""Kinds that leave some rules as they are: that of a sum reads neither x nor out."""


def mutants(op: Op, count: int) -> Iterator[Mutant]:
    """Argument, what is wrong, and the wrong rule, for each of the `count` arguments of an op."""
    rules = op.rules_for(count)
    for i, rule in enumerate(rules):
        if rule is not None and op.differentiates(i):
            yield from ((i, kind, twin(rule)) for kind, twin in TWINS.items())
            others = [other for j, other in enumerate(rules) if j != i and other is not None]
            yield from ((i, "exchanged", other) for other in others[:1] if op.differentiates(i))


@contextmanager
def planted(op: Op, change: Callable[[int, Rule], Rule]) -> Iterator[None]:
    """Put `change(position, rule)` in the place of every rule of an op, for a while."""
    right, kept = copy(op), dict(vars(op))

    def each(i: int, g: Any, out: Any, *xs: Any, **params: Any) -> Any:
        rule = right.rules_for(len(xs))[i]
        assert rule is not None
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
    """Let an op have a wrong rule for one argument."""
    with planted(op, lambda i, right: rule if i == argument else right):
        yield


# ---------------------------------------------------------------- what the tests notice


class Seen:
    """The calls of the rules of an op that a test makes, as arrays."""

    def __init__(self) -> None:
        self.calls: dict[int, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {}
        self.count = 0

    def watch(self, i: int, rule: Rule) -> Rule:
        """The same rule, whose calls are noted."""

        def watched(*args: Any, **params: Any) -> Any:
            arrays = tuple(np.array(plain(x)) for x in args)
            self.calls.setdefault(i, []).append((arrays, dict(params)))
            self.count = max(self.count, len(args) - 2)
            return rule(*args, **params)

        return watched

    def differ(self, i: int, right: Rule, wrong: Rule, kind: str) -> bool:
        """Whether two rules give different results in one of the calls."""
        return any(
            _result(wrong if kind != "stash" else right, args, params, kind)
            != _result(right, args, params)
            for args, params in self.calls.get(i, [])
        )


def _result(rule: Rule, args: tuple[Any, ...], params: dict[str, Any], kind: str = "") -> Any:
    """What a rule makes of arrays, as bytes; a stash reads what was there at another place."""
    g, *rest = args
    if kind == "stash":
        rest = [x * 1.001 + 0.001 * j if x.dtype.kind == "f" else x for j, x in enumerate(rest, 1)]
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(rule(g, *rest, **params))
    except Exception as error:  # noqa: BLE001  any failure is a difference
        return repr(error)
    return found.shape, found.dtype, found.tobytes()


def survivors(op: Op, test: Callable[[], object], own: Iterable[Mutant] = ()) -> list[Survivor]:
    """Which wrong rules of an op a test would let through.

    Each rule is replaced by wrong twins, one after the other: of the wrong sign, of half or twice
    the size, without its cotangent, reading the input for the output and the output for the input,
    transposed, that of another argument, and one that is wrong to the second derivative only. A
    twin that gives what the right rule gives for whatever the test calls it with is left out, if
    that is no fault of the test.

    Parameters
    ----------
    op : Op
    test : callable
        Takes no arguments, and raises if it fails.
    own : iterable of (int, str, callable)
        More of them: argument, what is wrong, the wrong rule.

    Returns
    -------
    list of Survivor
        Empty for a test that notices everything.

    Raises
    ------
    AssertionError
        If the test fails as the op is.

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
    """Run a test of the op as it is, and note what its rules are called with."""
    seen = Seen()
    with planted(op, seen.watch):
        try:
            test()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise AssertionError(f"The test of {op.name} fails as the op is: {error}") from error
    return seen


def surviving(
    op: Op, seen: Seen, noticed: Callable[[], bool], own: Iterable[Mutant] = ()
) -> Iterator[Survivor]:
    """The wrong rules with which nothing fails."""
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
    rules = as_it_is.rules_for(count)
    for i, kind, wrong in [*mutants(as_it_is, count), *own]:
        right = rules[i]
        assert right is not None
        if kind in MAY_BE_RIGHT and not seen.differ(i, right, wrong, kind):
            continue
        with mutated(op, i, wrong):
            yield i, kind, not noticed()


def fails(test: Callable[[], object]) -> Callable[[], bool]:
    """Whether a test fails, as a function to be asked once for each mutant."""

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
