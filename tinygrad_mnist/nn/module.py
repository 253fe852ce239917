"""The base of every layer and model: a tree of modules whose parameters are found by attribute.

A module may appear in a model under several names, and may refer to a module that contains it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from itertools import count
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

import numpy as np

from tinygrad_mnist.autodiff import Tensor, no_grad
from tinygrad_mnist.nn.arguments import array_of, seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from tinygrad_mnist.autodiff.variable import Array

T = TypeVar("T")


class Parameter(Tensor):
    """A tensor that a module trains: assigned as an attribute, it is found by `Module.parameters`.

    Attributes
    ----------
    name : str or None
        The first attribute it was assigned to, for error messages.
    """

    __slots__ = ("name",)

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)
        self.name: str | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A parameter with its own array and no gradient."""
        copied = type(self)(self.data.copy(order="K"), self.requires_grad)
        copied.name = self.name
        return copied


class IncompatibleKeys(NamedTuple):
    """The names that `Module.load_state_dict` missed, and those it did not expect."""

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

    def __init__(self, *early: Any, **unknown: Any) -> None:
        if early or unknown:
            given = ", ".join([*map(seen, early), *unknown])
            raise TypeError(
                f"{type(self).__name__} was given {given}, which it does not take when it is made. "
                f"Call the finished module on the data: {type(self).__name__}()(...)."
            )
        super().__init__()

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the output; every module defines its own."""
        raise NotImplementedError(
            f"{type(self).__name__} has no forward method. Define forward(self, x) in the class."
        )

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """Compute the output: calls `forward`."""
        return self.forward(*inputs, **options)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, and give a parameter its name."""
        self._check_place(name, value)
        if isinstance(value, Parameter) and value.name is None:
            value.name = name
        super().__setattr__(name, value)

    def _check_place(self, name: str, value: Any) -> None:
        """Refuse to replace a parameter, buffer or module by anything but another one or None."""
        old = vars(self).get(name)
        kinds: tuple[type, ...]
        instead = f"To change its values, assign to {name}.data."
        if isinstance(old, Parameter):
            what, lost, kinds = "parameter", "trained", (Parameter,)
        elif name in self._buffers:
            what, lost, kinds = "buffer", "saved", (Tensor,)
        elif isinstance(old, Module):
            what, lost, kinds = "module", "trained", (Module, Parameter)
            instead = "Keep it under another name."
        else:
            return
        if not (value is None or isinstance(value, kinds)):
            raise TypeError(
                f"{name} is a {what} of this {type(self).__name__}, and a {type(value).__name__} "
                f"in its place would not be {lost}. {instead}"
            )

    def register_buffer(self, name: str, tensor: Any) -> None:
        """Keep a tensor that is not trained, such as a running mean, in the `state_dict`.

        Parameters
        ----------
        name : str
            Name of the attribute that holds it.
        tensor : Tensor, array_like or None
            An array is shared, not copied. With None, nothing is saved until a tensor is assigned.

        Raises
        ------
        KeyError
            If an attribute of this name exists already, or the name has a dot.
        TypeError
            If the name is not a string, or the value does not consist of numbers.
        """
        if not isinstance(name, str):
            raise TypeError(f"A buffer is given as name, tensor, but the name is {seen(name)}.")
        if "." in name or (hasattr(self, name) and name not in self._buffers):
            raise KeyError(
                f"{type(self).__name__} has an attribute {name} already, or the name has a dot. "
                "Choose another name for the buffer."
            )
        setattr(self, name, tensor if tensor is None or type(tensor) is Tensor else Tensor(tensor))
        self._buffers += (name,)

    # ------------------------------------------------------------ what is inside

    def _children(self) -> Iterator[tuple[str, Module]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Attribute name and module, for each module directly inside this one, once."""
        return _once(self._children())

    def children(self) -> Iterator[Module]:
        """Each module directly inside this one, once."""
        return (child for _, child in self.named_children())

    def named_modules(
        self,
        memo: set[Module] | None = None,
        prefix: str = "",
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Module]]:
        """Dotted name and module: first this one, called `prefix`, then those inside it.

        Parameters
        ----------
        memo : set of Module, optional
            Modules to leave out. Every module that is found is added to it.
        prefix : str
            Put in front of every name.
        remove_duplicate : bool
            Whether a module with several names is listed once or under each of them. It is never
            listed inside itself, so a module may refer to the one that contains it.
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        memo.add(self)
        yield prefix, self
        start = prefix and f"{prefix}."
        for name, child in self._children():
            yield from child.named_modules(memo, start + name, remove_duplicate)
        if not remove_duplicate:
            memo.remove(self)

    def modules(self) -> Iterator[Module]:
        """This module and every module inside it, once."""
        return (module for _, module in self.named_modules())

    def _tensors(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Dotted name and tensor: for each module the parameters, then the buffers."""
        for place, module in self.named_modules(None, prefix, remove_duplicate):
            start, own = place and f"{place}.", vars(module)
            for name, value in own.items():
                if isinstance(value, Parameter):
                    yield start + name, value
            for name in module._buffers:
                if own.get(name) is not None:
                    yield start + name, own[name]

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Dotted name and parameter: the module's own, in the order of assignment, come first.

        Those of the modules inside it follow. A shared parameter is listed once.
        """
        return _once((name, p) for name, p in self._tensors(prefix) if isinstance(p, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter of this module and those inside it, once."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Dotted name and buffer, in the order of `named_parameters`; a shared one comes once."""
        return _once((name, t) for name, t in self._tensors(prefix) if not isinstance(t, Parameter))

    def buffers(self) -> Iterator[Tensor]:
        """Every buffer of this module and those inside it, once."""
        return (t for _, t in self.named_buffers())

    # ------------------------------------------------------------ saving and loading

    def state_dict(self) -> dict[str, Tensor]:
        """Dotted name -> tensor, for parameters and buffers; a shared one under each of its names.

        The tensors share the module's memory: copy the arrays to keep their values.
        """
        return {name: t.detach() for name, t in self._tensors(remove_duplicate=False)}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Write values into the arrays of the parameters and buffers of the same names.

        On any error, nothing is changed.

        Parameters
        ----------
        state_dict : mapping
            Dotted name -> tensor or array.
        strict : bool
            Refuse missing and unexpected names. Otherwise they are ignored.

        Returns
        -------
        IncompatibleKeys
            The names that were missing, and those that were unexpected.

        Raises
        ------
        RuntimeError
            If a value has another shape or is not numeric, if an array cannot be written to, or
            if names do not match and `strict` is set. The message lists every problem.
        TypeError
            If `state_dict` is not a mapping.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                "load_state_dict takes a dict of names and arrays, as state_dict() makes, but was "
                f"given {seen(state_dict)}. Read a file first: np.load(path) for a .npz."
            )
        own = dict(self._tensors(remove_duplicate=False))
        keys = IncompatibleKeys(
            [name for name in own if name not in state_dict],
            [name for name in state_dict if name not in own],
        )
        unmatched = zip(("missing", "unexpected"), keys, strict=True)
        problems = [f"{what} {names}" for what, names in unmatched if strict and names]
        values = {}
        for name in (name for name in own if name in state_dict):
            try:
                values[name] = _fitting(state_dict[name], own[name])
            except (TypeError, ValueError) as error:
                problems.append(f"{name}: {error}".rstrip("."))
        if problems:
            raise RuntimeError(
                f"The state_dict does not fit this {type(self).__name__}: {'; '.join(problems)}."
            )
        for name, value in values.items():
            overwrite(own[name], value)
        return keys

    # ------------------------------------------------------------ changes to all modules inside

    def train(self, mode: bool = True) -> Self:
        """Switch to training (dropout is active) and return the module."""
        if mode not in (True, False):
            raise ValueError(f"train takes True or False, but was given {seen(mode)}.")
        self.training = bool(mode)
        self._pass_mode_on()
        return self

    @recursive_repr(fillvalue=None)  # type: ignore[arg-type]
    def _pass_mode_on(self) -> None:
        """Call `train` of the modules inside, which may override it; not where it is running."""
        for child in self.children():
            child.train(self.training)

    def eval(self) -> Self:
        """Switch to evaluation (dropout passes everything through) and return the module."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of every parameter and return the module: False freezes it."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset all gradients: ``p.grad`` becomes None, or zeros with ``set_to_none=False``."""
        for p in self.parameters():
            p.grad = None if set_to_none or p.grad is None else Tensor(np.zeros_like(p.data))

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module inside, then on this one; return the module."""
        for module in list(self._innermost_first(set())):
            fn(module)
        return self

    def _innermost_first(self, memo: set[Module]) -> Iterator[Module]:
        memo.add(self)
        for child in self.children():
            if child not in memo:
                yield from child._innermost_first(memo)
        yield self

    def extra_repr(self) -> str:
        """The text of `repr` about this module; by default the shapes of its own parameters."""
        return ", ".join(
            f"{name} {p.shape}" for name, p in vars(self).items() if isinstance(p, Parameter)
        )

    @recursive_repr(fillvalue="")  # for a module that is already being printed
    def __repr__(self) -> str:
        size = sum(p.size for p in self.parameters())
        counted = f"{size:,} parameter{'s' * (size != 1)}" if size else ""
        head = "; ".join(filter(None, [self.extra_repr(), counted]))
        children = [
            f"({name}): {repr(child) or f'... the {type(child).__name__} above'}"
            for name, child in self._children()
        ]
        if not children:
            return f"{type(self).__name__}({head})"
        inside = "\n".join(children).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inside}\n){' ' * bool(head)}{head}"


def _once(named: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Leave out what was listed before under another name."""
    seen: set[T] = set()
    for name, value in named:
        if value not in seen:
            seen.add(value)
            yield name, value


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Evaluation mode inside a with block; afterwards every module has its previous mode again."""
    modes = [(module, vars(module).get("training")) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            if training is None:  # the module had the mode of its class
                vars(module).pop("training", None)
            else:
                module.training = training


@contextmanager
def watching(look: Callable[[Module, Any], object]) -> Iterator[None]:
    """Call `look` with every module that is called inside a with block, and with its output.

    A module comes after the modules that it called.
    """
    call = Module.__call__

    def watched(self: Module, *inputs: Any, **options: Any) -> Tensor:
        out = call(self, *inputs, **options)
        look(self, out)
        return out

    Module.__call__ = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        Module.__call__ = call  # type: ignore[method-assign]


def overwrite(t: Tensor, values: Any) -> None:
    """Write values into the array of a leaf: its views see them, and `backward` notices."""
    check_writable(t)
    with no_grad():
        t.copy_(values)


def check_writable(t: Tensor) -> None:
    """Raise ValueError if the array of a tensor cannot be written to."""
    if t.is_leaf and not t.data.flags.writeable:
        raise ValueError(
            "The array cannot be written to, as from np.broadcast_to or a file mapped into memory. "
            "Make the tensor from a copy: array.copy()."
        )


def _fitting(value: Any, target: Tensor) -> Array:
    """A copy of the value in the dtype of the target, if it can be written there."""
    array = array_of(value, "a state_dict")
    if array.shape != target.shape:
        transposed = array.ndim == 2 and array.shape == target.shape[::-1]
        hint = " (PyTorch's Linear.weight is the transpose of ours: pass it with .T)"
        raise ValueError(
            f"shape {target.shape} here, but {array.shape} in the state_dict{hint * transposed}"
        )
    if not target.is_leaf:
        raise ValueError(
            "computed from tensors that require grad, so it must not be written to "
            "(update buffers under no_grad())"
        )
    check_writable(target)
    with np.errstate(over="ignore", invalid="ignore"):
        fitting: Array = array.astype(target.dtype)
    lost = np.isfinite(array) & ~np.isfinite(fitting)
    if lost.any():
        raise ValueError(f"holds {array[lost][0]:.3g}, too large for {target.dtype}")
    return fitting


class ModuleList(Module):
    """Modules in a list, so that their parameters are found.

    The `forward` of the module that holds the list decides how they are used.

    Parameters
    ----------
    modules : iterable of Module, optional
        The initial modules.

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

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(() if modules is None else modules)

    def append(self, module: Module) -> Self:
        """Add a module at the end and return the list."""
        free = (str(n) for n in count(len(self)) if str(n) not in vars(self))
        return self._put(next(free), module)

    def extend(self, modules: Any) -> Self:
        """Add several modules at the end and return the list."""
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"{type(self).__name__} takes its modules in a list, but this is {seen(modules)}."
            )
        for module in list(modules):
            self.append(module)
        return self

    def _put(self, name: str, module: Any) -> Self:
        if not isinstance(module, Module):
            hint = "Use nn.ReLU() for a function like relu"
            if isinstance(module, list | tuple):
                hint = "Unpack a list of modules with a star: Sequential(*layers)"
            elif isinstance(module, type):
                hint = f"Make one with brackets: {module.__name__}()"
            raise TypeError(
                f"{type(self).__name__} takes modules, but argument {name} is "
                f"a {type(module).__name__}. {hint}."
            )
        setattr(self, name, module)
        return self

    def __iter__(self) -> Iterator[Module]:
        return (value for value in vars(self).values() if isinstance(value, Module))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, i: int) -> Module: ...
    @overload
    def __getitem__(self, i: slice) -> ModuleList: ...
    def __getitem__(self, i: int | slice) -> Module:
        """The module at an index; for a slice, a list of the same modules."""
        found = list(self)[i]
        return ModuleList(found) if isinstance(found, list) else found

    def __setitem__(self, i: int, module: Module) -> None:
        """Replace the module at an index."""
        self._put([name for name, _ in self._children()][i], module)


class Sequential(ModuleList):
    """Modules one after the other: the output of each is the input of the next.

    Parameters
    ----------
    *modules : Module
        In this order; or a single dict of modules, whose keys become their names.

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

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self._put(name, module)
        else:
            self.extend(modules)

    @overload
    def __getitem__(self, i: int) -> Module: ...
    @overload
    def __getitem__(self, i: slice) -> Sequential: ...
    def __getitem__(self, i: int | slice) -> Module:
        """The module at an index; for a slice, a Sequential of the same modules and names.

        For example, ``model[:-1]`` is everything but the last layer.
        """
        if isinstance(i, slice):
            return Sequential(dict(list(self._children())[i]))
        return super().__getitem__(i)

    def forward(self, input: Any) -> Any:
        """Pass the input through all modules."""
        for module in self:
            input = module(input)
        return input
