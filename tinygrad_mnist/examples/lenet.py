"""Convolution, pooling, and the network that made them well known.

Shapes are PyTorch's, (n, channels, height, width). In memory, however, the
batch is the last axis: `batch_last` puts it there, and NumPy keeps that order.
The values of all images at one pixel are then contiguous, so NumPy copies,
adds and compares long runs (as in Krizhevsky's cuda-convnet, 2012).
"""

from __future__ import annotations

from functools import reduce
from math import isqrt
from typing import Any

import numpy as np

from tinygrad_mnist import Tensor, nn
from tinygrad_mnist.autodiff import op, ops

# ---------------------------------------------------------------- convolution


@op
def batch_last(x: Any) -> Any:
    """The same images, with the batch as the last axis in memory."""
    return np.ascontiguousarray(x.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)


batch_last.vjp(lambda g, out, x: g).onnx(lambda onnx, x: x)


def inner(x: Any, width: int) -> Any:
    """The index of x inside a border of the given width."""
    return (..., *(slice(width, width + n) for n in x.shape[2:]))


@op
def pad(x: Any, *, width: int) -> Any:
    """Every image with a border of zeros around it."""
    n, c, h, w = x.shape
    out = np.zeros_like(x, shape=(n, c, h + 2 * width, w + 2 * width))
    out[inner(x, width)] = x
    return out


pad.vjp(lambda g, out, x, width: g[inner(x, width)])
pad.onnx(lambda onnx, x, width: onnx.Pad(x, 2 * [0, 0, width, width]))


def conv2d(
    x: Any,
    weight: Any,
    bias: Any,
    stride: int = 1,
    padding: int = 0,
) -> Tensor:
    """Multiply every window with the same weights: one matrix product.

    out[n, o, y, x] = bias[o] + sum over c, i, j of
    weight[o, c, i, j] * x[n, c, stride y + i, stride x + j]

    (n, in, h, w), (out, in, kh, kw), (out,) -> (n, out, h', w'), with
    h' = (h + 2 padding - kh) // stride + 1.

    References
    ----------
    Chellapilla, Puri and Simard, "High performance convolutional neural
    networks for document processing", 2006: the windows as a matrix.
    """
    size = weight.shape[2:]
    padded = pad(batch_last(x), width=padding)
    windows = ops.sliding_windows(padded, window=size, stride=stride)
    n, _, h, w = windows.shape[:4]  # (n, in, h', w', kh, kw)
    columns = windows.transpose(1, 4, 5, 2, 3, 0)  # (in, kh, kw, h', w', n)
    rows = weight.reshape(len(weight), -1)  # (out, in kh kw)
    out = rows @ columns.reshape(rows.shape[1], -1) + bias.reshape(-1, 1)
    return out.reshape(len(weight), h, w, n).transpose(3, 0, 1, 2)


class Conv2d(nn.Module):
    """The same small linear map at every position of an image.

    Parameters
    ----------
    in_channels, out_channels : int
        Values per pixel of the input and of the output.
    kernel_size : int
        Side of the window.
    stride : int
        Step from one window to the next.
    padding : int
        Width of the border of zeros that is put around the image.
    rng : numpy.random.Generator, optional
        Draws the initial values, uniform in ±1/sqrt(fan_in) as in PyTorch,
        with fan_in = in_channels * kernel_size^2; by default a fresh,
        unseeded one.

    Raises
    ------
    ValueError
        When called on anything but images of `in_channels` channels, or on
        images smaller than a window.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = rng or np.random.default_rng()
        self.stride, self.padding = stride, padding
        bound = 1 / np.sqrt(in_channels * kernel_size**2)
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        weight = rng.uniform(-bound, bound, shape)
        bias = rng.uniform(-bound, bound, out_channels)
        self.weight = nn.Parameter(weight.astype(np.float32))
        self.bias = nn.Parameter(bias.astype(np.float32))

    def forward(self, input: Any) -> Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, h', w')."""
        if input.ndim != 4 or input.shape[1] != self.weight.shape[1]:
            raise ValueError(
                f"Conv2d takes images (n, {self.weight.shape[1]}, h, w), but "
                f"was given {input.shape}. Reshape rows of pixels first."
            )
        how = {"stride": self.stride, "padding": self.padding}
        return conv2d(input, self.weight, self.bias, **how)

    def extra_repr(self) -> str:
        """What `repr` says."""
        how = f"stride={self.stride}, padding={self.padding}"
        return f"{super().extra_repr()}, {how}"


