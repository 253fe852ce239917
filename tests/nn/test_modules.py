"""Trees of modules: modes, cycles, copies, writing into the arrays that are there."""

import re
from collections import OrderedDict
from copy import deepcopy

import numpy as np
import pytest

import tinygrad_mnist.nn.functional as F
from tinygrad_mnist import nn, no_grad, optim, tensor
from tinygrad_mnist.nn.module import evaluating, overwrite
from tinygrad_mnist.testing import assert_module


class Child(nn.Module):
    def __init__(self, parent):
        self.linear = nn.Linear(2, 2)
        self.parent = parent

    def forward(self, x):
        return self.linear(x)


class Family(nn.Module):
    """A model whose two children know it."""

    def __init__(self):
        self.weight = nn.Parameter([1.0, 2.0])
        self.first, self.second = Child(self), Child(self)

    def forward(self, x):
        return self.second(self.first(x)) * self.weight


class Averaging(nn.Module):
    """Has two buffers: one is replaced, the other written in place."""

    def __init__(self):
        self.register_buffer("mean", np.zeros(2, np.float32))
        self.register_buffer("seen", np.zeros(2, np.float32))
        self.weight = nn.Parameter([1.0, 1.0])

    def forward(self, x):
        if not self.training:
            return (x - self.mean) * self.weight / (1 + self.seen)
        with no_grad():
            self.mean = 0.9 * self.mean + 0.1 * x.mean(axis=0)
            self.seen.data += len(x)
        return x * self.weight


def modes(model):
    return [module.training for module in model.modules()]


# ---------------------------------------------------------------- modes


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_prediction_leaves_each_module_in_its_own_mode(output):
    model = nn.MLP((4, 3, 3, 2), output=output, dropout=0.5)
    model[2].eval()
    before, x = modes(model), np.ones((2, 4), np.float32)
    assert before.count(False) == 1
    classifier = nn.Classifier(model)
    classifier.predict_proba(x)
    classifier.predict_label(x)
    classifier.saliency(x, np.array([0, 1]))
    assert modes(model) == before


def test_an_error_in_a_prediction_leaves_each_module_in_its_own_mode():
    model = nn.MLP((4, 3, 2), dropout=0.5)
    model[2].eval()
    before, wide = modes(model), np.ones((2, 5), np.float32)
    reader = nn.Classifier(model)
    for predict in (reader.predict_proba, lambda x: reader.saliency(x, np.array([0, 1]))):
        with pytest.raises(ValueError, match="has 5 features"):
            predict(wide)
        assert modes(model) == before


def test_evaluating_switches_every_module_and_back():
    model = nn.Sequential(nn.Dropout(0.5).eval(), nn.Sequential(nn.Dropout(0.5)))
    with evaluating(model):
        assert not any(modes(model))
    assert modes(model) == [True, False, True, True]


def test_a_module_that_stays_in_evaluation_may_say_so():
    class Frozen(nn.Sequential):
        def train(self, mode=True):
            return super().train(False)

    model = nn.Sequential(nn.Dropout(0.5), Frozen(nn.Dropout(0.5)))
    model.train()
    assert modes(model) == [True, True, False, False]


@pytest.mark.parametrize("mode", ["False", None, "eval"])
def test_a_mode_is_true_or_false(mode):
    model = nn.ReLU()
    with pytest.raises(ValueError, match="train takes True or False, but was given"):
        model.train(mode)
    assert model.training


# ---------------------------------------------------------------- a module inside itself


def test_each_module_of_a_cycle_comes_once():
    model = Family()
    names = ["", "first", "first.linear", "second", "second.linear"]
    assert [name for name, _ in model.named_modules()] == names
    assert [type(m).__name__ for m in model.modules()] == [
        "Family",
        "Child",
        "Linear",
        "Child",
        "Linear",
    ]
    assert len(list(model.parameters())) == 5
    assert [name for name, _ in model.first.named_modules(prefix="a")][:4] == [
        "a",
        "a.linear",
        "a.parent",
        "a.parent.second",
    ]


def test_a_cycle_is_saved_and_loaded():
    model, other = Family(), Family()
    assert list(model.state_dict()) == [
        "weight",
        *(f"{child}.linear.{p}" for child in ("first", "second") for p in ("weight", "bias")),
    ]
    other.load_state_dict(model.state_dict())
    x = np.ones((1, 2), np.float32)
    assert (other(x).data == model(x).data).all()


def test_a_cycle_is_switched_frozen_and_applied_to():
    model, seen = Family(), []
    assert not any(modes(model.eval()))
    assert all(modes(model.first.train()))
    model.requires_grad_(False)
    assert not model(np.ones((1, 2), np.float32)).requires_grad
    model.apply(seen.append)
    assert [type(m).__name__ for m in seen] == ["Linear", "Child", "Linear", "Child", "Family"]


def test_a_cycle_is_printed_in_words():
    model = nn.Module()
    model.child = nn.Module()
    model.child.parent = model.itself = model
    assert repr(model) == (
        "Module(\n"
        "  (child): Module(\n"
        "    (parent): ... the Module above\n"
        "  )\n"
        "  (itself): ... the Module above\n"
        ")"
    )
    assert repr(Family()).count("(parent): ... the Family above") == 2


