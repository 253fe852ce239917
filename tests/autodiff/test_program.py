"""The tape as a program: it reads as on paper, and computes the bits that the tape computes."""

from copy import deepcopy

import numpy as np
import pytest
from samples import SAMPLES

from tinygrad_mnist import nn, program, tensor
from tinygrad_mnist.autodiff import op
from tinygrad_mnist.autodiff.program import derivative, identifier
from tinygrad_mnist.data import one_hot
from tinygrad_mnist.examples import BatchNorm1d, LeNet, ResMLP
from tinygrad_mnist.training import Recipe
from tinygrad_mnist.training.build import build_loss, build_model
from tinygrad_mnist.training.recipe import recipe_names

CROSS_ENTROPY = nn.CrossEntropyLoss()


def batch(dtype=np.float32, inputs=784, rows=6):
    rng = np.random.default_rng(0)
    return rng.uniform(0, 1, (rows, inputs)).astype(dtype), rng.integers(0, 10, rows)


def same(a, b):
    """Whether two arrays are equal bit by bit, and of one dtype and shape."""
    a, b = np.asarray(a), np.asarray(b)
    return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def differing(loss_fn, model, x, y):
    """The names of the results of the program that are not those of the tape."""
    twin = deepcopy(model)
    made = program(loss_fn(model), model, x, y)
    names = dict(made.given)
    exec(made.source, names)
    loss = loss_fn(twin)(twin(x), y)
    loss.backward()
    expected = {"loss": loss.data}
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        expected[derivative(called(made, p))] = q.grad.data
    return [name for name in expected if not same(names[name], expected[name])]


def called(made, parameter):
    """The name of a parameter in a program."""
    return next(name for name, array in made.given.items() if array is parameter.data)


def with_penalty(loss_fn):
    """A loss with the L2 penalty of a model's matrices."""
    return lambda model: (
        lambda out, y: (
            loss_fn(out, y) + 0.5e-3 * sum((p * p).sum() for p in model.parameters() if p.ndim > 1)
        )
    )


@pytest.mark.parametrize("name", recipe_names())
def test_the_program_of_a_recipe_computes_the_bits_of_the_tape(name):
    recipe = Recipe.load(name)
    model = build_model(recipe, 784, 10, np.random.default_rng(1))
    assert differing(lambda _: build_loss(recipe, 10), model, *batch()) == []


def squares(out, y):
    return nn.functional.mse_loss(out, one_hot(y, 10).astype(out.dtype))


def smoothed(out, y):
    return nn.functional.cross_entropy(out, y, label_smoothing=0.1)


def in_dtype(model, dtype):
    for p in model.parameters():
        p.data = p.data.astype(dtype)
    return model


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss_fn", [nn.functional.cross_entropy, squares, smoothed])
@pytest.mark.parametrize("make", [LeNet, ResMLP], ids=lambda make: make.__name__)
def test_other_networks_losses_and_dtypes_do_too(make, loss_fn, dtype):
    model = in_dtype(make(784, 10, rng=np.random.default_rng(1)), dtype)
    assert differing(with_penalty(loss_fn), model, *batch(dtype)) == []


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_dropout_draws_once_and_its_mask_is_a_constant(activation, output):
    rng = np.random.default_rng(1)
    model = nn.MLP((784, 12, 10), activation, output, dropout=0.4, rng=rng)
    assert differing(with_penalty(squares), model, *batch()) == []
    made = program(squares, model, *batch())
    assert made.given["constant_1"].shape == (6, 12)


def test_a_norm_over_the_batch_is_part_of_the_program():
    rng = np.random.default_rng(1)
    model = nn.Sequential(nn.Linear(784, 8, rng=rng), BatchNorm1d(8), nn.Linear(8, 10, rng=rng))
    assert differing(lambda _: CROSS_ENTROPY, model, *batch()) == []


class Holder:
    """Anything with named parameters is a model."""

    def __init__(self, function, parameters):
        self.function, self.all = function, parameters

    def __call__(self, x):
        return self.function()

    def named_parameters(self):
        return {f"p.{i}": p for i, p in enumerate(self.all)}.items()


def weighed(out, y):
    return (out * np.cos(np.arange(out.size, dtype=np.float64)).reshape(out.shape)).sum()


OPS = [(op, i) for op in SAMPLES if op.differentiable for i in range(len(SAMPLES[op]))]


@pytest.mark.parametrize(("op", "i"), OPS, ids=lambda value: getattr(value, "name", value))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_op_and_its_rules_are_written_so_that_the_bits_are_the_same(op, i):
    sample = SAMPLES[op][i]
    made = [tensor(a, requires_grad=True) if np.asarray(a).dtype.kind == "f" else a
            for a in sample.arguments]  # fmt: skip
    parameters = [a for a in made if hasattr(a, "requires_grad")]
    model = Holder(lambda: op(*made, **sample.params), parameters)
    printed = program(weighed, model, np.ones(1), np.ones(1))
    loss = weighed(op(*made, **sample.params), None)
    loss.backward()
    known = [p for p in parameters if p.grad is not None]
    expected = {derivative(called(printed, p)): p.grad.data for p in known}
    found = printed.run()
    assert [name for name in expected if not same(found[name], expected[name])] == []
    assert same(found["loss"], loss.data)


# ---------------------------------------------------------------- how it reads


