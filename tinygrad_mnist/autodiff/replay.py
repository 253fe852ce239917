"""Replay: one run of a step is written down as calls of NumPy, and later runs repeat the calls.

The arrays of the recorded run belong to a class that notes what is done to them, so ops and rules
need not know of it. Replays are compared with the tape, and the tape takes over if they differ.
"""

from __future__ import annotations

import dis
import operator
import pickle
import sys
import threading
import types
import warnings
import weakref
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff.gradient import check_differentiable, own, start
from tinygrad_mnist.autodiff.graph import sweep
from tinygrad_mnist.autodiff.memory import owner
from tinygrad_mnist.autodiff.mode import mode
from tinygrad_mnist.autodiff.passes import Call, Place, compiled, merged, planned
from tinygrad_mnist.autodiff.variable import Variable, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tinygrad_mnist.autodiff.tensor import Tensor
    from tinygrad_mnist.autodiff.variable import Array

    Step = Callable[..., Any]

SMALL = 1024
"""Bytes of an array that every replay looks at, to see whether it is still the same."""

LARGEST = 1 << 20
"""Bytes of an array, held by an object, that is compared after a verified run."""
FEW = 8
"""Recordings that are always allowed; beyond that, one in ten runs."""
STATELESS = ("numpy", "tinygrad_mnist")
"""Packages whose functions keep nothing in global variables."""
PLAIN = (bool, int, float, str, bytes, type(None))

# How a call is written in a program.
INTO, INTO_OUT = "{f}({args}, {out})", "{f}({args}, out={out})"
COPY, THEN_COPY, BARE = "{out}[...] = {args}", "{out}[...] = {f}({args})", "{f}({args})"
METHODS = {
    COPY: "astype copy flatten ravel reshape",
    INTO_OUT: "argmax argmin choose cumprod cumsum dot round take trace",
    THEN_COPY: "__getitem__ argsort repeat searchsorted",
    BARE: "__setitem__ fill partition put sort",
    "number": "__complex__ __contains__ __float__ __index__ __int__ item tobytes tolist",
    "shape": "compress nonzero",
}
DEFAULTS = {"dtype": None, "keepdims": False, "where": True}
WHOLE = {np.einsum}  # written in Python, but what is beneath takes no notes
LIKE = {np.zeros_like, np.ones_like, np.full_like, np.empty_like}
CHANGES_FIRST = {np.copyto, np.putmask}
TAKES_OUT = {np.concatenate, np.dot, np.einsum, "random", "standard_normal", "standard_exponential"}
COPIERS = "array asarray asanyarray ascontiguousarray asfortranarray"
MAKERS = "arange empty eye full identity linspace ones tri zeros"


NUMPYS_ARRAY = np.array  # as it is while no notes are taken
data_of, wanted = operator.attrgetter("_data"), operator.attrgetter("_requires_grad")
contents_of = operator.attrgetter("cell_contents")


class ReplayError(RuntimeError):
    """A step reads a number from an array, which a replay would repeat without looking."""


class ReplayWarning(UserWarning):
    """The tape computes a step that was to be replayed."""


class NotReplayableError(Exception):
    """The step, or the values of this run, need the tape."""


# ---------------------------------------------------------------- the arrays that take notes


class Recorded(np.ndarray):
    """An array that notes in a log what is computed from it, and what is written to it."""

    log: Any = None

    def __array_finalize__(self, source: Any) -> None:
        self.log = getattr(source, "log", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(x, Variable) for x in inputs):
            return NotImplemented
        return self.log.ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, kinds: Any, args: Any, options: Any) -> Any:
        if not all(issubclass(kind, np.ndarray) for kind in kinds):
            return NotImplemented
        return self.log.function(function, args, options)

    def __bool__(self) -> bool:
        found = bool(plain(self))
        if self.log.open:
            self.log.calls.append(Call(BARE, expect, (self.log.place(self), found)))
        return found

    def __repr__(self) -> str:
        return repr(plain(self))


