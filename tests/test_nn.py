"""Modules, layers, losses and initial values."""

import numpy as np
import pytest

from tinygrad_mnist import Tensor, nn, tensor
from tinygrad_mnist.autodiff import gradcheck, ops


class Two(nn.Module):
    def __init__(self):
        self.first = nn.Linear(3, 4)
        self.scale = nn.Parameter(np.ones(4, np.float32))
        self.second = nn.Sequential(nn.ReLU(), nn.Linear(4, 2, bias=False))
        self.note = "not a parameter"

    def forward(self, x):
        return self.second(self.first(x) * self.scale)


def test_parameters_are_found_in_order_of_assignment():
    assert [name for name, _ in Two().named_parameters()] == ["first.weight", "first.bias", "scale", "second.1.weight"]


def test_a_shared_parameter_comes_once():
    model = Two()
    model.again = model.first
    assert len(list(model.parameters())) == 4
    assert len(model.state_dict()) == 6


def test_training_through_a_module_reaches_every_parameter(rng):
    model = Two()
    model(rng.normal(size=(5, 3)).astype(np.float32)).sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_state_dict_round_trip_shares_and_copies():
    model, other = Two(), Two()
    other.load_state_dict(model.state_dict())
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert (a.data == b.data).all()
        assert a.data is not b.data
    assert model.state_dict()["scale"].data is model.scale.data


def test_load_state_dict_changes_nothing_on_error():
    model = Two()
    before = {name: t.data.copy() for name, t in model.state_dict().items()}
    good = {name: np.zeros_like(value) for name, value in before.items()}
    bad = [good | {"scale": np.zeros(7)}, {k: v for k, v in good.items() if k != "scale"}, good | {"extra": np.zeros(1)}]
    for state, message in zip(bad, [r"scale has shape \(4,\)", "missing .'scale'", "unexpected .'extra'"], strict=True):
        with pytest.raises((KeyError, ValueError), match=message):
            model.load_state_dict(state)
        assert all((t.data == before[name]).all() for name, t in model.state_dict().items())
    model.load_state_dict({"scale": np.zeros(4), "extra": 1}, strict=False)
    assert (model.scale.data == 0).all()


def test_train_and_eval_reach_every_module():
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    model.eval()
    assert [m.training for m in model.modules()] == [False] * 4
    model.train()
    assert all(m.training for m in model.modules())


def test_apply_visits_inner_modules_first():
    seen = []
    Two().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Two"]


def test_sequential_is_a_sequence():
    model = nn.Sequential(nn.Flatten(), nn.Tanh())
    assert len(model) == 2
    assert isinstance(model[1], nn.Tanh)
    with pytest.raises(TypeError, match="argument 0 is a function"):
        nn.Sequential(lambda x: x)


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


# ---------------------------------------------------------------- layers


def test_linear_is_x_times_weight_plus_bias(rng):
    layer = nn.Linear(3, 4, rng=rng)
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(layer(Tensor(x)).data, x @ layer.weight.data + layer.bias.data, rtol=1e-6)
    np.testing.assert_allclose(layer(x[0, 0]).data, layer(x).data[0, 0], rtol=1e-6)
    assert np.abs(layer.weight.data).max() <= 1 / np.sqrt(3)
    assert nn.Linear(3, 4, bias=False, rng=rng)(x).shape == (2, 5, 4)


def test_linear_says_what_does_not_fit():
    with pytest.raises(ValueError, match=r"has 28 features, but this Linear expects 784 .*nn\.Flatten"):
        nn.Linear(784, 10)(np.zeros((5, 28, 28), np.float32))
    with pytest.raises(ValueError, match=r"has 64 features, but this Linear expects 784 \(weight is \(784, 10\)\)\.$"):
        nn.Linear(784, 10)(np.zeros((5, 64), np.float32))


def test_flatten_keeps_the_first_axis():
    assert nn.Flatten()(np.zeros((5, 28, 28))).shape == (5, 784)
    assert nn.Flatten()(tensor(np.zeros((0, 2, 3)))).shape == (0, 6)


def test_dropout_keeps_the_mean_and_is_off_in_evaluation(rng):
    layer = nn.Dropout(0.25, rng=rng)
    x = Tensor(np.ones((200, 500), np.float32))
    y = layer(x).data
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.01  # 7 standard deviations
    assert layer.eval()(x) is x
    with pytest.raises(ValueError, match=r"0 <= p < 1, but p is 1"):
        nn.Dropout(1)


def test_dropout_passes_gradients_where_it_passed_values(rng):
    x = Tensor(np.ones((4, 5)), requires_grad=True)
    y = nn.Dropout(0.5, rng=rng)(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, y.data)