def test_a_copy_of_a_cycle_is_a_cycle_of_its_own():
    model = Family()
    copy = deepcopy(model)
    assert copy.first.parent is copy
    copy.first.linear.weight.data += 1
    assert not (copy.first.linear.weight.data == model.first.linear.weight.data).any()


def test_a_shared_module_is_saved_under_each_of_its_names():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Module())
    model[1].again = model[0]
    assert list(model.state_dict()) == ["0.weight", "1.again.weight"]
    assert [name for name, _ in model.named_modules()] == ["", "0", "1"]
    everywhere = [name for name, _ in model.named_modules(remove_duplicate=False)]
    assert everywhere == ["", "0", "1", "1.again"]


def test_many_shared_modules_take_no_more_time_than_modules():
    model = nn.Linear(1, 1)
    for _ in range(60):  # 2^60 paths
        outer = nn.Module()
        outer.left = outer.right = model
        model = outer
    assert len(list(model.modules())) == 61
    assert len(list(model.parameters())) == 2
    model.apply(lambda module: None)


# ---------------------------------------------------------------- what PyTorch's have


def test_gradients_become_none_or_zero():
    model = nn.Linear(2, 1)
    model.weight.grad = tensor([[3.0], [4.0]])
    model.zero_grad(set_to_none=False)
    assert model.weight.grad.data.tolist() == [[0], [0]]
    assert model.bias.grad is None
    model.zero_grad()
    assert model.weight.grad is None


def test_a_layer_knows_its_widths():
    layer = nn.Linear(np.int64(3), np.uint8(4))
    assert (layer.in_features, layer.out_features) == (3, 4)
    assert type(layer.in_features) is int


def test_the_modules_of_a_sequence_may_have_names():
    model = nn.Sequential(OrderedDict(hidden=nn.Linear(2, 3), act=nn.Tanh(), out=nn.Linear(3, 1)))
    assert list(model.state_dict())[:2] == ["hidden.weight", "hidden.bias"]
    assert model[0] is model.hidden
    assert [name for name, _ in model[:-1].named_children()] == ["hidden", "act"]
    assert model(np.ones((4, 2), np.float32)).shape == (4, 1)


def test_a_place_of_a_list_can_get_another_module():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model[-1] = nn.Tanh()
    assert [type(m) for m in model] == [nn.Linear, nn.Tanh]
    with pytest.raises(TypeError, match=r"argument 1 is a type\. Make one with brackets: ReLU"):
        model[1] = nn.ReLU
    with pytest.raises(IndexError):
        model[2] = nn.ReLU()


def test_a_module_that_is_appended_takes_the_place_of_no_other():
    model = nn.Sequential(nn.ReLU(), nn.ReLU(), nn.ReLU())[1:]
    model.append(nn.Tanh())
    assert [type(m) for m in model] == [nn.ReLU, nn.ReLU, nn.Tanh]
    twice = nn.ModuleList(model)
    assert len(twice.extend(twice)) == 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential([nn.ReLU()]), r"argument 0 is a list\. Unpack .* with a star"),
        (lambda: nn.Sequential(nn.ReLU), r"argument 0 is a type\. Make one .*: ReLU\(\)"),
        (lambda: nn.Sequential(nn.ReLU(), F.relu), "argument 1 is a function. Use nn.ReLU"),
        (lambda: nn.Sequential({"act": F.relu}), "argument act is a function. Use nn.ReLU"),
        (lambda: nn.ModuleList(nn.ReLU()), r"takes its modules in a list, but this is ReLU\(\)"),
        (lambda: nn.ModuleList(3), "takes its modules in a list, but this is 3"),
    ],
)
def test_a_list_of_modules_explains_what_is_none(make, message):
    with pytest.raises(TypeError, match=message):
        make()


# ---------------------------------------------------------------- places


def test_only_a_module_takes_the_place_of_one():
    model = nn.Module()
    model.layer = nn.Linear(2, 2)
    message = "layer is a module of this Module, and a function in its place would not be trained."
    with pytest.raises(TypeError, match=re.escape(message)):
        model.layer = F.relu
    model.layer = nn.ReLU()
    model.layer = nn.Parameter([1.0])
    model.layer = None
    model.layer = F.relu


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (tensor([1.0]), TypeError, "given as name, tensor, but the name is a Tensor of shape"),
        ("a.b", KeyError, "the name has a dot"),
        ("forward", KeyError, "has an attribute forward already"),
    ],
)
def test_a_buffer_has_a_name_of_one_word(name, error, message):
    with pytest.raises(error, match=message):
        nn.Module().register_buffer(name, [1.0])


# ---------------------------------------------------------------- copies


def test_a_copied_parameter_has_an_array_of_its_own_and_no_gradient():
    class Weight(nn.Parameter):
        pass

    p = Weight(np.asfortranarray(np.ones((2, 3))), requires_grad=False)
    p.name, p.grad = "weight", tensor(np.ones((2, 3)))
    copy = deepcopy(p)
    assert type(copy) is Weight
    assert (copy.name, copy.requires_grad, copy.grad) == ("weight", False, None)
    assert not np.shares_memory(copy.data, p.data)
    assert (copy.data == p.data).all()
    assert copy.dtype == np.float64
    assert copy.data.flags.f_contiguous
    assert deepcopy(nn.Parameter([1.0])).requires_grad