def expect(array: Array, found: bool) -> None:
    """Stop a replay where the truth of a value is not that of the recorded run."""
    if bool(array) is not found:
        raise NotReplayableError("a value decides otherwise than in the recorded run")


def plain(x: Any) -> Any:
    """The same without notes, also inside lists, tuples and dicts."""
    if isinstance(x, Recorded):
        return x.view(np.ndarray)
    if type(x) in (tuple, list):
        return type(x)(map(plain, x))
    return {name: plain(value) for name, value in x.items()} if type(x) is dict else x


def _method(name: str, text: str) -> Callable[..., Any]:
    function = getattr(np.ndarray, name)

    def call(self: Recorded, *args: Any, **options: Any) -> Any:
        return self.log.method(name, function, text, (self, *args), options)

    return call


for _text, _names in METHODS.items():
    for _name in _names.split():
        setattr(Recorded, _name, _method(_name, _text))


# ---------------------------------------------------------------- the log


class Log:
    """The calls of one run, in order, and the arrays outside of the step that they use."""

    def __init__(self, generators: list[Any]) -> None:
        self.open = True
        self.calls: list[Call] = []
        self.alive: list[Any] = []  # references to the arrays that own the memory of buffers
        self.numbers: dict[int, int] = {}  # id of such an array, while it lives -> its buffer
        self.inputs: list[Place] = []
        self.outside: dict[int, Array] = {}  # buffer -> an array that was not computed here
        self.constant: dict[int, int] = {}  # of these, the ones NumPy made of numbers: their hash
        self.within = 0  # how many functions of NumPy are running
        self.before: dict[int, Array] = {}  # buffer -> its values before the step changed it
        self.moved = False  # whether a tensor was given another array
        self.drawn: dict[Any, Any] = {}  # generator -> its state before the step
        for rng in generators:
            self.drawn[rng] = rng.bit_generator.state
        self.replayed: list[Any] = []  # the generators whose draws can be replayed

    def put_back(self) -> None:
        """Undo what the run has changed outside."""
        for number, values in self.before.items():
            self.outside[number][...] = values
        for rng, state in self.drawn.items():
            rng.bit_generator.state = state

    def number(self, block: Array) -> int:
        """A new number for the buffer that an array owns."""
        key, number = id(block), len(self.alive)
        self.numbers[key] = number
        self.alive.append(weakref.ref(block, lambda _: self.numbers.pop(key, None)))
        return number

    def place(self, array: Array) -> Place:
        """Where an array is; one that the step did not compute is noted as coming from outside."""
        block = owner(array)
        if id(block) not in self.numbers:
            if isinstance(array, Recorded):
                raise NotReplayableError("it calls a function of NumPy that takes no notes")
            number = self.number(block)
            self.outside[number] = block
            if self.within:
                self.constant[number] = hash(block.tobytes())
        offset = address(array) - address(block)
        where = (offset, array.shape, array.strides, array.dtype)
        return Place(self.numbers[id(block)], *where)

    def noted(self, x: Any) -> Any:
        """The same with places for arrays, also inside lists and tuples."""
        if isinstance(x, np.ndarray):
            return self.place(x)
        return type(x)(map(self.noted, x)) if type(x) in (tuple, list) else x

    def marked(self, result: Any) -> Any:
        """Let a result take notes if it is a window into memory that is known."""
        if type(result) in (tuple, list):
            return type(result)(map(self.marked, result))
        if not isinstance(result, np.ndarray) or id(owner(result)) not in self.numbers:
            return result
        view = result.view(Recorded)
        view.log = self
        return view

    def new(self, array: Array) -> Place:
        """The place of an array that was just computed."""
        self.number(owner(array))
        return self.place(array)

    def watched(self, array: Array, constant: bool = False) -> Any:
        """An array that was not computed from others, and takes notes from now on."""
        number = self.place(array).buffer
        if constant and number in self.outside:
            self.constant.setdefault(number, hash(self.outside[number].tobytes()))
        return self.marked(array)

    def enter(self, array: Any) -> Any:
        """A copy of an argument of the step, which takes notes; a number as it is."""
        if not isinstance(array, np.ndarray):
            return array
        array = array.copy(order="K")
        self.inputs.append(self.new(array))
        return self.marked(array)

    def make(
        self,
        text: str,
        function: Any,
        args: Any,
        options: dict[str, Any],
        result: Any = None,
        pure: bool = True,
    ) -> Any:
        """Make a call, and note it unless its result is a view."""
        notes = self.noted(args), dict(zip(options, map(self.noted, options.values()), strict=True))
        if result is None:
            result = function(*plain(args), **plain(options))
        if isinstance(result, np.generic):
            result = NUMPYS_ARRAY(result)
        if isinstance(result, np.ndarray) and id(owner(result)) not in self.numbers:
            self.calls.append(Call(text, function, *notes, out=self.new(result), pure=pure))
        elif type(result) in (tuple, list) and any(type(x) is np.ndarray for x in result):
            raise NotReplayableError(f"{function} returns several arrays")
        return self.marked(result)

    def change(
        self, text: str, function: Any, args: Any, options: dict[str, Any], target: Any
    ) -> Any:
        """Make a call that writes to an array, and note it."""
        place = self.place(target)
        if place.buffer in {known.buffer for known in self.inputs}:
            raise NotReplayableError("it writes to an argument of the step")
        if place.buffer in self.outside and place.buffer not in self.before:
            self.before[place.buffer] = self.outside[place.buffer].copy(order="K")
        notes = self.noted(args), dict(zip(options, map(self.noted, options.values()), strict=True))
        into = {} if text is BARE else {"out": plain(target)}
        function(*plain(args), **plain(options), **into)
        self.calls.append(Call(text, function, *notes, changed=place))
        return target

    def copied(self, function: Any, x: Any, *args: Any, **options: Any) -> Any:
        """Copy or cast an array, and note it unless the result is a view."""
        result = function(plain(x), *plain(args), **plain(options))
        if self.open and id(owner(result)) not in self.numbers:
            self.number(owner(result))
            filled = self.place(result if result.shape == x.shape else result.reshape(x.shape))
            self.calls.append(Call(COPY, np.copyto, (self.place(x),), out=filled))
        return self.marked(result) if self.open else result

    def ufunc(self, ufunc: np.ufunc, method: str, inputs: Any, options: dict[str, Any]) -> Any:
        """Call a ufunc, or its `reduce`, `at` and so on."""
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if not self.open:
            return function(*plain(inputs), **plain(options))
        if method == "at":
            return self.change(BARE, function, inputs, options, inputs[0])
        (target,) = options.pop("out", (None,))
        options = {name: x for name, x in options.items() if DEFAULTS.get(name, ...) is not x}
        text = INTO if method == "__call__" and not options else INTO_OUT
        if text is INTO:
            inputs = self.settled(ufunc, inputs)
        elif function == np.add.reduce and options.get("axis") == () and target is None:
            return np.add(inputs[0], 0)  # the sum over no axes, which turns -0 into 0
        if target is None:
            return self.make(text, function, inputs, options)
        return self.change(text, function, inputs, options, target)

    def settled(self, ufunc: np.ufunc, inputs: Any) -> Any:
        """The operands with Python's numbers as arrays, which NumPy need not convert each time."""
        kinds = {x.dtype.char for x in inputs if isinstance(x, np.ndarray)}
        char = min(kinds)
        if len(kinds) > 1 or char not in "fd" or char * 2 not in {t[:2] for t in ufunc.types}:
            return inputs
        return [
            self.watched(NUMPYS_ARRAY(x, char), constant=True) if type(x) in (int, float) else x
            for x in inputs
        ]

    def function(self, function: Any, args: Any, options: dict[str, Any]) -> Any:
        """Call any other function of NumPy: one written in Python makes calls of its own."""
        if not self.open:
            return function(*plain(args), **plain(options))
        if function in LIKE:
            return self.watched(function(*plain(args), **plain(options)), constant=True)
        beneath = function._implementation
        if isinstance(beneath, types.FunctionType) and function not in WHOLE:
            self.noted([*args, *options.values()])
            self.within += 1
            try:
                return self.marked(beneath(*args, **options))
            finally:
                self.within -= 1
        if function in CHANGES_FIRST:
            return self.change(BARE, function, args, options, args[0])
        if function is np.where and len(args) == 1:
            raise NotReplayableError("a value decides the shape of an array")
        text = INTO_OUT if function in TAKES_OUT else THEN_COPY
        if (out := options.pop("out", None)) is not None:
            return self.change(text, function, args, options, out)
        return self.make(text, function, args, options)

    def method(self, name: str, function: Any, text: str, args: Any, options: Any) -> Any:
        """Call a method of an array."""
        if not self.open:
            return function(*plain(args), **plain(options))
        if text == "number" and self.place(args[0]).buffer not in self.constant.keys() - self.before.keys():
            raise ReplayError(
                f"The step reads a number from an array ({name.strip('_')}), and a replay would "
                "repeat it without looking. Return the tensor from the step and read it outside, "
                "or call the step without replay."
            )
        if text == "number":
            return function(*plain(args), **plain(options))
        if text == "shape" or (name == "__getitem__" and masks(args[1])):
            raise NotReplayableError("a value decides the shape of an array")
        if text == COPY:
            return self.copied(function, *args, **options)
        if text == BARE:
            return None if self.idle(name, args) else self.change(
                BARE, function, args, options, args[0]
            )
        if name == "__getitem__" and isinstance(function(*plain(args)), np.generic):
            key = args[1] if isinstance(args[1], tuple) else (args[1],)
            args = (args[0], (*key, ...))  # a window instead of a number
        if (out := options.pop("out", None)) is not None:
            return self.change(text, function, args, options, out)
        return self.make(text, function, args, options)

    def idle(self, name: str, args: Any) -> bool:
        """Whether an array is assigned to itself, as the last step of ``x[key] += y``."""
        if name != "__setitem__" or not isinstance(args[2], Recorded):
            return False
        window = np.ndarray.__getitem__(*plain(args[:2]))
        known = isinstance(window, np.ndarray) and id(owner(window)) in self.numbers
        return known and self.place(window) == self.place(args[2])