@pytest.mark.parametrize(("layer", "function"), [(nn.ReLU(), ops.relu), (nn.Sigmoid(), ops.sigmoid), (nn.Tanh(), ops.tanh)])
def test_activation_modules_are_the_ops(layer, function, rng):
    x = Tensor(rng.normal(size=(2, 3)))
    np.testing.assert_array_equal(layer(x).data, function(x).data)


# ---------------------------------------------------------------- losses


def test_cross_entropy_is_the_mean_over_examples(rng):
    logits, target = rng.normal(size=(4, 3)), np.array([0, 2, 1, 1])
    expected = -np.mean([np.log(np.exp(row[t]) / np.exp(row).sum()) for row, t in zip(logits, target, strict=True)])
    np.testing.assert_allclose(nn.CrossEntropyLoss()(Tensor(logits), target).item(), expected, rtol=1e-12)
    assert gradcheck(lambda x: nn.CrossEntropyLoss()(x, tensor(target)), [logits], rtol=1e-7)


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        ((4, 3), np.array([0, 1, 2]), r"given \(4, 3\) and \(3,\)"),
        ((3,), np.array(1), r"given \(3,\) and \(\)"),
        ((2, 3), np.array([0, 3]), "from 0 to 2"),
        ((2, 3), np.array([0, -1]), "from 0 to 2"),
        ((2, 3), np.array([0.0, 1.0]), "whole class numbers"),
    ],
)
def test_cross_entropy_refuses_what_makes_no_sense(logits, target, message):
    with pytest.raises(ValueError, match=message):
        nn.CrossEntropyLoss()(Tensor(np.zeros(logits)), target)


def test_mse_is_the_mean_over_elements(rng):
    x, y = rng.normal(size=(2, 4, 3))
    np.testing.assert_allclose(nn.MSELoss()(Tensor(x), y).item(), ((x - y) ** 2).mean(), rtol=1e-12)
    with pytest.raises(ValueError, match=r"\(4, 3\) but the target \(4,\).*one-hot"):
        nn.MSELoss()(Tensor(x), np.zeros(4))


# ---------------------------------------------------------------- initial values


@pytest.mark.parametrize(
    ("initialise", "std", "bound"),
    [
        (nn.init.xavier_uniform_, np.sqrt(2 / 700), np.sqrt(6 / 700)),
        (nn.init.xavier_normal_, np.sqrt(2 / 700), None),
        (nn.init.kaiming_uniform_, np.sqrt(2 / 400), np.sqrt(6 / 400)),
        (nn.init.kaiming_normal_, np.sqrt(2 / 400), None),
        (nn.init.normal_, 1.0, None),
    ],
)
def test_initial_values_have_the_promised_spread(initialise, std, bound, rng):
    w = initialise(nn.Parameter(np.zeros((400, 300), np.float32)), rng=rng)
    assert w.dtype == np.float32
    assert abs(w.data.std() / std - 1) < 0.02
    assert abs(w.data.mean()) < 0.02 * std
    assert bound is None or np.abs(w.data).max() <= bound


def test_initialising_between_forward_and_backward_raises():
    layer = nn.Linear(3, 2)
    loss = layer(np.ones((1, 3), np.float32)).sum()
    nn.init.zeros_(layer.weight)
    with pytest.raises(RuntimeError, match=r"Parameter of shape \(3, 2\) was written in place after linear"):
        loss.backward()


def test_only_matrices_have_fans():
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        nn.init.xavier_uniform_(nn.Parameter(np.zeros(3)))


# ---------------------------------------------------------------- the network


def test_mlp_with_sigmoid_output_predicts_its_outputs(rng):
    model = nn.MLP((4, 3, 2), "tanh", "sigmoid", rng=rng)
    x = rng.normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(model.predict_proba(x), model(x).data)


def test_prediction_leaves_the_mode_alone_and_drops_nothing(rng):
    model = nn.MLP((4, 30, 2), dropout=0.5, rng=rng)
    x = rng.normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(model.predict_proba(x), model.predict_proba(x))
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1, rtol=1e-6)
    assert model.predict_label(x).tolist() == model.predict_proba(x).argmax(axis=1).tolist()
    assert model.training


def test_mlp_refuses_unknown_words():
    with pytest.raises(ValueError, match=r"'swish'.*sigmoid, tanh, relu"):
        nn.MLP((2, 2), "swish")


def test_same_generator_same_weights():
    first, second = (nn.MLP((4, 3, 2), rng=np.random.default_rng(5)) for _ in range(2))
    assert all((a.data == b.data).all() for a, b in zip(first.parameters(), second.parameters(), strict=True))
