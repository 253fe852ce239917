"""What the optimizers share: groups of parameters, each with its own settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinygrad_mnist.autodiff import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable


class Optimizer:
    """Parameters in groups. A group is a dict of its ``params`` and its settings; state lies in lists beside them.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups ``{"params": [...], "lr": ...}`` whose settings replace the defaults.
    defaults : dict
        The settings of groups that do not name them.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        entries = list(params)
        if not entries:
            raise ValueError("The optimizer was given no parameters. Was a generator such as model.parameters() used up before?")
        groups = entries if isinstance(entries[0], dict) else [{"params": entries}]
        self.param_groups = [defaults | group | {"params": list(group["params"])} for group in groups]
        every = [p for group in self.param_groups for p in group["params"]]
        for p in every:
            if not isinstance(p, Tensor):
                raise TypeError(f"An optimizer updates tensors, but was given a {type(p).__name__}. Pass model.parameters().")
        if len(set(every)) < len(every):
            raise ValueError("A parameter was given twice: it would be updated twice a step.")
        for name, value in ((name, group[name]) for group in self.param_groups for name in ("lr", "weight_decay")):
            if value < 0:
                raise ValueError(f"{name} must not be negative, but is {value}.")

    def zero_grad(self) -> None:
        """Forget all gradients. Without this, `backward` adds to those of the last step."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        raise NotImplementedError(f"{type(self).__name__} has no step method.")
