"""Code of one's own under `gradcheck`: the file runs as in Python, and modules are checked too."""

import json
import sys

import numpy as np
import pytest

from tinygrad_mnist import checking, nn
from tinygrad_mnist.owncode import opened

MINE = """
from dataclasses import dataclass

import numpy as np
from tinygrad_mnist import nn
from tinygrad_mnist.autodiff import op
from sibling import factor

@dataclass
class Settings:
    power: int = 3

@op
def power(x, *, exponent):
    return x**exponent

power.vjp(lambda g, out, x, exponent: exponent * g * x ** (exponent - 1))

def scaled(x, y, width, *, bias=0.0):
    from lazy import two
    return factor * x * y * width * two + bias

def named(x):
    assert __name__ == "mine", __name__
    assert __file__.endswith("mine.py"), __file__
    return x * Settings().power

class Scale(nn.Module):
    def __init__(self, features, right=True):
        self.factor = nn.Parameter(np.linspace(1, 2, features, dtype=np.float32))
        self.inner = nn.Sequential(nn.Linear(features, 2, rng=np.random.default_rng(0)), nn.Tanh())
        self.right = right

    def forward(self, x, *, twice=False):
        x = x * (self.factor if self.right else self.factor.data)
        return self.inner(2 * x if twice else x)

scale = Scale(3)
tied = nn.ModuleList([scale, scale])

class Tied(nn.Module):
    def __init__(self):
        self.a = self.b = nn.Parameter([[1.0, 2.0], [3.0, 4.0]])

    def forward(self, x):
        return x @ self.a @ self.b

class Gate(nn.Module):
    def __init__(self, features, *, rng):
        self.open = nn.Linear(features, features, rng=rng)

    def forward(self, x):
        return x * nn.functional.sigmoid(self.open(x))

class Other:
    pass

def returns_array(x):
    return x.data

def forgets_return(x):
    x * 2

def leaves(x):
    raise SystemExit(0)

def fails(x):
    return x * (1 / 0)

if __name__ == "__main__":
    raise SystemExit("not reached")
"""


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    for name, text in (("mine", MINE), ("sibling", "factor = 5\n"), ("lazy", "two = 2\n")):
        (tmp_path / "own" / f"{name}.py").write_text(text)
    (tmp_path / "own" / "quits.py").write_text("import sys\nsys.exit()\n")
    (tmp_path / "own" / "syntax.py").write_text("def f(:\n")
    (tmp_path / "own" / "random.py").write_text("def f(x):\n    return x * x\n")


AGREE = [
    "named --shape 3,4",
    "scaled --shape 2,3 --shape 3 --arg width=2",
    "scaled --shape 2,3 --shape 3 --arg width=2 --arg bias=-1.5",
    "power --shape 3 --arg exponent=3",
    "scale --shape 5,3",
    "scale --shape 5,3 --arg twice=True",
    "Scale --shape 5,3 --arg features=3",
    "Tied --shape 3,2",
    "Gate --shape 5,3 --arg features=3",
    "named --shape=",
]


@pytest.mark.parametrize("asked", AGREE)
def test_what_is_right_agrees_and_leaves_python_as_it_was(command, tmp_path, asked):
    path, modules = list(sys.path), set(sys.modules)
    before = sorted(tmp_path.rglob("*.py"))
    code, out, err = command("gradcheck", *f"own/mine.py:{asked}".split())
    assert (code, err) == (0, "")
    assert "second derivatives" in out.splitlines()[1]
    assert sys.path == path
    assert not {"mine", "sibling", "lazy"} & (set(sys.modules) - modules)
    assert sorted(tmp_path.rglob("*.py")) == before


def test_a_module_is_checked_with_its_parameters_and_keeps_them(command, files):
    _, out, _ = command("gradcheck", "own/mine.py:Scale", "--shape", "5,3", "--arg", "features=3")
    assert "derivatives of 1 input and 3 parameters agree" in out
    with opened("own/mine.py:scale") as scale:
        before = {name: id(p) for name, p in scale.named_parameters()}
        found = checking.check(scale, [(2, 3)], {})
        assert {name: id(p) for name, p in scale.named_parameters()} == before
        assert all(isinstance(p, nn.Parameter) for p in scale.parameters())
        assert all(p.dtype == np.float32 for p in scale.parameters())
    names = ["input 0", "parameter factor", "parameter inner.0.weight", "parameter inner.0.bias"]
    assert found == checking.Checked(True, True, names)


