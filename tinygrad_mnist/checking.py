"""Check the derivatives of your own code against central differences."""

from __future__ import annotations

import ast
import inspect
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist import nn
from tinygrad_mnist.autodiff import GradcheckError, Tensor, gradcheck, gradgradcheck
from tinygrad_mnist.func import functional_call
from tinygrad_mnist.owncode import OwnCodeError, fits, name_of, told
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

MOST_ELEMENTS = 10_000
"""The most elements: each costs two runs of the function, and two of its derivative."""

HINTS = ("Change --arg.", "Give a --shape for each tensor, and --arg NAME=VALUE for all else.")
"""The way out for an argument that is unknown, and for arguments that do not fit."""


class Checked(NamedTuple):
    """The result of a check.

    Attributes
    ----------
    first, second : bool or None
        Whether the first and second derivatives agree with central differences; None if they were
        not checked.
    names : list of str
        Names of the inputs, then of the parameters of a module.
    problem : str
        The disagreement and its likely cause, or "".
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
        A function or op that takes tensors and returns one; or an `nn.Module` or the class of one,
        whose parameters are checked like inputs.
    shapes : sequence of tuple of int
        One per tensor; the values are drawn from a normal distribution.
    options : mapping
        Further arguments of the function or class, by name. A class that takes an ``rng`` gets
        one without being asked, as a network does when it is trained.
    seed : int
        Decides the values, and the ``rng``.

    Raises
    ------
    OwnCodeError
        If it does not take these arguments, fails, or does not return a tensor.
    """
    size = sum(int(np.prod(shape, dtype=object)) for shape in shapes)
    if size > MOST_ELEMENTS:
        raise OwnCodeError(
            f"These shapes have {counted(size, 'element')}, each of which takes several runs. "
            f"{MOST_ELEMENTS:,} are the limit; a few suffice to find a wrong rule."
        )
    rng = np.random.default_rng(seed)
    if isinstance(target, type) and "rng" in inspect.signature(target).parameters:
        options = {"rng": np.random.default_rng(seed), **options}
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
    """The target as a function of tensors only, and the arrays of its parameters by name."""
    if isinstance(target, type):
        if not issubclass(target, nn.Module):
            raise OwnCodeError(
                f"{target.__name__} is a class, but not one of an nn.Module. "
                "Name a function, an op, or a module."
            )
        fits(target, (), options, HINTS)
        with told(target):
            target = target(**options)
        options = {}
    if not isinstance(target, nn.Module):
        fits(getattr(target, "forward", target), shapes, options, HINTS)
        return partial(_called, target, partial(target, **options)), {}
    fits(target.forward, shapes, options, HINTS)
    parameters = dict(target.named_parameters())

    def with_parameters(*tensors: Tensor) -> Tensor:
        inputs, values = tensors[: len(shapes)], tensors[len(shapes) :]
        named = dict(zip(parameters, values, strict=True))
        return _called(target, functional_call, target, named, inputs, options)

    return with_parameters, {name: p.data for name, p in parameters.items()}


def _called(whose: Any, function: Callable[..., Any], *args: Any) -> Tensor:
    with told(whose):
        out = function(*args)
    if not isinstance(out, Tensor):
        hint = " Does it lack its return?" if out is None else " Was .data or .numpy() used?"
        raise OwnCodeError(
            f"{name_of(whose)} returned {type(out).__name__}, expected a tensor.{hint}"
        )
    return out


def _named(message: str, names: Sequence[str]) -> str:
    """The message of `gradcheck`, with the names of the inputs."""
    return re.sub(
        r"\binput (\d+)", lambda found: names[int(found[1])], message, flags=re.IGNORECASE
    )


# ---------------------------------------------------------------- arguments of the command


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
                f"--arg {name}: {value!r:.80} is not a Python value such as 1, 0.5, (2, 3), True "
                "or 'same' (text needs quotes, which must be protected from the shell)."
            ) from error
    return options
