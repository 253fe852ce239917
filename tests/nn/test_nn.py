"""Modules, layers, losses and initial values."""

import pickle
from copy import deepcopy
from functools import partial

import numpy as np
import pytest

import tinygrad_mnist.nn.functional as F
from tinygrad_mnist import Tensor, nn, tensor
from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.testing import assert_module


class Two(nn.Module):
    def __init__(self):
        self.first = nn.Linear(3, 4)
        self.scale = nn.Parameter(np.ones(4, np.float32))
        self.second = nn.Sequential(nn.ReLU(), nn.Linear(4, 2, bias=False))
        self.note = "not a parameter"

    def forward(self, x):
        return self.second(self.first(x) * self.scale)


def test_parameters_are_found_each_modules_own_first():
    assert [name for name, _ in Two().named_parameters()] == [
        "scale",
        "first.weight",
        "first.bias",
        "second.1.weight",
    ]
    assert next(Two().named_parameters(prefix="model"))[0] == "model.scale"


def test_a_shared_parameter_comes_once_but_is_saved_under_each_name():
    model = Two()
    model.again = model.first
    assert len(list(model.parameters())) == 4
    assert list(model.state_dict()) == [
        "scale",
        "first.weight",
        "first.bias",
        "second.1.weight",
        "again.weight",
        "again.bias",
    ]
    assert [name for name, _ in model.named_children()] == ["first", "second"]
    assert len(list(model.modules())) == 5


def test_a_parameter_is_named_by_its_first_attribute():
    model = Two()
    model.again = model.scale
    assert (model.scale.name, model.first.weight.name, nn.Parameter([1.0]).name) == (
        "scale",
        "weight",
        None,
    )


@pytest.mark.parametrize("value", [tensor([1.0]), np.ones(4), 2.0])
def test_only_a_parameter_takes_the_place_of_one(value):
    model = Two()
    with pytest.raises(
        TypeError,
        match=r"scale is a parameter of this Two, and a \w+ in its place would not be trained"
        r".*scale\.data",
    ):
        model.scale = value
    assert model.scale.shape == (4,)
    model.scale = None
    assert "scale" not in model.state_dict()


def test_forward_takes_keywords():
    class Scale(nn.Module):
        def forward(self, x, factor=1):
            return x * factor

    assert Scale()(3, factor=2) == 6


def test_a_module_can_be_frozen():
    model = Two()
    assert model.requires_grad_(False) is model
    assert not model(np.ones((1, 3), np.float32)).requires_grad
    model.second.requires_grad_()
    assert [p.requires_grad for p in model.parameters()] == [False, False, False, True]


def test_a_pickle_forgets_when_its_tensors_were_written():
    p = nn.Parameter([1.0, 2.0])
    p.data -= 0  # stamped by the clock of this process
    copy = pickle.loads(pickle.dumps(p))
    (copy * copy).sum().backward()
    assert np.array_equal(copy.grad.data, [2, 4])


