"""What layers, losses, initial values, optimizers and schedules do with arguments that fit badly.

Lists are taken for arrays; everything else that makes no sense is explained.
"""

from pathlib import Path

import numpy as np
import pytest

import tinygrad_mnist.nn.functional as F
from tinygrad_mnist import Tensor, nn, optim, tensor
from tinygrad_mnist.nn import init
from tinygrad_mnist.nn.utils import clip_grad_norm_
from tinygrad_mnist.optim import lr_scheduler

LAYER = nn.Linear(2, 3, rng=np.random.default_rng(0))
MODEL = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
NAN = float("nan")
CLASSES = "takes logits .n, classes. and class numbers"


def weight():
    return nn.Parameter(np.ones((2, 3), np.float32))


def read_only():
    return nn.Parameter(np.broadcast_to(np.float32(1), (3,)))


def sgd(**settings):
    return optim.SGD([weight()], lr=0.1, **settings)


# ---------------------------------------------------------------- lists


ROWS = [[1.0, -2.0], [0.5, 3.0]]
LISTS = {
    "linear": LAYER,
    "a model": MODEL,
    "relu": nn.ReLU(),
    "leaky relu": nn.LeakyReLU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "softmax": nn.Softmax(dim=1),
    "log softmax": nn.LogSoftmax(dim=1),
    "flatten": nn.Flatten(),
    "dropout": lambda x: F.dropout(x, 0.5, rng=np.random.default_rng(0)),
    "dropout in evaluation": nn.Dropout(0.5).eval(),
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "cross entropy": lambda x: nn.CrossEntropyLoss()(x, [1, 0]),
    "mse": lambda x: F.mse_loss(x, [[0.0, 1.0], [2.0, 3.0]]),
    "a target": lambda x: F.mse_loss(tensor([[0.0, 1.0], [2.0, 3.0]]), x),
}


@pytest.mark.parametrize("f", LISTS.values(), ids=LISTS)
def test_a_list_is_as_good_as_a_tensor(f):
    expected = f(tensor(ROWS))
    for given in (ROWS, tuple(map(tuple, ROWS))):
        found = f(given)
        assert isinstance(found, Tensor)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found.data, expected.data)


def test_a_row_may_be_a_list():
    np.testing.assert_array_equal(LAYER([1.0, 2.0]).data, LAYER(tensor([1.0, 2.0])).data)
    assert F.linear([1.0, 2.0], [[1.0], [2.0]], [0.5]).data.tolist() == [5.5]


def test_a_list_takes_the_dtype_of_what_it_is_used_with():
    layer = nn.Linear(1, 1, dtype=np.float64)
    np.testing.assert_array_equal(layer([0.1]).data, layer(np.array([0.1])).data)
    assert F.mse_loss(Tensor(np.array([0.1])), [0.1]).item() == 0


def test_an_array_stays_an_array():
    x = np.ones((2, 2))
    assert type(F.relu(x)) is np.ndarray
    assert F.dropout(x, 0.5, training=False) is x


NO_NUMBERS = {
    "a text": ("abc", "'abc'"),
    "an object": (object(), "a object"),
    "a dict": ({"a": 1}, "{'a': 1}"),
    "a module": (MODEL, "a Sequential"),
    "uneven rows": ([[1.0], [2.0, 3.0]], r"\[\[1\.0\], \[2\.0, 3\.0\]\]"),
    "texts": (np.array(["a"]), r"a ndarray of shape \(1,\) in <U1"),
    "complex": (np.array([1j]), r"a ndarray of shape \(1,\) in complex128"),
}
TAKERS = {
    "Linear": LAYER,
    "ReLU": nn.ReLU(),
    "LeakyReLU": nn.LeakyReLU(),
    "Sigmoid": nn.Sigmoid(),
    "Tanh": nn.Tanh(),
    "Softmax": nn.Softmax(0),
    "LogSoftmax": nn.LogSoftmax(0),
    "Flatten": nn.Flatten(),
    "Dropout": nn.Dropout(),
    "softplus": F.softplus,
    "logsigmoid": F.logsigmoid,
    "CrossEntropyLoss": lambda x: nn.CrossEntropyLoss()(x, [0]),
    "The second argument of CrossEntropyLoss": lambda x: F.cross_entropy(tensor([[1.0]]), x),
    "MSELoss": lambda x: nn.MSELoss()(x, [0.0]),
    "The target of MSELoss": lambda x: F.mse_loss(tensor([1.0]), x),
}


