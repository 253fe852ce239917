"""Code of your own for a training in any process: named, opened there, and its errors in words."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.nn import Module
from tinygrad_mnist.owncode import opened, sums_of, told
from tinygrad_mnist.training.loop import Training

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WITHIN = {"model": Module.__call__, "optimizer": Training.apply_gradients}
"""What calls it in a training."""


def from_anywhere(reference: str) -> str:
    """The same reference; a file is named so that a process in any folder finds it."""
    file, _, name = reference.rpartition(":")
    return f"{Path(file).resolve()}:{name}" if Path(file).is_file() else reference


def sums_at(reference: str) -> dict[str, str]:
    """The sums of the code that a reference names, which is run for that, as `sums_of` says."""
    with opened(reference) as own:
        return sums_of(own)


@contextmanager
def opened_code(code: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The ``model`` and ``optimizer`` that references name; their errors become an OwnCodeError."""
    with ExitStack() as stack:
        own = {key: stack.enter_context(opened(reference)) for key, reference in code.items()}
        for key, made in own.items():
            stack.enter_context(told(made, within=(WITHIN[key],)))
        yield own
