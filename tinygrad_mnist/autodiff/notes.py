"""Arrays that note what is done to them: one run of a step, written down as calls of NumPy.

The notes are taken beneath the ops, so neither ops nor rules know of them. Views need no notes: an
array is known by its place in memory, whoever made it.
"""

from __future__ import annotations

import threading
import types
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff.memory import owner
from tinygrad_mnist.autodiff.passes import BARE, COPY, INTO, INTO_OUT, THEN_COPY, Call, Place
from tinygrad_mnist.autodiff.variable import Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tinygrad_mnist.autodiff.variable import Array

    Options = dict[str, Any]

# Method of an array -> how a call of it is written. Methods that make views need no notes, and
# those that call ufuncs, such as sum, are noted there.
METHODS = {
    COPY: "astype copy flatten ravel reshape",
    INTO_OUT: "argmax argmin choose cumprod cumsum dot round take trace",
    THEN_COPY: "__getitem__ argsort repeat searchsorted",
    BARE: "__setitem__ fill partition put sort",
    "number": "__complex__ __contains__ __float__ __index__ __int__ item tobytes tolist",
    "shape": "compress nonzero",
}
COPIERS = "array asarray asanyarray ascontiguousarray asfortranarray"
MAKERS = "arange empty eye full identity linspace ones tri zeros"
"""NumPy's functions that make an array of another, or of numbers; the step is given others."""
LIKE = {np.zeros_like, np.ones_like, np.full_like, np.empty_like}
CHANGES_FIRST = {np.copyto, np.putmask}
TAKES_OUT = {np.concatenate, np.dot, np.einsum, "random", "standard_normal", "standard_exponential"}
BY_NAME = {np.maximum, np.minimum}  # they warn of an output by position
DEFAULTS = {"dtype": None, "keepdims": False, "where": True}
"""Options of a reduction that change nothing, but take time."""
array_of = np.array  # NumPy's own, also while the step is given others


class ReplayError(RuntimeError):
    """A step reads a number from an array, which a replay would repeat without looking."""


class NotReplayableError(Exception):
    """The tape has to compute a step, and why."""


class Recorded(np.ndarray):
    """An array that takes notes."""

    notes: Any = None

    def __array_finalize__(self, source: Any) -> None:
        self.notes = getattr(source, "notes", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(x, Variable) for x in inputs):
            return NotImplemented
        return self.notes.ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, kinds: Any, args: Any, options: Any) -> Any:
        if not all(issubclass(kind, np.ndarray) for kind in kinds):
            return NotImplemented
        return self.notes.function(function, args, options)

    def __bool__(self) -> bool:
        found = bool(plain(self))
        if self.notes.open:
            self.notes.calls.append(Call(BARE, expect, (self.notes.place(self), found)))
        return found

    def __repr__(self) -> str:
        return repr(plain(self))


def expect(array: Array, found: bool) -> None:
    """Stop a replay if a value that decided a branch is no longer what it was."""
    if bool(array) is not found:
        raise NotReplayableError("a value decides otherwise than in the recorded run")


def plain(x: Any) -> Any:
    """The same arrays without notes, also inside lists, tuples and dicts."""
    if isinstance(x, Recorded):
        return x.view(np.ndarray)
    if type(x) in (tuple, list):
        return type(x)(map(plain, x))
    return {name: plain(value) for name, value in x.items()} if type(x) is dict else x


def without_notes(x: Any) -> Any:
    """The same with copies of the arrays that take notes, also inside lists, tuples and dicts."""
    if isinstance(x, Recorded):
        return array_of(plain(x))
    if type(x) in (tuple, list):
        return type(x)(map(without_notes, x))
    return {name: without_notes(y) for name, y in x.items()} if type(x) is dict else x


def _method(text: str, name: str) -> Callable[..., Any]:
    function = getattr(np.ndarray, name)
    return lambda *args, **options: args[0].notes.method(text, function, args, options)


for _text, _names in METHODS.items():
    for _name in _names.split():
        setattr(Recorded, _name, _method(_text, _name))