def test_a_copy_and_a_pickle_of_a_model_stand_alone():
    model = Two()
    model.register_buffer("seen", [1.0])
    for other in (deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert repr(other) == repr(model)
        assert list(other.state_dict()) == list(model.state_dict())
        assert other.scale.name == "scale"
        other.scale.data += 1
        other.seen.data += 1
    assert (model.scale.data == 1).all()
    assert model.seen.item() == 1


def test_state_dict_round_trip_shares_and_copies():
    model, other = Two(), Two()
    other.load_state_dict(model.state_dict())
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert (a.data == b.data).all()
        assert a.data is not b.data
    assert model.state_dict()["scale"].data is model.scale.data


GOOD = {name: np.full(t.shape, 7.0) for name, t in Two().state_dict().items()}


@pytest.mark.parametrize(
    ("changes", "strict", "error", "message"),
    [
        (
            {"scale": np.zeros(7)},
            True,
            RuntimeError,
            r"this Two: scale: shape \(4,\) here, but \(7,\) in the state_dict\.$",
        ),
        ({"scale": np.zeros(1)}, False, RuntimeError, r"scale: shape \(4,\) here, but \(1,\)"),
        (
            {"first.weight": np.zeros((4, 3))},
            True,
            RuntimeError,
            r"\(3, 4\) here, but \(4, 3\) .*PyTorch.*transpose.*\.T",
        ),
        (
            {"scale": None, "first.bias": None},
            True,
            RuntimeError,
            r"missing \['scale', 'first.bias'\]\.$",
        ),
        ({"extra": np.zeros(1)}, True, RuntimeError, r"unexpected \['extra'\]"),
        (
            {"second.1.weight": np.zeros(1), "scale": None, "extra": 0},
            True,
            RuntimeError,
            r"missing \['scale'\]; unexpected \['extra'\]; second.1.weight: shape",
        ),
        ({"scale": "abc"}, True, RuntimeError, "scale: a state_dict takes .* given 'abc'"),
        ({"scale": [[1.0], [2.0, 3.0]]}, False, RuntimeError, "scale: "),
    ],
)
def test_load_state_dict_changes_nothing_on_error(changes, strict, error, message):
    model = Two()
    before = {name: t.data.copy() for name, t in model.state_dict().items()}
    with pytest.raises(error, match=message):
        model.load_state_dict(
            {name: value for name, value in (GOOD | changes).items() if value is not None}, strict
        )
    assert all((t.data == before[name]).all() for name, t in model.state_dict().items())


def test_load_state_dict_takes_a_mapping():
    with pytest.raises(TypeError, match=r"a dict of names and arrays.*given .weights.npz.*np.load"):
        Two().load_state_dict("weights.npz")


def test_load_state_dict_passes_over_names_if_not_strict():
    model = Two()
    keys = model.load_state_dict({"scale": np.zeros(4), "extra": 1}, strict=False)
    assert keys.missing_keys == ["first.weight", "first.bias", "second.1.weight"]
    assert keys.unexpected_keys == ["extra"]
    assert (model.scale.data == 0).all()
    assert model.load_state_dict(GOOD) == ([], [])


def test_load_state_dict_copies_in_the_dtype_of_the_parameter():
    layer = nn.Linear(1, 1, bias=False, dtype=np.float64)
    layer.load_state_dict({"weight": [[0.1]]})
    assert layer.weight.item() == 0.1
    value = np.ones((1, 1), np.float32)
    layer.load_state_dict({"weight": value})
    value += 1
    assert layer.weight.item() == 1
    assert layer.weight.dtype == np.float64
    layer.load_state_dict({"weight": tensor([[3.0]], requires_grad=True)})
    assert layer.weight.item() == 3


def test_loading_between_forward_and_backward_raises():
    model = Two()
    loss = model(np.ones((1, 3), np.float32)).sum()
    model.load_state_dict(GOOD)
    with pytest.raises(RuntimeError, match="was written in place"):
        loss.backward()


def test_buffers_are_state_but_not_trained():
    class Counting(nn.Module):
        def __init__(self):
            self.register_buffer("seen", [0.0])
            self.weight = nn.Parameter([1.0])

    model = nn.Sequential(Counting(), nn.Linear(1, 1))
    assert [name for name, _ in model.named_buffers()] == ["0.seen"]
    assert list(model.state_dict()) == ["0.weight", "0.seen", "1.weight", "1.bias"]
    assert len(list(model.parameters())) == 3
    assert not next(model.buffers()).requires_grad
    model.load_state_dict(dict(model.state_dict(), **{"0.seen": np.array([5.0])}))
    assert model[0].seen.item() == 5.0


def test_a_buffer_stays_one_when_it_gets_another_tensor():
    model = nn.Module()
    model.register_buffer("mean", np.zeros(2))
    model.register_buffer("later", None)
    assert list(model.state_dict()) == ["mean"]
    model.mean = model.mean * 0.9
    model.later = tensor(1.0)
    assert [name for name, _ in model.named_buffers("bn")] == ["bn.mean", "bn.later"]
    with pytest.raises(
        TypeError,
        match=r"mean is a buffer of this Module, and a ndarray in its place would not be saved"
        r".*mean\.data",
    ):
        model.mean = np.ones(2)
    model.register_buffer("mean", [5.0])
    assert list(model.state_dict()) == ["mean", "later"]
    assert model.mean.item() == 5
    model.mean = None
    assert list(model.state_dict()) == ["later"]


def test_a_buffer_is_not_trained_even_if_it_was_a_parameter():
    model = nn.Module()
    model.register_buffer("weight", nn.Parameter([1.0]))
    assert list(model.parameters()) == []
    assert not model.weight.requires_grad


def test_a_buffer_needs_a_name_of_its_own():
    model = Two()
    with pytest.raises(KeyError, match="Two has an attribute scale already"):
        model.register_buffer("scale", np.zeros(4))
    assert isinstance(model.scale, nn.Parameter)


def test_a_buffer_with_a_graph_cannot_be_loaded():
    model = nn.Linear(1, 1)
    model.register_buffer("mean", np.zeros((1, 1), np.float32))
    model.mean = model.weight * 2
    before = model.weight.item()
    with pytest.raises(
        RuntimeError, match=r"mean: computed from tensors that require grad.*no_grad\(\)"
    ):
        model.load_state_dict({"weight": [[9.0]], "bias": [9.0], "mean": [[9.0]]})
    assert model.weight.item() == before


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
    with pytest.raises(TypeError, match="Sequential takes modules, but argument 0 is a function"):
        nn.Sequential(lambda x: x)


def test_a_part_of_a_model_is_a_model_of_the_same_modules():
    model = nn.MLP((4, 3, 2), rng=np.random.default_rng(0))
    x = np.ones((2, 4), np.float32)
    features = model[:-1]
    assert type(features) is nn.Sequential
    assert list(features.parameters()) == list(model[0].parameters())
    assert np.array_equal(model[-1](features(x)).data, model(x).data)
    part = nn.ModuleList(model)[1:]
    assert type(part) is nn.ModuleList
    assert list(part) == list(model)[1:]


def test_a_module_may_stand_in_a_sequence_twice(rng):
    layer = nn.Linear(2, 2, rng=rng)
    model = nn.Sequential(layer, layer)
    x = rng.normal(size=(3, 2)).astype(np.float32)
    np.testing.assert_array_equal(model(x).data, layer(layer(x)).data)
    assert len(model) == 2
    assert repr(model).count("Linear") == 2


def test_module_list_finds_the_parameters_of_its_modules():
    class Deep(nn.Module):
        def __init__(self):
            self.layers = nn.ModuleList(nn.Linear(n, n + 1) for n in (2, 3))

    model = Deep()
    assert model.layers.append(nn.ReLU()) is model.layers
    assert list(model.state_dict()) == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
    ]
    assert [type(m) for m in model.layers] == [nn.Linear, nn.Linear, nn.ReLU]
    assert isinstance(model.layers[-1], nn.ReLU)
    assert repr(model.layers).startswith(
        "ModuleList(\n  (0): Linear(weight (2, 3), bias (3,); 9 parameters)\n  (1): Linear"
    )
    with pytest.raises(TypeError, match="ModuleList takes modules, but argument 3 is a int"):
        model.layers.append(3)
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        model.layers(1)


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


