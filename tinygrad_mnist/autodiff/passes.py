"""From the calls that a step made to a program that makes them again: less work, less memory.

`merged` makes a call only once if it was made twice, or if its result is always the same. `planned`
lets arrays share memory that never live at the same time. `compiled` writes the remaining calls as
one Python function, with nothing between them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from tinygrad_mnist.autodiff.variable import Array

# How a call is written.
INTO, INTO_OUT = "{f}({args}, {out})", "{f}({args}, out={out})"
COPY, THEN_COPY, BARE = "{out}[...] = {args}", "{out}[...] = {f}({args})", "{f}({args})"
ALIGNED = 64
"""Where blocks of memory begin: at multiples of a cache line, in bytes."""


class Place(NamedTuple):
    """An array, as a window into the memory of a numbered buffer."""

    buffer: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    def window(self, memory: Array) -> Array:
        """The array, in the memory (bytes) that the buffer has."""
        return np.ndarray(self.shape, self.dtype, memory.data, self.offset, self.strides)


@dataclass(frozen=True)
class Call:
    """One call of NumPy, with a `Place` for each array.

    Attributes
    ----------
    text : str
        How it is written, such as ``{f}({args}, out={out})``.
    function : callable
        What is called.
    args, options : tuple, dict
        Its arguments, but for the array that receives the result.
    out : Place, optional
        The array that it makes.
    changed : Place, optional
        The array, made before, that it changes.
    pure : bool
        Whether the same arguments give the same result: a draw of random numbers does not.
    """

    text: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    out: Place | None = None
    changed: Place | None = None
    pure: bool = True

    @cached_property
    def read(self) -> list[Place]:
        """The arrays among the arguments."""
        return list(places([self.args, list(self.options.values())]))

    @cached_property
    def everywhere(self) -> list[Place]:
        """The arrays that it reads or writes."""
        return [place for place in [*self.read, self.out, self.changed] if place]

    @cached_property
    def touched(self) -> set[int]:
        """The buffers that it reads or writes."""
        return {place.buffer for place in self.everywhere}

    def moved(self, change: Callable[[Place], Any]) -> Call:
        """The same call with another thing in place of each array that it reads."""
        options = {name: mapped(value, change) for name, value in self.options.items()}
        return replace(self, args=mapped(self.args, change), options=options)


def places(x: Any) -> Iterator[Place]:
    """The places inside lists and tuples, such as those of an index."""
    if isinstance(x, Place):
        yield x
    elif isinstance(x, (tuple, list)):
        for part in x:
            yield from places(part)


def mapped(x: Any, change: Callable[[Place], Any]) -> Any:
    """The same lists and tuples with every place changed."""
    if isinstance(x, Place):
        return change(x)
    return type(x)(mapped(part, change) for part in x) if type(x) in (tuple, list) else x


# ---------------------------------------------------------------- the same call once


def merged(
    calls: Sequence[Call], results: Sequence[Place], fixed: Collection[int]
) -> tuple[list[Call], list[Call], list[Place]]:
    """Make every call once, and leave out those that nothing depends on.

    Parameters
    ----------
    calls : sequence of Call
        All calls, in order.
    results : sequence of Place
        The arrays that are wanted.
    fixed : collection of int
        The buffers that hold the same numbers in every run.

    Returns
    -------
    once, always : list of Call
        The calls whose results are the same in every run, and all others.
    results : list of Place
        Where the results are now.
    """
    changed = {call.changed.buffer for call in calls if call.changed}
    versions: Counter[int] = Counter()
    known: dict[Any, int] = {}
    seen: dict[Any, str] = {}
    instead: dict[int, int] = {}
    fixed, once, always = set(fixed), [], []

    def now(place: Place) -> Place:
        return place._replace(buffer=instead.get(place.buffer, place.buffer))

    for call in calls:
        if any(place.buffer in instead for place in call.read):
            call = call.moved(now)
        made = call.out.buffer if call.out else None
        if made is not None and made not in changed and call.pure:
            key = _key(call, versions, seen)
            if key in known:
                instead[made] = known[key]
                continue
            known[key] = made
            if all(place.buffer in fixed for place in call.read):
                fixed.add(made)
                once.append(call)
                continue
        if call.changed:
            versions[call.changed.buffer] += 1
        always.append(call)
    results = [now(place) for place in results]
    return once, _useful(always, results), results


def _key(call: Call, versions: Counter[int], seen: dict[Any, str]) -> Any:
    """Equal for two calls that compute the same; `seen` gives names to arrays as they were."""

    def name(place: Place) -> str:
        return seen.setdefault((place, versions[place.buffer]), f"array {len(seen)}")

    same = call.moved(name)
    made = call.out and call.out[1:]
    return call.text, call.function, repr((same.args, same.options)), made


def _useful(calls: list[Call], results: list[Place]) -> list[Call]:
    """The calls that a result depends on, and those that somebody outside sees."""
    wanted, kept = {place.buffer for place in results}, []
    made = {call.out.buffer for call in calls if call.out}
    for call in reversed(calls):
        target = call.out or call.changed
        if target is None or target.buffer in wanted or target.buffer not in made or not call.pure:
            kept.append(call)
            wanted |= call.touched
    return kept[::-1]


# ---------------------------------------------------------------- the memory of dead arrays


def planned(
    calls: Sequence[Call], results: Sequence[Place], elsewhere: Collection[int] = ()
) -> dict[int, Array]:
    """Memory for every buffer that the calls make, unless it is elsewhere.

    Buffers that never live at the same time share it.
    """
    made = [call.out for call in calls if call.out and call.out.buffer not in elsewhere]
    sizes = {place.buffer: size_of(place) for place in made}
    last = {buffer: i for i, call in enumerate(calls) for buffer in call.touched}
    last |= {place.buffer: len(calls) for place in results}
    block_of: dict[int, int] = {}
    blocks: list[int] = []
    free: list[tuple[int, int]] = []  # size and block, in order
    for i, call in enumerate(calls):
        dead = {buffer for buffer in call.touched if last[buffer] == i and buffer in sizes}
        if call.out and call.out.buffer in sizes:
            new, need = call.out.buffer, sizes[call.out.buffer]
            heir = next((p.buffer for p in call.read if p.buffer in dead and _fits(call, p)), None)
            at = bisect_left(free, (need, 0))
            if heir is not None:  # elementwise, so it may overwrite what it reads
                dead.remove(heir)
                block_of[new] = block_of[heir]
            elif at < len(free) and free[at][0] <= 2 * need + ALIGNED:
                block_of[new] = free.pop(at)[1]
            else:
                block_of[new] = len(blocks)
                blocks.append(need)
        for block in {block_of[buffer] for buffer in dead}:
            insort(free, (blocks[block], block))
    memory = list(blocks_of_memory(blocks))
    return {buffer: memory[block] for buffer, block in block_of.items()}


def _fits(call: Call, place: Place) -> bool:
    """Whether the result of an elementwise call may take the place of one of its arguments."""
    elementwise = isinstance(call.function, np.ufunc) and call.function.signature is None
    return elementwise and call.out is not None and place[1:] == call.out[1:]


def size_of(place: Place) -> int:
    """The bytes from the start of a buffer to the end of an array that fills it."""
    steps = zip(place.shape, place.strides, strict=True)
    return place.offset + place.dtype.itemsize + sum((n - 1) * step for n, step in steps if n)


def blocks_of_memory(sizes: Sequence[int]) -> Iterator[Array]:
    """Uninitialised bytes for each size; large ones begin at a cache line."""
    steps = [
        -(-size // 16) * 16 if size < ALIGNED else -(-size // ALIGNED) * ALIGNED for size in sizes
    ]
    memory = np.empty(sum(steps) + ALIGNED, np.uint8)
    end = -memory.__array_interface__["data"][0] % ALIGNED
    for step in steps:
        start, end = end, end + step
        yield memory[start:end]


# ---------------------------------------------------------------- the program


def compiled(
    calls: Sequence[Call], memory: Mapping[int, Array], named: Mapping[int, tuple[str, Place]]
) -> Callable[..., None]:
    """The calls as one Python function of the arrays that are not the same in every run.

    Parameters
    ----------
    calls : sequence of Call
    memory : mapping of int to ndarray
        Buffer -> its bytes.
    named : mapping of int to tuple
        Buffer -> the name of the parameter that is the whole of it, and its place. Arrays in such a
        buffer are this parameter or its transpose.
    """
    scope: dict[str, Any] = {}
    known: dict[Any, str] = {}

    def bound(key: Any, value: Any) -> str:
        name = known.setdefault(key, f"v{len(known)}")
        scope.setdefault(name, value)
        return name

    def written(x: Any) -> str:
        if isinstance(x, Place):
            if x.buffer not in named:
                block = memory[x.buffer]  # one array for one window, also of several buffers
                return bound((id(block), x[1:]), x.window(block))
            name, whole = named[x.buffer]
            return name if x == whole else f"{name}.T"
        if any(place.buffer in named for place in places(x)):
            parts = "".join(f"{written(part)}, " for part in x)
            return f"({parts})" if isinstance(x, tuple) else f"[{parts}]"
        if x is None or type(x) in (bool, int, str):
            return repr(x)
        return bound(id(x), mapped(x, lambda place: place.window(memory[place.buffer])))

    def line(call: Call) -> str:
        args = [written(arg) for arg in call.args]
        args += [f"{name}={written(value)}" for name, value in call.options.items()]
        target = call.out or call.changed
        out = written(target) if target else ""
        return call.text.format(f=written(call.function), args=", ".join(args), out=out)

    lines = [line(call) for call in calls]
    names = [name for name, _ in named.values()]
    head = ", ".join([*names, *(f"{name}={name}" for name in scope)])  # local, as locals are fast
    text = "\n ".join([f"def run({head}):", *lines, "pass"])
    exec(text, scope)  # noqa: S102  the text is made of names and numbers, none from outside
    run: Callable[..., None] = scope["run"]
    return run
