"""The layers and networks of `examples`: derivatives, values, and what they say."""

import numpy as np
import pytest

from tinygrad_mnist import Tensor, grad, optim
from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.examples import (
    BatchNorm1d,
    Conv2d,
    Images,
    LayerNorm,
    LeNet,
    MaxPool2d,
    ResidualBlock,
    ResMLP,
)
from tinygrad_mnist.examples.lenet import batch_last, conv2d, pad
from tinygrad_mnist.nn import CrossEntropyLoss
from tinygrad_mnist.testing import assert_gradients, assert_module

RNG = np.random.default_rng(0)
MODULES = {
    "layer norm": (LayerNorm(3), (2, 3)),
    "layer norm over two axes": (LayerNorm((2, 3)), (2, 2, 3)),
    "batch norm": (BatchNorm1d(2), (5, 2)),
    "images": (Images(4), (2, 4)),
    "convolution": (Conv2d(2, 3, 2, rng=RNG), (2, 2, 3, 2)),
    "convolution with stride and padding": (Conv2d(2, 1, 2, 3, 2, rng=RNG), (2, 2, 4, 3)),
    "pooling": (MaxPool2d(2), (2, 1, 2, 5)),
    "overlapping pooling": (MaxPool2d(2, 1), (2, 1, 4, 3)),
    "residual block": (ResidualBlock(3, rng=RNG), (2, 3)),
}
MODELS = {
    "LeNet": LeNet,
    "ResMLP": lambda *sizes, rng: ResMLP(*sizes, rng=rng, width=9, blocks=2),
}