class Notes:
    """The calls of one run, in order, and the arrays they use that the run did not compute.

    Attributes
    ----------
    calls : list of Call
        All calls, in order.
    inputs : list of Place
        The arguments of the step.
    outside : dict
        Buffer -> an array that owns its memory, and was not computed by a call.
    constant : dict
        Of these, the buffers of arrays that NumPy made of numbers alone -> a hash of their values.
    before : dict
        Buffer -> what an array from outside was before the step changed it.
    states : dict
        Generator of random numbers -> its state before the step.
    drawing : list
        The generators whose draws were noted.
    """

    def __init__(self, generators: list[np.random.Generator]) -> None:
        self.open, self.within = True, 0
        self.alive: list[Any] = []  # a weak reference per buffer
        self.numbers: dict[int, int] = {}  # id of an array that owns memory -> its buffer
        self.calls: list[Call] = []
        self.inputs: list[Place] = []
        self.outside: dict[int, Array] = {}
        self.constant: dict[int, int] = {}
        self.before: dict[int, Array] = {}
        self.states: dict[Any, Any] = {rng: rng.bit_generator.state for rng in generators}
        self.drawing: list[Any] = []

    # ------------------------------------------------------------ arrays and their places

    def number(self, block: Array) -> int:
        """A new buffer, for the memory that an array owns."""
        key, number = id(block), len(self.alive)
        self.numbers[key] = number
        self.alive.append(weakref.ref(block, lambda _: self.numbers.pop(key, None)))
        return number

    def knows(self, array: Array) -> bool:
        """Whether an array is in a buffer."""
        return id(owner(array)) in self.numbers

    def place(self, array: Array) -> Place:
        """Where an array is. If it is in no buffer, it comes from outside."""
        block = owner(array)
        if not self.knows(block):
            if isinstance(array, Recorded):
                raise NotReplayableError("it calls a function of NumPy that takes no notes")
            self.outside[self.number(block)] = block
            if self.within:  # one of NumPy's functions made it
                self.watch(block)
        offset = address(array) - address(block)
        number = self.numbers[id(block)]
        return Place(number, offset, array.shape, array.strides, array.dtype)

    def placed(self, x: Any) -> Any:
        """The same with places for arrays, also inside lists, tuples and dicts."""
        if isinstance(x, np.ndarray):
            return self.place(x)
        if type(x) in (tuple, list):
            return type(x)(map(self.placed, x))
        return {name: self.placed(value) for name, value in x.items()} if type(x) is dict else x

    def marked(self, result: Any) -> Any:
        """Let an array take notes if it is in a buffer, also inside lists and tuples."""
        if type(result) in (tuple, list):
            return type(result)(map(self.marked, result))
        if not isinstance(result, np.ndarray) or not self.knows(result):
            return result
        view = result.view(Recorded)
        view.notes = self
        return view

    def watch(self, array: Array, constant: bool = True) -> Any:
        """Let an array from outside take notes; a constant one was made of numbers alone."""
        number = self.place(array).buffer
        if constant and number in self.outside:
            self.constant.setdefault(number, hash(self.outside[number].tobytes()))
        return self.marked(array)

    def enter(self, x: Any) -> Any:
        """An argument of the step: a copy of an array, which takes notes, or a number."""
        if not isinstance(x, np.ndarray):
            return x
        array = x.copy(order="K")
        self.number(array)
        self.inputs.append(self.place(array))
        return self.marked(array)

    def put_back(self) -> None:
        """Undo what the run has changed outside."""
        for number, values in self.before.items():
            self.outside[number][...] = values
        for rng, state in self.states.items():
            rng.bit_generator.state = state

    # ------------------------------------------------------------ calls

    def make(
        self, text: str, function: Any, args: Any, options: Options, result: Any = None
    ) -> Any:
        """Make a call, and note it unless its result is a view; a `result` was drawn before."""
        places, drawn = (self.placed(args), self.placed(options)), result is not None
        if not drawn:
            result = function(*plain(args), **plain(options))
        if isinstance(result, np.generic):
            result = array_of(result)
        if isinstance(result, np.ndarray) and not self.knows(result):
            self.number(owner(result))
            self.calls.append(Call(text, function, *places, out=self.place(result), pure=not drawn))
        elif type(result) in (tuple, list) and any(type(x) is np.ndarray for x in result):
            raise NotReplayableError(f"{function.__name__} returns several arrays")
        return self.marked(result)

    def change(self, text: str, function: Any, args: Any, options: Options, target: Any) -> Any:
        """Make a call that writes to an array, and note it."""
        place = self.place(target)
        if place.buffer in {known.buffer for known in self.inputs}:
            raise NotReplayableError("it writes to an argument of the step")
        if place.buffer in self.outside and place.buffer not in self.before:
            self.before[place.buffer] = self.outside[place.buffer].copy(order="K")
        places = self.placed(args), self.placed(options)
        into = {} if text is BARE else {"out": plain(target)}
        function(*plain(args), **plain(options), **into)
        self.calls.append(Call(text, function, *places, changed=place))
        return target

    def copied(self, function: Any, args: Any, options: Options) -> Any:
        """Copy or cast an array, and note it unless the result is a view."""
        result = function(*plain(args), **plain(options))
        if not self.knows(result):
            shape = args[0].shape
            self.number(owner(result))
            filled = self.place(result if result.shape == shape else result.reshape(shape))
            self.calls.append(Call(COPY, function, (self.place(args[0]),), out=filled))
        return self.marked(result)

    def ufunc(self, ufunc: np.ufunc, method: str, inputs: Any, options: Options) -> Any:
        """Call a ufunc, or its `reduce`, `at` and so on."""
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if not self.open:
            return function(*plain(inputs), **plain(options))
        if method == "at":
            return self.change(BARE, function, inputs, options, inputs[0])
        (target,) = options.pop("out", (None,))
        options = {name: x for name, x in options.items() if DEFAULTS.get(name, ...) is not x}
        if method == "reduce" and ufunc is np.add and options.get("axis") == () and target is None:
            return np.add(inputs[0], 0)  # a sum over no axes: it turns -0 into 0
        text = INTO_OUT
        if method == "__call__" and not options:
            inputs = self.settled(ufunc, inputs)
            text = INTO_OUT if ufunc in BY_NAME else INTO  # by position is faster
        if target is None:
            return self.make(text, function, inputs, options)
        return self.change(text, function, inputs, options, target)

    def settled(self, ufunc: np.ufunc, inputs: Any) -> Any:
        """The operands with Python's numbers as arrays, which NumPy need not convert each time."""
        kinds = {x.dtype.char for x in inputs if isinstance(x, np.ndarray)}
        char = min(kinds)
        if len(kinds) > 1 or char not in "fd" or char * 2 not in {t[:2] for t in ufunc.types}:
            return inputs
        return [self.watch(array_of(x, char)) if type(x) in (int, float) else x for x in inputs]

    def function(self, function: Any, args: Any, options: Options) -> Any:
        """Call any other function of NumPy: one written in Python makes noted calls itself."""
        if not self.open:
            return function(*plain(args), **plain(options))
        if function in LIKE:
            return self.watch(function(*plain(args), **plain(options)))
        beneath = function._implementation
        if isinstance(beneath, types.FunctionType) and function not in TAKES_OUT:
            self.placed([args, options])
            self.within += 1
            try:
                return self.marked(beneath(*args, **options))
            finally:
                self.within -= 1
        if function is np.where and len(args) == 1:
            raise NotReplayableError("a value decides the shape of an array")
        text = INTO_OUT if function in TAKES_OUT else THEN_COPY
        return self.into(BARE if function in CHANGES_FIRST else text, function, args, options)

    def method(self, text: str, function: Any, args: Any, options: Options) -> Any:
        """Call a method of an array."""
        if not self.open:
            return function(*plain(args), **plain(options))
        name = function.__name__
        if text == "number":
            if self.place(args[0]).buffer in self.constant.keys() - self.before.keys():
                return function(*plain(args), **plain(options))
            raise ReplayError(
                f"The step reads a number from an array ({name.strip('_')}), and a replay would "
                "repeat it without looking. Return the tensor and read it outside of the step, or "
                "run the step on the tape."
            )
        if text == "shape" or (name == "__getitem__" and masks(args[1])):
            raise NotReplayableError("a value decides the shape of an array")
        if text == COPY:
            return self.copied(function, args, options)
        if name == "__setitem__" and self.same_place(*args):
            return None  # the end of ``x[key] += y``
        if name == "__getitem__" and isinstance(function(*plain(args)), np.generic):
            key = args[1] if isinstance(args[1], tuple) else (args[1],)
            args = args[0], (*key, ...)  # a view instead of a number
        return self.into(text, function, args, options)

    def into(self, text: str, function: Any, args: Any, options: Options) -> Any:
        """Make a call whose result may go into an array that is there."""
        target = options.pop("out", None)
        if text is BARE:
            target = args[0]
        if target is None:
            return self.make(text, function, args, options)
        self.change(text, function, args, options, target)
        return None if text is BARE else target

    def same_place(self, array: Any, key: Any, value: Any) -> bool:
        """Whether ``array[key]`` is the very array `value`."""
        if not isinstance(value, Recorded):
            return False
        window = np.ndarray.__getitem__(*plain((array, key)))
        known = isinstance(window, np.ndarray) and self.knows(window)
        return known and self.place(window) == self.place(value)