def masks(key: Any) -> bool:
    """Whether an index chooses elements by a mask, so that values decide how many."""
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, np.ndarray) and part.dtype == bool for part in parts)


def address(array: Array) -> int:
    """Where an array begins in memory."""
    begin: int = array.__array_interface__["data"][0]
    return begin


_running = threading.local()
_lock = threading.RLock()


def drawn(function: Callable[..., Array], *args: Any, **options: Any) -> Array:
    """Draw random numbers with a method of a generator; a replay draws again.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist.autodiff.replay import drawn
    >>> drawn(np.random.default_rng(0).random, (2, 3)).shape
    (2, 3)
    """
    log = getattr(_running, "log", None)
    if log is None:
        return function(*args, **options)
    rng: Any = function.__self__
    log.drawn.setdefault(rng, rng.bit_generator.state)
    log.replayed.append(rng)
    _running.log = None
    draws = function(*args, **options)
    _running.log = log
    text = INTO_OUT if function.__name__ in TAKES_OUT else THEN_COPY
    return log.make(text, function, args, options, pure=False, result=draws)


@contextmanager
def noting(log: Log, tensors: list[Any]) -> Iterator[None]:
    """Take notes in a block: of the tensors, and where `np.asarray` makes an array of another."""
    originals = {name: getattr(np, name) for name in f"{COPIERS} {MAKERS}".split()}

    def keeping(original: Callable[..., Any]) -> Callable[..., Any]:
        def construct(*args: Any, **options: Any) -> Any:
            if args and isinstance(args[0], Recorded):
                return args[0].log.copied(original, *args, **options)
            array = original(*args, **options)
            if getattr(_running, "log", None) is not log:
                return array
            return log.watched(array, constant=not (args and isinstance(args[0], np.ndarray)))

        return construct

    with _lock:
        held = [(t, t._data, log.watched(t._data)) for t in tensors]
        _running.log = log
        for t, _, array in held:
            t._data = array
        for name, original in originals.items():
            setattr(np, name, keeping(original))
        try:
            yield
        finally:
            for name, original in originals.items():
                setattr(np, name, original)
            _running.log, log.open = None, False
            for t, array, watched in held:
                log.moved |= t._data is not watched
                t._data = array if t._data is watched else NUMPYS_ARRAY(plain(t._data))


