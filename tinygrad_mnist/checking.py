"""Derivatives of your own code: a file is run as Python would, and what it defines checked."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import inspect
import re
import sys
import traceback
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist import nn
from tinygrad_mnist.autodiff import GradcheckError, Op, Tensor, gradcheck, gradgradcheck
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

MOST_ELEMENTS = 10_000
"""Each costs two runs of the function, and two of its derivative."""


class OwnCodeError(Exception):
    """What was named in a file of your own cannot be checked; the message says why."""


class Checked(NamedTuple):
    """What came of a check.

    Attributes
    ----------
    first, second : bool or None
        Whether the derivatives agree with central differences; None if that was not looked at.
    names : list of str
        The inputs, then the parameters of a module.
    problem : str
        What does not agree, and the likely cause, or "".
    """

    first: bool
    second: bool | None
    names: list[str]
    problem: str = ""


def check(
    target: Any, shapes: Sequence[tuple[int, ...]], options: Mapping[str, Any], seed: int = 0
) -> Checked:
    """Compare first and second derivatives of a function, op or module with central differences.

    Parameters
    ----------
    target : callable
        A function or op that takes tensors and returns one; a `nn.Module`, or the class of one: its
        parameters are checked like inputs.
    shapes : sequence of tuple of int
        One per tensor; the values are drawn from a normal distribution.
    options : mapping
        What else the function takes, or a class to make its module, by name.
    seed : int
        Decides the values, those of parameters included.

    Raises
    ------
    OwnCodeError
        If it does not take these arguments, fails, or returns no tensor.
    """
    size = sum(int(np.prod(shape, dtype=object)) for shape in shapes)
    if size > MOST_ELEMENTS:
        raise OwnCodeError(
            f"These shapes have {counted(size, 'element')}, each of which takes several runs. "
            f"{MOST_ELEMENTS:,} are the limit; a few suffice to find a wrong rule."
        )
    rng = np.random.default_rng(seed)
    function, parameters = _prepared(target, shapes, options)
    inputs = [rng.normal(size=shape) for shape in shapes]
    names = [f"input {i}" for i in range(len(inputs))] + [f"parameter {n}" for n in parameters]
    inputs += [p.astype(np.float64) for p in parameters.values()]
    for order, compare in enumerate((gradcheck, gradgradcheck)):
        try:
            compare(function, inputs, rng=rng)
        except GradcheckError as error:
            problem = _named(str(error), [*names, "the cotangent"])
            return Checked(order == 1, None if order == 0 else False, names, problem)
    return Checked(True, True, names)


def _prepared(
    target: Any, shapes: Sequence[tuple[int, ...]], options: Mapping[str, Any]
) -> tuple[Callable[..., Tensor], dict[str, NDArray[Any]]]:
    """A function of tensors only, and the arrays of the parameters among them."""
    if isinstance(target, type):
        if not issubclass(target, nn.Module):
            raise OwnCodeError(
                f"{target.__name__} is a class, but not one of an nn.Module. "
                "Name a function, an op, or a module."
            )
        _fits(target, (), options)
        with _told(target):
            target = target(**options)
        options = {}
    if not isinstance(target, nn.Module):
        _fits(getattr(target, "forward", target), shapes, options)
        return partial(_called, target, options), {}
    _fits(target.forward, shapes, options)
    parameters = dict(target.named_parameters())

    def with_parameters(*tensors: Tensor) -> Tensor:
        inputs, values = tensors[: len(shapes)], tensors[len(shapes) :]
        with _in_place_of(target, dict(zip(parameters.values(), values, strict=True))):
            return _called(target, options, *inputs)

    return with_parameters, {name: p.data for name, p in parameters.items()}


def _fits(function: Any, shapes: Sequence[Any], options: Mapping[str, Any]) -> None:
    """See that a function takes so many tensors, and what else was given."""
    name = getattr(function, "__qualname__", str(function))
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a built-in function
        return
    anything = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    unknown = [] if anything else [key for key in options if key not in signature.parameters]
    if unknown:
        raise OwnCodeError(
            f"{name} takes no {unknown[0]!r}: it is {name}{signature}. Change --arg."
        )
    try:
        signature.bind(*shapes, **options)
    except TypeError as error:
        raise OwnCodeError(
            f"{name}{signature} does not fit: {error}. "
            "Give a --shape for each tensor, and --arg NAME=VALUE for all else."
        ) from error


def _called(function: Any, options: Mapping[str, Any], *tensors: Tensor) -> Tensor:
    with _told(function):
        out = function(*tensors, **options)
    if not isinstance(out, Tensor):
        hint = " Does it lack its return?" if out is None else " Was .data or .numpy() used?"
        raise OwnCodeError(
            f"{_name(function)} returned {type(out).__name__}, expected a tensor.{hint}"
        )
    return out


@contextmanager
def _in_place_of(model: nn.Module, values: Mapping[nn.Parameter, Tensor]) -> Iterator[None]:
    """Let other tensors stand where the parameters of a model are."""
    places = [
        (vars(module), name, value)
        for module in model.modules()
        for name, value in vars(module).items()
        if isinstance(value, nn.Parameter)
    ]
    try:
        for attributes, name, parameter in places:
            attributes[name] = values[parameter]
        yield
    finally:
        for attributes, name, parameter in places:
            attributes[name] = parameter


def _named(message: str, names: Sequence[str]) -> str:
    """What `gradcheck` says, with the inputs called by their names."""
    return re.sub(
        r"\binput (\d+)", lambda found: names[int(found[1])], message, flags=re.IGNORECASE
    )


# ---------------------------------------------------------------- what a file defines


@contextmanager
def defined(reference: str) -> Iterator[Any]:
    """What ``FILE.py:NAME`` names. The file is run as Python would import it.

    Its folder is the first place to import from, also while what it defines is called, and its
    ``__name__`` is that of the file. After that, everything is as before.

    Raises
    ------
    OwnCodeError
        If there is no such file or name, or the file fails.
    """
    file, _, name = reference.rpartition(":")
    path = Path(file)
    if not file or not path.is_file():
        raise OwnCodeError(f"Write FILE.py:NAME; there is no file {file or reference!r}.")
    modules, search = set(sys.modules), list(sys.path)
    folder = path.resolve().parent
    sys.path.insert(0, str(folder))
    try:
        module = _run(path)
        if not callable(found := vars(module).get(name)):
            own = [key for key, value in vars(module).items() if _is_of(value, module)]
            raise OwnCodeError(
                f"{file} has no function {name!r}. It has {', '.join(own)[:200] or 'none'}."
            )
        yield found
    finally:
        sys.path[:] = search
        for added in set(sys.modules) - modules:
            origin = getattr(sys.modules[added], "__file__", None)
            if origin and folder in Path(origin).resolve().parents:
                del sys.modules[added]


def _run(path: Path) -> Any:
    """The module that a file makes."""
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    name = f"own_{path.stem}" if taken else path.stem
    loader = importlib.machinery.SourceFileLoader(name, str(path.resolve()))
    spec = importlib.machinery.ModuleSpec(name, loader, origin=str(path))
    module = importlib.util.module_from_spec(spec)
    vars(module)["__file__"] = str(path)
    sys.modules[name] = module
    with _told(path):  # without a cache beside the file: what is edited is what runs
        exec(loader.source_to_code(path.read_bytes(), str(path)), vars(module))  # noqa: S102
    return module


def _is_of(value: Any, module: Any) -> bool:
    """Whether a function, or that of an op, or a module, was made in a file."""
    if isinstance(value, nn.Module):
        return True
    function = value.forward if isinstance(value, Op) else value
    return callable(value) and getattr(function, "__module__", None) == module.__name__


@contextmanager
def _told(whose: Any) -> Iterator[None]:
    """What other people's code raises, in one line that names it."""
    try:
        yield
    except (OwnCodeError, GradcheckError, KeyboardInterrupt):
        raise
    except BaseException as error:  # also what exit() raises: to end here would look like success
        at = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame)]
        where = f" in line {at[-1].lineno} of {Path(at[-1].filename).name}" if at else ""
        what = str(error).split("\n")[0][:200]
        did = "when it was run" if isinstance(whose, Path) else "when it was called"
        raise OwnCodeError(
            f"{_name(whose)} raised {type(error).__name__}{where} {did}: {what or 'no message'}"
        ) from error