@pytest.mark.parametrize(("given", "shown"), NO_NUMBERS.values(), ids=NO_NUMBERS)
@pytest.mark.parametrize(("who", "f"), TAKERS.items(), ids=TAKERS)
def test_what_holds_no_numbers_is_refused_by_name(who, f, given, shown):
    with pytest.raises(TypeError, match=rf"^{who} takes .* numbers .*, but was given {shown}\.$"):
        f(given)


def test_a_forward_without_return_is_guessed_from_none():
    class Silent(nn.Module):
        def forward(self, x):
            F.relu(x)

    model = nn.Sequential(LAYER, Silent(), nn.Linear(3, 1))
    with pytest.raises(TypeError, match=r"Linear was given None\. .* lack its return\?"):
        model([1.0, 2.0])


# ---------------------------------------------------------------- senseless arguments


WRONG = {
    # layers
    "Linear('2', 3)": (lambda: nn.Linear("2", 3), TypeError, "in_features .* but is '2'"),
    "Linear(-1, 2)": (lambda: nn.Linear(-1, 2), ValueError, "in_features .* 0 or more, but is -1"),
    "Linear(2.5, 3)": (lambda: nn.Linear(2.5, 3), TypeError, r"is 2\.5\. Make it whole with //"),
    "Linear(3, None)": (lambda: nn.Linear(3, None), TypeError, "out_features .* but is None"),
    "Linear(True, 3)": (lambda: nn.Linear(True, 3), TypeError, "in_features .* but is True"),
    "Linear(x, 3)": (
        lambda: nn.Linear(tensor([1.0, 2.0]), 3),
        TypeError,
        r"in_features .* but is a Tensor of shape \(2,\)",
    ),
    "Linear(2, 3, 4)": (lambda: nn.Linear(2, 3, 4), TypeError, "bias .* but is 4. .*Sequential"),
    "a seed for a generator": (
        lambda: nn.Linear(2, 3, rng=42),
        TypeError,
        r"rng .* but is 42\. .*default_rng\(seed\)",
    ),
    "the seed 0": (lambda: nn.Linear(2, 3, rng=0), TypeError, "rng .* but is 0"),
    "MLP((784,))": (lambda: nn.MLP((784,)), TypeError, r"width of every .* given \(784,\)"),
    "MLP([])": (lambda: nn.MLP([]), TypeError, r"such as \(784, 256, 10\), but was given \[\]"),
    "MLP(784, 10)": (lambda: nn.MLP(784, 10), TypeError, "width of every layer.* given 784"),
    "MLP('784')": (lambda: nn.MLP("784"), TypeError, "width of every layer.* given '784'"),
    "MLP of a set": (lambda: nn.MLP({2, 3}), TypeError, "width of every layer.* {2, 3}"),
    "MLP((784, -1, 10))": (lambda: nn.MLP((784, -1, 10)), ValueError, "1 or more, but is -1"),
    "MLP((784, 0, 10))": (lambda: nn.MLP((784, 0, 10)), ValueError, "1 or more, but is 0"),
    "MLP((4, '3', 2))": (lambda: nn.MLP((4, "3", 2)), TypeError, "width .* but is '3'"),
    "a class for a word": (
        lambda: nn.MLP((4, 2), nn.ReLU),
        ValueError,
        "activation .* 'relu', but is the class ReLU",
    ),
    "MLP's output": (lambda: nn.MLP((4, 2), output="logits"), ValueError, "output must be"),
    "MLP's initialiser": (
        lambda: nn.MLP((4, 2), initialiser=["xavier"]),
        ValueError,
        "initialiser must be 'xavier_uniform', .* but is ",
    ),
    "MLP's dropout": (lambda: nn.MLP((4, 2), dropout="0.5"), TypeError, "Dropout drops.* '0.5'"),
    "MLP's generator": (lambda: nn.MLP((4, 2), rng=0), TypeError, "rng .* but is 0"),
    "Dropout('0.5')": (lambda: nn.Dropout("0.5"), TypeError, "Dropout drops, .* but is '0.5'"),
    "Dropout(nan)": (lambda: nn.Dropout(NAN), ValueError, "Dropout drops, .* but is nan"),
    "Dropout(50)": (lambda: nn.Dropout(50), ValueError, "0 <= p < 1, but is 50"),
    "Dropout(x)": (lambda: nn.Dropout(tensor([1.0])), TypeError, "but is a Tensor of shape"),
    "Dropout(True)": (lambda: nn.Dropout(True), TypeError, "but is True"),
    "Dropout's generator": (lambda: nn.Dropout(0.5, rng=0), TypeError, "rng .* but is 0"),
    "Softmax(dim='x')": (lambda: nn.Softmax(dim="x"), TypeError, "dim .* an axis.* but is 'x'"),
    "Softmax(x)": (lambda: nn.Softmax(tensor([1.0])), TypeError, "dim .* is a Tensor of shape"),
    "LogSoftmax(1.0)": (lambda: nn.LogSoftmax(1.0), TypeError, "dim .* but is 1.0"),
    "softmax's dim": (lambda: F.softmax(tensor([1.0]), None), TypeError, "dim .* but is None"),
    "LeakyReLU('a')": (lambda: nn.LeakyReLU("a"), TypeError, "negative_slope .* but is 'a'"),
    "LeakyReLU(nan)": (lambda: nn.LeakyReLU(NAN), ValueError, "negative_slope .* but is nan"),
    "leaky_relu's slope": (
        lambda: F.leaky_relu(tensor([1.0]), None),
        TypeError,
        "negative_slope .* but is None",
    ),
    "ReLU(x)": (
        lambda: nn.ReLU(tensor([1.0])),
        TypeError,
        r"ReLU was given a Tensor .* made\. Call the finished module on the data: ReLU\(\)\(",
    ),
    "ReLU(inplace=True)": (lambda: nn.ReLU(inplace=True), TypeError, "ReLU was given inplace, wh"),
    "Flatten of a number": (lambda: nn.Flatten()(3.0), ValueError, "a single number"),
    "a bias too long": (
        lambda: F.linear([1.0], [[2.0]], [1.0, 2.0]),
        ValueError,
        r"a bias \(out,\), but was given \(1, 1\) and \(2,\)",
    ),
    "a weight in a row": (lambda: F.linear([1.0], [2.0]), ValueError, r"given \(1,\) and None"),
    # losses
    "a loss made with the data": (
        lambda: nn.CrossEntropyLoss(tensor([[1.0]]), [0]),
        TypeError,
        r"CrossEntropyLoss was given .* made\. Call the .*: CrossEntropyLoss\(\)\(",
    ),
    "MSELoss made with the data": (
        lambda: nn.MSELoss(tensor([1.0]), [0.0]),
        TypeError,
        r"Call the finished module on the data: MSELoss\(\)\(",
    ),
    "reduction='avg'": (lambda: nn.CrossEntropyLoss(reduction="avg"), ValueError, "is 'avg'"),
    "smoothing of a text": (
        lambda: nn.CrossEntropyLoss(label_smoothing="0.1"),
        TypeError,
        "label_smoothing .* 0 to 1, but is '0.1'",
    ),
    "one number for all rows": (
        lambda: F.cross_entropy([[0.1, 0.2]], 1),
        ValueError,
        rf"{CLASSES} .* given \(1, 2\) and \(\)",
    ),
    "no targets": (
        lambda: F.cross_entropy([[0.1, 0.2]], None),
        TypeError,
        "The second argument of CrossEntropyLoss takes .* but was given None",
    ),
    "a column and a row": (
        lambda: F.mse_loss(tensor([[1.0], [2.0]]), [1.0, 2.0]),
        ValueError,
        r"\(2, 1\) but the target \(2,\)\. .*target\.reshape\(\(2, 1\)\)",
    ),
    "saliency of one number": (
        lambda: nn.Classifier(nn.MLP((2, 3))).saliency(np.ones((1, 2), np.float32), 1),
        ValueError,
        f"saliency {CLASSES}",
    ),
    "saliency of a class too many": (
        lambda: nn.Classifier(nn.MLP((2, 3))).saliency(np.ones((1, 2), np.float32), [3]),
        ValueError,
        "from 0 to 2",
    ),
    # initial values
    "init of a module": (
        lambda: init.xavier_uniform_(LAYER),
        TypeError,
        r"written into a tensor, but this is a Linear\. .*layer\.weight",
    ),
    "init of an array": (
        lambda: init.zeros_(np.ones(3)),
        TypeError,
        "written into a tensor, but this is a ndarray of shape",
    ),
    "init of nothing": (lambda: init.normal_(None), TypeError, "but this is None"),
    "uniform integers": (lambda: init.uniform_(tensor([1, 2])), TypeError, "this tensor is int64"),
    "a word for a gain": (
        lambda: init.xavier_uniform_(weight(), "relu"),
        TypeError,
        r"gain .*calculate_gain\('relu'\) returns, but is 'relu'",
    ),
    "a negative gain": (
        lambda: init.xavier_normal_(weight(), -1),
        ValueError,
        "gain .* 0 or more, .* but is -1",
    ),
    "a word for a slope": (
        lambda: init.kaiming_normal_(weight(), "relu"),
        TypeError,
        "negative slope .* but is 'relu'",
    ),
    "a list for a mode": (
        lambda: init.kaiming_normal_(weight(), mode=["fan_in"]),
        ValueError,
        "mode must be 'fan_in' or 'fan_out', but is",
    ),
    "bounds the wrong way": (
        lambda: init.uniform_(weight(), 1.0, 0.0),
        ValueError,
        "b, the upper bound, .* a = 1.0 on, but is 0.0",
    ),
    "a bound of nan": (lambda: init.uniform_(weight(), NAN), ValueError, "a, the lower .* is nan"),
    "a negative std": (lambda: init.normal_(weight(), 0, -1), ValueError, "std .* but is -1"),
    "a mean of text": (lambda: init.normal_(weight(), "0"), TypeError, "mean .* but is '0'"),
    "a constant None": (lambda: init.constant_(weight(), None), TypeError, "val .* but is None"),
    "init with a seed": (lambda: init.normal_(weight(), rng=0), TypeError, "rng .* but is 0"),
    "init of a read-only array": (
        lambda: init.ones_(read_only()),
        ValueError,
        r"cannot be written to.*array\.copy\(\)",
    ),
    # clipping
    "clip a layer": (lambda: clip_grad_norm_(LAYER, 1.0), TypeError, "a Linear. Pass model.para"),
    "clip a model": (lambda: clip_grad_norm_(MODEL, 1.0), TypeError, "a Linear. Pass model.para"),
    "clip a method": (
        lambda: clip_grad_norm_(MODEL.parameters, 1.0),
        TypeError,
        r"a method\. Pass model\.parameters\(\)",
    ),
    "clip arrays": (lambda: clip_grad_norm_([np.ones(2)], 1.0), TypeError, "a ndarray of shape"),
    "clip named ones": (
        lambda: clip_grad_norm_(MODEL.named_parameters(), 1.0),
        TypeError,
        "a tuple. Pass",
    ),
    "clip to a text": (lambda: clip_grad_norm_([weight()], "1"), TypeError, "max_norm .* is '1'"),
    "clip to nan": (lambda: clip_grad_norm_([weight()], NAN), ValueError, "max_norm .* is nan"),
    # state dicts
    "load a path": (lambda: LAYER.load_state_dict(Path("w.npz")), TypeError, r"np\.load\(path\)"),
    "load nothing": (lambda: LAYER.load_state_dict(None), TypeError, "was given None"),
    "load a model": (lambda: LAYER.load_state_dict(LAYER), TypeError, "was given a Linear"),
    "an optimizer loads a path": (
        lambda: sgd().load_state_dict("run.npz"),
        TypeError,
        "takes a dict, .* given 'run.npz'",
    ),
    "a schedule loads a path": (
        lambda: lr_scheduler.StepLR(sgd(), 1).load_state_dict("run.npz"),
        TypeError,
        "takes a dict, .* given 'run.npz'",
    ),
    # optimizers
    "SGD(layer)": (lambda: optim.SGD(LAYER), TypeError, r"given a Linear\. .*parameters\(\)"),
    "SGD(model)": (lambda: optim.SGD(MODEL), TypeError, r"given a Linear\. .*parameters\(\)"),
    "SGD(model.parameters)": (
        lambda: optim.SGD(LAYER.parameters),
        TypeError,
        r"given a method\. Pass model\.parameters\(\), with its parentheses",
    ),
    "SGD(None)": (lambda: optim.SGD(None), TypeError, "given a NoneType"),
    "SGD(state_dict)": (lambda: optim.SGD(LAYER.state_dict()), TypeError, "given a dict"),
    "a group of a layer": (lambda: optim.SGD([{"params": LAYER}]), TypeError, "given a Linear"),
    "a group without params": (lambda: optim.SGD([{"lr": 1}]), TypeError, r"has only \['lr'\]"),
    "lr='0.1'": (lambda: optim.SGD([weight()], "0.1"), TypeError, "lr .* but is '0.1'"),
    "lr=None": (lambda: optim.Adam([weight()], lr=None), TypeError, "lr .* but is None"),
    "lr=inf": (lambda: optim.SGD([weight()], np.inf), ValueError, "lr .* but is inf"),
    "momentum='0.9'": (lambda: sgd(momentum="0.9"), TypeError, "momentum .* but is '0.9'"),
    "momentum=True": (lambda: sgd(momentum=True), TypeError, "momentum .* but is True"),
    "momentum and nesterov": (
        lambda: sgd(momentum="0.9", nesterov=True),
        TypeError,
        "momentum .* but is '0.9'",
    ),
    "dampening": (lambda: sgd(dampening="a"), TypeError, "dampening .* but is 'a'"),
    "betas=0.9": (lambda: optim.Adam([weight()], betas=0.9), TypeError, "two numbers.* here 0.9"),
    "one beta": (lambda: optim.AdamW([weight()], betas=(0.9,)), TypeError, "two numbers"),
    "betas of text": (
        lambda: optim.Adam([weight()], betas=(0.9, "b")),
        TypeError,
        r"betas\[1\] .* but is 'b'",
    ),
    "a read-only parameter": (
        lambda: optim.SGD([read_only()]),
        ValueError,
        r"\(3,\) is read-only.*array\.copy\(\)",
    ),
    "step(loss)": (
        lambda: sgd().step(tensor(1.0)),
        TypeError,
        r"a function .* given a Tensor\. Call loss\.backward\(\) first",
    ),
    # schedules
    "a schedule of parameters": (
        lambda: lr_scheduler.StepLR(LAYER.parameters(), 1),
        TypeError,
        "of an optimizer, but was given a generator. Pass the optimizer",
    ),
    "step_size='3'": (lambda: lr_scheduler.StepLR(sgd(), "3"), TypeError, "step_size .* is '3'"),
    "step_size=2.5": (lambda: lr_scheduler.StepLR(sgd(), 2.5), ValueError, "step_size .* is 2.5"),
    "gamma='a'": (lambda: lr_scheduler.StepLR(sgd(), 3, "a"), TypeError, "gamma .* is 'a'"),
    "gamma=-0.1": (lambda: lr_scheduler.ExponentialLR(sgd(), -0.1), ValueError, "gamma .* -0.1"),
    "gamma=nan": (lambda: lr_scheduler.ExponentialLR(sgd(), NAN), ValueError, "gamma .* nan"),
    "swapped": (lambda: lr_scheduler.ExponentialLR(0.9, sgd()), TypeError, "gamma .* is a SGD"),
    "T_max=None": (
        lambda: lr_scheduler.CosineAnnealingLR(sgd(), None),
        TypeError,
        "T_max .* whole number, 1 or more, but is None",
    ),
    "eta_min='a'": (
        lambda: lr_scheduler.CosineAnnealingLR(sgd(), 3, "a"),
        TypeError,
        "eta_min .* is 'a'",
    ),
    "max_lr='a'": (lambda: lr_scheduler.OneCycleLR(sgd(), "a", 3), TypeError, "max_lr .* is 'a'"),
    "total_steps=2.5": (
        lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, 2.5),
        ValueError,
        "total_steps .* is 2.5",
    ),
    "epochs='3'": (
        lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, epochs="3", steps_per_epoch=2),
        TypeError,
        "epochs .* is '3'",
    ),
    "pct_start='a'": (
        lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, 3, pct_start="a"),
        TypeError,
        "pct_start .* is 'a'",
    ),
    "div_factor=0": (
        lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, 3, div_factor=0),
        ValueError,
        "div_factor .* above 0, but is 0",
    ),
    "max_momentum=1.5": (
        lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, 3, max_momentum=1.5),
        ValueError,
        "max_momentum .* is 1.5",
    ),
}