# ---------------------------------------------------------------- the program


def on_tape(step: Step, inputs: Any) -> tuple[list[Any], dict[Any, Any]]:
    """One run of a step: the arrays of its outputs, and the gradient of every leaf."""
    outputs = step(*inputs)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    check_differentiable(outputs[0])
    with np.errstate(all="ignore"):
        arrived = sweep({outputs[0]: start(outputs[0], None)}, retain_graph=False)
    return [y._data for y in outputs], arrived


class Program:
    """The calls of a recorded run, ready to be repeated.

    Parameters
    ----------
    log : Log
        The notes of the run.
    results : list of Place
        The outputs, then the gradients.
    leaves : list of Tensor
        What the gradients belong to.
    reach : Reach
        What the step can reach.
    """

    def __init__(self, log: Log, results: list[Place], leaves: list[Any], reach: Reach) -> None:
        self.leaves, self.reach, self.verified = leaves, reach, False
        self.before, self.generators = reach.now(), list(dict.fromkeys(log.replayed))
        self.changed: list[Array] = []  # arrays outside that it writes to
        self.constants: list[tuple[Array, bytes]] = []  # small arrays outside, and their values
        self.named: dict[int, tuple[str, Place]] = {}
        self.memory: dict[int, Array] = {}
        windows = [*results, *(place for call in log.calls for place in call.everywhere)]
        first = self._enter(log, windows)
        fixed = self._look_around(log, first, windows)
        once, always, results = merged([*first, *log.calls], results, fixed)
        self.memory |= planned(once, [place for call in once for place in call.everywhere])
        compiled(once, self.memory, {})()
        self.calls = always + self._leave(always, results)
        self.memory |= planned(self.calls, (), self.named)
        self.run = compiled(self.calls, self.memory, self.named)
        self.may_stop = any(call.function is expect for call in always)

    def _enter(self, log: Log, windows: list[Place]) -> list[Call]:
        """Name the arguments and the leaves; return the calls that copy arguments."""
        copies = []
        for i, place in enumerate(log.inputs):
            source = place
            if not whole(place, windows):  # windows into a copy need to be made only once
                source = place._replace(buffer=-1 - i)
                copies.append(Call(COPY, np.copyto, (source,), out=place))
            self.named[source.buffer] = f"x{i}", source
        self.given = []  # leaves whose array is a parameter of `run`
        for leaf in self.leaves:
            place = log.place(leaf._data)
            if owner(leaf._data) is leaf._data and whole(place, windows):
                self.named[place.buffer] = f"p{len(self.given)}", place
                self.given.append(leaf)
        others = {*self.leaves, *self.reach.tensors} - set(self.given)
        self.tensors = [*self.given, *others]
        self.arrays = list(map(data_of, self.tensors))
        return copies

    def _look_around(self, log: Log, first: list[Call], windows: list[Place]) -> set[int]:
        """Find the memory of all arrays from outside; return the buffers that never change."""
        fixed = set()
        trained = {id(owner(leaf._data)) for leaf in self.leaves}
        used = {place.buffer for place in windows}
        for number in log.outside.keys() & used - self.named.keys():
            block = log.outside[number]
            held = sys.getrefcount(block) > 3  # by more than `log`, `block` and this very call
            self.memory[number] = bytes_of(block)
            if number in log.before and held:
                self.changed.append(block)
            elif not held and log.constant.get(number) != hash(log.before.get(number, block).tobytes()):
                raise NotReplayableError("it uses an array that something other than NumPy made")
            elif number in log.before:  # the step makes it, then writes to it
                values = log.before[number]
                same = values.size and (values == values.flat[0]).all()
                first.append(Call(COPY, np.copyto, (values.flat[0] if same else values,), out=log.place(block)))
            elif not held:
                fixed.add(number)
            elif block.nbytes <= SMALL and id(block) not in trained:
                fixed.add(number)
                self.constants.append((block, block.tobytes()))
        return fixed

    def _leave(self, calls: list[Call], results: list[Place]) -> list[Call]:
        """Name the arrays that are the results; return the calls that copy the others."""
        made = {call.out.buffer for call in calls if call.out}
        windows = {place.buffer: {place} for place in results}
        for place in (place for call in calls for place in call.everywhere):
            windows.setdefault(place.buffer, set()).add(place)
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
        """Whether all that was recorded is as it was, or can be replaced."""
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
        return same(self.before, self.reach.now())

    def play(self, inputs: Any) -> list[Array]:
        """Repeat the calls; return outputs and gradients, in arrays that nobody else holds."""
        self.slots = [a if sys.getrefcount(a) <= _SOLE else np.empty_like(a) for a in self.slots]
        arrays = [x for x in inputs if isinstance(x, np.ndarray)]
        with np.errstate(all="ignore"):
            self.run(*arrays, *self.arrays[: len(self.given)], *self.slots)
        return self.slots

    def save(self) -> tuple[list[Array], list[Any]]:
        """The state outside that the calls change."""
        states = [rng.bit_generator.state for rng in self.generators]
        return [array.copy() for array in self.changed], states

    def put_back(self, saved: tuple[list[Array], list[Any]]) -> None:
        """Undo what the calls have changed since `save`."""
        for array, values in zip(self.changed, saved[0], strict=True):
            array[...] = values
        for rng, state in zip(self.generators, saved[1], strict=True):
            rng.bit_generator.state = state