# ---------------------------------------------------------------- layers


RNG = np.random.default_rng(0)
X, CLASSES = RNG.normal(size=(2, 3)), np.array([0, 2])
MODULES = {
    "linear": nn.Linear(3, 2, rng=RNG),
    "linear without bias": nn.Linear(3, 2, bias=False, rng=RNG),
    "relu": nn.ReLU(),
    "leaky relu": nn.LeakyReLU(0.2),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "softmax": nn.Softmax(dim=1),
    "log softmax": nn.LogSoftmax(dim=-1),
    "identity": nn.Identity(),
    "flatten": nn.Flatten(),
    "dropout": nn.Dropout(0.25, rng=RNG),
    "mlp": nn.MLP((3, 2, 2), "tanh", "sigmoid", dropout=0.5, rng=RNG),
}
LOSSES = {
    "cross entropy": (nn.CrossEntropyLoss(), CLASSES),
    "of each example": (nn.CrossEntropyLoss(reduction="none"), CLASSES),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.3), CLASSES),
    "fully smoothed": (nn.CrossEntropyLoss(label_smoothing=1.0, reduction="sum"), CLASSES),
    "squared error": (nn.MSELoss(), X[::-1]),
    "of each element": (nn.MSELoss(reduction="none"), X[::-1]),
}


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_a_layer_keeps_its_promises(module):
    assert_module(module, X)


