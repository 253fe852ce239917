"""What the page "Find my mistake" says: in its Python, outside of a browser."""

import importlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from backward_passes import BROKEN, LINES, PROGRAMS, RIGHT
from wrong_lines import OTHERS, WRONG

from tinygrad_mnist import bridge
from tinygrad_mnist.byhand.mlp import ACTIVATIONS, one_hot

pytestmark = pytest.mark.browser  # it needs what the site is built with

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def hook():
    """The hook that puts together what the page loads."""
    return importlib.import_module("inpage")


@pytest.fixture(scope="module")
def judge(hook, tmp_path_factory):
    """What the page says of programs, each for a network: lists of verdicts."""
    folder = tmp_path_factory.mktemp("python")
    hook.put_together(folder)

    def ask(programs):
        tasks = [
            ["judge", source, (folder / f"{network}.json").read_text()]
            for network, source in programs
        ]
        command = [shutil.which("node"), HERE / "micropython.mjs"]
        asked = json.dumps([str(folder), tasks])
        done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return ask


def said_in_python(drawn, name, line):
    """What `bridge.compare` says of a gradient that NumPy computes by the same line."""
    paper, X, labels = drawn
    t = paper.forward(X)
    Y = one_hot(labels, t[f"A{paper.depth}"])
    known = paper.params | t | paper.backward(t, labels)
    known |= {"Y": Y, "B": Y.shape[0], "C": Y.shape[1], "lam": paper.l2}
    known |= {"slope": ACTIVATIONS[paper.activation][1], "ones_like": np.ones_like}
    with np.errstate(all="ignore"):
        value = np.asarray(eval(line, known))
    return bridge.compare(*drawn, gradients={name: value}).diagnosis


def planted():
    """Wrong lines, alone and with signs and factors, and the networks that they are planted in."""
    for loss, name, _, line in WRONG:
        for each in [loss] if loss else ["cross_entropy", "mse"]:
            for code in (line, f"-({line})", f"({line}) / B"):
                yield (3, "tanh", each, 0.1), name, code
    for activation, name, _, line in OTHERS:
        for code in (line, f"-({line})", f"({line}) * 2"):
            yield (3, activation, "cross_entropy", 0.0), name, code


def test_three_hundred_planted_mistakes_are_named_as_in_python(judge, hook):
    cases = list(planted())
    assert len(cases) >= 300
    programs = [("-".join(map(str, choice)), f"{name} = {line}") for choice, name, line in cases]
    for (choice, name, line), verdicts in zip(cases, judge(programs), strict=True):
        found = next(v for v in verdicts if v["name"] == name)
        expected = said_in_python(hook.drawn(*choice), name, line)
        assert found["text"] == (expected or "right"), f"{name} = {line}"


def with_line(name, line):
    """The right backward pass with one of its lines written otherwise."""
    lines = RIGHT.splitlines()
    return "\n".join(line if each.startswith(f"{name} =") else each for each in lines) + "\n"


def test_fifty_other_ways_to_write_it_are_right(judge):
    lines = [with_line(name, line) for name, written in LINES.items() for line in written]
    programs = [RIGHT, *lines, *PROGRAMS]
    assert len(programs) >= 50
    answers = judge([("2-tanh-cross_entropy-0.1", program) for program in programs])
    for program, verdicts in zip(programs, answers, strict=True):
        wrong = [v for v in verdicts if v["verdict"] != "right"]
        assert wrong == [], program
        assert {v["name"] for v in verdicts} >= {each[:3] for each in RIGHT.splitlines()}


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("layers", [2, 3])
def test_the_equations_are_right_in_every_network(judge, layers, activation, loss):
    start = ["dZ{l} = (A{l} - Y) / B"]
    if loss == "mse":
        start = ["dA{l} = 2 * (A{l} - Y) / (B * C)", "dZ{l} = dA{l} * A{l} * (1 - A{l})"]
    lines = [line.format(l=layers) for line in start]
    for layer in range(layers, 0, -1):
        lines += [f"dW{layer} = A{layer - 1}.T @ dZ{layer} + lam * W{layer}"]
        lines += [f"db{layer} = dZ{layer}.sum(axis=0)"]
        if layer > 1:
            lines += [f"dA{layer - 1} = dZ{layer} @ W{layer}.T"]
            lines += [f"dZ{layer - 1} = dA{layer - 1} * slope(Z{layer - 1})"]
    networks = [f"{layers}-{activation}-{loss}-{l2}" for l2 in (0.0, 0.1)]
    for verdicts in judge([(network, "\n".join(lines)) for network in networks]):
        assert {v["verdict"] for v in verdicts} == {"right"}, verdicts
        assert [v["line"] for v in verdicts] == list(range(1, len(lines) + 1))


def test_forty_broken_inputs_get_a_sentence_with_the_line(judge):
    assert len(BROKEN) >= 40
    answers = judge([("2-tanh-cross_entropy-0.1", source) for source, _, _ in BROKEN])
    for (source, line, says), verdicts in zip(BROKEN, answers, strict=True):
        first = next(v for v in verdicts if v["verdict"] != "missing" and v["line"] >= line)
        assert says in first["text"], first
        assert first["line"] == line, source
        assert "Traceback" not in first["text"]


@pytest.mark.parametrize("nothing", ["", "\n\n", "# dZ2 comes here", "pass", "print(A2)"])
def test_of_nothing_it_says_what_is_still_to_be_written(judge, nothing):
    [verdicts] = judge([("2-tanh-cross_entropy-0.1", nothing)])
    assert {v["verdict"] for v in verdicts} == {"missing"}
    assert len(verdicts) == 7


def test_one_mistake_is_told_once(judge):
    program = RIGHT.replace("A2 - Y", "Y - A2")
    [verdicts] = judge([("2-tanh-cross_entropy-0.1", program)])
    wrong = [v for v in verdicts if v["verdict"] != "right"]
    assert [v["text"] for v in wrong] == ["its sign is wrong."]


def test_weights_that_are_updated_too_early_are_noticed(judge):
    program = RIGHT.replace("dA1 =", "W2 -= 0.1 * dW2\ndA1 =")
    [verdicts] = judge([("2-tanh-cross_entropy-0.1", program)])
    wrong = [v for v in verdicts if v["verdict"] != "right"]
    assert [v["mistakes"] for v in wrong] == [["weights-after-update"]]


def test_a_term_changed_by_accident_does_not_spoil_later_lines(judge):
    program = "dZ1 = A1\ndZ1 -= 1\ndW2 = A1.T @ dZ2 + lam * W2"
    [verdicts] = judge([("2-tanh-cross_entropy-0.1", program)])
    assert [v["text"] for v in verdicts if v["name"] == "dW2"] == ["right"]
