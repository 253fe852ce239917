"""Networks and optimizers that cannot be trained: each is refused in words, with a way out."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_mnist import nn, optim
from tinygrad_mnist.owncode import OwnCodeError
from tinygrad_mnist.training import Recipe, train

CODE = """
import numpy as np
from tinygrad_mnist import nn, no_grad, optim
from tinygrad_mnist.autodiff import op
from tinygrad_mnist.nn import functional as F

number = 3

class Net(nn.Module):
    def __init__(self, inputs, classes, *, rng):
        self.last = nn.Linear(inputs, classes, rng=rng)
        self.calls = 0

    def forward(self, x):
        return self.last(x)

def no_rng(inputs, classes):
    return Net(inputs, classes, rng=None)

def array(inputs, classes, *, rng):
    return np.zeros((inputs, classes))

def no_return(inputs, classes, *, rng):
    Net(inputs, classes, rng=rng)

def raises(inputs, classes, *, rng):
    raise RuntimeError("a bad day")

def quits(inputs, classes, *, rng):
    raise SystemExit(0)

class TooMany(Net):
    def __init__(self, inputs, classes, *, rng):
        super().__init__(inputs, classes + 1, rng=rng)

class Weightless(nn.Module):
    def __init__(self, inputs, classes, *, rng):
        self.weight = rng.normal(size=(inputs, classes))

    def forward(self, x):
        return x @ self.weight

class Listed(Net):
    def __init__(self, inputs, classes, *, rng):
        super().__init__(inputs, classes, rng=rng)
        self.layers = [nn.Linear(inputs, inputs, rng=rng)]

class Leaf(Net):
    def __init__(self, inputs, classes, *, rng):
        super().__init__(inputs, classes, rng=rng)
        self.scale = np.ones(1, np.float32) * nn.Parameter([1.0])

class Writes(Net):
    def forward(self, x):
        x -= x.mean()
        return self.last(x)

class Fails(Net):
    def forward(self, x):
        return self.last(x[:, :5])

class FailsLater(Net):
    def forward(self, x):
        if self.training:
            self.last.count = getattr(self.last, "count", 0) + 1
            if self.last.count == 4:
                return 1 / 0
        return self.last(x)

class NoneLater(Net):
    def forward(self, x):
        if self.training:
            self.last.count = getattr(self.last, "count", 0) + 1
            if self.last.count == 4:
                return None
        return self.last(x)

seen = []

@op
def twice(x):
    return 2 * x

@twice.vjp
def rule(g, out, x):
    seen.append(1)
    return 2 * g if len(seen) < 5 else g / seen[5]

class RuleFailsLater(Net):
    def forward(self, x):
        return twice(self.last(x))

class FailsInTraining(Net):
    def forward(self, x):
        return self.last(x if not self.training else x[:, :5])

class Nothing(Net):
    def forward(self, x):
        self.last(x)

class Array(Net):
    def forward(self, x):
        return np.asarray(self.last(x))

class Labels(Net):
    def forward(self, x):
        return self.last(x).data.argmax(axis=1)

class Pair(Net):
    def forward(self, x):
        return self.last(x), x

class Cut(Net):
    def forward(self, x):
        return F.relu(self.last(x)).detach()

class Counts(Net):
    def forward(self, x):
        self.calls += 1
        return self.last(x)

class Always(Net):
    def __init__(self, inputs, classes, *, rng):
        super().__init__(inputs, classes, rng=rng)
        self.register_buffer("mean", np.zeros(inputs, np.float32))

    def forward(self, x):
        with no_grad():
            self.mean.data += 0.1 * (x.mean(axis=0) + 1)
        return self.last(x - self.mean)

class Step(optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})
        self.steps = 0

    def update(self, p, g, group, state):
        p.data -= group["lr"] * g

class Forgets(Step):
    def update(self, p, g, group, state):
        v = state.setdefault("velocity", np.zeros_like(p.data))
        v += g
        p.data -= group["lr"] * v

class Breaks(Step):
    def update(self, p, g, group, state):
        p.data -= group["rate"] * g

