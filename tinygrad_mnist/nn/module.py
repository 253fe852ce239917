"""What every layer and model has in common: parameters found by attribute, one call, one printed tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Parameter(Tensor):
    """A tensor that a module trains: assigned as an attribute, it is found by `Module.parameters`."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)


class Module:
    """A part of a model. Assign parameters and other modules as attributes, and write `forward`.

    Examples
    --------
    >>> from tinygrad_mnist import nn, tensor
    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         self.factor = nn.Parameter([2.0])
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(tensor([1.0, 3.0]))
    Tensor([2. 6.], from mul, requires_grad)
    >>> Scale()
    Scale(factor (1,); 1 parameter)
    """

    training = True

    def forward(self, *inputs: Any) -> Any:
        """Compute the output; every module defines its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method. Define forward(self, x) in the class.")

    def __call__(self, *inputs: Any) -> Any:
        """Compute the output: calls `forward`."""
        return self.forward(*inputs)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Attribute name and module, for each module directly inside this one."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def modules(self) -> Iterator[Module]:
        """This module and every one inside it."""
        yield self
        for _, child in self.named_children():
            yield from child.modules()

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Dotted name and parameter, in the order of assignment; a shared parameter comes once."""
        seen: set[Parameter] = set()
        for name, p in self._all_parameters(prefix):
            if p not in seen:
                seen.add(p)
                yield name, p

    def _all_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield prefix + name, value
            elif isinstance(value, Module):
                yield from value._all_parameters(f"{prefix}{name}.")

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter of this module and those inside it, once."""
        return (p for _, p in self.named_parameters())

    def state_dict(self) -> dict[str, Tensor]:
        """Dotted name -> tensor, sharing the parameters' memory: copy the arrays to keep them."""
        return {name: p.detach() for name, p in self._all_parameters()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Copy values into the parameters of the same names; on any error nothing has changed.

        Raises
        ------
        KeyError
            With `strict`, if names are missing or unexpected.
        ValueError
            If a value has another shape than its parameter.
        """
        own = dict(self._all_parameters())
        missing, unexpected = own.keys() - state_dict.keys(), state_dict.keys() - own.keys()
        if strict and (missing or unexpected):
            raise KeyError(f"state_dict does not fit: missing {sorted(missing)}, unexpected {sorted(unexpected)}.")
        loaded = {name: Tensor(state_dict[name]).data for name in own if name in state_dict}
        for name, value in loaded.items():
            if value.shape != own[name].shape:
                raise ValueError(f"{name} has shape {own[name].shape}, but the state_dict holds {value.shape}.")
        for name, value in loaded.items():
            own[name].data = np.array(value, dtype=own[name].dtype)

    def train(self, mode: bool = True) -> Module:
        """Switch to training (dropout is active) and return the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Switch to evaluation (dropout passes everything through) and return the module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters():
            p.grad = None

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on every module inside, then on this one; return the module."""
        for _, child in self.named_children():
            child.apply(fn)
        fn(self)
        return self

    def extra_repr(self) -> str:
        """What `repr` says of this module itself; by default the shapes of its own parameters."""
        return ", ".join(f"{name} {p.shape}" for name, p in vars(self).items() if isinstance(p, Parameter))

    def __repr__(self) -> str:
        count = sum(p.size for p in self.parameters())
        counted = f"{count:,} parameter{'s' * (count != 1)}" if count else ""
        head = "; ".join(filter(None, [self.extra_repr(), counted]))
        children = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        if not children:
            return f"{type(self).__name__}({head})"
        return "\n  ".join([f"{type(self).__name__}(", *children]) + f"\n){' ' * bool(head)}{head}"


class Sequential(Module):
    """Modules one after the other: the output of each is the input of the next.

    Examples
    --------
    >>> from tinygrad_mnist import nn
    >>> nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    Sequential(
      (0): Linear(weight (784, 64), bias (64,); 50,240 parameters)
      (1): ReLU()
      (2): Linear(weight (64, 10), bias (10,); 650 parameters)
    ) 50,890 parameters
    """

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(
                    f"Sequential takes modules, but argument {i} is a {type(module).__name__}. Use nn.ReLU() for a function like relu."
                )
            setattr(self, str(i), module)

    def forward(self, x: Any) -> Any:
        """Pass x through all modules."""
        for module in self:
            x = module(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, i: int) -> Module:
        return list(self)[i]