_SOLE = max(sys.getrefcount(a) for a in [np.empty(0)])


def whole(place: Place, windows: list[Place]) -> bool:
    """Whether all windows into a buffer are the whole array or its transpose."""
    turned = place._replace(shape=place.shape[::-1], strides=place.strides[::-1])
    return {w for w in windows if w.buffer == place.buffer} <= {place, turned}


def bytes_of(block: Array) -> Array:
    """The memory of an array that owns it."""
    order = sorted(range(block.ndim), key=lambda i: -block.strides[i])
    flat = block.transpose(order).reshape(-1).view(np.uint8)
    if block.size and not np.shares_memory(flat, block):
        raise NotReplayableError("an array has gaps in memory")
    return flat


# ---------------------------------------------------------------- what a step can reach


class Reach:
    """What a step can reach besides its arguments: attributes, variables, tensors, generators."""

    def __init__(self, step: Step) -> None:
        self.scopes: list[Any] = []  # the values of dicts and lists, as they are at any time
        self.cells: list[Any] = []
        self.globals: list[tuple[dict[str, Any], str]] = []
        self.tensors: list[Any] = []
        self.arrays: list[Array] = []
        self.generators: list[Any] = []
        waiting: list[Any] = [step]
        found: dict[int, Any] = {}
        while waiting:
            if id(x := waiting.pop()) not in found:
                found[id(x)] = x
                waiting.extend(self._inside(x))

    def _inside(self, x: Any) -> Iterable[Any]:
        """Note what there is to note about an object; return the objects that it leads to."""
        if isinstance(x, Variable):
            self.tensors.append(x)
        elif isinstance(x, np.ndarray) and x.nbytes <= LARGEST:
            self.arrays.append(x)
        elif isinstance(x, np.random.Generator):
            self.generators.append(x)
        elif isinstance(x, types.FunctionType):
            return self._variables(x)
        elif isinstance(x, (dict, list)):
            self.scopes.append(x if isinstance(x, list) else x.values())
            return self.scopes[-1]
        elif isinstance(x, (tuple, types.MethodType)):
            return x if isinstance(x, tuple) else (x.__self__, x.__func__)
        elif hasattr(x, "__dict__") and not isinstance(x, (type, types.ModuleType)):
            return vars(x), getattr(type(x), "forward", None)
        return ()

    def _variables(self, function: types.FunctionType) -> Iterable[Any]:
        """The variables of a function that are not its own: of those around it, and global."""
        cells, scope = list(function.__closure__ or ()), function.__globals__
        self.cells += cells
        names = []
        if function.__module__.partition(".")[0] not in STATELESS:
            steps = dis.get_instructions(function)
            names = [step.argval for step in steps if step.opname == "LOAD_GLOBAL"]
            self.globals += [(scope, name) for name in names]
        return [*map(contents_of, cells), *map(scope.get, names)]

    def now(self) -> list[Any]:
        """Everything that the step can read; with other values it may be another computation."""
        return [
            *chain.from_iterable(self.scopes),
            *map(contents_of, self.cells),
            *[scope.get(name) for scope, name in self.globals],
            *map(wanted, self.tensors),
        ]

    def state(self, program: Program) -> list[bytes]:
        """The values of everything that the step can change."""
        arrays = [*map(data_of, self.tensors), *self.arrays, *program.changed]
        generators = [*self.generators, *program.generators]
        states = [pickle.dumps(rng.bit_generator.state) for rng in generators]
        return [*(array.tobytes() for array in arrays), *states]


