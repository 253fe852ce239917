"""The layers and networks of `examples` against PyTorch's.

Values, gradients, and running averages.
"""

import numpy as np
import pytest

from tinygrad_mnist import Tensor
from tinygrad_mnist.examples import BatchNorm1d, Conv2d, LayerNorm, LeNet, MaxPool2d

torch = pytest.importorskip("torch")


def in_float64(ours, theirs, rng):
    """Give both layers the same random parameters in float64."""
    for p, q in zip(ours.parameters(), theirs.double().parameters(), strict=True):
        p.data = rng.normal(size=p.shape)
        q.data = torch.tensor(in_their_layout(p.data))
    return ours, theirs


def in_their_layout(values):
    """A parameter or its gradient as PyTorch has it: of Linear, which is the one matrix, .T."""
    return values.T if values.ndim == 2 else values


def assert_same_gradients(ours, theirs, x, rng):
    """Values, and the gradients of input and parameters along a random cotangent."""
    a, b = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, expected = ours(a), theirs(b)
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    g = rng.normal(size=out.shape)
    out.backward(g)
    expected.backward(torch.tensor(g))
    for p, q in zip([a, *ours.parameters()], [b, *theirs.parameters()], strict=True):
        found = p.grad.data if p is a else in_their_layout(p.grad.data)
        np.testing.assert_allclose(found, q.grad.numpy(), rtol=1e-10, atol=1e-12)
        p.grad = q.grad = None


@pytest.mark.parametrize("shape", [5, (2, 3, 5)])
def test_layer_norm(rng, shape):
    layers = in_float64(LayerNorm(shape), torch.nn.LayerNorm(shape), rng)
    assert_same_gradients(*layers, rng.normal(size=(4, 2, 3, 5)), rng)


def test_batch_norm_in_training_and_evaluation(rng):
    ours, theirs = in_float64(BatchNorm1d(3), torch.nn.BatchNorm1d(3), rng)
    for name in ("running_mean", "running_var"):
        getattr(ours, name).data = getattr(ours, name).data.astype(np.float64)
    for _ in range(3):
        assert_same_gradients(ours, theirs, rng.normal(2, 3, size=(6, 3)), rng)
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(
            getattr(ours, name).data, getattr(theirs, name).numpy(), rtol=1e-13
        )
    assert_same_gradients(ours.eval(), theirs.eval(), rng.normal(2, 3, size=(6, 3)), rng)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 0), (2, 2), (3, 1)])
def test_convolution(rng, stride, padding):
    ours, theirs = (
        Conv2d(2, 3, 3, stride, padding),
        torch.nn.Conv2d(2, 3, 3, stride, padding),
    )
    assert_same_gradients(*in_float64(ours, theirs, rng), rng.normal(size=(2, 2, 8, 7)), rng)


@pytest.mark.parametrize(("size", "stride"), [(2, None), (3, 1), (2, 3)])
def test_pooling(rng, size, stride):
    assert_same_gradients(
        MaxPool2d(size, stride),
        torch.nn.MaxPool2d(size, stride),
        rng.normal(size=(2, 2, 8, 7)),
        rng,
    )


def test_the_whole_network(rng):
    nn = torch.nn
    theirs = nn.Sequential(
        nn.Unflatten(1, (1, 12, 12)),
        nn.Conv2d(1, 16, 5, padding=2), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(16, 32, 5), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(32, 120), nn.ReLU(), nn.Linear(120, 5),
    )  # fmt: skip
    layers = in_float64(LeNet(144, 5), theirs, rng)
    assert_same_gradients(*layers, rng.normal(size=(3, 144)), rng)
