"""Replay: later runs of a step repeat the calls of NumPy that its first run made.

This skips the tape itself, makes no call twice, and needs no new memory. Replays are compared with
the tape, which takes over where they differ.
"""

from __future__ import annotations

import operator
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff.gradient import check_differentiable, own, start
from tinygrad_mnist.autodiff.graph import sweep
from tinygrad_mnist.autodiff.memory import owner
from tinygrad_mnist.autodiff.mode import mode
from tinygrad_mnist.autodiff.notes import (
    Notes,
    NotReplayableError,
    Recorded,
    ReplayError,
    noting,
    without_notes,
)
from tinygrad_mnist.autodiff.passes import COPY, Call, Place, compiled, merged, planned
from tinygrad_mnist.autodiff.reach import PLAIN, Reach, data_of, same
from tinygrad_mnist.autodiff.variable import wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tinygrad_mnist.autodiff.variable import Array

    Step = Callable[..., Any]

SMALL = 1024
"""Bytes of an array that every replay looks at: while it is the same, it is a constant."""
FEW, OFTEN = 8, 10
"""A step may be recorded a few times, and beyond that once in this many runs."""
_SOLE = max(sys.getrefcount(array) for array in [np.empty(0)])
"""The references to an array in a list that nobody else has, as `Routine.play` counts them."""


class ReplayWarning(UserWarning):
    """The tape computes a step that was to be replayed."""


# ---------------------------------------------------------------- the calls of one run


