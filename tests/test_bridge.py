"""The comparison of both derivations: it is silent when they agree and names the first term when they do not."""

import numpy as np
import pytest
from test_byhand import problem

from tinygrad_mnist import bridge


def test_agreement_is_said_in_one_line():
    comparison = bridge.compare(*problem((5, 4, 3), 6, "tanh", "cross_entropy", 0.1))
    assert comparison.first_divergence is None
    assert str(comparison).splitlines()[-1] == "all 13 terms agree to 1e-10"
    assert [row.name for row in comparison.rows[:6]] == ["A0", "Z1", "A1", "Z2", "A2", "loss"]


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


def test_html_table_has_a_row_a_term():
    comparison = bridge.compare(*problem((5, 3), 6, "tanh", "mse", 0.0))
    assert comparison._repr_html_().count("<tr>") == 1 + len(comparison.rows)


def test_both_rooms_keep_their_own_weights():
    paper, *_ = problem((5, 4, 3), 6, "tanh", "cross_entropy", 0.1)
    model = bridge.to_module(paper)
    back = bridge.to_paper(model, "tanh", 0.1)
    for name, value in paper.params.items():
        assert (back.params[name] == value).all()
        assert back.params[name] is not value
