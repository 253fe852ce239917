"""The tensor: an array that remembers how it was computed. Its operators are the ops."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tinygrad_mnist.autodiff import memory, ops
from tinygrad_mnist.autodiff.draw import Drawing, draw
from tinygrad_mnist.autodiff.gradient import backward
from tinygrad_mnist.autodiff.graph import cast, operator, reflected
from tinygrad_mnist.autodiff.guard import read_only
from tinygrad_mnist.autodiff.mode import mode
from tinygrad_mnist.autodiff.numpy_functions import call_ufunc, stand_in
from tinygrad_mnist.autodiff.player import Player, player
from tinygrad_mnist.autodiff.variable import (
    NO_PARAMS,
    Variable,
    as_array,
    plain,
    register_tensor,
    wrap,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from tinygrad_mnist.autodiff.variable import Array

    Axis = int | tuple[int, ...] | None

T = TypeVar("T", bound="Tensor")


def in_place(operation: Callable[[Any, Any], Any]) -> Callable[[T, Any], T]:
    """``p -= ...``: writes into a leaf that requires grad; any other tensor gives a new one."""

    def assign(self: T, other: Any) -> T:
        if self.op is not None or not self._requires_grad:
            return operation(self, other)
        self._check_writable()
        return self.copy_(operation(self, other))

    return assign


class Tensor(Variable):
    """An array that takes part in automatic differentiation.

    As an array it behaves like NumPy's (``axis``, ``keepdims``, broadcasting); whatever concerns
    gradients has PyTorch's names. Arrays are shared, not copied; use `tensor` for a copy.

    Parameters
    ----------
    data : array_like
        Numbers of any shape. Python floats become float32, arrays keep their dtype.
    requires_grad : bool
        Record what is computed from this tensor, so that `backward` can find its gradient.
        Floats only.

    Raises
    ------
    TypeError
        If `data` does not consist of numbers, or if `requires_grad` is set for integers.

    Examples
    --------
    >>> from tinygrad_mnist import Tensor
    >>> x = Tensor([[1.0, 2.0]], requires_grad=True)
    >>> y = x * x
    >>> y
    Tensor([[1. 4.]], from mul, requires_grad)
    >>> y.sum().backward()
    >>> x.grad
    Tensor([[2. 4.]])
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self._data = as_array(data)
        self._grad = None
        self._requires_grad = False
        self.op = None
        self.inputs = self.arrays = ()
        self.params = NO_PARAMS
        self.age = 0
        self.requires_grad = requires_grad

    # ------------------------------------------------------------ the array

    @property
    def data(self) -> Array:
        """The array itself. Only read it if the tensor was computed.

        Assigning to it (also ``t.data -= ...``) is not recorded, but `backward` notices it.
        The new array must have the shape of the old one, and floats must remain floats.
        """
        return self._data if self.op is None else read_only(self._data)

    @data.setter
    def data(self, value: Any) -> None:
        if value is self._data and self.op is None:
            memory.stamp(value)
            return
        self._check_leaf()
        array = as_array(value)
        self._check_fits(array, "data")
        self._data = array
        memory.replaced()

    def copy_(self, values: Any) -> Self:
        """Write values into the array of this tensor and return the tensor; `backward` notices it.

        Parameters
        ----------
        values : array_like
            Of a shape that broadcasts to the tensor's. The tensor keeps its dtype.

        Raises
        ------
        RuntimeError
            If the tensor was computed from others, or if it requires grad outside of `no_grad`.
        ValueError
            If the values have another shape.
        """
        self._check_leaf()
        self._check_writable()
        array = as_array(values)
        try:
            fitting = np.broadcast_to(array, self.shape)
        except ValueError as error:
            raise ValueError(
                f"Values of shape {array.shape} do not fit into a tensor of shape {self.shape}."
            ) from error
        self._data[...] = fitting
        memory.stamp(self._data)
        return self

    def _check_leaf(self) -> None:
        if self.op is not None:
            raise RuntimeError(
                f"This tensor was computed by {self.op.name}, whose derivative may need the array, "
                "so it must stay as it is. Write only to leaves, or to a copy: tensor(t.data)."
            )

    def _check_writable(self) -> None:
        if self._requires_grad and mode.recording:
            raise RuntimeError(
                f"This {type(self).__name__} requires grad, and writing in place is not recorded. "
                "To update it, write `with no_grad(): p -= ...`; to compute with it, y = p - ..."
            )

    def _check_fits(self, array: Array, what: str) -> None:
        if array.shape != self.shape:
            raise ValueError(
                f"The {what} of a tensor of shape {self.shape} cannot have shape {array.shape}. "
                "Make a new tensor for another shape."
            )
        if self.dtype.kind == "f" and array.dtype.kind != "f":
            raise TypeError(
                f"The {what} of a {self.dtype} tensor must be floats, not {array.dtype}."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the elements."""
        return self._data.dtype

    def item(self) -> float | int | bool:
        """The only element, as a Python number. Raises ValueError if there are more."""
        return self._data.item()

    def tolist(self) -> Any:
        """The elements as Python numbers, in nested lists."""
        return self._data.tolist()

    def numpy(self) -> Array:
        """The array, without a copy.

        Raises RuntimeError if the tensor requires grad: use ``.detach().numpy()``.
        """
        if self._requires_grad:
            raise RuntimeError(
                "This tensor requires grad, and a plain array would lose it. "
                "Use .detach().numpy() if that is meant."
            )
        return self._data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def detach(self) -> Tensor:
        """A tensor with the same array, cut off from the graph."""
        return wrap(self._data)

    def graph(self, *, gradients: bool = False, **names: Tensor) -> Drawing:
        """A picture of what this tensor was computed from: notebooks show it, ``str`` gives SVG.

        The leaves are at the bottom. Those that require grad are green, with a thick border; other
        leaves and constants are dashed. Small tensors show their numbers, others their shape; a
        ``.grad`` is shown where there is one.

        Parameters
        ----------
        gradients : bool
            Show the gradient of this tensor, which must be a single number, with respect to every
            other one; no ``.grad`` is changed.
        **names : Tensor
            What tensors of the graph are to be called: ``loss.graph(h=h, x=x)``. Without a name, a
            parameter has its own, and a computed tensor is called after its op.

        Raises
        ------
        RuntimeError
            If the graph was freed: draw before `backward`, or call ``backward(retain_graph=True)``.
        ValueError
            If a tensor that is to be named is not in the graph.

        Examples
        --------
        >>> from tinygrad_mnist import tensor
        >>> x = tensor(3.0, requires_grad=True)
        >>> u = x * x
        >>> picture = u.graph(gradients=True, x=x, u=u)
        >>> "u: mul" in str(picture), "grad 6." in str(picture)
        (True, True)
        """
        return draw(self, gradients, names)

    def player(self, **names: Tensor) -> Player:
        """The graph of this tensor, a single number, to be walked forward and back, step by step.

        Notebooks show it; ``str`` and ``save`` give a page of HTML that needs nothing else. If a
        computed tensor is used twice, it also walks in the wrong orders, and shows what they find.

        Parameters
        ----------
        **names : Tensor
            What tensors of the graph are to be called, as in `graph`.

        Raises
        ------
        RuntimeError
            If the graph was freed: ask before `backward`, or call ``backward(retain_graph=True)``.
        ValueError
            If this tensor is not a single number, if nothing in its graph requires grad, or if the
            graph is too large to be followed by eye.

        Examples
        --------
        >>> from tinygrad_mnist import tensor
        >>> x = tensor(3.0, requires_grad=True)
        >>> u = x * x
        >>> (u + u).player(x=x, u=u).save("walk.html")  # doctest: +SKIP
        """
        return player(self, names)

    def __repr__(self) -> str:
        notes = [np.array2string(self._data, prefix="Tensor(")]
        if self.dtype != np.float32:
            notes.append(f"dtype={self.dtype}")
        if self.op is not None:
            notes.append(f"from {self.op.name}")
        if self._requires_grad:
            notes.append("requires_grad")
        return f"{type(self).__name__}({', '.join(notes)})"

    def __format__(self, spec: str) -> str:
        if spec and self.size != 1:
            raise TypeError(f"{spec!r} formats one number, but this has shape {self.shape}.")
        return format(self.item(), spec) if spec else str(self)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("A tensor of shape () is one number: it has no length and no elements.")
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool((self._data == plain(value)).any())

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        return float(self._data)

    def __int__(self) -> int:
        return int(self._data)

    def __index__(self) -> int:
        return index(self._data)

    # ------------------------------------------------------------ gradients

    @property
    def requires_grad(self) -> bool:
        """Whether what is computed from this tensor is recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._data.dtype.kind != "f":
            raise TypeError(
                "Only floating-point tensors can require grad, and this one is "
                f"{self.dtype}. Make it from floats: [1.0, 2.0]."
            )
        if self.op is not None and not value:
            raise RuntimeError(
                "This tensor was computed from others that require grad. "
                "Use .detach() for one that does not."
            )
        self._requires_grad = value

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has accumulated, of the tensor's shape; None before that."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"A gradient is a Tensor or None, but this is a {type(value).__name__}. "
                    "Wrap an array: Tensor(array)."
                )
            self._check_fits(value._data, "grad")
        self._grad = value

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Add the derivative of this tensor to the `.grad` of every leaf it was computed from.

        Parameters
        ----------
        gradient : array_like, optional
            The cotangent to start from, of this tensor's shape; 1 for a tensor of one element.
        retain_graph : bool
            Keep the graph for another call. Otherwise it is freed.

        Raises
        ------
        RuntimeError
            If there is no graph (nothing required grad, or it was freed), if this tensor has
            several elements and no `gradient` is given, or if a tensor was written in place after
            an op had used it.
        """
        backward(self, gradient, retain_graph)

    # ------------------------------------------------------------ operators

    __add__ = operator(ops.add)
    __sub__ = operator(ops.sub)
    __mul__ = operator(ops.mul)
    __truediv__ = operator(ops.div)
    __floordiv__ = operator(ops.floor_divide)
    __mod__ = operator(ops.remainder)
    __pow__ = operator(ops.power)
    __matmul__ = ops.matmul

    __radd__ = reflected(ops.add)
    __rsub__ = reflected(ops.sub)
    __rmul__ = reflected(ops.mul)
    __rtruediv__ = reflected(ops.div)
    __rfloordiv__ = reflected(ops.floor_divide)
    __rmod__ = reflected(ops.remainder)
    __rpow__ = reflected(ops.power)
    __rmatmul__ = reflected(ops.matmul)

    __iadd__ = in_place(ops.add)
    __isub__ = in_place(ops.sub)
    __imul__ = in_place(ops.mul)
    __itruediv__ = in_place(ops.div)
    __ifloordiv__ = in_place(ops.floor_divide)
    __imod__ = in_place(ops.remainder)
    __ipow__ = in_place(ops.power)
    __imatmul__ = in_place(ops.matmul)

    __lt__ = operator(ops.less)
    __le__ = operator(ops.less_equal)
    __gt__ = operator(ops.greater)
    __ge__ = operator(ops.greater_equal)

    __and__ = operator(ops.bitwise_and)
    __or__ = operator(ops.bitwise_or)
    __xor__ = operator(ops.bitwise_xor)
    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return ops.equal(self, other) if _is_numeric(other) else NotImplemented

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return ops.not_equal(self, other) if _is_numeric(other) else NotImplemented

    __hash__ = object.__hash__

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __invert__(self) -> Tensor:
        return ops.invert(self)

    def __getitem__(self, key: Any) -> Tensor:
        return ops.index(self, key=plain(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "A tensor's elements cannot be assigned: the graph would not know. Build a new one "
            "with np.where(mask, value, t) or np.concatenate, or write to the array of a leaf, "
            "t.data[...] = value, before it is used."
        )

    # ------------------------------------------------------------ methods

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Sum over `axis`, or over all elements."""
        return ops.sum(self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Product over `axis`, or over all elements."""
        return ops.prod(self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Arithmetic mean over `axis`, or over all elements."""
        return ops.mean(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Tensor:
        """Variance over `axis`: the sum of squared deviations from the mean, over n - ddof."""
        return ops.var(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def std(self, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Tensor:
        """Square root of the variance over `axis`."""
        return ops.std(self, axis=axis, ddof=ddof, keepdims=keepdims)

    def norm(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Euclidean length over `axis`."""
        return ops.norm(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Largest element over `axis`."""
        return ops.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Smallest element over `axis`."""
        return ops.min(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """Position of the largest element along `axis`, or in the flattened array."""
        return ops.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """Position of the smallest element along `axis`, or in the flattened array."""
        return ops.argmin(self, axis=axis, keepdims=keepdims)

    def any(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Whether any element over `axis` is true, or not 0."""
        return ops.any(self, axis=axis, keepdims=keepdims)

    def all(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Whether all elements over `axis` are true, or not 0."""
        return ops.all(self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape; one length may be -1."""
        return ops.reshape(self, shape=_unpack(shape))

    def flatten(self) -> Tensor:
        """The same elements along one axis."""
        return self.reshape(-1)

    def ravel(self) -> Tensor:
        """The same as `flatten`."""
        return self.reshape(-1)

    def transpose(self, *axes: Any) -> Tensor:
        """Permute the axes; without arguments, reverse them."""
        return ops.transpose(self, axes=_unpack(axes) or tuple(range(self.ndim))[::-1])

    def squeeze(self, axis: Axis = None) -> Tensor:
        """The same elements without the axes of length 1, or without those in `axis`."""
        return self.reshape(self._data.squeeze(axis).shape)

    def unsqueeze(self, axis: int | tuple[int, ...]) -> Tensor:
        """The same elements with new axes of length 1 at `axis`."""
        return self.reshape(np.expand_dims(self._data, axis).shape)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """The same elements with two axes exchanged."""
        places = np.empty(range(self.ndim))  # its axis i has length i
        return self.transpose(places.swapaxes(axis1, axis2).shape)

    def dot(self, other: Any) -> Tensor:
        """The product with a number, vector or matrix, as ``np.dot`` for up to two axes."""
        if self.ndim == 0 or np.ndim(plain(other)) == 0:
            return self * other
        return self @ other

    def square(self) -> Tensor:
        """Each element squared."""
        return self * self

    def clamp(self, min: float | None = None, max: float | None = None) -> Tensor:
        """Each element limited to [min, max]; None means no bound."""
        return ops.clamp(self, min=min, max=max)

    def clip(self, min: float | None = None, max: float | None = None) -> Tensor:
        """NumPy's name for `clamp`."""
        return self.clamp(min, max)

    def astype(self, dtype: Any) -> Tensor:
        """The same values in another dtype; only a float dtype passes a gradient on."""
        to = np.dtype(dtype)
        return cast(self, dtype=to) if to.kind == "f" else wrap(self._data.astype(to))

    def copy(self) -> Tensor:
        """The same values in an array of its own; a gradient passes through."""
        return self.astype(self.dtype)

    @property
    def T(self) -> Tensor:
        """The same elements with the axes reversed."""
        return self.transpose()

    @property
    def mT(self) -> Tensor:
        """The last two axes swapped: the transpose of each matrix in a stack."""
        if self.ndim < 2:
            raise ValueError(f"mT transposes matrices, but this tensor has shape {self.shape}.")
        return self.swapaxes(-2, -1)

    def exp(self) -> Tensor:
        """e to the power of each element."""
        return ops.exp(self)

    def log(self) -> Tensor:
        """Natural logarithm of each element."""
        return ops.log(self)

    def log1p(self) -> Tensor:
        """log(1 + x) of each element."""
        return ops.log1p(self)

    def sqrt(self) -> Tensor:
        """Square root of each element."""
        return ops.sqrt(self)

    def abs(self) -> Tensor:
        """Absolute value of each element."""
        return ops.abs(self)

    def sin(self) -> Tensor:
        """Sine of each element."""
        return ops.sin(self)

    def cos(self) -> Tensor:
        """Cosine of each element."""
        return ops.cos(self)

    def tanh(self) -> Tensor:
        """Hyperbolic tangent of each element."""
        return ops.tanh(self)

    def sigmoid(self) -> Tensor:
        """1 / (1 + exp(-x)) of each element."""
        return ops.sigmoid(self)

    def relu(self) -> Tensor:
        """max(x, 0) of each element."""
        return ops.relu(self)

    # ------------------------------------------------------------ NumPy functions

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if options or method != "__call__":
            return call_ufunc(ufunc, method, inputs, options)
        return stand_in(ufunc)(*inputs)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any
    ) -> Any:
        return stand_in(function)(*args, **kwargs)


def _is_numeric(x: object) -> bool:
    """Whether `x` can be compared with numbers; None and strings are equal to no tensor."""
    return isinstance(x, Variable) or np.asarray(x).dtype.kind in "biufc"


def _unpack(numbers: tuple[Any, ...]) -> tuple[int, ...]:
    """Lengths or axes, given one by one or as one sequence; None means no axes."""
    if len(numbers) == 1 and numbers[0] is None:
        return ()
    if len(numbers) == 1 and isinstance(numbers[0], (tuple, list, np.ndarray)):
        numbers = tuple(numbers[0])
    return tuple(map(index, numbers))


def tensor(data: Any, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """A tensor with its own copy of `data`.

    Python floats become float32, arrays keep their dtype unless `dtype` says so.

    Examples
    --------
    >>> from tinygrad_mnist import tensor
    >>> tensor([1.0, 2.0]).dtype
    dtype('float32')
    """
    values = as_array(data) if dtype is None else plain(data)
    return Tensor(np.array(values, dtype=dtype), requires_grad)


register_tensor(Tensor)
