"""Which wrong rules a test would let through, by function and by pytest plugin."""

import re

import foreign
import numpy as np
import pytest

from tinygrad_mnist import tensor
from tinygrad_mnist.autodiff import Op, gradcheck, gradgradcheck, ops
from tinygrad_mnist.testing import arrays, assert_op, survivors


def made(forward, *rules, **other):
    return Op(forward, "mine").vjp(*rules, **other)


square = made(np.square, lambda g, out, x: 2 * g * x)


def both(*inputs):
    gradcheck(square, inputs)
    gradgradcheck(square, inputs)


def kinds(op, test, own=()):
    return {survivor.kind for survivor in survivors(op, test, own)}


def test_the_kit_lets_nothing_through():
    assert survivors(square, lambda: assert_op(square, arrays(), np.square)) == []


def test_a_test_of_the_value_lets_everything_through():
    found = survivors(square, lambda: np.testing.assert_equal(square(np.array(3.0)), 9))
    assert {s.kind for s in found} >= {"sign", "half", "double", "cotangent forgotten"}
    assert {s.why for s in found} == {"no test calls this rule"}


def test_the_first_derivative_lets_the_stash_through():
    assert kinds(square, lambda: gradcheck(square, [[1.0, 3.0]])) == {"stash"}
    assert kinds(square, lambda: both([1.0, 3.0])) == set()


def test_a_cotangent_of_ones_lets_a_forgotten_one_through():
    def test():
        x = tensor([1.0, 3.0], requires_grad=True)
        square(x).sum().backward()
        assert x.grad.data.tolist() == [2, 6]

    assert kinds(square, test) == {"cotangent forgotten", "stash"}


def test_one_value_at_which_two_rules_agree_lets_the_wrong_one_through():
    own = [(0, "a cube", lambda g, out, x: 2 * g * x**3)]
    assert kinds(square, lambda: gradcheck(square, [1.0], atol=9), own) >= {"sign", "a cube"}


def test_a_twin_that_is_right_is_no_survivor():
    negative = made(np.negative, lambda g, out, x: -g)
    assert survivors(negative, lambda: gradcheck(negative, [[1.0, 3.0]])) == []


def test_rules_exchanged_are_noticed_or_not():
    times = made(np.multiply, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)
    assert kinds(times, lambda: gradcheck(times, [[1.0, 2.0], [3.0, -1.0]])) == {"stash"}

    def at_one_point():
        x, y = (tensor([2.0], requires_grad=True) for _ in range(2))
        times(x, y).backward(np.array([3.0]))
        assert (x.grad.item(), y.grad.item()) == (6, 6)

    assert kinds(times, at_one_point) == {"stash"}  # exchanged, they are right where x is y


@pytest.mark.parametrize("op", [ops.concatenate, ops.matrix_product, ops.linear, ops.softmax])
def test_rules_for_any_number_of_arguments_are_tried_too(op):
    x, y = np.random.default_rng(0).normal(size=(2, 3, 3))
    arguments = {ops.softmax: [x], ops.linear: [x, y, y[0]]}.get(op, [x, y])

    def test():
        gradcheck(lambda *xs: op(*xs), arguments)
        gradgradcheck(lambda *xs: op(*xs), arguments)

    assert survivors(op, test) == []


def test_one_rule_for_all_arguments_together_is_tried_for_each():
    times = made(np.multiply, together=lambda g, out, x, y: (g * y, g * x))
    found = survivors(times, lambda: np.testing.assert_equal(times(2.0, 3.0), 6))
    assert found == []  # nobody knows how many arguments it has before a rule is called
    found = survivors(times, lambda: gradcheck(times, [[1.0, 2.0], [3.0, -1.0]]))
    assert {(s.argument, s.kind) for s in found} == {(0, "stash"), (1, "stash")}


def test_afterwards_the_op_is_as_it_was():
    before = dict(vars(square))
    survivors(square, lambda: both([1.0, 3.0]))
    assert vars(square) == before


def test_a_test_that_fails_without_mutants_is_refused():
    with pytest.raises(AssertionError, match="The test of mine fails without a mutant: so it does"):
        survivors(square, lambda: pytest.fail("so it does"))


def test_a_survivor_says_in_a_sentence_what_it_is():
    (stash,) = survivors(square, lambda: gradcheck(square, [[1.0, 3.0]]))
    assert str(stash) == "mine, rule of argument 0, stash: no test fails"


# ---------------------------------------------------------------- the plugin

PLUGIN = ["-p", "tinygrad_mnist.testing.plugin"]
MUTATE = [*PLUGIN, "--mutate-gradients"]
WEAK = """
import numpy as np
from bell_op import bell
from tinygrad_mnist import tensor

def test_the_sign():
    x = tensor(np.array([1.0]), requires_grad=True)
    bell(x, 0.5).backward(np.array([1.0]))
    assert x.grad.item() < 0
"""


@pytest.fixture
def weak(tmp_path):
    """A project whose only test looks at a sign."""
    foreign.planted(tmp_path)
    (tmp_path / "test_bell.py").write_text(WEAK)
    return tmp_path


def test_the_plugin_shows_what_no_test_notices_and_fails(weak):
    said = foreign.tested(weak, *MUTATE)
    (row,) = re.findall(r"^bell +arg 0 +(.*)$", said, re.MULTILINE)
    assert row.split()[:4] == ["ALIVE", "noticed", "ALIVE", "ALIVE"]
    assert re.search(r"^FAILED: \d+ of \d+ wrong rules noticed", said, re.MULTILINE)
    assert "1 passed" in said


def test_the_threshold_decides(weak):
    assert "FAILED" in foreign.tested(weak, *MUTATE, "--mutate-threshold", "60")
    assert "FAILED" not in foreign.tested(weak, *MUTATE, "--mutate-threshold", "10")


def test_the_plugin_does_nothing_unless_it_is_asked(weak):
    assert "wrong derivative rules" not in foreign.tested(weak, *PLUGIN)


def test_after_a_failing_test_nothing_is_tried(weak):
    (weak / "test_bell.py").write_text(WEAK.replace("< 0", "> 0"))
    said = foreign.tested(weak, *MUTATE)
    assert "No rule was tried: a test failed" in said
    assert "1 failed" in said
