"""What `assert_optimizer` says of wrong optimizers, and that right ones pass."""

import networks
import numpy as np
import pytest
from my_optimizer import RMSprop

from tinygrad_mnist import optim
from tinygrad_mnist.testing import assert_optimizer


class Descent(optim.Optimizer):
    """Right: each of the wrong ones differs from it in one thing."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def update(self, p, g, group, state):
        p.data -= group["lr"] * g


# ---------------------------------------------------------------- wrong ones


def step_along(v, p, g, group):
    v *= 0.5
    v += g
    p.data -= group["lr"] * v


class DictById(Descent):
    def __init__(self, params):
        super().__init__(params)
        self.velocity = {}

    def update(self, p, g, group, state):
        step_along(self.velocity.setdefault(id(p), np.zeros_like(g)), p, g, group)


class DictByIdInClass(Descent):
    velocity = {}

    def update(self, p, g, group, state):
        step_along(self.velocity.setdefault(id(p), np.zeros_like(g)), p, g, group)


class DictByParameter(DictById):
    def update(self, p, g, group, state):
        step_along(self.velocity.setdefault(p, np.zeros_like(g)), p, g, group)


class DictByShape(DictById):
    def update(self, p, g, group, state):
        step_along(self.velocity.setdefault(p.shape, np.zeros_like(g)), p, g, group)


class Counter(Descent):
    def __init__(self, params):
        super().__init__(params)
        self.steps = 0

    def update(self, p, g, group, state):
        self.steps += 1
        p.data -= group["lr"] / self.steps * g


class CounterInClass(Descent):
    steps = 0

    def update(self, p, g, group, state):
        type(self).steps += 1
        p.data -= group["lr"] / self.steps * g


class ListOfVelocities(Descent):
    def __init__(self, params):
        super().__init__(params)
        self.velocity = [np.zeros_like(p.data) for p in params]

    def update(self, p, g, group, state):
        place = [q is p for q in group["params"]].index(True)
        step_along(self.velocity[place], p, g, group)


class Unnamed(Descent):
    def update(self, p, g, group, state):
        step_along(state.setdefault("velocity", np.zeros_like(g)), p, g, group)


class ChangesGradient(Descent):
    def update(self, p, g, group, state):
        g *= group["lr"]
        p.data -= g


class DropsGradient(Descent):
    def update(self, p, g, group, state):
        super().update(p, g, group, state)
        p.grad = None


class Uphill(Descent):
    def update(self, p, g, group, state):
        p.data += group["lr"] * g


class Rebinds(Descent):
    def update(self, p, g, group, state):
        p = p - group["lr"] * g


class WideState(Descent):
    remembers = ("velocity",)

    def update(self, p, g, group, state):
        v = state.setdefault("velocity", np.zeros(g.shape))
        v += g
        p.data -= (group["lr"] * v).astype(p.dtype)


class WidensParameter(Descent):
    def update(self, p, g, group, state):
        p.data = p.data - group["lr"] * g * np.ones(g.shape)


class NeedsGradient(Descent):
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data -= group["lr"] * p.grad.data


class DecaysWithoutGradient(Descent):
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data -= group["lr"] * (0 if p.grad is None else p.grad.data)
                p.data *= 0.9


class DrawsFromThatOfAll(Descent):
    def update(self, p, g, group, state):
        p.data -= group["lr"] * g * np.random.rand()  # noqa: NPY002


class Fails(Descent):
    def load_state_dict(self, state_dict):
        raise RuntimeError("it cannot be loaded")


OTHER_STEPS = "Saved and loaded into other parameters of the same values, {} takes other steps"
FAILS = "Saved and loaded into other parameters of the same values, {} fails: "
WITHOUT = "step does not skip parameters whose p.grad is None"
KEEP = "Keep it in `state`, and name it in `remembers`"
SOMETHING = "something that the next step needs is not in the state dict. " + KEEP
WRONG = {
    DictById: (
        OTHER_STEPS, f"velocity is keyed by id(p), which another process does not know. {KEEP}"
    ),
    DictByIdInClass: (OTHER_STEPS, "velocity is keyed by id(p)"),
    DictByParameter: (
        OTHER_STEPS, "velocity is keyed by the parameters, which another process makes anew"
    ),
    DictByShape: (OTHER_STEPS, SOMETHING),
    Counter: (OTHER_STEPS, f"steps changes as it works and is not in the state dict. {KEEP}"),
    CounterInClass: (OTHER_STEPS, SOMETHING),
    ListOfVelocities: (OTHER_STEPS, "velocity changes as it works and is not in the state dict"),
    Unnamed: (FAILS + "ValueError(\"Unnamed keeps ['velocity'] in its state", SOMETHING),
    Fails: (FAILS + "RuntimeError('it cannot be loaded')", SOMETHING),
    DrawsFromThatOfAll: (OTHER_STEPS, SOMETHING),
    ChangesGradient: ("{} changed a gradient", "g += ... in place of g = g + ..."),
    DropsGradient: ("{} changed a gradient", "g += ... in place of g = g + ..."),
    Uphill: ("In 30 steps, {} went from 19.31 up to ", "the sign of the update is wrong"),
    Rebinds: (
        "In 30 steps, {} did not change the parameter of shape (3,)",
        "p = p - ... gives a new array the name p",
    ),
    WideState: (
        "For a parameter in float32, {} remembers velocity in float64",
        "np.zeros(p.shape), which is float64, in place of np.zeros_like(p.data)",
    ),
    WidensParameter: (
        "After steps of {}, a parameter in float32 is in float64",
        "p.data = ... in place of p.data -= ...",
    ),
    NeedsGradient: ("{} fails if a parameter has no gradient: AttributeError(", WITHOUT),
    DecaysWithoutGradient: ("{} moved a parameter that has no gradient", WITHOUT),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_optimizer_fails_with_its_cause(kind):
    with pytest.raises(AssertionError) as caught:
        assert_optimizer(kind)
    said, _, likely = str(caught.value).partition("\nLikely cause: ")
    seen, cause = WRONG[kind]
    assert said.startswith(seen.format(kind.__name__))
    assert cause in likely


# ---------------------------------------------------------------- right ones


class Draws(Descent):
    def __init__(self, params):
        super().__init__(params)
        self.rng = np.random.default_rng(0)

    def update(self, p, g, group, state):
        p.data -= group["lr"] * g * np.float32(self.rng.random())


RIGHT = [Descent, Draws, RMSprop, networks.RMSprop, networks.Counting, networks.Langevin]


@pytest.mark.parametrize("make", RIGHT)
def test_a_right_optimizer_passes(make):
    assert_optimizer(make)


def test_a_learning_rate_too_large_is_a_likely_cause():
    with pytest.raises(AssertionError, match="or the learning rate is too large"):
        assert_optimizer(lambda params: Descent(params, lr=2.0))
