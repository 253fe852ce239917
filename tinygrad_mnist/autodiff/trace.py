"""The way through a graph, written down step by step: forward once, and back in four orders.

`graph.sweep` takes the right order and keeps no notes. Here each share of a cotangent is a step of
its own, with the local slope it was multiplied by, what has arrived by then, and who is waiting.
Three orders that come to mind first are here too, to see what becomes of them.
"""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.autodiff.graph import shares, wants

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

MOST = 400
"""So many steps of a walk are kept: a walk along every path has no end that anybody would see."""


class Step(NamedTuple):
    """One moment of the way back."""

    tensor: Any  # whose turn it is
    cotangent: Array  # that it passes on
    to: Any = None  # the input that receives a share; None while it is only taken up
    use: int = 0  # which of the uses of that input by `tensor` this is, from 0
    slope: Array | None = None  # the share for a cotangent of 1, if both are single numbers
    share: Any = None
    arrived: Any = None  # at the input, with this share
    waiting: tuple[Any, ...] = ()  # who has something to pass on, the next one first


class Walk(NamedTuple):
    """One order in which to go back."""

    name: str
    steps: list[Step]
    applied: int  # the rules that the whole walk applies
    gradients: dict[Any, Array]  # of the leaves, as far as the steps go
    complete: bool  # whether the steps are the whole walk


def forward(tensors: Iterable[Any]) -> list[Any]:
    """The computed tensors in the order in which they were computed."""
    return sorted((t for t in tensors if t.op is not None), key=attrgetter("age"))


def walks(root: Any) -> list[Walk]:
    """The way back from a single number: in the right order, then in the others.

    The others are left out if no computed tensor is used twice: then all orders are right.
    """
    reached = _reached(root)
    once, paths = _rules(reached)
    right = _walked("right order", youngest_first(root), once)
    uses = Counter(x for y in reached for x in _receivers(y) if x.op is not None)
    if max(uses.values(), default=0) < 2:
        return [right]
    return [
        right,
        _walked("pass on at once", at_each_arrival(root), paths),
        _walked("visit once", at_first_arrival(root), once),
        _walked("every path", along_every_path(root), paths),
    ]


def youngest_first(root: Any) -> Iterator[Step]:
    """Take the youngest of those that wait: its cotangent is complete. This is `graph.sweep`."""
    arrived = {root: np.ones_like(root._data)}
    waiting = [(-root.age, root)]
    while waiting:
        y = heappop(waiting)[1]
        yield Step(y, arrived[y], waiting=_by_age(waiting))
        for x, use, slope, share in _shares(y, arrived[y]):
            if x not in arrived and x.op is not None:
                heappush(waiting, (-x.age, x))
            arrived[x] = arrived[x] + share if x in arrived else share
            yield Step(y, arrived[y], x, use, slope, share, arrived[x], _by_age(waiting))


def at_each_arrival(root: Any) -> Iterator[Step]:
    """Wrong: pass on all that has arrived so far, each time that something arrives."""
    return _depth_first(root, again=True, alone=False)


def at_first_arrival(root: Any) -> Iterator[Step]:
    """Wrong: pass on once, as soon as something has arrived."""
    return _depth_first(root, again=False, alone=False)


def along_every_path(root: Any) -> Iterator[Step]:
    """Right, but slow: each share travels on alone, and is added up at the leaves."""
    return _depth_first(root, again=True, alone=True)


def _depth_first(root: Any, *, again: bool, alone: bool) -> Iterator[Step]:
    """Follow each share as soon as it has arrived, before the next one is computed.

    A tensor passes on `again` each time something arrives, or only the first time; and either
    what has just arrived, `alone`, or all that has arrived so far.
    """
    arrived = {root: np.ones_like(root._data)}
    under_way = [(root, arrived[root], iter(_shares(root, arrived[root])))]
    yield Step(root, arrived[root])
    while under_way:
        y, g, remaining = under_way[-1]
        found = next(remaining, None)
        if found is None:
            under_way.pop()
            continue
        x, use, slope, share = found
        first = x not in arrived
        arrived[x] = share if first else arrived[x] + share
        unfinished = tuple(t for t, *_ in under_way[::-1])
        yield Step(y, g, x, use, slope, share, arrived[x], unfinished)
        if x.op is not None and (again or first):
            handed = share if alone else arrived[x]
            yield Step(x, handed, waiting=unfinished)
            under_way.append((x, handed, iter(_shares(x, handed))))


def _by_age(waiting: list[tuple[int, Any]]) -> tuple[Any, ...]:
    return tuple(t for _, t in sorted(waiting))  # ages are unique, so tensors are never compared


def _shares(y: Any, g: Array) -> list[tuple[Any, int, Array | None, Array]]:
    """For each share: the input, which of its uses by `y` this is, the local slope, the share."""
    found = shares(y, g)
    units = shares(y, np.ones_like(g)) if g.size == 1 else found
    seen: dict[Any, int] = {}
    listed = []
    for (x, share), (_, unit) in zip(found, units, strict=True):
        seen[x] = seen.get(x, -1) + 1
        listed.append((x, seen[x], unit if g.size == unit.size == 1 else None, share))
    return listed


def _receivers(y: Any) -> list[Any]:
    """The inputs that receive a share; one that is used twice comes twice."""
    if y.op is None:
        return []
    return [x for i, x in enumerate(y.inputs) if wants(x, None) and y.op.differentiates(i)]


def _reached(root: Any) -> list[Any]:
    """All tensors that receive something on the way back, each before its inputs."""
    found, waiting = {root}, [root]
    while waiting:
        for x in _receivers(waiting.pop()):
            if x not in found:
                found.add(x)
                waiting.append(x)
    return sorted(found, key=attrgetter("age"), reverse=True)


def _rules(reached: list[Any]) -> tuple[int, int]:
    """How many rules a walk applies that passes on once, and one that follows every path."""
    from_here: dict[Any, int] = {}
    for y in reached[::-1]:
        from_here[y] = sum(1 + from_here[x] for x in _receivers(y))
    return sum(len(_receivers(y)) for y in reached), from_here[reached[0]]


def _walked(name: str, steps: Iterator[Step], applied: int) -> Walk:
    kept = list(islice(steps, MOST))
    gradients = {
        step.to: step.arrived for step in kept if step.to is not None and step.to.op is None
    }
    return Walk(name, kept, applied, gradients, next(steps, None) is None)