@pytest.mark.parametrize(("loss", "target"), LOSSES.values(), ids=LOSSES)
def test_a_loss_keeps_its_promises(loss, target):
    assert_module(loss, X, target, rows_are_independent=loss.reduction == "none")


def test_linear_is_x_times_weight_plus_bias(rng):
    layer = nn.Linear(3, 4, rng=rng)
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(
        layer(Tensor(x)).data, x @ layer.weight.data + layer.bias.data, rtol=1e-6
    )
    np.testing.assert_allclose(layer(x[0, 0]).data, layer(x).data[0, 0], rtol=1e-6)
    assert np.abs(layer.weight.data).max() <= 1 / np.sqrt(3)
    assert nn.Linear(3, 4, bias=False, rng=rng)(x).shape == (2, 5, 4)


def test_linear_says_what_does_not_fit():
    with pytest.raises(
        ValueError, match=r"has 28 features, but this Linear expects 784 .*nn\.Flatten"
    ):
        nn.Linear(784, 10)(np.zeros((5, 28, 28), np.float32))
    with pytest.raises(
        ValueError,
        match=r"has 64 features, but this Linear expects 784 \(weight is \(784, 10\)\)\.$",
    ):
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
    with pytest.raises(ValueError, match=r"0 <= p < 1, but is 1"):
        nn.Dropout(1)


def test_dropout_passes_gradients_where_it_passed_values(rng):
    x = Tensor(np.ones((4, 5)), requires_grad=True)
    y = nn.Dropout(0.5, rng=rng)(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, y.data)


def test_dropout_scales_integers_by_a_fraction(rng):
    y = F.dropout(tensor(np.full(100, 3)), 0.25, rng=rng).data
    assert set(np.unique(y)) == {0, 3 * float(np.float32(1 / 0.75))}


@pytest.mark.parametrize(
    ("layer", "function", "op"),
    [
        (nn.ReLU(), F.relu, ops.relu),
        (nn.LeakyReLU(), F.leaky_relu, ops.leaky_relu),
        (
            nn.LeakyReLU(0.5),
            lambda x: F.leaky_relu(x, 0.5),
            lambda x: ops.leaky_relu(x, negative_slope=0.5),
        ),
        (nn.Sigmoid(), F.sigmoid, ops.sigmoid),
        (nn.Tanh(), F.tanh, ops.tanh),
        (nn.Softmax(dim=0), lambda x: F.softmax(x, dim=0), lambda x: ops.softmax(x, axis=0)),
        (nn.LogSoftmax(0), lambda x: F.log_softmax(x, 0), lambda x: ops.log_softmax(x, axis=0)),
        (nn.Identity(), lambda x: x, lambda x: x),
        (F.softplus, F.softplus, ops.softplus),
        (F.logsigmoid, F.logsigmoid, ops.logsigmoid),
    ],
)
def test_activations_are_the_ops(layer, function, op, rng):
    x = Tensor(rng.normal(size=(2, 3)).astype(np.float32))
    np.testing.assert_array_equal(layer(x).data, op(x).data)
    np.testing.assert_array_equal(function(x).data, op(x).data)
    assert layer(x).dtype == np.float32


def test_layers_print_their_settings():
    layers = nn.Sequential(
        nn.LeakyReLU(0.2), nn.Softmax(dim=-1), nn.LogSoftmax(1), nn.Dropout(0.1), nn.Identity()
    )
    printed = [
        "(0): LeakyReLU(negative_slope=0.2)",
        "(1): Softmax(dim=-1)",
        "(2): LogSoftmax(dim=1)",
        "(3): Dropout(p=0.1)",
        "(4): Identity()",
    ]
    assert [line.strip() for line in repr(layers).splitlines()[1:-1]] == printed


