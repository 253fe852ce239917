"""A model as a list of its layers in the order in which they act, as some files store it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinygrad_mnist import nn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


class ExportError(ValueError):
    """A format cannot hold a model or a run; the message names the cause and what is supported."""


def forward_of(module: nn.Module) -> Any:
    """The function that a module's call runs; it differs for a subclass with its own `forward`."""
    return getattr(module.forward, "__func__", None)


def layers(
    model: nn.Module, supported: Collection[type[nn.Module]]
) -> Iterator[tuple[str, nn.Module]]:
    """Path and layer, in the order in which the input passes them; a reused layer comes again.

    Parameters
    ----------
    model : nn.Module
        A layer, or a Sequential of layers and of other Sequentials, such as `nn.MLP`.
    supported : collection of types
        The layer types that are allowed.

    Raises
    ------
    ExportError
        If there is another layer; the message names its path and lists the supported types.
    """
    for path, layer in _flat("", model):
        if forward_of(layer) not in [kind.forward for kind in supported]:
            names = ", ".join(sorted([kind.__name__ for kind in supported] + ["Sequential", "MLP"]))
            where = f"layer {path!r}" if path else "the model itself"
            raise ExportError(
                f"This format has no counterpart for {type(layer).__name__} ({where}). "
                f"Supported: {names}. Any network can be exported as safetensors."
            )
        yield path, layer


def _flat(path: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if forward_of(module) is nn.Sequential.forward:
        for name, child in vars(module).items():
            if isinstance(child, nn.Module):
                yield from _flat(f"{path}.{name}" if path else name, child)
    else:
        yield path, module
