"""Wrong twins of every derivative rule, each of which the kit for property tests must notice."""

import pytest
from samples import MUTANTS, SAMPLES

from tinygrad_mnist.testing import assert_op
from tinygrad_mnist.testing.mutants import MAY_BE_RIGHT, fails, tried, watched

DIFFERENTIABLE = [op for op in SAMPLES if op.differentiable]


def of_the_samples(op):
    """The test of an op: the kit, for every sample."""
    for sample in SAMPLES[op]:
        assert_op(op, sample.call, sample.reference)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_every_wrong_rule_is_noticed_by_the_kit(op):
    def test():
        of_the_samples(op)

    own = MUTANTS.get(op, [])
    outcomes = list(tried(op, watched(op, test), fails(test), own))
    assert [(i, kind) for i, kind, alive in outcomes if alive] == []
    always = [kind for _, kind, _ in outcomes if kind not in MAY_BE_RIGHT]
    assert len(always) >= 4 + len(own)


def test_every_differentiable_op_has_a_mutant_of_its_own_or_needs_none():
    without = {op.name for op in DIFFERENTIABLE if op not in MUTANTS}
    factor_or_sign_is_all_that_can_go_wrong = {"add", "neg", "sqrt", "cast"}
    assert without == factor_or_sign_is_all_that_can_go_wrong