def masks(key: Any) -> bool:
    """Whether an index chooses elements by a mask, so that values decide how many."""
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, np.ndarray) and part.dtype == bool for part in parts)


def address(array: Array) -> int:
    """Where an array begins in memory."""
    begin: int = array.__array_interface__["data"][0]
    return begin


# ---------------------------------------------------------------- while notes are taken

_current = threading.local()
_lock = threading.RLock()


@contextmanager
def noting(notes: Notes, tensors: list[Any]) -> Iterator[None]:
    """Take notes in a block: of these tensors, and of the arrays that NumPy makes in it."""
    originals = {name: getattr(np, name) for name in f"{COPIERS} {MAKERS}".split()}

    def noted(original: Callable[..., Any]) -> Callable[..., Any]:
        def construct(*args: Any, **options: Any) -> Any:
            of_array = bool(args) and isinstance(args[0], np.ndarray)
            if of_array and isinstance(args[0], Recorded) and args[0].notes.open:
                return args[0].notes.copied(original, args, options)
            array = original(*args, **options)
            here = getattr(_current, "notes", None) is notes
            return notes.watch(array, constant=not of_array) if here else array

        return construct

    with _lock:
        held = [(t, t._data, notes.watch(t._data, constant=False)) for t in tensors]
        _current.notes = notes
        for t, _, watched in held:
            t._data = watched
        for name, original in originals.items():
            setattr(np, name, noted(original))
        try:
            yield
        finally:
            for name, original in originals.items():
                setattr(np, name, original)
            _current.notes, notes.open = None, False
            for t, array, watched in held:
                t._data = array if t._data is watched else without_notes(t._data)


def drawn(function: Callable[..., Array], *args: Any, **options: Any) -> Array:
    """Draw random numbers by a method of a generator, so that a replay draws again.

    Parameters
    ----------
    function : callable
        A method such as ``rng.random``; the other arguments are its own.

    Returns
    -------
    ndarray
        The numbers drawn, as the method returns them.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist.autodiff.notes import drawn
    >>> drawn(np.random.default_rng(0).random, (2, 3)).shape
    (2, 3)
    """
    notes = getattr(_current, "notes", None)
    if notes is None:
        return function(*args, **options)
    rng: Any = getattr(function, "__self__", None)
    notes.states.setdefault(rng, rng.bit_generator.state)
    notes.drawing.append(rng)
    _current.notes = None  # the generator makes its array by np.empty
    try:
        draws = function(*args, **options)
    finally:
        _current.notes = notes
    text = INTO_OUT if function.__name__ in TAKES_OUT else THEN_COPY
    return notes.make(text, function, args, options, draws)
