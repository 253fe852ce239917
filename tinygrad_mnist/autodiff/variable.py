"""A tensor as the tape sees it: an array, and how it was made."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import memory
from tinygrad_mnist.autodiff.memory import tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tinygrad_mnist.autodiff.graph import Op
    from tinygrad_mnist.autodiff.tensor import Tensor

    Array = NDArray[Any]

NO_PARAMS: dict[str, Any] = {}


class Variable:
    """An array, and how it was made. `Tensor` adds everything that a user sees.

    A leaf was not made by an op: its `op` is None and it has no `inputs`. Any other tensor was
    computed by `op` from `inputs` (tensors, arrays and numbers; `arrays` are their values) and
    `params` (axes, shapes) at time `age`, so it is younger than all its inputs. Once `backward` has
    freed the graph, `inputs` is None. References lead to older tensors only: there are no cycles.
    """

    __slots__ = (
        "_data", "_grad", "_requires_grad", "age", "arrays", "inputs", "op", "params",
    )  # fmt: skip

    _data: Array
    _grad: Tensor | None
    _requires_grad: bool
    op: Op | None
    inputs: Sequence[Any] | None
    arrays: Sequence[Any]
    params: dict[str, Any]
    age: int

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was made directly, not computed from others that require grad."""
        return self.op is None

    def __getstate__(self) -> object:
        """The state that is pickled; only leaves can be."""
        if self.op is not None:
            raise TypeError(
                f"This tensor was computed by {self.op.name}, and its graph cannot be pickled. "
                "Pickle t.detach(), or the array: t.detach().numpy()."
            )
        return super().__getstate__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        """A copy, with everything it was computed from; earlier writes in place stay noticed."""
        copied = memo[id(self)] = object.__new__(type(self))
        for name, value in object.__getstate__(self)[1].items():  # type: ignore[index]
            setattr(copied, name, deepcopy(value, memo))
        if self.inputs:
            copied.age = tick()
            if memory.overwritten(self) is not None:
                memory.stamp(copied._data)
        return copied


_tensor_type: type[Variable] = Variable


def register_tensor(cls: type[Variable]) -> None:
    """Make `cls` the type that ops return."""
    global _tensor_type
    _tensor_type = cls


def wrap(
    data: Any,
    op: Op | None = None,
    inputs: tuple[Any, ...] = (),
    arrays: Sequence[Any] = (),
    params: dict[str, Any] = NO_PARAMS,
) -> Tensor:
    """Wrap a result in a tensor that remembers how it was made; without an op, in a leaf."""
    t: Any = object.__new__(_tensor_type)
    t._data = data if type(data) is np.ndarray else np.asarray(data)
    t._grad = None
    t._requires_grad = op is not None
    t.op = op
    t.inputs = inputs
    t.arrays = arrays
    t.params = params
    t.age = 0 if op is None else tick()
    return t


def as_array(data: Any) -> Array:
    """The array of a tensor, or a new array of numbers: Python floats become float32."""
    try:
        array = data._data if isinstance(data, Variable) else np.asarray(data)
    except ValueError as error:
        raise TypeError(
            f"A tensor holds numbers in rows of equal length, but this is {data!r}."
        ) from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"A tensor holds numbers, but this is {array.dtype} data: {data!r}.")
    if array.dtype == np.float64 and not hasattr(data, "dtype"):
        array = array.astype(np.float32)
    return array


def plain(x: Any) -> Any:
    """The array of a tensor, also inside the tuple of an index; anything else unchanged."""
    if isinstance(x, tuple):
        return tuple(map(plain, x))
    return x._data if isinstance(x, Variable) else x
