"""Function transforms: derivatives of functions, as functions, under the names of `torch.func`.

``func.grad(f)(x)`` differentiates a function: it calls `f` and returns the gradient.
``autodiff.grad(f(x), x)`` differentiates a result that is already on the tape.

An argument may be a tensor, an array or a number, or a dict, list or tuple of these, also nested
(a list of numbers is not one array); its derivative has the same form. So the parameters of a
model, as a dict, can be an argument, and `functional_call` computes the model with them.

The function is called on copies of its arguments, and no ``.grad`` is written. The result requires
grad only if it depends on a tensor of the caller that requires grad, be it an argument or not: pass
``p.detach()`` for a parameter, unless you want to differentiate the gradient again. A `no_grad`
inside the function has its usual effect; one around the transform only means that nothing is
recorded for the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist import autodiff
from tinygrad_mnist.autodiff import Tensor, op, ops
from tinygrad_mnist.autodiff.graph import cast
from tinygrad_mnist.autodiff.mode import Recording, mode
from tinygrad_mnist.autodiff.variable import wrap
from tinygrad_mnist.nn import Module
from tinygrad_mnist.nn.arguments import seen, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tinygrad_mnist.autodiff.variable import Array

__all__ = ["functional_call", "grad", "grad_and_value", "hessian", "jacrev", "jvp", "vjp"]

# ---------------------------------------------------------------- the transforms


def grad(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The function that computes the gradient of `func`.

    Parameters
    ----------
    func : callable
        Returns one number: a tensor of shape ().
    argnums : int or tuple of int
        The positional arguments to differentiate with respect to; a tuple gives a tuple of
        gradients.
    has_aux : bool
        Whether `func` returns (output, aux), of which only the output is differentiated.

    Returns
    -------
    callable
        Takes the arguments of `func` and returns the gradient, in the form of the argument, with
        zeros where the output does not depend on it; with `has_aux`, (gradient, aux).

    Raises
    ------
    RuntimeError
        When called: if `func` returns more than one number.
    TypeError
        If `func` is not a function; when called, if it does not return a tensor, or if an argument
        does not consist of floats.
    ValueError
        When called: if `argnums` names an argument that does not exist, or one twice.

    Examples
    --------
    >>> from tinygrad_mnist import func
    >>> slope = func.grad(lambda x: x**3)
    >>> slope(2.0), func.grad(slope)(2.0)
    (Tensor(12.), Tensor(12.))
    >>> func.grad(lambda p, x: (p["w"] * x + p["b"]) ** 2)({"w": 1.0, "b": 2.0}, 3.0)
    {'w': Tensor(30.), 'b': Tensor(10.)}
    """
    both = grad_and_value(func, argnums, has_aux)

    @wraps(func, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def grad_and_value(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """The function that computes the gradient of `func`, and its output.

    Parameters
    ----------
    func, argnums, has_aux
        As for `grad`.

    Returns
    -------
    callable
        Returns (gradient, output); with `has_aux`, (gradient, (output, aux)).

    Raises
    ------
    RuntimeError, TypeError, ValueError
        As for `grad`.

    Examples
    --------
    >>> from tinygrad_mnist import func
    >>> func.grad_and_value(lambda x: x**3)(2.0)
    (Tensor(12.), Tensor(8.))
    """
    _check_function(func)

    @wraps(func, updated=())
    def gradient_and_value(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        call = _Call(func, argnums, args, kwargs, has_aux)
        y = call.output
        if getattr(y, "shape", None) != ():
            raise RuntimeError(
                f"Only one number, a tensor of shape (), has a gradient, but {_name(func)} "
                f"returned {seen(y)}. Reduce it, as with .mean(), or use func.jacrev for every "
                "derivative, or func.vjp for their product with a cotangent. If it returns "
                "(output, aux), pass has_aux=True."
            )
        found = call.pull([(y, Tensor(np.ones_like(y.data)))])
        value = _for_caller("", y)
        return found, (value, call.aux) if has_aux else value

    return gradient_and_value


def jacrev(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The function that computes the Jacobian of `func`: one backward pass per output element.

    Parameters
    ----------
    func : callable
        Returns a tensor of any shape, or a dict, list or tuple of tensors.
    argnums : int or tuple of int
        As for `grad`.

    Returns
    -------
    callable
        Returns the derivative of each output element with respect to each argument element, of
        shape ``output.shape + argument.shape``, in the form of the output and, inside that, of
        the argument.

    Raises
    ------
    TypeError, ValueError
        As for `grad`.

    Examples
    --------
    >>> from tinygrad_mnist import func
    >>> func.jacrev(lambda x, y: x * y)(np.float32([1, 2]), 3.0)
    Tensor([[3. 0.]
            [0. 3.]])
    """
    _check_function(func)

    @wraps(func, updated=())
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        call = _Call(func, argnums, args, kwargs)
        return _mapped(call.slopes, "", call.output)

    return jacobian


def hessian(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The function that computes all second derivatives of `func`: the Jacobian of its Jacobian.

    Parameters
    ----------
    func, argnums
        As for `jacrev`; usually `func` returns one number.

    Returns
    -------
    callable
        Returns a tensor of shape ``output.shape + argument.shape + argument.shape``. For a dict,
        returns a dict of dicts: ``[a][b]`` is differentiated with respect to a and then b.

    Raises
    ------
    TypeError, ValueError
        As for `grad`.

    Examples
    --------
    >>> from tinygrad_mnist import func
    >>> func.hessian(lambda x: x[0] ** 2 * x[1])(np.float32([1, 3]))
    Tensor([[6. 2.]
            [2. 0.]])
    """
    return jacrev(jacrev(func, argnums), argnums)


def vjp(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The output of `func`, and the function that multiplies a cotangent by its Jacobian.

    Parameters
    ----------
    func : callable
        Returns a tensor of any shape, or a dict, list or tuple of tensors.
    *primals
        The arguments that `func` is called with.

    Returns
    -------
    output
        The output of `func`.
    vjp_fn : callable
        Takes a cotangent of the form and shapes of the output and returns a tuple with one
        gradient per primal. It may be called any number of times.

    Raises
    ------
    TypeError
        If `func` is not a function or does not return a tensor, or if a primal does not consist of
        floats.
    ValueError
        If there are no primals. From `vjp_fn`: if a cotangent has another form or shape.

    Examples
    --------
    >>> from tinygrad_mnist import func
    >>> output, pull = func.vjp(lambda x, y: x * y, np.float32([1, 2]), 3.0)
    >>> pull([1.0, 10.0])
    (Tensor([ 3. 30.]), Tensor(21.))
    """
    _check_function(func)
    call = _Call(func, tuple(range(len(primals))), primals, {})

    def vjp_fn(cotangents: Any) -> tuple[Any, ...]:
        pairs: list[tuple[Tensor, Tensor]] = []

        def fit(where: str, y: Tensor, g: Any) -> None:
            pairs.append((y, cast(_fitting("the output", where, y, g), dtype=y.dtype)))

        _mapped(fit, "cotangents", call.output, cotangents)
        return call.pull(pairs)

    return _mapped(_for_caller, "", call.output), vjp_fn


def jvp(
    func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Any, Any]:
    """The output of `func`, and its derivative as the primals move along the tangents.

    Parameters
    ----------
    func : callable
        As for `vjp`.
    primals, tangents : tuple
        The arguments, and one direction per argument, of its form and shapes.

    Returns
    -------
    output
        The output of `func`.
    tangent_out
        The product of the Jacobian with the tangents, in the form of the output.

    Raises
    ------
    TypeError
        As for `vjp`; also if primals or tangents are not tuples.
    ValueError
        If a tangent has another form or shape than its primal.

    Notes
    -----
    The tape only runs backward. But the result of a backward pass is linear in the cotangent, so
    its derivative with respect to the cotangent is the Jacobian again, at any cotangent. A second
    backward pass, through the first, therefore carries tangents forward.

    Examples
    --------
    >>> from tinygrad_mnist import func
    >>> func.jvp(lambda x: x**3, (2.0,), (0.5,))
    (Tensor(8.), Tensor(6.))
    """
    if not all(isinstance(given, tuple) for given in (primals, tangents)):
        raise TypeError(
            "jvp takes primals and tangents in two tuples, with an entry for each argument: "
            "func.jvp(f, (x,), (v,))."
        )
    tangents = _mapped(partial(_fitting, "its primal"), "tangents", primals, tangents)
    output, pull = vjp(func, *primals)
    _, push = vjp(pull, _mapped(_any_cotangent, "", output))
    (tangent_out,) = push(tangents)
    return output, tangent_out


def _check_function(func: object) -> None:
    if not callable(func):
        raise TypeError(
            f"A transform takes a function, but this is {seen(func)}. Pass f, not f(x); to "
            "differentiate a result that you have, use autodiff.grad(outputs, inputs)."
        )


# ---------------------------------------------------------------- a module as a function


def functional_call(
    module: Module,
    parameters_and_buffers: Mapping[str, Any],
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    strict: bool = False,
) -> Tensor:
    """Call a module with other tensors in place of its parameters and buffers.

    After the call the module has its own tensors again, even if the call failed.

    Parameters
    ----------
    module : nn.Module
        The module to call.
    parameters_and_buffers : dict
        Names as in `named_parameters` and `named_buffers` -> tensor or array of the same shape.
        A tensor without an entry stays as it is. Give a shared tensor under any one of its names.
        If the module writes to a buffer, it writes to the one given here.
    args : tuple, or one tensor
        The arguments of the module.
    kwargs : dict, optional
        Its keyword arguments.
    strict : bool
        Raise if a name is missing.

    Returns
    -------
    Tensor
        The output.

    Raises
    ------
    RuntimeError
        If the module does not have a name or, with `strict`, if one is missing.
    TypeError
        If `module` is not a module, `parameters_and_buffers` is not a dict, or a value does not
        consist of numbers.
    ValueError
        If a value has another shape, or a shared tensor is given two values.

    Examples
    --------
    >>> from tinygrad_mnist import func, nn
    >>> layer = nn.Linear(2, 1)
    >>> func.functional_call(layer, {"weight": [[1.0], [2.0]], "bias": [3.0]}, np.ones((1, 2)))
    Tensor([[6.]], dtype=float64)
    """
    for given, kind in ((module, Module), (parameters_and_buffers, Mapping)):
        if not isinstance(given, kind):
            raise TypeError(
                "functional_call takes a module and a dict of names and tensors, "
                f"but was given {seen(given)}."
            )
    places = _places(module)
    own = {name: attributes[attribute] for name, (attributes, attribute) in places.items()}
    new = _replacements(own, parameters_and_buffers, strict, f"This {type(module).__name__}")
    replaced = [(t, *places[name]) for name, t in own.items() if t in new]
    try:
        for t, attributes, attribute in replaced:
            attributes[attribute] = new[t]
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for t, attributes, attribute in replaced:
            attributes[attribute] = t


def _places(module: Module) -> dict[str, tuple[dict[str, Any], str]]:
    """For each name in the `state_dict`, the attributes that hold the tensor, and its key there."""
    modules = dict(module.named_modules(remove_duplicate=False))
    parts = {name: name.rpartition(".") for name in module.state_dict()}
    return {name: (vars(modules[inside]), last) for name, (inside, _, last) in parts.items()}


def _replacements(
    own: Mapping[str, Tensor], given: Mapping[str, Any], strict: bool, whose: str
) -> dict[Tensor, Tensor]:
    """A dict from tensors of the module to their replacements."""
    if unknown := [name for name in given if name not in own]:
        raise RuntimeError(f"{whose} has no {unknown}. It has {list(own)}.")
    new: dict[Tensor, Tensor] = {}
    for name, value in given.items():
        t = _fitting("the one it replaces", name, own[name], value)
        first = new.setdefault(own[name], t)
        wanted = t.requires_grad or first.requires_grad
        if t is not first and (wanted or not np.array_equal(t.data, first.data)):
            names = " and ".join(other for other in own if own[other] is own[name])
            raise ValueError(
                f"{names} are one shared tensor, but were given as two. "
                "Give it under one of its names, as named_parameters() does."
            )
    if strict and (missing := [name for name, t in own.items() if t not in new]):
        raise RuntimeError(f"{whose} also has {missing}, for which nothing was given.")
    return new


# ---------------------------------------------------------------- one call of a function


class _Run:
    """Marks the time during which a transform runs a function."""

    over = False


@op(name="argument")
def _argument(x: Array, *, run: _Run) -> Array:
    """The tensor that the function receives in place of x."""
    return x


_argument.vjp(lambda g, out, x, run: g)


class _Call:
    """A call of a function on copies of its arguments, and backward passes from its result."""

    def __init__(
        self,
        func: Callable[..., Any],
        argnums: int | tuple[int, ...],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        has_aux: bool = False,
    ) -> None:
        own, positions = list(args), _positions(argnums, len(args), _name(func))
        self.given = tuple([args[n] for n in positions])
        self.several = isinstance(argnums, tuple)
        self.arguments: list[Tensor] = []
        self.run, self.aux = _Run(), None
        try:
            with Recording(True):
                for n in positions:
                    own[n] = _mapped(self._enter, f"argument {n}", args[n])
                output = func(*own, **kwargs)
        finally:
            self.run.over = True
        if has_aux:
            output, aux = _pair(output, _name(func))
            self.aux = _mapped(_for_caller, "", aux)
        self.output = _mapped(partial(_output, _name(func)), "", output)

    def _enter(self, where: str, x: Any) -> Tensor:
        t = x if isinstance(x, Tensor) else Tensor(x)
        if t.dtype.kind != "f":
            raise TypeError(
                f"{where} is {t.dtype}, and only floats have derivatives. Make it from floats, "
                "such as 1.0 in place of 1, or leave it out of argnums."
            )
        if t.requires_grad:
            inner = _argument(t, run=self.run)
        else:  # an op does not record a constant, but here a tape starts at one
            inner = wrap(t.data, _argument, (t,), (t.data,), {"run": self.run})
        self.arguments.append(inner)
        return inner

    def pull(self, starts: Iterable[tuple[Tensor, Any]]) -> Any:
        """The gradients of the arguments, in their form, given outputs and their cotangents."""
        live = [(y, g) for y, g in starts if y.requires_grad]
        found: Iterable[Tensor | None] = [None] * len(self.arguments)
        if live:
            ys, gs = zip(*live, strict=True)
            again = any(map(_tracked, ys + gs))
            found = autodiff.grad(
                ys, self.arguments, gs, True, create_graph=again, allow_unused=True
            )
        pairs = zip(self.arguments, found, strict=True)
        gradients = (
            Tensor(np.zeros_like(x.data)) if g is None else _for_caller("", g) for x, g in pairs
        )
        trees = _mapped(lambda *_: next(gradients), "", self.given)
        return trees if self.several else trees[0]

    def slopes(self, _: str, y: Tensor) -> Any:
        """The derivatives of each element of y, of shape ``y.shape + argument.shape``."""
        rows = [
            self.pull([(y, Tensor((np.arange(y.size) == i).reshape(y.shape).astype(y.dtype)))])
            for i in range(max(1, y.size))  # an empty y has one row, dropped below
        ]

        def stacked(_: str, *row: Tensor) -> Tensor:
            return ops.stack(*row)[: y.size].reshape(y.shape + row[0].shape)

        return _mapped(stacked, "", *rows)


def _tracked(t: Tensor) -> bool:
    """Whether the caller records, and t is on its tape or on that of a transform still running."""
    waiting: list[Any] = [t] if mode.recording else []
    met: set[Tensor] = set()
    while waiting:
        y = waiting.pop()
        if isinstance(y, Tensor) and y.requires_grad and y not in met:
            met.add(y)
            if not y.inputs or (y.op is _argument and not y.params["run"].over):
                return True
            waiting.extend(y.inputs)
    return False


def _for_caller(_: str, t: Any) -> Any:
    """Cut a tensor off from a tape that only the transform knows."""
    local = isinstance(t, Tensor) and t.requires_grad and not _tracked(t)
    return t.detach() if local else t


# ---------------------------------------------------------------- what may be given and returned


def _mapped(f: Callable[..., Any], where: str, tree: Any, *others: Any) -> Any:
    """Apply f to the name and the value of each leaf of dicts, lists and tuples."""
    keys = _keys(tree)
    if keys is None:
        return f(where, tree, *others)
    for other in others:
        if _keys(other) != keys:
            raise ValueError(
                f"{where} must be a {type(tree).__name__} with an entry for each of {[*keys]}, "
                f"but is {seen(other)}."
            )
    found = [_mapped(f, f"{where}[{key!r}]", tree[key], *(o[key] for o in others)) for key in keys]
    if isinstance(tree, dict):
        return dict(zip(keys, found, strict=True))
    return tree._make(found) if hasattr(tree, "_make") else type(tree)(found)


def _keys(tree: Any) -> Any:
    if isinstance(tree, dict):
        return tree.keys()
    return range(len(tree)) if isinstance(tree, (list, tuple)) else None


def _fitting(whose: str, where: str, like: Any, given: Any) -> Tensor:
    """`given` as a tensor, which must have the shape of `like`."""
    t = given if isinstance(given, Tensor) else Tensor(given)
    if t.shape != np.shape(like):
        raise ValueError(f"{where} has shape {t.shape}, but {whose} has {np.shape(like)}.")
    return t


def _any_cotangent(_: str, y: Tensor) -> Array:
    """A cotangent for y, in floats; it is ignored if y does not consist of floats."""
    return np.zeros(y.shape, y.dtype if y.dtype.kind == "f" else np.float32)


def _positions(argnums: Any, count: int, name: str) -> list[int]:
    """The positions of the arguments to differentiate with respect to, counted from 0."""
    claim = "argnums is the position of an argument, or a tuple of positions"
    listed = [whole(n, claim) for n in (argnums if isinstance(argnums, tuple) else [argnums])]
    if any(not -count <= n < count for n in listed):
        raise ValueError(
            f"argnums is {argnums}, but {name} was called with {count} arguments by position. "
            "Those given by keyword are not differentiated."
        )
    found = [n % count for n in listed]
    if len(set(found)) < max(1, len(found)):
        raise ValueError(f"argnums is {argnums}, but takes at least one argument, and each once.")
    return found


def _name(func: Any) -> str:
    return str(getattr(func, "__name__", type(func).__name__))


def _pair(returned: Any, name: str) -> tuple[Any, Any]:
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise TypeError(
            f"With has_aux=True, {name} must return (output, aux), but returned {seen(returned)}."
        )
    return returned


def _output(name: str, where: str, y: Any) -> Tensor:
    if not isinstance(y, Tensor):
        hint = "Does it lack its return?" if y is None else "Was .item(), .data or .numpy() used?"
        raise TypeError(f"{name} returned {seen(y)}{where and f' at {where}'}, no tensor. {hint}")
    return y