class Routine:
    """The calls of a recorded run, ready to be repeated.

    Parameters
    ----------
    notes : Notes
        What was noted in the run.
    results : list of Place
        The outputs, then the gradients.
    leaves : list of Tensor
        What the gradients belong to.
    reach : Reach
        What the step can reach.
    """

    def __init__(self, notes: Notes, results: list[Place], leaves: list[Any], reach: Reach) -> None:
        self.leaves, self.reach, self.verified = leaves, reach, False
        self.found = reach.now()
        self.generators = list(dict.fromkeys(notes.drawing))
        self.changed: list[Array] = []  # arrays outside that the calls write to
        self.constants: list[tuple[Array, bytes]] = []  # small arrays outside, and their values
        self.named: dict[int, tuple[str, Place]] = {}
        self.memory: dict[int, Array] = {}
        windows = windows_of(notes.calls, results)
        first = self._enter(notes, windows)
        fixed = self._look_around(notes, first, windows)
        once, always, results = merged([*first, *notes.calls], results, fixed)
        self.memory |= planned(once, [place for call in once for place in call.everywhere])
        compiled(once, self.memory, {})()
        self.calls = always + self._leave(always, results)
        self.memory |= planned(self.calls, (), self.named)
        self.run = compiled(self.calls, self.memory, self.named)

    def _enter(self, notes: Notes, windows: dict[int, set[Place]]) -> list[Call]:
        """Name the arguments and the leaves; return the calls that copy arguments."""
        copies = []
        for i, place in enumerate(notes.inputs):
            source = place
            if not whole(place, windows):  # views of a copy need to be made only once
                source = place._replace(buffer=-1 - i)
                copies.append(Call(COPY, np.copyto, (source,), out=place))
            self.named[source.buffer] = f"x{i}", source
        self.given: list[Any] = []  # leaves whose array is an argument of `run`
        for leaf in self.leaves:
            place = notes.place(leaf._data)
            if owner(leaf._data) is leaf._data and whole(place, windows):
                self.named[place.buffer] = f"p{len(self.given)}", place
                self.given.append(leaf)
        others = {*self.leaves, *self.reach.tensors} - set(self.given)
        self.tensors = [*self.given, *others]
        self.arrays = list(map(data_of, self.tensors))
        return copies

    def _look_around(
        self, notes: Notes, first: list[Call], windows: dict[int, set[Place]]
    ) -> set[int]:
        """Find the memory of arrays from outside; return the buffers that never change."""
        fixed = set()
        trained = {id(owner(leaf._data)) for leaf in self.leaves}
        for number in notes.outside.keys() & windows.keys() - self.named.keys():
            block = notes.outside[number]
            held = sys.getrefcount(block) > 3  # by more than `notes`, `block` and this call
            values = notes.before.get(number, block)
            self.memory[number] = bytes_of(block)
            if held and number in notes.before:
                self.changed.append(block)
            elif held and (block.nbytes > SMALL or id(block) in trained):
                pass  # it may have other values in every run
            elif held:
                fixed.add(number)
                self.constants.append((block, block.tobytes()))
            elif notes.constant.get(number) != hash(values.tobytes()):
                raise NotReplayableError("it uses an array that something other than NumPy made")
            elif number in notes.before:  # the step makes it, and then writes to it
                one = values.size and (values == values.flat[0]).all()
                made = values.flat[0] if one else values
                first.append(Call(COPY, np.copyto, (made,), out=notes.place(block)))
            else:
                fixed.add(number)
        return fixed

    def _leave(self, calls: list[Call], results: list[Place]) -> list[Call]:
        """Name the arrays that are the results; return the calls that copy the others."""
        made = {call.out.buffer for call in calls if call.out}
        windows = windows_of(calls, results)
        self.slots = [np.empty(place.shape, place.dtype) for place in results]
        copies = []
        for i, (place, slot) in enumerate(zip(results, self.slots, strict=True)):
            out = place._replace(strides=slot.strides)
            alone = windows[place.buffer] == {out} and results.count(place) == 1
            if not (alone and place.buffer in made):
                out = out._replace(buffer=-1000 - i, offset=0)
                copies.append(Call(COPY, np.copyto, (place,), out=out))
            self.named[out.buffer] = f"r{i}", out
        return copies

    def fits(self) -> bool:
        """Whether everything outside is as it was recorded, or can take the place of it."""
        if not all(map(operator.is_, map(data_of, self.tensors), self.arrays)):
            now, free = list(map(data_of, self.tensors)), len(self.given)
            if not all(map(operator.is_, now[free:], self.arrays[free:])) or any(
                (a.dtype, a.strides) != (b.dtype, b.strides)
                for a, b in zip(now[:free], self.arrays[:free], strict=True)
            ):
                return False
            self.arrays = now
        for array, values in self.constants:
            if array.tobytes() != values:
                return False
        return same(self.found, self.reach.now())

    def play(self, inputs: Iterable[Any]) -> tuple[list[Array], dict[Any, Array]]:
        """Repeat the calls; return outputs and gradients, in arrays that nobody else holds."""
        self.slots = [a if sys.getrefcount(a) <= _SOLE else np.empty_like(a) for a in self.slots]
        arrays = [x for x in inputs if isinstance(x, np.ndarray)]
        with np.errstate(all="ignore"):
            self.run(*arrays, *self.arrays[: len(self.given)], *self.slots)
        count = len(self.slots) - len(self.leaves)
        return self.slots[:count], dict(zip(self.leaves, self.slots[count:], strict=True))

    def save(self) -> tuple[list[Array], list[Any]]:
        """What the calls change outside."""
        states = [rng.bit_generator.state for rng in self.generators]
        return [array.copy() for array in self.changed], states

    def put_back(self, saved: tuple[list[Array], list[Any]]) -> None:
        """Undo what the calls have changed since `save`."""
        for array, values in zip(self.changed, saved[0], strict=True):
            array[...] = values
        for rng, state in zip(self.generators, saved[1], strict=True):
            rng.bit_generator.state = state

    def state(self) -> Any:
        """Everything outside that the step can change, as something to compare."""
        arrays, states = self.save()
        return self.reach.state(), [array.tobytes() for array in arrays], repr(states)


def windows_of(calls: list[Call], results: list[Place]) -> dict[int, set[Place]]:
    """Buffer -> all places in it that are used."""
    windows: dict[int, set[Place]] = {}
    for place in [*results, *(place for call in calls for place in call.everywhere)]:
        windows.setdefault(place.buffer, set()).add(place)
    return windows


def whole(place: Place, windows: dict[int, set[Place]]) -> bool:
    """Whether all places in a buffer are the whole array or its transpose."""
    turned = place._replace(shape=place.shape[::-1], strides=place.strides[::-1])
    return windows.get(place.buffer, set()) <= {place, turned}