# ---------------------------------------------------------------- losses


def test_cross_entropy_is_the_mean_over_examples(rng):
    logits, target = rng.normal(size=(4, 3)), np.array([0, 2, 1, 1])
    expected = -np.mean(
        [np.log(np.exp(row[t]) / np.exp(row).sum()) for row, t in zip(logits, target, strict=True)]
    )
    np.testing.assert_allclose(
        nn.CrossEntropyLoss()(Tensor(logits), target).item(), expected, rtol=1e-12
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
def test_smoothing_spreads_the_label_evenly(smoothing, rng):
    logits, target = rng.normal(size=(4, 3)), np.array([0, 2, 1, 1])
    label = (1 - smoothing) * np.eye(3)[target] + smoothing / 3
    expected = -(label * np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))).sum(
        axis=1
    )
    for reduction, reduced in {
        "none": expected,
        "sum": expected.sum(),
        "mean": expected.mean(),
    }.items():
        loss = nn.CrossEntropyLoss(reduction=reduction, label_smoothing=smoothing)
        np.testing.assert_allclose(loss(Tensor(logits), target).data, reduced, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e30])
def test_smoothed_cross_entropy_is_finite_for_confident_logits(scale):
    x = tensor([[scale, 0.0, -scale], [0.0, scale, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, [0, 0], label_smoothing=0.3)
    loss.backward()
    assert loss.dtype == x.grad.dtype == np.float32
    np.testing.assert_allclose(loss.item(), scale * np.mean([0.3, 0.7 + 0.3 * 2 / 3]), rtol=1e-6)
    np.testing.assert_allclose(
        x.grad.data, np.array([[0.2, -0.1, -0.1], [-0.8, 0.9, -0.1]]) / 2, rtol=1e-6
    )


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, np.nan])
def test_smoothing_is_a_fraction(smoothing):
    message = r"label_smoothing is the share .* 0 to 1, but is"
    with pytest.raises(ValueError, match=message):
        nn.CrossEntropyLoss(label_smoothing=smoothing)
    with pytest.raises(ValueError, match=message):
        F.cross_entropy(tensor([[1.0]]), [0], label_smoothing=smoothing)


@pytest.mark.parametrize("how", ["average", "Mean", None, ["mean"]])
def test_losses_know_three_reductions(how):
    message = "reduction must be 'mean', 'sum' or 'none', but is "
    for make in (nn.CrossEntropyLoss, nn.MSELoss):
        with pytest.raises(ValueError, match=message):
            make(reduction=how)
    x = tensor([[1.0]])
    with pytest.raises(ValueError, match=message):
        F.mse_loss(x, x, reduction=how)
    with pytest.raises(ValueError, match=message):
        F.cross_entropy(x, [0], reduction=how)


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (
            (4, 3),
            np.eye(4, 3),
            r"given \(4, 3\) and \(4, 3\)\. For one-hot rows, pass target\.argmax",
        ),
        ((4, 3), np.array([0, 1, 2]), r"given \(4, 3\) and \(3,\)\.$"),
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
    np.testing.assert_allclose(
        nn.MSELoss(reduction="sum")(Tensor(x), y).item(), ((x - y) ** 2).sum(), rtol=1e-12
    )
    np.testing.assert_array_equal(nn.MSELoss(reduction="none")(Tensor(x), y).data, (x - y) ** 2)
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
        (partial(nn.init.kaiming_uniform_, a=1), np.sqrt(1 / 400), np.sqrt(3 / 400)),
        (partial(nn.init.kaiming_uniform_, mode="fan_out"), np.sqrt(2 / 300), np.sqrt(6 / 300)),
        (
            partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="tanh"),
            5 / 3 / np.sqrt(300),
            None,
        ),
        (nn.init.normal_, 1.0, None),
        (partial(nn.init.uniform_, a=-2, b=2), 4 / np.sqrt(12), 2.0),
    ],
)
def test_initial_values_have_the_promised_spread(initialise, std, bound, rng):
    w = initialise(nn.Parameter(np.zeros((400, 300), np.float32)), rng=rng)
    assert w.dtype == np.float32
    assert abs(w.data.std() / std - 1) < 0.02
    assert abs(w.data.mean()) < 0.02 * std
    assert bound is None or np.abs(w.data).max() <= bound