def same(before: list[Any], now: list[Any]) -> bool:
    """Whether objects are the same, and numbers and words equal."""
    if len(before) != len(now):
        return False
    return all(map(operator.is_, before, now)) or all(
        a is b or (type(a) is type(b) and type(a) in PLAIN and a == b)
        for a, b in zip(before, now, strict=True)
    )


# ---------------------------------------------------------------- the replay


class Replay:
    """A step that is recorded once per kind of arguments, and then replayed: see `replay`."""

    def __init__(self, step: Step) -> None:
        self.step, self.refusal = step, ""
        self.programs: dict[Any, Program] = {}
        self.runs = self.recordings = 0

    def verify(self) -> None:
        """Compare the next replay of every program with the tape."""
        for program in self.programs.values():
            program.verified = False

    def __call__(self, *inputs: Any) -> Any:
        """Run the step, add the gradients to the leaves, and return the outputs, detached."""
        kind = tuple(map(kind_of, inputs))
        with _lock:
            self.runs += 1
            if self.refusal or not mode.recording:
                return self._tape(inputs)
            program = self.programs.get(kind)
            if program is None or not program.fits():
                return self._record(kind, inputs)
            if not program.verified:
                return self._compare(program, inputs)
            saved = program.save()
            try:
                arrays = program.play(inputs)
            except Exception:  # noqa: BLE001  the tape decides what it means
                return self._give_up(program, saved, inputs)
            return self._deliver(arrays, program.leaves)

    def _tape(self, inputs: Any) -> Any:
        outputs, arrived = on_tape(self.step, inputs)
        return self._deliver([*outputs, *map(own, arrived.values())], list(arrived))

    def _deliver(self, arrays: list[Array], leaves: list[Any]) -> Any:
        """Add the gradients to the leaves, and return the outputs as tensors."""
        count = len(arrays) - len(leaves)
        for leaf, g in zip(leaves, arrays[count:], strict=True):
            leaf._grad = wrap(g if leaf._grad is None else leaf._grad._data + g)
        outputs = tuple(map(wrap, arrays[:count]))
        return outputs if count > 1 else outputs[0]

    def _record(self, kind: Any, inputs: Any) -> Any:
        self.recordings += 1
        if self.recordings > FEW + self.runs // 10:
            return self._refuse("it was another computation too often", inputs)
        reach = Reach(self.step)
        log, before = Log(reach.generators), reach.now()
        try:
            with noting(log, reach.tensors):
                outputs, arrived = on_tape(self.step, list(map(log.enter, inputs)))
            leaves = [leaf for leaf in arrived if not isinstance(leaf._data, Recorded)]
            arrays = [*outputs, *map(arrived.get, leaves)]
            del outputs, arrived
            values, places = [np.array(plain(a)) for a in arrays], list(map(log.place, arrays))
            del arrays
        except Exception as error:  # noqa: BLE001  if it is the step's own, the tape raises it too
            log.put_back()
            if isinstance(error, ReplayError):
                raise
            return self._refuse(str(error), inputs)
        try:
            if log.moved or not same(before, reach.now()):
                for t in Reach(self.step).tensors:
                    t._data = NUMPYS_ARRAY(plain(t._data)) if type(t._data) is Recorded else t._data
                raise NotReplayableError("it assigns to an attribute, a variable or a tensor")
            self.programs[kind] = Program(log, places, leaves, reach)
        except NotReplayableError as error:  # what the run computed is right
            self._notice(str(error))
        return self._deliver(values, leaves)

    def _compare(self, program: Program, inputs: Any) -> Any:
        """Let the replay and the tape run from the same state; what they find must be the same."""
        saved = program.save()
        try:
            found = [array.copy() for array in program.play(inputs)]
        except NotReplayableError:
            return self._give_up(program, saved, inputs)
        except Exception:  # noqa: BLE001  the tape decides what it means
            found = []
        after = program.reach.state(program)
        program.put_back(saved)
        outputs, arrived = on_tape(self.step, inputs)
        leaves = [leaf for leaf in arrived if leaf in set(program.leaves)]
        arrays = [*outputs, *(own(arrived[leaf]) for leaf in leaves)]
        program.verified = (
            list(map(id, leaves)) == list(map(id, program.leaves))
            and list(map(bits, found)) == list(map(bits, arrays))
            and after == program.reach.state(program)
        )
        if not program.verified:
            self._notice("a replay of it came to another result")
        return self._deliver(arrays, leaves)

    def _give_up(self, program: Program, saved: Any, inputs: Any) -> Any:
        """Undo what a stopped replay has changed, and forget the program: the tape computes."""
        program.put_back(saved)
        del self.programs[tuple(map(kind_of, inputs))]
        return self._tape(inputs)

    def _refuse(self, reason: str, inputs: Any) -> Any:
        result = self._tape(inputs)
        self._notice(reason)
        return result

    def _notice(self, reason: str) -> None:
        self.refusal = reason
        self.programs.clear()
        warnings.warn(f"...{reason}", ReplayWarning, stacklevel=4)


def kind_of(x: Any) -> Any:
    """What of an argument is fixed in a program."""
    if type(x) is np.ndarray:
        return x.shape, x.dtype, x.strides
    if type(x) in PLAIN:
        return type(x), x
    raise TypeError(
        f"A replayed step takes arrays, numbers and words, but was given a {type(x).__name__}."
    )


def bits(array: Array) -> Any:
    """An array as something that is equal only if every bit is."""
    return array.shape, array.dtype, array.tobytes()


def replay(step: Step) -> Replay:
    """..."""
    return Replay(step)