def _is_own(frame: traceback.FrameSummary) -> bool:
    inside = (str(Path(__file__).parent), str(Path(np.__file__).parent), "<")
    return not frame.filename.startswith(inside)


def _name(whose: Any) -> str:
    if isinstance(whose, Path):
        return str(whose)
    kind = type(whose).__name__
    return str(getattr(whose, "__qualname__", getattr(whose, "name", kind)))


# ---------------------------------------------------------------- what the command line says


def shape_of(text: str) -> tuple[int, ...]:
    """``"3,4"`` as (3, 4), and ``""`` as () for a single number."""
    parts = [part.strip() for part in text.removesuffix(",").split(",")] if text else []
    if not all(re.fullmatch(r"-?\d{1,9}", part, re.ASCII) for part in parts):
        raise OwnCodeError(f"A shape is written as 3,4, but this is {text!r:.80}.")
    shape = tuple(map(int, parts))
    if any(length < 1 for length in shape):
        raise OwnCodeError(
            f"A shape is made of lengths from 1 up, but this is {text!r}: "
            "there would be nothing to check."
        )
    return shape


def options_of(texts: Sequence[str]) -> dict[str, Any]:
    """``["width=1", "mode='same'"]`` as a dict; values are Python literals."""
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise OwnCodeError(f"--arg has the form NAME=VALUE, but this is {text!r:.80}.")
        if name in options:
            raise OwnCodeError(f"--arg {name} was given twice. Leave one of them out.")
        try:
            options[name] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise OwnCodeError(
                f"--arg {name}: {value!r:.80} is no Python value such as 1, 0.5, (2, 3), True or "
                "'same' (text needs its quotes, and those are to be kept from the shell)."
            ) from error
    return options
