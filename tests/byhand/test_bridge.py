"""The comparison of both derivations: silent when they agree; else it names the first term."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from test_byhand import PROBLEMS, problem

from tinygrad_mnist import bridge
from tinygrad_mnist.byhand.mlp import ACTIVATIONS, sigmoid_slope


def test_agreement_is_said_in_one_line():
    comparison = bridge.compare(*problem((5, 4, 3), 6, "tanh", "cross_entropy", 0.1))
    assert comparison.first_divergence is None
    assert str(comparison).splitlines()[-1] == "all 13 terms agree to 1e-10"
    assert [row.name for row in comparison.rows[:6]] == ["A0", "Z1", "A1", "Z2", "A2", "loss"]


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_loss_of_almost_zero_agrees(loss):
    paper, X, _ = problem((5, 4, 3), 6, "tanh", loss, 0.0)
    paper.params["b2"] += [20.0, -20.0, -20.0]
    comparison = bridge.compare(paper, X, np.zeros(6, int))
    assert comparison.first_divergence is None, str(comparison)


@pytest.mark.parametrize("name", ["dZ2", "dW2", "db2", "dA1", "dZ1", "dW1", "db1"])
def test_a_wrong_gradient_is_the_first_divergence(name):
    paper, X, labels = problem((5, 4, 3), 6, "tanh", "cross_entropy", 0.1)
    gradients = paper.backward(paper.forward(X), labels)
    gradients[name] = gradients[name] * 1.000001
    comparison = bridge.compare(paper, X, labels, gradients=gradients)
    assert comparison.first_divergence.name == name
    assert str(comparison).splitlines()[-1].startswith(f"first divergence: {name} ")


def test_a_gradient_of_another_shape_diverges():
    paper, X, labels = problem((4, 4, 3), 6, "tanh", "mse", 0.0)
    gradients = paper.backward(paper.forward(X), labels)
    gradients["db1"] = gradients["db1"][None]
    assert bridge.compare(paper, X, labels, gradients=gradients).first_divergence.error == np.inf


def test_nan_diverges():
    paper, X, labels = problem((4, 4, 3), 6, "tanh", "mse", 0.0)
    gradients = paper.backward(paper.forward(X), labels)
    gradients["dW1"] = gradients["dW1"] * np.nan
    assert bridge.compare(paper, X, labels, gradients=gradients).first_divergence.name == "dW1"


def test_html_table_has_a_row_per_term():
    comparison = bridge.compare(*problem((5, 3), 6, "tanh", "mse", 0.0))
    assert comparison._repr_html_().count("<tr>") == 1 + len(comparison.rows)


def test_both_rooms_keep_their_own_weights():
    paper, *_ = problem((5, 4, 3), 6, "tanh", "cross_entropy", 0.1)
    model = bridge.to_module(paper)
    back = bridge.to_paper(model, "tanh", 0.1)
    for name, value in paper.params.items():
        assert (back.params[name] == value).all()
        assert back.params[name] is not value


# ---------------------------------------------------------------- the diagnosis


def everything(paper, X, labels):
    """Whatever the paper has a name for: parameters, terms, gradients, slopes, λ, B and C."""
    t = paper.forward(X)
    B, C = t[f"A{paper.depth}"].shape
    named = paper.params | t | paper.backward(t, labels) | {"λ": paper.l2, "B": B, "C": C}
    for layer in range(1, paper.depth + 1):
        slope = ACTIVATIONS[paper.activation][1] if layer < paper.depth else sigmoid_slope
        named |= {f"f'(Z{layer})": slope(t[f"Z{layer}"]), f"f'(A{layer})": slope(t[f"A{layer}"])}
    return named


# Where a bug is planted, what the diagnosis says of it, and the wrong gradient, made from the right
# one `g`, everything `e`, and the layer.
BUGS = [
    ("dA dZ dW db", "a factor B, the batch size. Was 1/B forgotten?", lambda g, e, l: g * e["B"]),
    ("dA dZ dW db", "a factor 1/B, B the batch size. Was it divided by B twice?",
     lambda g, e, l: g / e["B"]),
    ("dA dZ dW db", "a factor 2. Is there a 2 too many?", lambda g, e, l: g * 2),
    ("dA dZ dW db", "Was a 2 forgotten, or a slope (the mask of relu) scaled by 0.5?",
     lambda g, e, l: g * 0.5),
    ("dA dZ dW db", "a factor C, the number of classes", lambda g, e, l: g * e["C"]),
    ("dA dZ dW db", "a factor 1/C, C the number of classes", lambda g, e, l: g / e["C"]),
    ("dA dZ dW db", "a factor C/2, C the number of classes", lambda g, e, l: g * e["C"] / 2),
    ("dA dZ dW db", "a factor 2/C, C the number of classes", lambda g, e, l: g / e["C"] * 2),
    ("dA dZ dW db", "a factor BC, batch size times classes", lambda g, e, l: g * e["B"] * e["C"]),
    ("dA dZ dW db", "a factor BC/2, half of batch size times classes",
     lambda g, e, l: g * e["B"] * e["C"] / 2),
    ("dA dZ dW db", "its sign is wrong", lambda g, e, l: -g),
    ("dA dZ dW db", "it is 0 everywhere", lambda g, e, l: 0 * g),
    ("dA dZ dW", "it is transposed", lambda g, e, l: g.T),
    ("dA", "W{above} was not transposed", lambda g, e, l: e[f"dZ{l + 1}"] @ e[f"W{l + 1}"]),
    ("dA", "dA{above} was used in place of dZ{above}",
     lambda g, e, l: e[f"dA{l + 1}"] @ e[f"W{l + 1}"].T),
    ("dA", "the upstream gradient dZ{above} is missing",
     lambda g, e, l: np.ones((e["B"], 1)) * e[f"W{l + 1}"].sum(axis=1)),
    ("dZ", "it equals dA{l}: the slope f'(Z{l}), the activation's derivative, is missing",
     lambda g, e, l: e[f"dA{l}"]),
    ("dZ", "the slope f' was taken at A{l} instead of Z{l}",
     lambda g, e, l: e[f"dA{l}"] * e[f"f'(A{l})"]),
    ("dZ", "the slope f'(Z{l}) was applied once too often",
     lambda g, e, l: e[f"dA{l}"] * e[f"f'(Z{l})"] ** 2),
    ("dZ", "the upstream gradient dA{l} is missing",
     lambda g, e, l: (e[f"dA{l}"] * 0 + 1) * e[f"f'(Z{l})"]),
    ("dW", "dA{l} was used in place of dZ{l}",
     lambda g, e, l: e[f"A{l - 1}"].T @ e[f"dA{l}"] + e["λ"] * e[f"W{l}"]),
    ("dW", "the upstream gradient dZ{l} is missing",
     lambda g, e, l: e[f"A{l - 1}"].sum(axis=0)[:, None] + e["λ"] * e[f"W{l}"]),
    ("dW", "λW{l}, the derivative of the L2 penalty, is missing",
     lambda g, e, l: e[f"A{l - 1}"].T @ e[f"dZ{l}"]),
    ("dW", "λW{l} was added twice",
     lambda g, e, l: e[f"A{l - 1}"].T @ e[f"dZ{l}"] + 2 * e["λ"] * e[f"W{l}"]),
    ("dW", "λW{l} was subtracted",
     lambda g, e, l: e[f"A{l - 1}"].T @ e[f"dZ{l}"] - e["λ"] * e[f"W{l}"]),
    ("dW", "λW{l} was divided by B",
     lambda g, e, l: e[f"A{l - 1}"].T @ e[f"dZ{l}"] + e["λ"] / e["B"] * e[f"W{l}"]),
    ("db", "dA{l} was used in place of dZ{l}", lambda g, e, l: e[f"dA{l}"].sum(axis=0)),
    ("db", "the upstream gradient dZ{l} is missing", lambda g, e, l: np.full(g.shape, e["B"])),
    ("db", "it was summed over axis 1, the units, instead of axis 0, the batch",
     lambda g, e, l: e[f"dZ{l}"].sum(axis=1)),
    ("db", "it was not summed over axis 0", lambda g, e, l: e[f"dZ{l}"]),
    ("db", "its shape is (1, n) instead of (n,)",
     lambda g, e, l: e[f"dZ{l}"].sum(axis=0, keepdims=True)),
    ("db", "λb{l} was added", lambda g, e, l: g + e["λ"] * e[f"b{l}"]),
]  # fmt: skip


def compare_with(wrong, paper, X, labels):
    """The comparison of the right gradients, some of them replaced by wrong ones."""
    gradients = paper.backward(paper.forward(X), labels) | wrong
    return bridge.compare(paper, X, labels, gradients=gradients)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("batch", [7, 4], ids=["batch of 7", "batch as wide as the layer"])
@pytest.mark.parametrize(("kinds", "text", "bug"), BUGS, ids=[text for _, text, _ in BUGS])
def test_a_planted_bug_is_named_and_nothing_else_is(kinds, text, bug, batch, loss):
    drawn = problem((5, 4, 4, 5), batch, "tanh", loss, 0.1)
    e = everything(*drawn)
    for kind in kinds.split():
        layer = 1 if kind == "dA" else 2
        name = f"{kind}{layer}"
        comparison = compare_with({name: bug(e[name], e, layer)}, *drawn)
        assert comparison.first_divergence.name == name
        assert text.format(l=layer, above=layer + 1) in comparison.diagnosis
        assert " Or: " not in comparison.diagnosis
        assert str(comparison).splitlines()[-1].endswith(f"): {comparison.diagnosis}")


@given(PROBLEMS, st.data())
def test_a_planted_bug_is_among_the_candidates(drawn, data):
    e = everything(*drawn)
    name = data.draw(st.sampled_from([name for name in e if re.match(r"d[ZWAb]\d", name)]))
    possible = [(text, bug) for kinds, text, bug in BUGS if name[:2] in kinds]
    text, bug = data.draw(st.sampled_from(possible))
    layer = int(name[2:])
    try:
        wrong = bug(e[name], e, layer)
    except (KeyError, ValueError):  # there is no such term in this network, or W is not square
        reject()
    comparison = compare_with({name: wrong}, *drawn)
    assume(comparison.first_divergence is not None)  # B may be 1, λ 0, a slope 1
    assert comparison.first_divergence.name == name
    assert text.format(l=layer, above=layer + 1) in comparison.diagnosis


SLOPE_MISSING = "it equals dA1: the slope f'(Z1), the activation's derivative, is missing"
UNKNOWN = (
    "no known mistake (factor, sign, transpose, axis, slope, upstream gradient, L2) explains it."
)


def times_too_large(B):
    return f"it is {B} times too large: a factor B, the batch size. Was 1/B forgotten?"


# Where a bug is planted, what the diagnosis says, and the wrong gradient.
DIAGNOSES = [
    ("dW2", "it is 0.37 times the right value.", lambda g, e: 0.37 * g),
    ("dW2", "it is -3.7 times the right value.", lambda g, e: -3.7 * g),
    ("dW2", f"its sign is wrong, {times_too_large(7)}", lambda g, e: -7 * g),
    ("dW2", "it is transposed, its sign is wrong.", lambda g, e: -g.T),
    ("dW2", "apart from λW2, its sign is wrong.",
     lambda g, e: -e["A1"].T @ e["dZ2"] + e["λ"] * e["W2"]),
    ("dW2", "apart from λW2, it is 1.1 times the right value.",
     lambda g, e: e["A1"].T @ (1.1 * e["dZ2"]) + e["λ"] * e["W2"]),
    ("dW2", f"λW2, the derivative of the L2 penalty, is missing, {times_too_large(7)}",
     lambda g, e: e["A1"].T @ (7 * e["dZ2"])),
    ("dW1", f"apart from λW1, {times_too_large(7)}",
     lambda g, e: e["A0"].T @ (7 * e["dZ1"]) + e["λ"] * e["W1"]),
    ("dZ1", f"{SLOPE_MISSING}, its sign is wrong.", lambda g, e: -e["dA1"]),
    ("dZ2", "its shape is (7, 2), expected (7, 3).", lambda g, e: g[:, :2]),
    ("db1", "its shape is (4, 1), expected (4,).", lambda g, e: g[:, None]),
    ("dW1", "1 of 20 elements is NaN or infinite.",
     lambda g, e: np.where(g == g.max(), np.nan, g)),
    ("db1", "4 of 4 elements are NaN or infinite.", lambda g, e: g + np.inf),
    ("dZ1", UNKNOWN, lambda g, e: g + 0.1),
    ("dZ1", UNKNOWN, lambda g, e: g**2),
    ("dZ1", "no known mistake", lambda g, e: (g**2).astype(np.float32)),
    ("dZ1", "no known mistake", lambda g, e: g + 1e-7 * g**2),
    ("dZ1", "no known mistake", lambda g, e: np.full(g.shape, np.finfo(g.dtype).max)),
    ("dZ1", "it is rounded to float32. Compare in float64, or with a larger tolerance.",
     lambda g, e: g.astype(np.float32)),
    ("dZ2", "the slope f'(Z2) was applied once too often.",
     lambda g, e: g * e["A2"] * (1 - e["A2"])),
]  # fmt: skip


@pytest.mark.parametrize(("name", "says", "bug"), DIAGNOSES)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_the_diagnosis_says(name, says, bug, loss):
    drawn = problem((5, 4, 3), 7, "tanh", loss, 0.1)
    e = everything(*drawn)
    diagnosis = compare_with({name: bug(e[name], e)}, *drawn).diagnosis
    assert says in diagnosis
    assert " Or: " not in diagnosis


def test_a_saturated_unit_leaves_the_forgotten_slope_recognisable():
    drawn = problem((5, 4, 3), 7, "sigmoid", "cross_entropy", 0.0)
    drawn[0].params["b1"] += 25
    comparison = compare_with({"dZ1": everything(*drawn)["dA1"]}, *drawn)
    assert comparison.diagnosis == f"{SLOPE_MISSING}."


def test_a_gradient_that_should_be_zero_is_diagnosed():
    drawn = problem((5, 4, 3), 7, "relu", "cross_entropy", 0.0)
    drawn[0].params["b1"] -= 100
    comparison = compare_with({"dW1": np.repeat(drawn[1].sum(axis=0)[:, None], 4, axis=1)}, *drawn)
    assert comparison.first_divergence.name == "dW1"
    assert comparison.diagnosis == "the upstream gradient dZ1 is missing."


def test_zeros_in_the_wrong_shape_are_diagnosed():
    drawn = problem((1, 1, 2), 1, "relu", "cross_entropy", 0.0)
    e = everything(*drawn)
    assert not e["dW2"].any()
    assert "it is transposed" in compare_with({"dW2": e["dW2"].T}, *drawn).diagnosis


def test_a_network_in_float32_is_diagnosed_at_its_tolerance():
    paper, X, labels = problem((5, 4, 3), 7, "tanh", "cross_entropy", 1e-3)
    paper.params = {name: value.astype(np.float32) for name, value in paper.params.items()}
    drawn = paper, X.astype(np.float32), labels
    e = everything(*drawn)
    assert bridge.compare(*drawn, tolerance=1e-4).first_divergence is None
    wrong = paper.backward(paper.forward(drawn[1]), labels) | {"dW2": e["A1"].T @ e["dZ2"]}
    comparison = bridge.compare(*drawn, gradients=wrong, tolerance=1e-4)
    assert comparison.diagnosis == "λW2, the derivative of the L2 penalty, is missing."


def test_without_divergence_there_is_no_diagnosis():
    drawn = problem((5, 4, 3), 6, "tanh", "mse", 0.1)
    assert bridge.compare(*drawn).diagnosis is None
    assert compare_with({}, *drawn).diagnosis is None


def test_a_term_of_the_forward_pass_gets_no_diagnosis():
    comparison = bridge.compare(*problem((5, 4, 3), 6, "tanh", "mse", 0.1), tolerance=-1.0)
    assert comparison.first_divergence.name == "A0"
    assert comparison.diagnosis is None
    assert comparison.verdict == "first divergence: A0 (error 0.0e+00)"


def test_mistakes_that_coincide_are_all_named():
    drawn = problem((5, 4, 3), 2, "tanh", "cross_entropy", 0.0)
    e = everything(*drawn)
    diagnosis = compare_with({"dW1": 2 * e["dW1"]}, *drawn).diagnosis
    other = "it is 2 times too large: a factor 2. Is there a 2 too many?"
    assert diagnosis == f"{times_too_large(2)} Or: {other}"


def test_one_number_is_no_evidence_for_a_constant_factor():
    drawn = problem((1, 1, 2), 3, "tanh", "mse", 0.0)
    wrong = {"dW1": 0.37 * everything(*drawn)["dW1"]}
    assert "no known mistake" in compare_with(wrong, *drawn).diagnosis


def test_a_spreading_mistake_is_diagnosed_where_it_was_made():
    drawn = problem((5, 4, 3), 6, "tanh", "cross_entropy", 0.0)
    e = everything(*drawn)
    spread = {name: 6 * g for name, g in e.items() if re.match(r"d[ZWAb]\d", name)}
    comparison = bridge.compare(*drawn, gradients=dict(reversed(spread.items())))
    assert comparison.first_divergence.name == "dZ2"
    assert comparison.diagnosis == times_too_large(6)
    assert sum(row.error > comparison.tolerance for row in comparison.rows) == 7


def test_only_the_gradients_given_are_compared_in_the_order_of_computation():
    drawn = problem((5, 4, 3), 6, "tanh", "cross_entropy", 0.1)
    e = everything(*drawn)
    comparison = bridge.compare(*drawn, gradients={"dW1": -e["dW1"], "dW2": -e["dW2"].T})
    names = [row.name for row in comparison.rows]
    assert names == ["A0", "Z1", "A1", "Z2", "A2", "loss", "dW2", "dW1"]
    assert comparison.diagnosis == "it is transposed, its sign is wrong."
    assert bridge.compare(*drawn, gradients={"db2": e["db2"].tolist()}).first_divergence is None


def test_an_unknown_gradient_is_refused():
    drawn = problem((5, 4, 3), 6, "tanh", "cross_entropy", 0.1)
    known = "dZ2, dW2, db2, dA1, dZ1, dW1, db1"
    message = rf"no gradient dw2, W1\. Those of this network are {known}\."
    with pytest.raises(ValueError, match=message):
        bridge.compare(*drawn, gradients={"dw2": 0, "db2": 0, "W1": 0})


def test_html_shows_the_diagnosis_escaped():
    drawn = problem((5, 4, 3), 6, "tanh", "mse", 0.1)
    comparison = compare_with({"dZ1": everything(*drawn)["dA1"]}, *drawn)
    assert "it equals dA1: the slope f&#x27;(Z1)" in comparison._repr_html_()
    assert "<i>" not in comparison._replace(diagnosis="<i>")._repr_html_()
