"""The layers written in the documentation, as they are there, against PyTorch's.

Values, gradients, and running averages.
"""

import numpy as np
import pytest
from howto import run_page

from tinygrad_mnist import Tensor

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def page():
    return run_page("new-layer.md")


def in_float64(ours, theirs, rng):
    """Give both layers the same random parameters in float64."""
    for p, q in zip(ours.parameters(), theirs.double().parameters(), strict=True):
        p.data = rng.normal(size=p.shape)
        q.data = torch.tensor(p.data)
    return ours, theirs


def assert_same_gradients(ours, theirs, x, rng):
    """Values, and the gradients of input and parameters along a random cotangent."""
    a, b = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, expected = ours(a), theirs(b)
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    g = rng.normal(size=out.shape)
    out.backward(g)
    expected.backward(torch.tensor(g))
    for p, q in zip([a, *ours.parameters()], [b, *theirs.parameters()], strict=True):
        np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=1e-10, atol=1e-12)
        p.grad = q.grad = None


def test_layer_norm(page, rng):
    assert_same_gradients(
        *in_float64(page["LayerNorm"](5), torch.nn.LayerNorm(5), rng), rng.normal(size=(4, 5)), rng
    )


def test_batch_norm_in_training_and_evaluation(page, rng):
    ours, theirs = in_float64(page["BatchNorm1d"](3), torch.nn.BatchNorm1d(3), rng)
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
def test_convolution(page, rng, stride, padding):
    ours, theirs = (
        page["Conv2d"](2, 3, 3, stride, padding),
        torch.nn.Conv2d(2, 3, 3, stride, padding),
    )
    assert_same_gradients(*in_float64(ours, theirs, rng), rng.normal(size=(2, 2, 8, 7)), rng)


@pytest.mark.parametrize(("size", "stride"), [(2, None), (3, 1), (2, 3)])
def test_pooling(page, rng, size, stride):
    assert_same_gradients(
        page["MaxPool2d"](size, stride),
        torch.nn.MaxPool2d(size, stride),
        rng.normal(size=(2, 2, 8, 7)),
        rng,
    )