def bytes_of(block: Array) -> Array:
    """The memory of an array that owns it."""
    order = sorted(range(block.ndim), key=lambda i: -block.strides[i])
    flat = block.transpose(order).reshape(-1).view(np.uint8)
    if block.size and not np.shares_memory(flat, block):
        raise NotReplayableError("an array has gaps in memory")
    return flat


# ---------------------------------------------------------------- the step


def replay(step: Step) -> Replay:
    """A function that runs a step forward and backward, later by repeating its calls of NumPy.

    The first run for arguments of one kind (shape, dtype and order in memory) is recorded. Every
    later run makes the same calls on other numbers: no tape, no call twice, no new memory. The
    results are those of the tape, bit by bit. To make sure of that, the second run and every run
    after `verify` is computed by the tape as well, and everything is compared: outputs, gradients,
    all tensors and arrays that the step can reach, and the states of its generators. The tape
    takes over, with a `ReplayWarning`, if there is a difference, and for a step that

    - gives an attribute, a variable or a tensor another value (write into the array of a buffer);
    - draws random numbers, other than by `nn.Dropout` or `drawn`;
    - chooses elements by a mask, so that values decide a shape; or writes to an argument.

    If a value decides a branch (``if x.max() > 1``), every replay looks at it; where it decides
    otherwise, the tape computes this run, and the next one is recorded anew. So it is after a
    change of what the step can reach: `eval()`, another rate of dropout, a frozen parameter.

    Parameters
    ----------
    step : callable
        Takes arrays and numbers; returns a loss, a tensor of one element, or several tensors of
        which the first is the loss. It does not call `backward`.

    Returns
    -------
    Replay
        Called as the step. It adds the gradients to the leaves, as `backward` does, and returns the
        outputs, detached. Its method `verify` has the next run compared with the tape, and its
        attribute `refusal` says why the tape has taken over, or is "".

    Raises
    ------
    ReplayError
        When called, if the step reads a number from an array (`item`, `float`, `tolist`).
    TypeError
        When called, if an argument is neither an array nor a number, word or None.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist import nn
    >>> from tinygrad_mnist.autodiff import replay
    >>> model, loss_fn = nn.Linear(3, 2), nn.CrossEntropyLoss()
    >>> step = replay(lambda x, labels: loss_fn(model(x), labels))
    >>> for _ in range(3):
    ...     model.zero_grad()
    ...     loss = step(np.ones((4, 3), np.float32), np.array([0, 1, 1, 0]))
    >>> model.weight.grad.shape, loss.requires_grad
    ((3, 2), False)
    """
    return Replay(step)


