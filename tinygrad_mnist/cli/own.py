"""Code of your own that this very command names: it is run, and nothing else is."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tinygrad_mnist.runs import Own

KEYS = ("model", "optimizer")


def references(settings: Sequence[str], model: str | None, optimizer: str | None) -> dict[str, str]:
    """What was typed as a model and an optimizer of one's own: as an option, or after --set."""
    from tinygrad_mnist.owncode import is_reference

    typed = [("model", model), ("optimizer", optimizer)]
    typed += [(key.strip(), text.strip()) for key, _, text in (s.partition("=") for s in settings)]
    return {key: text for key, text in typed if key in KEYS and text and is_reference(text)}


@contextmanager
def opened_own(model: str | None = None, optimizer: str | None = None) -> Iterator[Own]:
    """What was typed, run and ready to be called."""
    from tinygrad_mnist.owncode import opened
    from tinygrad_mnist.runs import Own

    with ExitStack() as stack:
        named = (model, optimizer)
        yield Own(*(stack.enter_context(opened(text)) if text else None for text in named))