def test_a_copied_parameter_counts_as_not_written_since():
    p = nn.Parameter([1.0])
    p.data += 1
    copy = deepcopy(p)
    (copy * copy).sum().backward()
    assert copy.grad.item() == 4


def test_a_shared_parameter_is_shared_in_a_copy():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    copy = deepcopy(model)
    assert copy[1].weight is copy[0].weight
    assert copy[0].weight is not model[0].weight


def test_a_copied_model_and_its_optimizer_train_on_their_own():
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(np.ones((1, 2), np.float32)).sum().backward()
    before = model.weight.data.copy()
    copy, its_optimizer = deepcopy((model, optimizer))
    its_optimizer.step()
    assert (copy.weight.data == before).all()  # the copy has no gradient yet
    copy(np.ones((1, 2), np.float32)).sum().backward()
    its_optimizer.step()
    np.testing.assert_allclose(copy.weight.data, before - np.float32(0.1), rtol=1e-6)
    assert (model.weight.data == before).all()
    assert (model.weight.grad.data == 1).all()


def test_buffers_that_are_replaced_or_written_in_place_are_saved_and_copied(rng):
    assert_module(Averaging(), rng.normal(size=(3, 2)))


# ---------------------------------------------------------------- writing into what is there


def writers():
    """Each way to give a parameter of shape (2, 3) other values."""
    return {
        "load_state_dict": lambda layer: layer.load_state_dict({"weight": np.full((2, 3), 7.0)}),
        "uniform_": lambda layer: nn.init.uniform_(layer.weight, 7.0, 7.0),
        "normal_": lambda layer: nn.init.normal_(layer.weight, 7.0, 0.0),
        "constant_": lambda layer: nn.init.constant_(layer.weight, 7),
        "overwrite": lambda layer: overwrite(layer.weight, 7.0),
    }


each_writer = pytest.mark.parametrize("write", writers().values(), ids=writers())


@each_writer
def test_values_are_written_into_the_array_that_is_there(write):
    layer = nn.Linear(2, 3, bias=False)
    array, detached, row = layer.weight.data, layer.weight.detach(), layer.weight.data[1]
    write(layer)
    assert layer.weight.data is array
    assert array.dtype == np.float32
    assert (detached.data == 7).all()
    assert (row == 7).all()


@each_writer
def test_a_write_between_forward_and_backward_is_noticed(write):
    layer = nn.Linear(2, 3, bias=False)
    loss = layer(np.ones((1, 2), np.float32)).sum()
    write(layer)
    with pytest.raises(RuntimeError, match=r"Parameter 'weight' .* was written in place"):
        loss.backward()


@each_writer
def test_an_array_that_cannot_be_written_to_is_refused_in_words(write):
    layer = nn.Linear(2, 3, bias=False)
    layer.weight = nn.Parameter(np.broadcast_to(np.float32(1), (2, 3)))
    with pytest.raises((ValueError, RuntimeError), match=r"cannot be written to.*array\.copy\(\)"):
        write(layer)
    assert (layer.weight.data == 1).all()
    (layer.weight * layer.weight).sum().backward()  # nor does it count as written


def test_a_read_only_parameter_leaves_the_others_as_they_were():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    model[1].bias = nn.Parameter(np.broadcast_to(np.float32(1), (1,)))
    before = {name: t.data.copy() for name, t in model.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"1\.bias: The array cannot be written to"):
        model.load_state_dict({name: array + 1 for name, array in before.items()})
    assert all((t.data == before[name]).all() for name, t in model.state_dict().items())


def test_an_initial_value_is_written_into_no_result():
    y = nn.Parameter([[1.0]]) * 2
    with pytest.raises(RuntimeError, match="computed by mul"):
        nn.init.zeros_(y)
    assert y.item() == 2


def test_a_state_dict_of_its_own_changes_nothing():
    layer = nn.Linear(2, 2)
    before = layer.weight.data.copy()
    layer.load_state_dict(layer.state_dict())
    assert (layer.weight.data == before).all()


def test_all_values_are_read_before_one_is_written():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    first, second = (layer.weight.data for layer in model)
    before = first.copy(), second.copy()
    model.load_state_dict({"0.weight": second, "1.weight": first})
    assert (first == before[1]).all()
    assert (second == before[0]).all()


@pytest.mark.parametrize(
    "value",
    [np.ones((2, 2)) * 1j, [["1", "2"], ["3", "4"]], {"a": 1}, [[1.0], [2.0, 3.0]], "abc", None],
)
def test_only_numbers_are_loaded(value):
    layer = nn.Linear(2, 2, bias=False)
    before = layer.weight.data.copy()
    with pytest.raises(RuntimeError, match="weight: a state_dict takes a tensor, an array, or num"):
        layer.load_state_dict({"weight": value})
    assert (layer.weight.data == before).all()