class Replay:
    """A step that is recorded, replayed and compared: see `replay`."""

    def __init__(self, step: Step) -> None:
        self.step, self.refusal = step, ""
        self.routines: dict[Any, Routine] = {}
        self.runs = self.recordings = 0
        self.lock = threading.RLock()

    def verify(self) -> None:
        """Compare the next replay of every routine with the tape."""
        for routine in self.routines.values():
            routine.verified = False

    def __call__(self, *inputs: Any) -> Any:
        """Run the step, add the gradients to the leaves, and return the outputs, detached."""
        kind = tuple(map(kind_of, inputs))
        with self.lock:
            if self.refusal or not mode.recording:
                return deliver(*on_tape(self.step, inputs))
            self.runs += 1
            routine = self.routines.get(kind)
            if routine is None or not routine.fits():
                return self._record(kind, inputs)
            saved = routine.save()
            try:
                outputs, gradients = routine.play(inputs)
            except Exception:  # noqa: BLE001  the tape decides what it means
                routine.put_back(saved)
                del self.routines[kind]
                return deliver(*on_tape(self.step, inputs))
            if not routine.verified:
                return self._compare(routine, [*outputs, *gradients.values()], saved, inputs)
            return deliver(outputs, gradients)

    def _record(self, kind: Any, inputs: Any) -> Any:
        """Run the step on arrays that take notes."""
        self.recordings += 1
        if self.recordings > FEW + self.runs // OFTEN:
            return self._take_over("it was another step too often", *on_tape(self.step, inputs))
        reach = Reach(self.step)
        notes, before = Notes(reach.generators), [*reach.now(), *map(data_of, reach.tensors)]
        try:
            with noting(notes, reach.tensors):
                found = on_tape(self.step, list(map(notes.enter, inputs)), np.asanyarray)
            leaves = [leaf for leaf in found[1] if type(leaf._data) is not Recorded]
            places = list(map(notes.place, [*found[0], *(found[1][leaf] for leaf in leaves)]))
        except Exception as error:  # if it is an error of the step, the tape raises it too
            notes.put_back()
            if isinstance(error, ReplayError):
                raise
            return self._take_over(str(error), *on_tape(self.step, inputs))
        result = without_notes(found)
        del found  # from here on, nobody but the notes holds an array that the step made
        try:
            if not same(before, [*reach.now(), *map(data_of, reach.tensors)]):
                for t in Reach(self.step).tensors:
                    t._data = without_notes(t._data)
                raise NotReplayableError("it gives an attribute, variable or tensor another value")
            if not set(leaves) <= set(reach.tensors):
                raise NotReplayableError("a tensor that requires grad is not found from the step")
            self.routines[kind] = Routine(notes, places, leaves, reach)
        except NotReplayableError as error:  # what the run has computed is right
            return self._take_over(str(error), *result)
        return deliver(*result)

    def _compare(self, routine: Routine, replayed: list[Array], saved: Any, inputs: Any) -> Any:
        """Let the tape run from the same state as a replay: it must come to the same."""
        found, after = list(map(bits, replayed)), routine.state()
        routine.put_back(saved)
        outputs, gradients = on_tape(self.step, inputs)
        truth = [bits(array) for array in (*outputs, *map(gradients.get, routine.leaves))]
        routine.verified = found == truth and after == routine.state()
        if not routine.verified:
            return self._take_over("a replay came to another result", outputs, gradients)
        return deliver(outputs, gradients)

    def _take_over(self, reason: str, outputs: list[Array], gradients: dict[Any, Array]) -> Any:
        """Let the tape compute the step from now on, and say why."""
        self.refusal = reason
        self.routines.clear()
        warnings.warn(
            f"The tape computes this step, since {reason}. The results are right, and not faster.",
            ReplayWarning,
            stacklevel=4,
        )
        return deliver(outputs, gradients)


def on_tape(
    step: Step, inputs: Iterable[Any], finish: Callable[[Any], Any] = own
) -> tuple[list[Array], dict[Any, Array]]:
    """One run of a step: its outputs, and the gradient of every leaf, an array of its own."""
    found = step(*inputs)
    outputs = list(found) if isinstance(found, (tuple, list)) else [found]
    check_differentiable(outputs[0])
    with np.errstate(all="ignore"):
        arrived = sweep({outputs[0]: start(outputs[0], None)}, retain_graph=False)
    return [y._data for y in outputs], {leaf: finish(arrived.pop(leaf)) for leaf in list(arrived)}


def deliver(outputs: list[Array], gradients: dict[Any, Array]) -> Any:
    """Add the gradients to the leaves, and return the outputs as tensors."""
    for leaf, g in gradients.items():
        leaf._grad = wrap(g if leaf._grad is None else leaf._grad._data + g)
    return wrap(outputs[0]) if len(outputs) == 1 else tuple(map(wrap, outputs))


def kind_of(x: Any) -> Any:
    """What of an argument is fixed in a routine."""
    if type(x) is np.ndarray:
        return x.shape, x.dtype, x.strides
    if type(x) in PLAIN:
        return type(x), x
    raise TypeError(
        "A replayed step takes arrays, numbers, words and None, but was given "
        f"a {type(x).__name__}. Pass the array of a tensor: t.data; a list as np.array(list)."
    )


def bits(array: Any) -> Any:
    """An array as something that is equal only if every bit is."""
    return None if array is None else (array.shape, array.dtype, array.tobytes())