class BreaksLater(Step):
    def update(self, p, g, group, state):
        state["step"] = state.get("step", 0) + 1
        if state["step"] == 4:
            p.data -= group["rate"]
        p.data -= group["lr"] * g

    remembers = ("step",)

class Rebinds(Step):
    def update(self, p, g, group, state):
        p = p - group["lr"] * g

class Shadow(Step):
    def update(self, p, g, group, state):
        self.steps += 1
        p.data -= group["lr"] / self.steps * g

class Rateless(optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {})

    def update(self, p, g, group, state):
        p.data -= g

class Updateless(optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

class Options(Step):
    def __init__(self, params, lr, alpha=1.0):
        super().__init__(params, lr)

def no_optimizer(params, lr):
    return params

def no_lr(params):
    return Step(params, 1.0)
"""


@pytest.fixture
def digits(small_runs):
    return small_runs


@pytest.fixture(autouse=True)
def in_a_folder_with_code(small_runs):
    Path("wrong.py").write_text(CODE)


def line_of(text):
    return CODE[: CODE.index(text)].count("\n") + 1


NETWORKS = {
    "gone.py:Net": "Write FILE.py:NAME; there is no file 'gone.py'.",
    "wrong.py:Gone": "wrong.py has no function 'Gone'. It has Net, ",
    "wrong.py:number": "wrong.py has no function 'number'.",
    "wrong.py:np": "wrong.py has no function 'np'.",
    "wrong.py": "model cannot be 'wrong.py'. Choose from mlp, or name your own as FILE.py:NAME.",
    "gone.net:Net": "There is no module 'gone.net' to import.",
    "wrong.py:no_rng": "no_rng takes no 'rng': it is no_rng(inputs, classes). A model is called as",
    "wrong.py:Step": "Step takes no 'rng'",
    "wrong.py:array": "array made a ndarray, expected a Module of nn.",
    "wrong.py:no_return": "no_return made a NoneType, expected a Module of nn. Does it lack its",
    "wrong.py:raises": "raises raised RuntimeError in line {a bad day} of wrong.py when it was",
    "wrong.py:quits": "quits raised SystemExit in line {raise SystemExit} of wrong.py",
    "wrong.py:TooMany": "TooMany made (2, 11) of 2 images, expected (2, 10): a logit for each of",
    "wrong.py:Weightless": "Weightless has no parameters to train. Make its weights nn.Parameter,",
    "wrong.py:Listed": "Listed.layers is a list, and what is in it would not be trained or saved. ",
    "wrong.py:Leaf": "Leaf.scale is a tensor that requires grad, but would not be trained or save",
    "wrong.py:Writes": "Writes.forward writes to its input",
    "wrong.py:Fails": "Fails raised ValueError in line {self.last(x[:, :5])} of wrong.py",
    "wrong.py:FailsInTraining": "FailsInTraining raised ValueError in line {x if not self.tr} of w",
    "wrong.py:Nothing": "Nothing returned a NoneType, expected a tensor. Does forward lack its re",
    "wrong.py:Array": "Array returned a ndarray, expected a tensor. Was .data or .numpy() used?",
    "wrong.py:Labels": "Labels returned a ndarray, expected a tensor.",
    "wrong.py:Pair": "Pair returned a tuple, expected a tensor.",
    "wrong.py:Cut": "The output of Cut does not depend on its parameters",
    "wrong.py:Counts": "Counts changes its attribute calls as it works, which no checkpoint holds",
    "wrong.py:Always": "Always.forward changes mean in evaluation too",
}
OPTIMIZERS = {
    "gone.py:Step": "there is no file 'gone.py'",
    "wrong.py:no_optimizer": "no_optimizer made a list, expected an Optimizer of optim.",
    "wrong.py:no_lr": "no_lr takes no 'lr': it is no_lr(params). An optimizer is called as NAME(pa",
    "wrong.py:Net": "Net takes no 'lr'",
    "wrong.py:Forgets": "Forgets keeps ['velocity'] in its state, but Forgets.remembers does not ",
    "wrong.py:Breaks": 'Breaks raised KeyError in line {group["rate"] * g} of wrong.py',
    "wrong.py:Rebinds": "Rebinds changed no parameter in two steps. Does update write in place",
    "wrong.py:Shadow": "Shadow changes its attribute steps as it works, which no checkpoint holds",
    "wrong.py:Rateless": "Rateless has no lr among its settings",
    "wrong.py:Updateless": "Updateless has no update method. Define update(self, p, g, gr",
}
REFUSED = [*(("model", *pair) for pair in NETWORKS.items())]
REFUSED += [*(("optimizer", *pair) for pair in OPTIMIZERS.items())]


@pytest.mark.parametrize(("key", "reference", "message"), REFUSED)
def test_what_cannot_be_trained_is_refused_before_the_first_step(command, key, reference, message):
    """In one line, with exit code 2, and with no folder left behind."""
    code, out, err = command("train", f"--{key}", reference)
    before, brace, rest = message.partition("{")
    inside, _, after = rest.partition("}")
    expected = f"{before}{line_of(inside)}{after}" if brace else message
    assert expected in err
    assert (code, out, err.count("\n"), err[:7]) == (2, "", 1, "error: ")
    assert not list(Path("runs").glob("*"))


SETTINGS = {
    "model=wrong.py:Net model_options.width=3": "Net takes no 'width': it is Net(inputs, classes, ",
    "optimizer=wrong.py:Step optimizer_options.a=3": "Step takes no 'a': it is Step(params, lr)",
    "optimizer=wrong.py:Step momentum=0.5": "Step takes no 'momentum': it is Step(params, lr)",
    "model_options.width=3": "model_options are for a model of your own, but model is 'mlp'",
    "model=wrong.py:Net hidden=[3]": "hidden is a key of the built-in network, but model is 'wron",
    "model=wrong.py:Net activation=tanh": "activation is a key of the built-in network",
    "model=wrong.py:Net initialiser=xavier_normal": "initialiser is a key of the built-in network",
    "model=wrong.py:Net dropout=0.5": "dropout is a key of the built-in network",
    "model=wrong.py:Net loss=mse": "loss = 'mse' needs the sigmoids of the built-in network",
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_what_does_not_belong_to_it_is_refused_by_name(command, settings):
    code, _, err = command("train", "--set", *settings.split())
    assert (code, err.count("\n")) == (2, 1)
    assert SETTINGS[settings] in err


LATER = {
    "--model wrong.py:FailsLater": "FailsLater raised ZeroDivisionError in line {return 1 / 0} of",
    "--model wrong.py:NoneLater": "NoneLater raised ",
    "--model wrong.py:RuleFailsLater": "RuleFailsLater raised IndexError in line {seen[5]} of ",
    "--optimizer wrong.py:BreaksLater": 'BreaksLater raised KeyError in line {-= group["rate"]\n} ',
}


@pytest.mark.parametrize("asked", LATER)
def test_what_fails_in_the_middle_is_said_with_the_checkpoint_that_stays(
    command, monkeypatch, asked
):
    monkeypatch.setattr("tinygrad_mnist.runs.job.SHARE", 1e9)
    told = ["train", *asked.split(), "--set", "batch_size=30", "epochs=3", "--out", "run"]
    code, _, err = command(*told)
    before, brace, rest = LATER[asked].partition("{")
    assert code == 2
    assert err.startswith(f"error: {before}{line_of(rest.partition('}')[0]) if brace else ''}")
    stays = (
        f"The checkpoint of epoch 1 after batch 3 stays: tinygrad-mnist train --resume run {asked}"
    )
    assert err.splitlines()[1:] == [stays]
    assert Path("run/checkpoint.npz").exists()


@pytest.mark.parametrize(("key", "name"), [("model", "Net"), ("optimizer", "Step")])
def test_a_training_of_what_is_built_in_does_not_go_on_with_another(command, key, name):
    assert command("train", "--set", "epochs=1", "hidden=[4]", "--out", "run")[0] == 0
    code, _, err = command("train", "--resume", "run", f"--{key}", f"wrong.py:{name}")
    assert (code, err.count("\n")) == (2, 1)
    assert f"which is built in. Leave out --{key}" in err


def test_mended_it_goes_on_from_there(command, monkeypatch):
    monkeypatch.setattr("tinygrad_mnist.runs.job.SHARE", 1e9)
    told = ["--model", "wrong.py:FailsLater", "--set", "batch_size=30", "epochs=1"]
    assert command("train", *told, "--out", "run")[0] == 2
    Path("wrong.py").write_text(CODE.replace("return 1 / 0", "pass"))
    code, _, err = command("train", "--resume", "run", *told[:2])
    assert code == 0
    assert err.startswith("warning: wrong.py of this model is not what the training began with")


def test_what_a_callback_raises_is_not_taken_for_a_mistake_of_the_network(digits, tmp_path):
    from tinygrad_mnist import runs

    class Own(nn.Linear):
        def __init__(self, inputs, classes, *, rng):
            super().__init__(inputs, classes, rng=rng)

    def stop(*_):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        runs.run(Recipe("x", epochs=1), tmp_path / "r", own=runs.Own(Own), on_batch=stop)


def test_a_forward_that_fails_for_some_images_only_is_told_by_every_command(command):
    fine = CODE.replace("x[:, :5]", "x")
    Path("wrong.py").write_text(fine)
    told = ["--model", "wrong.py:Fails"]
    assert command("train", *told, "--set", "epochs=1", "--out", "run")[0] == 0
    odd = fine.replace(
        "self.last(x)\n\nclass FailsL", "self.last(x if len(x) == 2 else 7)\n\nclass FailsL"
    )
    Path("wrong.py").write_text(odd)
    for asked in (["evaluate", "run"], ["predict", "run", "--test", "0"]):
        code, out, err = command(*asked, *told)
        assert (code, out) == (2, "")
        assert f"Fails raised ValueError in line {line_of('self.last(x[:, :5])')} of wrong" in err


def test_forms_for_the_built_in_network_are_refused_for_others(command):
    told = ["--model", "wrong.py:Net"]
    assert command("train", *told, "--set", "epochs=1", "--out", "run")[0] == 0
    code, _, err = command("export", "run", "--format", "npz", *told)
    assert (code, err.count("\n")) == (2, 1)
    assert "no counterpart for Net" in err
    code, _, err = command("export", "run", "--ancestor", *told)
    assert (code, "built-in network, and this run is of wrong.py:Net" in err) == (2, True)


def test_compare_runs_no_model_and_names_what_checks_it(command):
    code, _, err = command("compare", "--set", "model=gone.py:Net")
    assert (code, err.count("\n")) == (2, 1)
    assert "no hand derivation to compare with" in err
    assert err.endswith("tinygrad-mnist gradcheck gone.py:Net\n")


# ---------------------------------------------------------------- from Python


def test_an_optimizer_over_other_parameters_is_refused(digits):
    model, other = (nn.Linear(784, 10, rng=np.random.default_rng(i)) for i in range(2))
    optimizer = optim.SGD(other.parameters(), lr=0.1)
    with pytest.raises(OwnCodeError, match="SGD updates none of the parameters of this Linear"):
        train(Recipe("x", epochs=1), *digits, model=model, optimizer=optimizer)


@pytest.mark.parametrize("model", [3, "mine.py:Net", None.__class__])
def test_what_is_no_network_is_refused(digits, model):
    with pytest.raises(OwnCodeError):
        train(Recipe("x", epochs=1), *digits, model=model)


def test_a_trial_changes_nothing(digits):
    """The network, its generator and its optimizer are as before it."""
    from tinygrad_mnist.training.trial import try_optimizer, try_training

    model = nn.Sequential(nn.Linear(784, 10, rng=np.random.default_rng(0)), nn.Dropout(0.5))
    optimizer = optim.Adam(model.parameters())
    before = {name: t.data.copy() for name, t in model.state_dict().items()}
    drawn = model[1].rng.bit_generator.state
    x = digits[0][:2].astype(np.float32)
    try_training(model, x, digits[1][:2], 10)
    try_optimizer(optimizer, model)
    assert all(np.array_equal(t.data, before[name]) for name, t in model.state_dict().items())
    assert model[1].rng.bit_generator.state == drawn
    assert all(p.grad is None for p in model.parameters())
    assert optimizer.state == [{}, {}]
