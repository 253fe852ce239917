"""When memory was written: one clock, and a stamp for each block that was written in place.

A gradient is wrong if an array changed between its use and the backward pass. Many tensors can look
at one block of memory (views, `detach`, state dicts), so the stamp belongs to the memory and not to
the tensor through which it was written.
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
"""The one clock of the tape: it gives computed tensors their age, and writes their time."""

_stamps: dict[int, list[Any]] = {}  # id of an array -> [reference that ends with it, time]
_latest = 0


def owner(array: NDArray[Any]) -> NDArray[Any]:
    """The array whose memory this one looks at: itself, if it is no view."""
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
    """When the memory behind an array was last written, as far as was noticed; 0 for never."""
    found = _stamps.get(id(owner(array)))
    return 0 if found is None else found[1]


def latest() -> int:
    """When anything at all was last written: whatever is younger needs no closer look."""
    return _latest


def overwritten(y: Any) -> NDArray[Any] | None:
    """An array that the op of a computed tensor was given, or its result, if written since.

    Also an array that is no longer that of the tensor it was taken from.
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
