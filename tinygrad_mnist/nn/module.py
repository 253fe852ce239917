"""What every layer and model has in common: parameters found by attribute, one call, one printed tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tinygrad_mnist.autodiff import Tensor, tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from tinygrad_mnist.autodiff.variable import Array

T = TypeVar("T")


class Parameter(Tensor):
    """A tensor that a module trains: assigned as an attribute, it is found by `Module.parameters`.

    Attributes
    ----------
    name : str or None
        The attribute it was first assigned to, for error messages.
    """

    __slots__ = ("name",)

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)
        self.name: str | None = None


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` did not find, and what it did not ask for."""

    missing_keys: list[str]
    unexpected_keys: list[str]


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
    _buffers: tuple[str, ...] = ()

    def forward(self, *inputs: Any) -> Any:
        """Compute the output; every module defines its own."""
        raise NotImplementedError(
            f"{type(self).__name__} has no forward method. Define forward(self, x) in the class."
        )

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Compute the output: calls `forward`."""
        return self.forward(*inputs, **options)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Where a parameter or a buffer is, only another one or None can take its place."""
        kind = (
            Parameter
            if isinstance(vars(self).get(name), Parameter)
            else Tensor
            if name in self._buffers
            else object
        )
        if not (value is None or isinstance(value, kind)):
            raise TypeError(
                f"{name} is a {'buffer' if kind is Tensor else 'parameter'} of this {type(self).__name__}, and a {type(value).__name__} "
                f"in its place would not be {'saved' if kind is Tensor else 'trained'}. To change its values, assign to {name}.data."
            )
        if isinstance(value, Parameter) and value.name is None:
            value.name = name
        super().__setattr__(name, value)

    def register_buffer(self, name: str, tensor: Any) -> None:
        """Keep a tensor that is not trained, such as a running mean, as an attribute and in the `state_dict`.

        Parameters
        ----------
        name : str
            Of the attribute.
        tensor : Tensor, array_like or None
            An array is shared, not copied. With None there is nothing to save until a tensor is assigned.

        Raises
        ------
        KeyError
            If there is an attribute of this name already.
        """
        if hasattr(self, name) and name not in self._buffers:
            raise KeyError(
                f"{type(self).__name__} has an attribute {name} already. Choose another name for the buffer."
            )
        setattr(self, name, tensor if tensor is None or type(tensor) is Tensor else Tensor(tensor))
        self._buffers += (name,)

    def _children(self) -> Iterator[tuple[str, Module]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def _walk(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and every one inside it, with what comes before the names of its tensors."""
        yield prefix, self
        for name, child in self._children():
            yield from child._walk(f"{prefix}{name}.")

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        """Dotted name and tensor: of each module first the parameters, then the buffers; shared ones under each of their names."""
        for prefix, module in self._walk():
            own = vars(module)
            yield from (
                (prefix + name, value)
                for name, value in own.items()
                if isinstance(value, Parameter)
            )
            yield from (
                (prefix + name, own[name]) for name in module._buffers if own.get(name) is not None
            )

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Attribute name and module, for each module directly inside this one, once."""
        return _once(self._children())

    def modules(self) -> Iterator[Module]:
        """This module and every one inside it, once."""
        return (module for _, module in _once(self._walk()))

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Dotted name and parameter: a module's own, in the order of assignment, before those inside it; a shared one comes once."""
        start = prefix and f"{prefix}."
        return _once((start + name, p) for name, p in self._state() if isinstance(p, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter of this module and those inside it, once."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Dotted name and buffer, in the order of `named_parameters`; a shared one comes once."""
        start = prefix and f"{prefix}."
        return _once((start + name, t) for name, t in self._state() if not isinstance(t, Parameter))

    def buffers(self) -> Iterator[Tensor]:
        """Every buffer of this module and those inside it, once."""
        return (t for _, t in self.named_buffers())

    def state_dict(self) -> dict[str, Tensor]:
        """Dotted name -> tensor, for parameters and buffers. They share the module's memory: copy the arrays to keep them."""
        return {name: t.detach() for name, t in self._state()}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into the parameters and buffers of the same names; on any error nothing has changed.

        Parameters
        ----------
        state_dict : mapping
            Dotted name -> tensor or array.
        strict : bool
            Refuse missing and unexpected names. Otherwise they are passed over.

        Returns
        -------
        IncompatibleKeys
            The names that were missing and those that were unexpected.

        Raises
        ------
        RuntimeError
            If a value has another shape or is no number, or with `strict` if names do not match. The message names all of them.
        TypeError
            If `state_dict` is no mapping.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"load_state_dict takes a dict of names and arrays, as state_dict() makes, but this is {type(state_dict)}."
            )
        own = dict(self._state())
        keys = IncompatibleKeys(
            [name for name in own if name not in state_dict],
            [name for name in state_dict if name not in own],
        )
        problems = [
            f"{what} {names}"
            for what, names in zip(("missing", "unexpected"), keys, strict=True)
            if strict and names
        ]
        values = {}
        for name in (name for name in own if name in state_dict):
            try:
                values[name] = _copy(state_dict[name], own[name])
            except (TypeError, ValueError) as error:
                problems.append(f"{name}: {error}")
        if problems:
            raise RuntimeError(
                f"The state_dict does not fit this {type(self).__name__}: {'; '.join(problems)}."
            )
        for name, value in values.items():
            own[name].data = value
        return keys

    def train(self, mode: bool = True) -> Self:
        """Switch to training (dropout is active) and return the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch to evaluation (dropout passes everything through) and return the module."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of every parameter and return the module: False freezes it."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters():
            p.grad = None

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module inside, then on this one; return the module."""
        for _, child in self.named_children():
            child.apply(fn)
        fn(self)
        return self

    def extra_repr(self) -> str:
        """What `repr` says of this module itself; by default the shapes of its own parameters."""
        return ", ".join(
            f"{name} {p.shape}" for name, p in vars(self).items() if isinstance(p, Parameter)
        )

    def __repr__(self) -> str:
        count = sum(p.size for p in self.parameters())
        counted = f"{count:,} parameter{'s' * (count != 1)}" if count else ""
        head = "; ".join(filter(None, [self.extra_repr(), counted]))
        children = [
            f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._children()
        ]
        if not children:
            return f"{type(self).__name__}({head})"
        return "\n  ".join([f"{type(self).__name__}(", *children]) + f"\n){' ' * bool(head)}{head}"


def _once(named: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Leave out what came before under another name."""
    seen: set[T] = set()
    for name, value in named:
        if value not in seen:
            seen.add(value)
            yield name, value


def _copy(value: Any, target: Tensor) -> Array:
    """The value in the dtype of the target, if it has its shape."""
    copied = tensor(value, dtype=target.dtype).data
    if copied.shape != target.shape:
        transposed = copied.ndim == 2 and copied.shape == target.shape[::-1]
        hint = (
            " (PyTorch's Linear.weight is the transpose of ours: pass it with .T)"
            if transposed
            else ""
        )
        raise ValueError(f"shape {target.shape} here, but {copied.shape} in the state_dict{hint}")
    if target.op is not None:
        raise ValueError(
            "computed from tensors that require grad, so not to be written to (update buffers under no_grad())"
        )
    return copied


class ModuleList(Module):
    """Modules in a list, so that their parameters are found; what is done with them is up to the `forward` around it.

    Parameters
    ----------
    modules : iterable of Module
        What the list starts with.

    Raises
    ------
    TypeError
        If an element is not a module.

    Examples
    --------
    >>> from tinygrad_mnist import nn
    >>> nn.ModuleList(nn.Linear(n, 1) for n in (4, 2))
    ModuleList(
      (0): Linear(weight (4, 1), bias (1,); 5 parameters)
      (1): Linear(weight (2, 1), bias (1,); 3 parameters)
    ) 8 parameters
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> Self:
        """Add a module at the end and return the list."""
        if not isinstance(module, Module):
            raise TypeError(
                f"{type(self).__name__} takes modules, but argument {len(self)} is a {type(module).__name__}. "
                "Use nn.ReLU() for a function like relu."
            )
        setattr(self, str(len(self)), module)
        return self

    def __iter__(self) -> Iterator[Module]:
        return (child for _, child in self._children())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, i: int | slice) -> Any:
        """The module at a place; for a slice, a list of the same modules."""
        found = list(self)[i]
        return ModuleList(found) if isinstance(found, list) else found


class Sequential(ModuleList):
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
        super().__init__(modules)

    def __getitem__(self, i: int | slice) -> Any:
        """The module at a place; for a slice, a Sequential of the same modules: all but the last layer is ``model[:-1]``."""
        found = super().__getitem__(i)
        return Sequential(*found) if isinstance(i, slice) else found

    def forward(self, x: Any) -> Any:
        """Pass x through all modules."""
        for module in self:
            x = module(x)
        return x