def test_a_weight_without_inputs_can_be_initialised():
    assert nn.init.kaiming_uniform_(nn.Parameter(np.zeros((0, 3), np.float32))).shape == (0, 3)


def test_the_loss_of_an_empty_batch_is_nan_without_a_warning():
    logits = tensor(np.zeros((0, 10)), requires_grad=True)
    loss = nn.CrossEntropyLoss()(logits, np.zeros(0, int))
    loss.backward()
    assert np.isnan(loss.item())
    assert logits.grad.shape == (0, 10)


def test_initialising_between_forward_and_backward_raises():
    layer = nn.Linear(3, 2)
    loss = layer(np.ones((1, 3), np.float32)).sum()
    nn.init.zeros_(layer.weight)
    with pytest.raises(
        RuntimeError,
        match=r"^Parameter 'weight' of shape \(3, 2\) was written in place after linear",
    ):
        loss.backward()


def test_a_tensor_without_a_name_gets_an_article():
    x = tensor([1.0, 2.0], requires_grad=True)
    for t, who in ((x, "A Tensor"), (nn.Parameter([1.0, 2.0]), "A Parameter")):
        y = (t * t).sum()
        t.data += 1
        with pytest.raises(
            RuntimeError, match=rf"^{who} of shape \(2,\) was written in place after mul"
        ):
            y.backward()


def test_constants():
    t = nn.Parameter(np.zeros((2, 3), np.float32))
    assert (nn.init.constant_(t, 2.5).data == 2.5).all()
    assert (nn.init.ones_(t).data == 1).all()
    assert (nn.init.zeros_(t).data == 0).all()
    assert t.dtype == np.float32


def test_initialisers_know_their_words():
    w = nn.Parameter(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="mode must be 'fan_in' or 'fan_out', but is 'fan'"):
        nn.init.kaiming_normal_(w, mode="fan")
    with pytest.raises(
        ValueError,
        match=r"nonlinearity must be 'linear', .* 'relu' or 'leaky_relu', but is 'swish'\.",
    ):
        nn.init.kaiming_uniform_(w, nonlinearity="swish")
    assert nn.init.calculate_gain("leaky_relu") == np.sqrt(2 / (1 + 0.01**2))


def test_only_matrices_have_fans():
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        nn.init.xavier_uniform_(nn.Parameter(np.zeros(3)))


# ---------------------------------------------------------------- the network


def test_mlp_with_sigmoid_output_predicts_its_outputs(rng):
    model = nn.MLP((4, 3, 2), "tanh", "sigmoid", rng=rng)
    x = rng.normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(nn.Classifier(model).predict_proba(x), model(x).data)


def test_prediction_leaves_the_mode_alone_and_drops_nothing(rng):
    model = nn.MLP((4, 30, 2), dropout=0.5, rng=rng)
    x = rng.normal(size=(5, 4)).astype(np.float32)
    classifier = nn.Classifier(model)
    probabilities = classifier.predict_proba(x)
    np.testing.assert_array_equal(probabilities, classifier.predict_proba(x))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert classifier.predict_label(x).tolist() == probabilities.argmax(axis=1).tolist()
    assert model.training


def test_mlp_refuses_unknown_words():
    with pytest.raises(
        ValueError, match=r"activation must be 'sigmoid', 'tanh' or 'relu', but is 'swish'"
    ):
        nn.MLP((2, 2), "swish")


def test_same_generator_same_weights():
    first, second = (nn.MLP((4, 3, 2), rng=np.random.default_rng(5)) for _ in range(2))
    assert all(
        (a.data == b.data).all()
        for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