# ---------------------------------------------------------------- pooling


@op
def winners(x: Any, largest: Any, *, size: int, stride: int) -> Any:
    """Where each window has its largest element: the first of equal ones.

    (n, c, h, w), (n, c, h', w') -> (n, c, h', w', size, size) of bool
    """
    windows = ops.sliding_windows(x, window=(size, size), stride=stride)
    won = windows == largest[..., None, None]
    free = np.ones_like(largest, bool)
    for i, j in np.ndindex(size, size):
        won[..., i, j] &= free
        free ^= won[..., i, j]
    return won


winners.vjp(None, None)  # a step function


@op
def max_pool2d(x: Any, *, size: int, stride: int) -> Any:
    """The largest element of each window, (n, c, h, w) -> (n, c, h', w')."""
    windows = ops.sliding_windows(x, window=(size, size), stride=stride)
    places = np.ndindex(size, size)
    return reduce(np.maximum, (windows[..., i, j] for i, j in places))


def to_winners(g: Any, out: Any, x: Any, size: int, stride: int) -> Any:
    """The rule of `max_pool2d`: each winner receives its window's gradient."""
    won = winners(x, out, size=size, stride=stride)
    shares = batch_last(g).reshape((*g.shape, 1, 1)) * won
    how = {"window": (size, size), "stride": stride}
    return ops.overlap_add(shares, shape=x.shape, **how)


max_pool2d.vjp(to_winners)
max_pool2d.onnx(
    lambda onnx, x, size, stride: onnx.MaxPool(
        x, kernel_shape=[size, size], strides=[stride, stride]
    )
)


class MaxPool2d(nn.Module):
    """The largest element of every window.

    Parameters
    ----------
    kernel_size : int
        Side of the window.
    stride : int, optional
        Step from one window to the next; by default the side of the window,
        so that windows do not overlap.
    """

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride

    def forward(self, input: Any) -> Tensor:
        """(n, c, h, w) -> (n, c, h', w')."""
        return max_pool2d(input, size=self.kernel_size, stride=self.stride)

    def extra_repr(self) -> str:
        """What `repr` says."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


# ---------------------------------------------------------------- the network


class Images(nn.Module):
    """Rows of pixels as square images of one channel.

    Parameters
    ----------
    inputs : int
        Length of a row.

    Raises
    ------
    ValueError
        If the length is not a square number.
    """

    def __init__(self, inputs: int) -> None:
        self.side = isqrt(inputs)
        if self.side**2 != inputs:
            raise ValueError(
                f"Rows of {inputs} numbers are not square images: "
                f"{self.side} x {self.side} would be {self.side**2}."
            )

    def forward(self, input: Any) -> Any:
        """(n, side * side) -> (n, 1, side, side)."""
        return input.reshape((-1, 1, self.side, self.side))

    def extra_repr(self) -> str:
        """What `repr` says."""
        return f"{self.side} x {self.side}"


class LeNet(nn.Sequential):
    """A small convolutional network: (n, inputs) -> (n, classes) logits.

    Convolution and pooling, twice, then two fully connected layers: a modern
    LeNet-5, with relu instead of tanh, the largest of four pixels instead of
    their mean, and more channels. Pooling comes before relu: the result is the
    same as after it, and relu has a quarter of the work.

    Parameters
    ----------
    inputs, classes : int
        Pixels of an image, which must be square, and number of logits.
    rng : numpy.random.Generator, optional
        Draws the initial weights; by default a fresh, unseeded one.

    Raises
    ------
    ValueError
        If the images are not square, or have fewer than 12 x 12 pixels.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to
    document recognition", 1998, section II.B.
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = rng or np.random.default_rng()
        images = Images(inputs)
        side = (images.side // 2 - 4) // 2  # after the second pooling
        if side < 1:
            raise ValueError(
                f"LeNet needs images of 12 x 12 pixels or more, but these have "
                f"{images.side} x {images.side}."
            )
        super().__init__(
            images,
            Conv2d(1, 16, 5, padding=2, rng=rng),
            MaxPool2d(2),
            nn.ReLU(),
            Conv2d(16, 32, 5, rng=rng),
            MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * side**2, 120, rng=rng),
            nn.ReLU(),
            nn.Linear(120, classes, rng=rng),
        )