@pytest.mark.parametrize(("make", "error", "message"), WRONG.values(), ids=WRONG)
def test_a_senseless_argument_is_explained(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert caught.type is error  # and no special kind of it, as NumPy's are
    assert len(str(caught.value)) < 240


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(np.int64(2), np.uint8(3)),
        lambda: nn.Linear(0, np.array(3), np.False_),
        lambda: nn.MLP(np.array([4, 3, 2])),
        lambda: nn.Dropout(np.float32(0.5)),
        lambda: nn.Dropout(0),
        lambda: nn.Softmax(np.int8(-1)),
        lambda: nn.LeakyReLU(np.float64(0.1)),
        lambda: nn.LeakyReLU(1),
        lambda: nn.CrossEntropyLoss(label_smoothing=np.float32(0.1)),
        lambda: init.uniform_(weight(), np.float64(0), 1),
        lambda: init.constant_(tensor([1, 2]), 3),
        lambda: init.constant_(weight(), NAN),
        lambda: optim.SGD([weight()], lr=tensor(0.1), momentum=np.array(0.9)),
        lambda: optim.SGD([read_only().requires_grad_(False)]),
        lambda: optim.Adam([weight()], betas=[0.9, np.float32(0.9)]),
        lambda: lr_scheduler.StepLR(sgd(), np.int64(3), gamma=0),
        lambda: lr_scheduler.OneCycleLR(sgd(), max_lr=0.1, total_steps=10.0),
        lambda: clip_grad_norm_([weight()], np.inf),
    ],
)
def test_numbers_of_numpy_are_numbers(make):
    make()