def test_a_parameter_that_gets_no_gradient_is_named(command):
    asked = "own/mine.py:Scale --shape 5,3 --arg features=3 --arg right=False"
    code, out, _ = command("gradcheck", *asked.split())
    assert code == 1
    assert "Gradient of parameter factor differs at element" in out
    assert "no gradient reaches this" in out


def test_the_result_can_be_had_as_json(command):
    code, out, _ = command("gradcheck", "own/mine.py:scale", "--shape", "2,3", "--json")
    found = json.loads(out)
    assert (code, found["first"], found["second"], found["problem"]) == (0, True, True, "")
    asked = "own/mine.py:Scale --shape 5,3 --arg features=3 right=False --json"
    code, out, _ = command("gradcheck", *asked.split())
    found = json.loads(out)
    assert (code, found["first"], found["second"]) == (1, False, None)
    assert "parameter factor" in found["problem"]


def test_a_file_may_have_the_name_of_a_module_of_python(command):
    import random

    assert command("gradcheck", "own/random.py:f", "--shape", "2")[0] == 0
    assert sys.modules["random"] is random


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("mine.py:scaled --shape 2 --shape 2", "missing a required argument: 'width'. Give a --sh"),
        ("mine.py:scaled --shape 2 --shape 2 --arg with=2", "scaled takes no 'with': it is scaled"),
        ("mine.py:named --shape 2 --shape 2", "too many positional arguments"),
        ("mine.py:power --shape 2 --arg exponent=x", "--arg exponent: 'x' is not a Python value"),
        ("mine.py:power --shape 2 --arg exponent", "--arg has the form NAME=VALUE"),
        ("mine.py:power --shape 2 --arg exponent=1 exponent=2", "exponent was given twice"),
        ("mine.py:power --shape 2 --arg =2", "--arg has the form NAME=VALUE"),
        ("mine.py:Scale --shape 2,3", "missing a required argument: 'features'"),
        ("mine.py:Scale --shape 2,3 --arg width=3", "Scale takes no 'width'"),
        ("mine.py:Scale --shape 2,3 --arg features='3'", "Scale raised "),
        ("mine.py:scale --shape 2,4", "Scale raised ValueError"),
        ("mine.py:Other --shape 2", "Other is a class, but not one of an nn.Module"),
        ("mine.py:returns_array --shape 2", "returns_array returned ndarray, expected a tensor"),
        ("mine.py:forgets_return --shape 2", "returned NoneType, expected a tensor. Does it lack"),
        ("mine.py:leaves --shape 2", "leaves raised SystemExit in line"),
        ("mine.py:fails --shape 2", "fails raised ZeroDivisionError in line"),
        ("mine.py:gone --shape 2", "has no function 'gone'. It has Settings, power, scaled"),
        (
            "quits.py:f --shape 2",
            "quits.py raised SystemExit in line 2 of quits.py when it was run",
        ),
        ("syntax.py:f --shape 2", "syntax.py raised SyntaxError"),
        ("mine.py --shape 2", "Write FILE.py:NAME"),
        ("mine.py:named --shape=-1", "lengths from 1 up, but this is '-1'"),
        ("mine.py:named --shape 0,3", "there would be nothing to check"),
        ("mine.py:named --shape 3,,4", "A shape is written as 3,4"),
        ("mine.py:named --shape 1e3", "A shape is written as 3,4"),
        ("mine.py:named --shape 99999,99999", "9,999,800,001 elements, each of which takes"),
        ("mine.py:named --shape 3 --seed=-1", "--seed is a whole number from 0 up, but is -1"),
    ],
)
def test_what_cannot_be_checked_is_said_in_two_lines_at_most(command, asked, message):
    code, out, err = command("gradcheck", *f"own/{asked}".split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) <= 2
