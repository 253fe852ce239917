"""When memory was written: one clock, and a time stamp for each block that was written in place.

A gradient is wrong if an array changed between its use and the backward pass. Several tensors can
share one block of memory (views, `detach`, state dicts), so the stamp belongs to the memory and
not to the tensor through which it was written.
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

tick = itertools.count(1).__next__
"""The tape's only clock: it gives computed tensors their age, and writes in place their time."""

_stamps: dict[int, list[Any]] = {}  # id of an array -> [weak reference to it, time]
_latest = 0


def owner(array: NDArray[Any]) -> NDArray[Any]:
    """The array that owns this one's memory; the array itself if it is not a view."""
    found, base = array, array.base
    while base is not None:
        if isinstance(base, np.ndarray):
            found = base
        base = getattr(base, "base", None)
    return found


def stamp(array: NDArray[Any]) -> None:
    """Note that the memory behind an array has just been written."""
    global _latest
    _latest = tick()
    block = owner(array)
    key = id(block)
    if key in _stamps:
        _stamps[key][1] = _latest
    else:
        _stamps[key] = [weakref.ref(block, lambda _: _stamps.pop(key, None)), _latest]


def replaced() -> None:
    """Note that some tensor has been given another array."""
    global _latest
    _latest = tick()


def written(array: NDArray[Any]) -> int:
    """The time at which an array's memory was last stamped as written; 0 for never."""
    found = _stamps.get(id(owner(array)))
    return 0 if found is None else found[1]


def latest() -> int:
    """The time of the last write to any array; a younger tensor needs no closer look."""
    return _latest


def overwritten(y: Any) -> NDArray[Any] | None:
    """The first array that was written since an op used or computed it; None if there is none.

    An array that has been replaced in its tensor counts as written.
    """
    for x, array in zip(y.inputs, y.arrays, strict=True):
        if getattr(x, "_data", array) is not array:
            return array
    return next(
        (a for a in arrays_in([y.arrays, [*y.params.values()], y._data]) if written(a) > y.age),
        None,
    )


def arrays_in(x: Any) -> Iterator[NDArray[Any]]:
    """The arrays inside lists and tuples, such as those of an index."""
    if isinstance(x, np.ndarray):
        yield x
    elif isinstance(x, (tuple, list)):
        for part in x:
            yield from arrays_in(part)
