"""The base of the optimizers: groups of parameters, each with its settings, and their state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tinygrad_mnist.autodiff import Tensor
from tinygrad_mnist.autodiff.mode import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tinygrad_mnist.autodiff.variable import Array

    Group = dict[str, Any]
    State = dict[str, Any]


class Optimizer:
    """Parameters in groups, each a dict of its ``params`` and its settings.

    An optimizer defines `update`, the rule for one parameter.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups ``{"params": [...], "lr": ...}`` whose settings replace the
        defaults.
    defaults : dict
        The settings of groups that do not have their own.

    Attributes
    ----------
    param_groups : list of dict
        The groups. Write to ``param_groups[0]["lr"]`` to change a learning rate.
    state : list of dict
        What the optimizer remembers about each parameter, in the order of the groups; empty
        before its first step.
    remembers : tuple of str
        Names of the entries of `state`: "step" is a number, every other entry an array of the
        parameter's shape.

    Raises
    ------
    TypeError
        If anything other than tensors is given, or a set, which has no order, or if a setting is
        not a number.
    ValueError
        If there are no parameters, if one is given twice, was computed from others or is
        read-only, or if a setting is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mnist import optim, tensor
    >>> class SignDescent(optim.Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...     def update(self, p, g, group, state):
    ...         p.data -= group["lr"] * np.sign(g)
    >>> x = tensor([1.0, -2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> SignDescent([x], lr=0.5).step()
    >>> x
    Tensor([ 0.5 -1.5], requires_grad)
    """

    remembers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        entries = _in_order(params)
        if not entries:
            raise ValueError(
                "The optimizer was given no parameters. Are the weights arrays, and not "
                "nn.Parameter? Or was a generator such as model.parameters() used up before?"
            )
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: list[State] = []
        for group in entries if isinstance(entries[0], dict) else [{"params": entries}]:
            self.add_param_group(group)

    def __repr__(self) -> str:
        """The settings of each group, and how many parameters they are for."""
        lines = []
        for group in self.param_groups:
            settings = ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            shapes = ", ".join(str(p.shape) for p in group["params"])
            lines.append(f"  {settings}: {shapes}\n")
        return f"{type(self).__name__}(\n{''.join(lines)})"

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Update more parameters from now on; settings that the group lacks have their defaults."""
        given = _group(param_group)["params"]
        params = [given] if isinstance(given, Tensor) else _in_order(given)
        for p in params:
            _check_parameter(p)
        every = [p for _, p in self._parameters()] + params
        if len(set(every)) < len(every):
            raise ValueError("A parameter was given twice: it would be updated twice a step.")
        self.param_groups.append(_checked(self.defaults | param_group) | {"params": params})
        self.state += [{} for _ in params]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset all gradients. Without this, `backward` adds to those of the last step.

        Parameters
        ----------
        set_to_none : bool
            Whether ``p.grad`` becomes None, so that `step` skips p, or zeros, with which momentum
            and weight decay still move it.
        """
        for _, p in self._parameters():
            p.grad = None if set_to_none or p.grad is None else Tensor(np.zeros_like(p.data))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, recording nothing.

        Parameters
        ----------
        closure : callable, optional
            Called first, with recording on: computes the loss anew, calls `backward` and returns
            the loss.

        Returns
        -------
        Tensor or None
            What the closure returned.
        """
        loss = None if closure is None else _recorded(closure)
        with Recording(False):
            for (group, p), state in zip(self._parameters(), self.state, strict=True):
                if (g := p.grad) is not None:
                    self.update(p, g.data, group, state)
        return loss

    def update(self, p: Tensor, g: Array, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Move one parameter: the update equation, which every optimizer defines.

        Parameters
        ----------
        p : Tensor
            The parameter. Write to it with ``p -= ...`` or ``p.data -= ...``, so that `backward`
            notices.
        g : ndarray, shape and dtype of p
            Its gradient, which must not be changed.
        group : dict
            The settings of its group.
        state : dict
            Memory for p: empty at first, then as `update` left it.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no update method. "
            "Define update(self, p, g, group, state) in the class."
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything the next step depends on, except the parameters and gradients.

        It consists of numbers and copied arrays.

        Returns
        -------
        dict
            ``{"state": {0: {...}, ...}, "param_groups": [{"lr": ..., "params": [0, ...]}, ...]}``,
            where parameters are numbered across all groups. Parameters that never took a step have
            no state.

        Raises
        ------
        ValueError
            If there is state that `remembers` does not name, which `load_state_dict` could not
            restore.
        """
        if lost := {name for state in self.state for name in state}.difference(self.remembers):
            kind = type(self).__name__
            raise ValueError(
                f"{kind} keeps {sorted(lost)} in its state, but {kind}.remembers does not name it, "
                "so it would be lost. Add it there."
            )
        numbers = iter(range(len(self.state)))
        return {
            "state": {
                i: {name: _copied(value) for name, value in state.items()}
                for i, state in enumerate(self.state)
                if state
            },
            "param_groups": [
                group | {"params": [next(numbers) for _ in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from where `state_dict` was taken: copies settings and state.

        On any error, nothing is changed. The optimizer must have been built over the same
        parameters in the same groups. Build a schedule before this call, since a new schedule sets
        the learning rate.

        Raises
        ------
        KeyError
            If a setting or an entry of the state is missing, as in the state of another kind of
            optimizer.
        TypeError
            If `state_dict` is not a mapping, or a setting is not a number.
        ValueError
            If groups or parameters differ in number or shape, or a setting is out of range.
        """
        saved_groups, saved_state = _parts(state_dict)
        own, saved = (
            [len(group["params"]) for group in groups]
            for groups in (self.param_groups, saved_groups)
        )
        if own != saved:
            raise ValueError(
                f"The state_dict has groups of {saved} parameters, but this optimizer has groups "
                f"of {own}. Was it built for another model?"
            )
        numbers = [i for group in saved_groups for i in group["params"]]
        if stray := set(saved_state) - set(numbers):
            raise KeyError(
                f"The state_dict has state for parameters {sorted(stray, key=str)}, "
                "which are in none of its groups."
            )
        groups = [
            _checked(_complete(saved, self.defaults, f"group {i}")) | {"params": group["params"]}
            for i, (group, saved) in enumerate(zip(self.param_groups, saved_groups, strict=True))
        ]
        state = [
            self._restored(i, p, saved_state.get(i))
            for i, (_, p) in zip(numbers, self._parameters(), strict=True)
        ]
        self.param_groups, self.state = groups, state

    def _restored(self, number: int, p: Tensor, saved: Mapping[str, Any] | None) -> State:
        if not saved:
            return {}
        _complete(saved, self.remembers, f"the state of parameter {number}")
        state: State = {}
        for name in self.remembers:
            value, shape = np.asarray(saved[name]), () if name == "step" else p.shape
            if value.shape != shape:
                raise ValueError(
                    f"{name} of parameter {number} has shape {value.shape}, "
                    f"but this optimizer needs {shape}."
                )
            state[name] = int(value) if name == "step" else np.array(value, dtype=p.dtype)
        return state

    def _parameters(self) -> Iterator[tuple[Group, Tensor]]:
        return ((group, p) for group in self.param_groups for p in group["params"])


def python_numbers(setting: Any) -> Any:
    """A setting as Python numbers: NumPy's would turn a float32 update into float64."""
    if isinstance(setting, list | tuple):
        return tuple(map(python_numbers, setting))
    plain = np.asarray(setting).tolist()
    return tuple(plain) if isinstance(plain, list) else plain


def number(value: Any, claim: str, fits: Callable[[Any], bool]) -> Any:
    """A setting, if it is a number for which `fits` is true."""
    plain = python_numbers(value)
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise TypeError(f"{claim}, but is {_seen(value)}.")
    if not fits(plain):
        raise ValueError(f"{claim}, but is {plain}.")
    return plain


def _seen(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"


def check_mapping(state_dict: Any) -> None:
    """Raise TypeError for anything but a dict, such as the name of a file."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            "load_state_dict takes a dict, as state_dict() makes, but was given "
            f"{_seen(state_dict)}. Read a file first."
        )


def _parts(state_dict: Mapping[str, Any]) -> tuple[Any, Any]:
    check_mapping(state_dict)
    if absent := {"state", "param_groups"} - state_dict.keys():
        raise KeyError(
            "An optimizer's state_dict has 'state' and 'param_groups', "
            f"but this lacks {sorted(absent)}."
        )
    return state_dict["param_groups"], state_dict["state"]


def _recorded(closure: Any) -> Any:
    if not callable(closure):
        raise TypeError(
            "step takes a function that computes the loss anew, but was given "
            f"a {type(closure).__name__}. Call loss.backward() first, then step()."
        )
    with Recording(True):
        return closure()


def _group(group: Any) -> Any:
    if not isinstance(group, dict) or "params" not in group:
        seen = (
            f"has only {list(group)}" if isinstance(group, dict) else f"is a {type(group).__name__}"
        )
        raise TypeError(
            f"A group is a dict such as {{'params': [...], 'lr': 0.1}}, but this {seen}."
        )
    return group


def _in_order(params: Any) -> list[Any]:
    if isinstance(params, Tensor | set | frozenset | dict):
        raise TypeError(
            "An optimizer takes its parameters in a list, but was given "
            f"a {type(params).__name__}. Pass model.parameters(), or [p] for one tensor; "
            "a set has no order, by which their state is found."
        )
    return list(params) if isinstance(params, Iterable) else [params]


def _check_parameter(p: Any) -> None:
    if not isinstance(p, Tensor):
        raise TypeError(
            f"An optimizer updates tensors, but was given a {type(p).__name__}. "
            "Pass model.parameters(), with its parentheses."
        )
    if p.op is not None:
        raise ValueError(
            f"A tensor of shape {p.shape} was computed by {p.op.name}, so it never gets "
            "a gradient to follow. Pass the tensor it was computed from, or make it anew: "
            "tensor(t.data, requires_grad=True)."
        )
    if p.requires_grad and not p.data.flags.writeable:
        raise ValueError(
            f"A tensor of shape {p.shape} is read-only, as from np.broadcast_to or a file mapped "
            "into memory. Make it from a copy: array.copy()."
        )


def _checked(group: Group) -> Group:
    """The settings of a group, if they are in range."""
    settings = {name: python_numbers(value) for name, value in group.items() if name != "params"}
    for name in ("lr", "momentum", "dampening", "weight_decay", "eps"):
        if name in settings:
            claim = f"{name} must be a finite number, 0 or more"
            number(settings[name], claim, lambda value: 0 <= value < np.inf)
    if "betas" in settings:
        betas = settings["betas"]
        if not isinstance(betas, tuple) or len(betas) != 2:
            raise TypeError(f"betas are two numbers, such as (0.9, 0.999), but here {betas!r}.")
        for i, beta in enumerate(betas):
            claim = f"betas[{i}] is the fraction of an average kept at a step, from 0 up to below 1"
            number(beta, claim, lambda beta: 0 <= beta < 1)
    return settings


def _complete(saved: Mapping[str, Any], names: Iterable[str], where: str) -> Any:
    """The saved state, if it has all names."""
    if missing := set(names) - saved.keys():
        raise KeyError(
            f"The state_dict lacks {sorted(missing)} in {where}. "
            "Was it saved by another kind of optimizer?"
        )
    return saved


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
