"""The tensor: an array that remembers how it was computed. Its operators are the ops."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.autodiff.draw import Drawing, draw
from tinygrad_mnist.autodiff.graph import Variable, register_tensor, sweep, tick, wrap
from tinygrad_mnist.autodiff.numpy_functions import call_ufunc, stand_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tinygrad_mnist.autodiff.graph import Array

    Axis = int | tuple[int, ...] | None


@register_tensor
class Tensor(Variable):
    """An array that takes part in automatic differentiation.

    As an array it behaves like NumPy's (``axis``, ``keepdims``, broadcasting); what concerns
    gradients has PyTorch's names. Arrays are shared, not copied; use `tensor` for a copy.

    Parameters
    ----------
    data : array_like
        Numbers of any shape. Python floats become float32, arrays keep their dtype.
    requires_grad : bool
        Record what is computed from this tensor, so that `backward` can find its gradient. Floats only.

    Raises
    ------
    TypeError
        If `data` does not consist of numbers, or an integer tensor is to require grad.

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
        self._data = _as_array(data)
        self._op = None
        self._written = 0
        self._requires_grad = False
        self.grad = None
        self.requires_grad = requires_grad

    # ------------------------------------------------------------ the array

    @property
    def data(self) -> Array:
        """The array itself. Assigning to it (also ``t.data -= ...``) is not recorded, but is noticed by `backward`."""
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        if self._op is not None:
            raise RuntimeError(
                f"This tensor was computed by {self._op.name}, whose derivative may need the array: it must stay as it is. "
                "Write in place only to leaves, or to a copy: tensor(t.data)."
            )
        self._data = _as_array(value)
        self._written = tick()

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

    def numpy(self) -> Array:
        """The array, without a copy. Raises RuntimeError if the tensor requires grad: use ``.detach().numpy()``."""
        if self._requires_grad:
            raise RuntimeError(
                "This tensor requires grad, and a plain array would lose it. Use .detach().numpy() if that is meant."
            )
        return self._data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def detach(self) -> Tensor:
        """The same array, cut off from the graph."""
        return wrap(self._data)

    def graph(self, *, gradients: bool = False) -> Drawing:
        """A picture of what this tensor was computed from: shown by notebooks, ``str`` of it is SVG.

        Leaves that require grad are green, other leaves and constants dashed. Small tensors show their numbers, others their
        shape; a ``.grad`` is shown where there is one.

        Parameters
        ----------
        gradients : bool
            Show the gradient of this tensor, which must be a single number, by every other one; no ``.grad`` is changed.

        Raises
        ------
        RuntimeError
            If the graph was freed: draw before `backward`, or call it with ``retain_graph=True``.

        Examples
        --------
        >>> from tinygrad_mnist import tensor
        >>> x = tensor(3.0, requires_grad=True)
        >>> picture = (x * x).graph(gradients=True)
        >>> "mul" in str(picture), "grad 6." in str(picture)
        (True, True)
        """
        return draw(self, gradients)

    def __repr__(self) -> str:
        notes = [np.array2string(self._data, prefix="Tensor(")]
        if self.dtype != np.float32:
            notes.append(f"dtype={self.dtype}")
        if self._op is not None:
            notes.append(f"from {self._op.name}")
        if self._requires_grad:
            notes.append("requires_grad")
        return f"{type(self).__name__}({', '.join(notes)})"

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        return float(self._data)

    def __int__(self) -> int:
        return int(self._data)

    # ------------------------------------------------------------ gradients

    @property
    def requires_grad(self) -> bool:
        """Whether what is computed from this tensor is recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._data.dtype.kind != "f":
            raise TypeError(
                f"Only floating-point tensors can require grad, this one is {self.dtype}. Make it from floats: [1.0, 2.0]."
            )
        if self._op is not None and not value:
            raise RuntimeError(
                "This tensor was computed from others that require grad. Use .detach() for a copy that does not."
            )
        self._requires_grad = value

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` and return the tensor."""
        self.requires_grad = requires_grad
        return self

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
            If there is no graph (nothing required grad, or it was freed), if a tensor with several elements
            comes without `gradient`, or if a tensor was written in place after it had been used.
        """
        self._check_differentiable()
        arrived = sweep({self: _cotangent(self, gradient)}, retain_graph=retain_graph)
        for leaf in list(arrived):
            g = own(arrived.pop(leaf))
            leaf.grad = wrap(g) if leaf.grad is None else wrap(leaf.grad._data + g)

    def _check_differentiable(self) -> None:
        if not self._requires_grad:
            raise RuntimeError(
                "Nothing to differentiate: no tensor that led here requires grad, or it was computed under no_grad()."
            )

    # ------------------------------------------------------------ operators

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return ops.sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.mul(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.mul(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.div(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return ops.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return ops.equal(self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return ops.not_equal(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return ops.less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return ops.less_equal(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return ops.greater(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return ops.greater_equal(self, other)

    __hash__ = object.__hash__

    def __getitem__(self, key: Any) -> Tensor:
        return ops.index(self, key=_plain(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "A tensor's elements cannot be assigned: the graph would not know. Build a new one with np.where(mask, value, t) or "
            "np.concatenate, or write to the array of a leaf, t.data[...] = value, before it is used."
        )

    # ------------------------------------------------------------ methods

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Sum over `axis`, or over all elements."""
        return ops.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Arithmetic mean over `axis`, or over all elements."""
        return ops.mean(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Tensor:
        """Variance over `axis`: squared deviations from the mean, summed and divided by n - ddof."""
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

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape; one length may be -1."""
        return ops.reshape(self, shape=_unpack(shape))

    def transpose(self, *axes: Any) -> Tensor:
        """Permute the axes; without arguments, reverse them."""
        return ops.transpose(self, axes=_unpack(axes) or tuple(range(self.ndim))[::-1])

    def squeeze(self, axis: Axis = None) -> Tensor:
        """Without the axes of length 1, or without those named."""
        return self.reshape(self._data.squeeze(axis).shape)

    def unsqueeze(self, axis: int | tuple[int, ...]) -> Tensor:
        """With new axes of length 1 at `axis`."""
        return self.reshape(np.expand_dims(self._data, axis).shape)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Two axes exchanged."""
        axes = list(range(self.ndim))
        axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
        return self.transpose(axes)

    def clamp(self, min: float | None = None, max: float | None = None) -> Tensor:
        """Each element limited to [min, max]; None is no bound."""
        return ops.clamp(self, min=min, max=max)

    @property
    def T(self) -> Tensor:
        """The axes reversed."""
        return self.transpose()

    @property
    def mT(self) -> Tensor:
        """The last two axes swapped: the transpose of each matrix in a stack."""
        *stack, rows, columns = range(self.ndim)
        return self.transpose(*stack, columns, rows)

    def exp(self) -> Tensor:
        """E to the power of each element."""
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


def _as_array(data: Any) -> Array:
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


def _plain(x: Any) -> Any:
    """The array of a tensor, also inside the tuple of an index; everything else as it is."""
    if isinstance(x, tuple):
        return tuple(map(_plain, x))
    return x._data if isinstance(x, Variable) else x


def _unpack(numbers: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(numbers[0]) if len(numbers) == 1 and not isinstance(numbers[0], int) else numbers


def tensor(data: Any, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """A tensor with its own copy of `data`: Python floats become float32, arrays keep their dtype unless `dtype` says so.

    Examples
    --------
    >>> from tinygrad_mnist import tensor
    >>> tensor([1.0, 2.0]).dtype
    dtype('float32')
    """
    return Tensor(
        np.array(_as_array(data) if dtype is None else _plain(data), dtype=dtype), requires_grad
    )


def own(g: Any) -> Array:
    """The array itself if nobody else holds it and it is its own memory; otherwise a copy."""
    return (
        g
        if isinstance(g, np.ndarray) and g.flags.owndata and sys.getrefcount(g) <= _SOLE
        else np.array(g)
    )


def _holders(g: Any) -> int:
    return sys.getrefcount(g)


_SOLE = _holders(np.empty(0))
"""What getrefcount says of an array whose only holder is the function that asks."""


def _cotangent(output: Tensor, gradient: Any) -> Array:
    if gradient is None:
        if output.size != 1:
            raise RuntimeError(
                f"backward() starts from a single number, but this tensor has shape {output.shape}. "
                "Reduce it first, as in loss.mean().backward(), or pass gradient= of that shape."
            )
        return np.ones_like(output._data)
    given: Array = np.asarray(_plain(gradient), dtype=output.dtype)
    if given.shape != output.shape:
        raise ValueError(
            f"gradient has shape {given.shape}, but the tensor it belongs to has shape {output.shape}."
        )
    return given


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The derivatives of `outputs` with respect to `inputs`, leaving every `.grad` alone.

    Parameters
    ----------
    outputs, inputs : Tensor or sequence of Tensor
        What is differentiated, and with respect to what: leaves or anything computed from them.
    grad_outputs : array_like or sequence, optional
        The cotangent of each output, of its shape; 1 for an output of one element.
    retain_graph : bool, optional
        Keep the graph for another call; by default kept exactly if `create_graph`.
    create_graph : bool
        Record the derivatives themselves, so that they can be differentiated again.
    allow_unused : bool
        Return None for an input that the outputs do not depend on, instead of raising.

    Returns
    -------
    tuple of Tensor
        One derivative per input, of its shape and dtype.

    Raises
    ------
    RuntimeError
        As `Tensor.backward`; also for an input that does not require grad or, without `allow_unused`, was not used.

    Examples
    --------
    >>> from tinygrad_mnist import grad, tensor
    >>> x = tensor(2.0, requires_grad=True)
    >>> (slope,) = grad(x**3, x, create_graph=True)
    >>> (curvature,) = grad(slope, x)
    >>> slope.item(), curvature.item()
    (12.0, 12.0)
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    starts = (
        [grad_outputs]
        if len(outputs) == 1 and not isinstance(grad_outputs, (list, tuple))
        else grad_outputs or [None] * len(outputs)
    )
    roots: dict[Any, Any] = {}
    for y, start in zip(outputs, starts, strict=True):
        g: Any = _cotangent(y, start)
        if create_graph:
            g = start if isinstance(start, Tensor) else wrap(g)
        y._check_differentiable()
        roots[y] = roots[y] + g if y in roots else g
    for x in inputs:
        x._check_differentiable()
    retain = create_graph if retain_graph is None else retain_graph
    arrived = sweep(roots, retain_graph=retain, create_graph=create_graph, targets=inputs)
    for i, x in enumerate(inputs):
        if x not in arrived and not allow_unused:
            raise RuntimeError(
                f"The outputs do not depend on input {i} of shape {x.shape}. Pass allow_unused=True to get None for it."
            )
    found = map(arrived.get, inputs)
    return tuple(g if g is None or isinstance(g, Tensor) else Tensor(g) for g in found)
