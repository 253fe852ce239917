"""The table of mistakes: each line that learners write wrong is named, and nothing else is."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_byhand import PROBLEMS, problem
from wrong_lines import OTHERS, SQUARE, WRONG

from tinygrad_mnist import bridge
from tinygrad_mnist.bridge import diagnosis, mistakes
from tinygrad_mnist.byhand.mlp import ACTIVATIONS, one_hot

DERIVATIONS = Path(__file__).parents[2] / "docs" / "derivations"
LOSSES = ["cross_entropy", "mse"]


def names_of(paper, X, labels):
    """Whatever a learner's line may use."""
    t = paper.forward(X)
    Y = one_hot(labels, t[f"A{paper.depth}"])
    known = {"Y": Y, "B": Y.shape[0], "C": Y.shape[1], "lam": paper.l2}
    known |= {"slope": ACTIVATIONS[paper.activation][1], "ones_like": np.ones_like}
    return known | paper.params | t | paper.backward(t, labels)


def told(drawn, name, line):
    """The comparison of a network whose gradient `name` is computed by this line."""
    with np.errstate(all="ignore"):
        value = np.asarray(eval(line, names_of(*drawn)))
    return bridge.compare(*drawn, gradients={name: value})


def three_layers(activation="tanh", loss="cross_entropy", sizes=(5, 6, 4, 3), batch=7):
    return problem(sizes, batch, activation, loss, 0.1)


@pytest.mark.parametrize("line", WRONG, ids=lambda line: f"{line[1]} = {line[3]}")
def test_a_learners_line_is_named(line):
    loss, name, mistake, code = line
    for each in [loss] if loss else LOSSES:
        found = told(three_layers(loss=each), name, code)
        assert found.mistakes == (mistake,), found.diagnosis


@pytest.mark.parametrize("line", SQUARE, ids=lambda line: f"{line[1]} = {line[3]}")
def test_a_learners_line_is_named_where_all_shapes_are_alike(line):
    _, name, mistake, code = line
    found = told(three_layers(sizes=(5, 5, 5, 5), batch=5), name, code)
    assert found.mistakes == (mistake,), found.diagnosis


@pytest.mark.parametrize("line", OTHERS, ids=lambda line: f"{line[0]}: {line[1]} = {line[3]}")
def test_a_learners_line_is_named_with_another_activation(line):
    activation, name, mistake, code = line
    found = told(three_layers(activation), name, code)
    assert found.mistakes == (mistake,), found.diagnosis


def test_every_mistake_of_the_tables_is_made_by_a_line_above():
    made = {line[2] for line in [*WRONG, *SQUARE, *OTHERS]}
    said_elsewhere = {"factor-batch-twice", "factor-two", "factor-classes-twice"}
    said_elsewhere |= {"factor-squares", "factor-all", "float32"}  # in test_bridge.py
    assert made | said_elsewhere == set(bridge.known_mistakes())


def test_there_is_help_with_every_mistake_and_with_no_other():
    tables = [*mistakes.WHOLE, *mistakes.MISTAKES, *mistakes.PENALTIES]
    tables += [*mistakes.ADDED, *mistakes.FACTORS]
    single = {"sign", "any-factor", "another-term", "added-term", "not-finite", "shape", "float32"}
    assert {row[0] for row in tables} | single == set(bridge.known_mistakes())


@pytest.mark.parametrize(("name", "told"), bridge.known_mistakes().items())
def test_help_is_short_and_leads_to_a_derivation(name, told):
    assert 20 < len(told.why) < 330, name
    assert 20 < len(told.see) < 330, name
    assert (DERIVATIONS / f"{told.read}.md").exists()


# ---------------------------------------------------------------- nothing else is named


def gradients(paper, X, labels):
    """The names of the gradients, and the terms that they are compared with."""
    return list(paper.backward(paper.forward(X), labels)), bridge.tape_terms(paper, X, labels)


@given(PROBLEMS, st.data(), st.sampled_from([1.0, 1e-3, 1e3]))
def test_a_random_gradient_stays_unknown(drawn, data, size):
    names, terms = gradients(*drawn)
    name = data.draw(st.sampled_from(names))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    wrong = size * random.normal(size=terms[name].shape)
    assume(wrong.size > 2)
    found = bridge.compare(*drawn, gradients={name: wrong})
    assert found.mistakes == (), found.diagnosis
    assert found.diagnosis.startswith("no known mistake")


@given(PROBLEMS, st.data(), st.sampled_from([1.0, 1e-2, 1e-4]))
def test_a_right_gradient_with_random_errors_stays_unknown(drawn, data, size):
    names, terms = gradients(*drawn)
    name = data.draw(st.sampled_from(names))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    errors = random.normal(size=terms[name].shape)
    assume(errors.size > 2)
    found = bridge.compare(*drawn, gradients={name: terms[name] + size * errors})
    assert found.mistakes == (), found.diagnosis


def written_otherwise(paper, X, labels):
    """All gradients with other orders of factors, sums, and loops over the examples."""
    t, L = paper.forward(X), paper.depth
    d, Y = paper.backward(t, labels), one_hot(labels, t[f"A{paper.depth}"])
    B, C = Y.shape
    if paper.loss_name == "cross_entropy":
        other = {f"dZ{L}": -((Y - t[f"A{L}"]) * (1 / B))}
    else:
        other = {f"dA{L}": (t[f"A{L}"] - Y) / C * 2 / B}
        other[f"dZ{L}"] = t[f"A{L}"] * d[f"dA{L}"] - t[f"A{L}"] ** 2 * d[f"dA{L}"]
    for l in range(L, 0, -1):
        W, dZ, A = paper.params[f"W{l}"], d[f"dZ{l}"], t[f"A{l - 1}"]
        other[f"dW{l}"] = paper.l2 * W + sum(np.outer(a, z) for a, z in zip(A, dZ, strict=True))
        other[f"db{l}"] = np.ones(B, X.dtype) @ dZ
        if l > 1:
            other[f"dA{l - 1}"] = (W @ dZ.T).T
            other[f"dZ{l - 1}"] = ACTIVATIONS[paper.activation][1](t[f"Z{l - 1}"]) * (dZ @ W.T)
    return {name: other[name] for name in d}


@given(PROBLEMS, st.sampled_from([np.float64, np.float32]))
def test_no_right_gradient_is_called_wrong(drawn, dtype):
    paper, X, labels = drawn
    paper.params = {name: value.astype(dtype) for name, value in paper.params.items()}
    drawn = paper, X.astype(dtype), labels
    tolerance = 1e-10 if dtype == np.float64 else 1e-4
    mine = written_otherwise(*drawn)
    found = bridge.compare(*drawn, gradients=mine, tolerance=tolerance)
    assert found.first_divergence is None, str(found)
    assert found.mistakes == ()


@given(PROBLEMS, st.data())
def test_whatever_the_table_gives_is_explained(drawn, data):
    names, terms = gradients(*drawn)
    name = data.draw(st.sampled_from(names))
    right = bridge.right_of(drawn[0], terms, drawn[2])
    here = mistakes.Here(right, int(name[2:]))
    rows = [row for row in mistakes.MISTAKES if set(row[1].split()) & set(right.roles(name))]
    mistake, _, _, formula = data.draw(st.sampled_from(rows))
    with np.errstate(all="ignore"):
        wrong = diagnosis.result(formula, here)
    assume(wrong is not None and np.isfinite(wrong).all())
    found = bridge.compare(*drawn, gradients={name: np.asarray(wrong)})
    assume(found.first_divergence is not None)  # here this mistake makes no difference
    assert found.mistakes, f"{mistake}: {found.diagnosis}"