def by_definition(x, weight, bias, stride, padding):
    """The convolution, one number after the other."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    size = np.array(weight.shape[2:])
    lengths = (np.array(x.shape[2:]) - size) // stride + 1
    out = np.empty((len(x), len(weight), *lengths))
    for n, o, i, j in np.ndindex(out.shape):
        (top, left), (h, w) = (stride * i, stride * j), size
        window = x[n, :, top : top + h, left : left + w]
        out[n, o, i, j] = (window * weight[o]).sum() + bias[o]
    return out


def by_composition(x, size, stride):
    """Pooling from ops that exist."""
    return ops.sliding_windows(x, window=(size, size), stride=stride).max(axis=(-2, -1))


# ---------------------------------------------------------------- promises and derivatives


@pytest.mark.parametrize(("module", "shape"), MODULES.values(), ids=MODULES)
def test_a_module_keeps_its_promises(rng, module, shape):
    assert_module(module, rng.normal(size=shape))


def test_lenet_has_right_derivatives_with_respect_to_its_input(rng):
    model = LeNet(144, 3, rng=rng)
    for p in model.parameters():
        p.data = p.data.astype(np.float64)
    assert_gradients(model, rng.normal(size=(1, 144)), order=1)


def test_images_get_no_gradient_that_nobody_asked_for(rng, monkeypatch):
    model = Conv2d(1, 2, 3, rng=rng)
    monkeypatch.setattr(pad, "rules", (lambda *_, **__: pytest.fail("it was formed"),))
    model(rng.normal(size=(2, 1, 5, 5))).sum().backward()
    assert model.weight.grad is not None


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 2), (2, 1), (3, 0)])
def test_a_convolution_is_what_its_definition_says(rng, stride, padding):
    x, weight, bias = (
        rng.normal(size=(2, 3, 7, 6)),
        rng.normal(size=(4, 3, 3, 2)),
        rng.normal(size=4),
    )
    expected = by_definition(x, weight, bias, stride, padding)
    np.testing.assert_allclose(conv2d(x, weight, bias, stride, padding), expected, rtol=1e-12)


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 1), (2, 3), (1, 1)])
def test_pooling_agrees_with_its_composed_twin(rng, size, stride):
    x = rng.normal(size=(2, 3, 7, 6))
    ours, twin = (Tensor(x, requires_grad=True) for _ in range(2))
    out, expected = MaxPool2d(size, stride)(ours), by_composition(twin, size, stride)
    g = rng.normal(size=out.shape)
    out.backward(g)
    expected.backward(g)
    assert np.array_equal(out.data, expected.data)
    np.testing.assert_allclose(ours.grad.data, twin.grad.data, rtol=1e-14)


def test_of_equally_large_elements_the_first_gets_the_gradient():
    x = Tensor(np.array([[[[1.0, 2.0], [2.0, 2.0]]]]), requires_grad=True)
    MaxPool2d(2)(x).backward(np.full((1, 1, 1, 1), 5.0))
    assert x.grad.data.tolist() == [[[[0, 5], [0, 0]]]]


def test_the_batch_is_last_in_memory_from_layer_to_layer_and_back(rng):
    def lies_batch_last(array):
        return array.transpose(1, 2, 3, 0).flags.c_contiguous

    convolution, pooling = list(LeNet(144, 3, rng=rng))[1:3]
    x = batch_last(rng.random((8, 1, 12, 12)))
    convolved = convolution(x)
    pooled = pooling(convolved)
    in_another_order = np.ones(pooled.shape)
    (g,) = grad(pooled, convolved, grad_outputs=in_another_order)
    everything = [x, pad(x, width=2), convolved.data, pooled.data, g.data]
    assert all(map(lies_batch_last, everything))


def test_layer_norm_over_two_axes_is_that_of_the_axes_in_one(rng):
    x = rng.normal(size=(2, 3, 4))
    expected = LayerNorm(12)(x.reshape(2, 12)).data
    np.testing.assert_allclose(LayerNorm((3, 4))(x).data.reshape(2, 12), expected, rtol=1e-12)


def test_layer_norm_brings_each_row_to_mean_0_and_variance_1(rng):
    layer = LayerNorm(50)
    out = layer(rng.normal(3, 2, size=(4, 50))).data
    np.testing.assert_allclose(out.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(out.var(axis=1), 1, rtol=1e-4)
    assert layer(np.full((1, 50), 3.0)).data.tolist() == [[0] * 50]
    layer.bias.data += 7
    np.testing.assert_allclose(layer(rng.normal(size=(4, 50))).data.mean(axis=1), 7, rtol=1e-6)


def test_batch_norm_brings_each_column_to_mean_0_and_variance_1(rng):
    out = BatchNorm1d(3)(rng.normal(3, 2, size=(50, 3))).data
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(out.var(axis=0), 1, rtol=1e-4)


def test_running_statistics_follow_their_formula(rng):
    layer, mean, var = BatchNorm1d(3, momentum=0.25), np.zeros(3), np.ones(3)
    for _ in range(4):
        x = rng.normal(3, 2, size=(6, 3))
        layer(x)
        mean, var = 0.75 * mean + 0.25 * x.mean(axis=0), 0.75 * var + 0.25 * x.var(axis=0, ddof=1)
    np.testing.assert_allclose(layer.running_mean.data, mean, rtol=1e-6)
    np.testing.assert_allclose(layer.running_var.data, var, rtol=1e-6)


# ---------------------------------------------------------------- models


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("inputs", [144, 784])
def test_a_model_makes_logits_of_rows(rng, name, inputs):
    model = MODELS[name](inputs, 7, rng=rng)
    logits = model(Tensor(rng.random((3, inputs), np.float32)))
    assert (logits.shape, logits.dtype) == ((3, 7), np.float32)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_no_rows_make_no_logits(name):
    assert MODELS[name](144, 7, rng=None)(np.zeros((0, 144), np.float32)).shape == (0, 7)


@pytest.mark.parametrize("name", MODELS)
def test_the_generator_decides_every_weight(name):
    weights = [
        [p.data for p in MODELS[name](144, 3, rng=np.random.default_rng(seed)).parameters()]
        for seed in (1, 1, 2)
    ]
    for a, b, other in zip(*weights, strict=True):
        assert np.array_equal(a, b)
        assert not np.array_equal(a, other) or np.ptp(a) == 0


@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_what_it_is_shown(rng, name):
    model = MODELS[name](144, 3, rng=rng)
    x, labels = rng.random((12, 144), np.float32), np.arange(12) % 3
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        CrossEntropyLoss()(model(x), labels).backward()
        optimizer.step()
    assert (model(x).data.argmax(axis=1) == labels).all()


def test_a_residual_block_passes_the_gradient_around_what_it_computes(rng):
    block, x = ResidualBlock(4, rng=rng), Tensor(rng.normal(size=(2, 4)), requires_grad=True)
    block.inner[-1].weight.data *= 0
    g = rng.normal(size=(2, 4))
    block(x).backward(g)
    np.testing.assert_allclose(x.grad.data, g, rtol=1e-12)


# ---------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LeNet(785, 10), "785 numbers are not square images: 28 x 28 would be 784"),
        (lambda: LeNet(121, 10), "12 x 12 pixels or more, but these have 11 x 11"),
        (lambda: Conv2d(3, 1, 2)(np.ones((2, 3))), r"\(n, 3, h, w\), but was given \(2, 3\)"),
        (lambda: Conv2d(3, 1, 2)(np.ones((2, 1, 4, 4))), r"\(n, 3, h, w\), but was given"),
        (
            lambda: Conv2d(1, 1, 5)(np.ones((1, 1, 6, 4))),
            r"window of \(5, 5\) does not fit into \(6, 4\)",
        ),
        (
            lambda: MaxPool2d(3)(np.ones((1, 1, 2, 4))),
            r"window of \(3, 3\) does not fit into \(2, 4\)",
        ),
        (lambda: LayerNorm(4)(np.ones((2, 1))), r"\(..., 4\), but was given \(2, 1\)"),
        (lambda: BatchNorm1d(4)(np.ones((2, 1))), r"\(n, 4\), but was given \(2, 1\)"),
        (lambda: BatchNorm1d(4)(np.ones((1, 4))), r"one row has no variance.*model\.eval\(\)"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_refused_batch_leaves_the_running_statistics_alone():
    layer = BatchNorm1d(2)
    with pytest.raises(ValueError, match="no variance"):
        layer(np.full((1, 2), 9.0))
    assert layer.running_mean.data.tolist() == [0, 0]


def test_the_tree_says_what_a_layer_does():
    text = repr(LeNet(784, 10))
    assert "Images(28 x 28)" in text
    assert "Conv2d(weight (16, 1, 5, 5), bias (16,), stride=1, padding=2; 416 par" in text
    assert "MaxPool2d(kernel_size=2, stride=2)" in text
