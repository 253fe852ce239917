"""Wrong twins of every derivative rule, each of which the package's own checker must reject."""

import re

import numpy as np
import pytest
from planting import planted, rules_of
from samples import MUTANTS, SAMPLES, STEADY_RULES
from test_ops import call

from tinygrad_mnist.autodiff import GradcheckError, Tensor, gradcheck, gradgradcheck

MISSHAPEN = r"^A derivative rule of \S+ returned shape"
"""What the tape says of a cotangent that does not even have its input's shape."""


def detached(x):
    return x.detach() if isinstance(x, Tensor) else x


# Kind -> a wrong twin made from any right rule.
TWINS = {
    "cotangent forgotten": lambda rule: (
        lambda g, *rest, **params: rule(np.ones(g.shape), *rest, **params)
    ),
    "sign": lambda rule: lambda g, *rest, **params: -rule(g, *rest, **params),
    "half": lambda rule: lambda g, *rest, **params: rule(g, *rest, **params) * 0.5,
    "double": lambda rule: lambda g, *rest, **params: rule(g, *rest, **params) * 2,
    "stash": lambda rule: lambda g, *rest, **params: rule(g, *map(detached, rest), **params),
}


def rules(op, samples):
    """Position and rule of every argument that has one."""
    count = max(len(sample.arguments) for sample in samples)
    return [(i, rule) for i, rule in enumerate(rules_of(op, count)) if rule is not None]


def mutants(op, samples, own=(), steady=STEADY_RULES):
    """Argument, what is wrong, wrong rule: twins of every right rule, and those of this op."""
    for i, rule in rules(op, samples):
        yield from (
            (i, kind, twin(rule))
            for kind, twin in TWINS.items()
            if kind != "stash" or (op, i) not in steady
        )
    yield from own


def rejected(op, samples):
    """The order at which the checker finds fault with the op on one of its samples, or 0."""
    faults = []
    for order, check in ((1, gradcheck), (2, gradgradcheck)):
        for sample in samples:
            try:
                check(*call(op, sample))
            except GradcheckError:
                return order
            except ValueError as error:
                if re.search(MISSHAPEN, str(error)):
                    return order
                faults.append(error)
    if faults:  # not the checker's verdict: a rule that fits no sample, or the checker is broken
        raise faults[0]
    return 0


def survivors(op, samples, own=()):
    """What is wrong with the mutants of an op that the checker does not reject."""
    assert rejected(op, samples) == 0, f"{op} itself is wrong"
    survived = []
    for position, kind, wrong in mutants(op, samples, own):
        with planted(op, lambda i, rule, at=position, wrong=wrong: wrong if i == at else rule):
            if not rejected(op, samples):
                survived.append((position, kind))
    return survived


CATALOGUE = [
    (op, *mutant)
    for op, samples in SAMPLES.items()
    for mutant in mutants(op, samples, MUTANTS.get(op, ()))
]
KILLED = {}


@pytest.mark.parametrize(
    ("op", "position", "kind", "wrong"),
    CATALOGUE,
    ids=[f"{op.name}-{i}-{kind}" for op, i, kind, _ in CATALOGUE],
)
def test_a_wrong_rule_is_rejected(op, position, kind, wrong):
    with planted(op, lambda i, rule: wrong if i == position else rule):
        KILLED[op.name, position, kind] = rejected(op, SAMPLES[op])
    assert KILLED[op.name, position, kind]
    assert kind != "stash" or KILLED[op.name, position, kind] == 2, (
        "a stash is right to first order"
    )


@pytest.mark.parametrize("op", [op for op in SAMPLES if op.differentiable], ids=lambda op: op.name)
def test_the_right_rules_pass_both_orders(op):
    assert rejected(op, SAMPLES[op]) == 0


@pytest.mark.parametrize(
    ("op", "position"),
    sorted(STEADY_RULES, key=lambda pair: (pair[0].name, pair[1])),
    ids=lambda v: getattr(v, "name", v),
)
def test_a_steady_rule_does_not_move_with_its_inputs(op, position):
    random = np.random.default_rng(0)
    checked = 0
    for sample in SAMPLES[op]:
        if position not in sample.floats:
            continue
        moved = [
            x + 1e-3 * random.normal(size=np.shape(x)) if i in sample.floats else x
            for i, x in enumerate(sample.arguments)
        ]
        outs = [
            np.asarray(op(*arguments, **sample.params)) for arguments in (sample.arguments, moved)
        ]
        g = random.normal(size=outs[0].shape)
        results = [
            dict(rules(op, [sample]))[position](g, out, *args, **sample.params)
            for out, args in zip(outs, (sample.arguments, moved), strict=True)
        ]
        np.testing.assert_array_equal(*results)
        checked += 1
    assert checked


def test_every_differentiable_op_has_a_mutant_of_its_own_or_needs_none():
    without = {op.name for op in SAMPLES if op.differentiable and op not in MUTANTS}
    assert without == {
        "add",
        "neg",
        "sqrt",
        "cast",
    }  # a factor or a sign is all that can go wrong in their rules


def kill_matrix():
    """Lines of a table: op, and for each kind of mutant the order at which it was rejected."""
    names = sorted({name for name, _, _ in KILLED})
    yield f"{'op':<18}" + "".join(f"{kind:>21}" for kind in TWINS) + f"{'its own':>21}"
    for name in names:
        cells = [
            [order for (n, _, k), order in KILLED.items() if n == name and k == kind]
            for kind in TWINS
        ]
        cells.append([order for (n, _, k), order in KILLED.items() if n == name and k not in TWINS])
        yield f"{name:<18}" + "".join(f"{' '.join(map(str, cell)) or '-':>21}" for cell in cells)
    yield (
        f"{sum(map(bool, KILLED.values()))} of {len(KILLED)} mutants rejected "
        "(1: by gradcheck, 2: by gradgradcheck, 0: survived)"
    )