ON_PAPER = """\
# X (6, 784), y (6,), W1 (784, 5), b1 (5,), W2 (5, 10), b2 (10,)
from numpy import ones_like
from tinygrad_mnist.autodiff.ops import (
    broadcast_to, cross_entropy, cross_entropy_slope, linear, mean, sigmoid,
    sigmoid_slope
)

# forward
Z1 = linear(X, W1, b1)                                   # (6, 5)
A1 = sigmoid(Z1)                                         # (6, 5)
Z2 = linear(A1, W2, b2)                                  # (6, 10)
loss = mean(cross_entropy(Z2, y))                        # ()

# backward
dloss = ones_like(loss)                                  # ()
reshape_1 = broadcast_to(dloss / 6, shape=(6,)).reshape(-1, 1)  # (6, 1)
dZ2 = reshape_1 * cross_entropy_slope(Z2, y)             # (6, 10)
dA1 = dZ2 @ W2.mT                                        # (6, 5)
dW2 = A1.mT @ dZ2                                        # (5, 10)
db2 = dZ2.sum(axis=0)                                    # (10,)
dZ1 = dA1 * sigmoid_slope(Z1)                            # (6, 5)
dW1 = X.mT @ dZ1                                         # (784, 5)
db1 = dZ1.sum(axis=0)                                    # (5,)"""


def test_the_listing_of_an_mlp_has_the_names_on_paper():
    model = nn.MLP((784, 5, 10), "sigmoid", rng=np.random.default_rng(0))
    assert str(program(CROSS_ENTROPY, model, *batch())) == ON_PAPER


def test_a_product_and_a_sum_are_a_layer_on_paper_too():
    W, b = (nn.Parameter(np.ones(shape)) for shape in ((4, 10), 10))
    a = np.ones((6, 4))
    made = program(CROSS_ENTROPY, Holder(lambda: a @ W + b, [W, b]), *batch())
    assert "\nZ1 = constant_1 @ W1 + b1 " in made.source


def test_elsewhere_a_parameter_is_called_after_its_place_and_a_result_after_its_op():
    made = program(CROSS_ENTROPY, ResMLP(784, 10, width=8, blocks=2), *batch())
    assert {"layer_1_inner_0_weight", "layer_2_inner_3_bias"} <= made.given.keys()
    assert {"linear_1", "d_linear_1", "d_layer_1_inner_0_weight"} <= made.run().keys()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("blocks.1.norm.weight", "blocks_1_norm_weight"), ("0.bias", "layer_0_bias"),
     ("lambda", "layer_lambda"), ("a b", "a_b")],
)  # fmt: skip
def test_a_dotted_name_becomes_one_of_python(name, expected):
    assert identifier(name) == expected


def test_the_listing_runs_on_other_arrays_as_the_tape_would():
    model = nn.MLP((784, 5, 10), "relu", rng=np.random.default_rng(0))
    x, y = batch()
    made, other = program(CROSS_ENTROPY, model, x, y), x[::-1].copy()
    assert same(made.run(X=other)["loss"], CROSS_ENTROPY(model(other), y).data)
    with pytest.raises(TypeError, match=r"starts from X, y, W1, b1, W2, b2, but was given x"):
        made.run(x=other)


def test_a_comparison_is_computed_anew_and_not_a_constant():
    leaky = nn.Sequential(nn.Linear(784, 9), nn.LeakyReLU(0.1), nn.Linear(9, 10))
    x, y = batch()
    made = program(CROSS_ENTROPY, leaky, x, y)
    loss = CROSS_ENTROPY(leaky(-x), y)
    loss.backward()
    assert "Z1 > 0" in made.source
    assert same(made.run(X=-x)["dW1"], leaky[0].weight.grad.data)


def test_what_is_used_twice_is_computed_once():
    W = nn.Parameter(np.ones((2, 3)))
    made = program(lambda out, y: (out * out).sum(), Holder(lambda: np.exp(W), [W]), *batch())
    assert made.source.count("exp(W1)") == 1
    assert "loss = (exp_1 * exp_1).sum()" in made.source


def test_an_op_that_cannot_be_imported_is_given():
    cube = op(lambda x: x**3, name="cube").vjp(lambda g, out, x: 3 * g * x * x)
    W = nn.Parameter(np.ones((2, 3)))
    made = program(lambda out, y: out.sum(), Holder(lambda: cube(W), [W]), *batch())
    assert "loss = cube_1(W1).sum()" in made.source
    assert ", cube_1, an op\n" in made.source
    assert made.given["cube_1"] is cube
    assert same(made.run()["dW1"], np.full((2, 3), 3, np.float64))


def test_a_gradient_that_two_parameters_share_has_a_line_for_each():
    a, b = (nn.Parameter(np.ones((2, 3))) for _ in range(2))
    made = program(lambda out, y: (out * out).sum(), Holder(lambda: a + b, [a, b]), *batch())
    found = made.run()
    assert "\ndW2 = d_add_1 " in made.source
    assert same(found["dW1"], np.full((2, 3), 4.0))
    assert same(found["dW2"], found["dW1"])


def test_nothing_is_left_behind():
    model = nn.MLP((784, 5, 10), rng=np.random.default_rng(0))
    program(CROSS_ENTROPY, model, *batch())
    assert all(p.grad is None for p in model.parameters())
    assert not (model(batch()[0]) > 0).requires_grad


@pytest.mark.parametrize("loss_fn", [lambda out, y: out, lambda out, y: 3.0, lambda out, y: None])
def test_a_loss_of_another_kind_is_refused(loss_fn):
    with pytest.raises(ValueError, match="starts from a loss that is one number"):
        program(loss_fn, nn.Linear(784, 10), *batch())
